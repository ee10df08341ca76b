"""The short way of a prediction: past the framework, when there is nothing to say but the answer.

The framework's routing, its exception handling and its hooks cost as much as a prediction does.
A lane answers the request that is sent again and again (a POST with the whole body at once, let
in by the gate, understood, and predicted by models that work). Everything else goes the ordinary
way, where routes are documented and errors are explained, as if the lane were not there: what it
has read of the body is read again there.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from api.metrics import Metrics
from api.routes.replies import JSON
from api.security.gate import ADMITTED, USED, Gate
from api.security.headers import EVERY
from api.security.needs import Need

SPECIAL = frozenset({b"origin", b"transfer-encoding", b"content-encoding", b"expect"})
"""Headers with a meaning of their own."""
TYPE = (b"content-type", JSON.encode())
OK = 200

type Work = Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Lane:
    """What a lane leads to.

    Parameters
    ----------
    path
        Of the route.
    limit
        Largest body in bytes.
    work
        From the body to the reply.
    gate, need
        Who is let in, and what the key must allow.
    metrics
        Where requests are counted.
    """

    path: str
    limit: int
    work: Work
    gate: Gate
    need: Need
    metrics: Metrics

    def beside(self, app: ASGIApp) -> ASGIApp:
        """Return an application that takes the lane where it can, and `app` where it cannot."""
        path, count, clock = self.path, self.metrics.request, time.perf_counter

        async def fork(scope: Scope, receive: Receive, send: Send) -> None:
            raw: Any = scope
            if raw.get("path") != path or raw["method"] != "POST" or not _plain(raw["headers"]):
                await app(scope, receive, send)
                return
            began = clock()
            message = await receive()
            reply = await self._reply(raw, message)
            if reply is None:
                await app(scope, _again(message, receive), send)
                return
            headers = [TYPE, (b"content-length", b"%d" % len(reply)), *EVERY]
            if (used := raw["state"].get(USED)) is not None:
                headers += used
            start: Any = {"type": "http.response.start", "status": OK, "headers": headers}
            await send(start)
            end: Any = {"type": "http.response.body", "body": reply}
            await send(end)
            count(path, OK, clock() - began)

        return fork

    async def _reply(self, scope: Any, message: Any) -> bytes | None:
        """Return the reply to a request; None where the ordinary way must be taken."""
        if message["type"] != "http.request" or message.get("more_body"):
            return None
        body = message["body"]
        if len(body) > self.limit:
            return None
        try:
            self.gate.admit(scope, self.need)
            scope[ADMITTED] = True
            return await self.work(body)
        except Exception:  # noqa: BLE001 - the ordinary way meets it again, and tells of it
            return None


def _plain(headers: list[tuple[bytes, bytes]]) -> bool:
    """Return whether no header asks for more than an answer in JSON."""
    for name, value in headers:
        if name in SPECIAL or (name == TYPE[0] and value != TYPE[1]):
            return False
    return True


def _again(first: Any, receive: Receive) -> Receive:
    """Return what yields a message that was taken, then those that follow."""
    left = [first]

    async def replayed() -> Any:
        return left.pop() if left else await receive()

    return replayed
