"""Other parts as a worker sees them: requests are handed on to them, health is asked for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
from litestar import Request
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.response.base import ASGIResponse

from api.cloudevents import BATCH
from api.errors import ApiError, BusyError, FactsDownError
from api.processes.place import OWNER
from api.security.gate import WHO, who
from api.security.own import OWN as MARK
from api.tracing import ONWARD, PARENT
from facts import Event, event_json

PATIENCE = 10.0
"""Seconds a request waits for another part: as long as a restart takes, and some more."""
MOST_WAITING = 512
"""Requests that may be on their way to another part."""
MOST_BYTES = 64_000_000
"""Bytes of bodies that may be on their way, beyond the first; known before they are read."""
UNKNOWN_BYTES = 1_000_000
"""What a body counts for that does not say how long it is."""
ASKED_EVERY = 0.5
ASKED_FOR = 1.0
HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"}
    | {"proxy-authenticate", "proxy-authorization", "content-length", "authorization", "x-api-key"}
    | {MARK.decode(), WHO.decode()}
)
"""Headers that end at a hop, keys, and ours: a part trusts its socket, the worker says who asks."""


OWN = {"specversion": "1.0", "type": "worlds.watch"}
PARTS = ("facts", "replica", "learning", "learning_stale")
"""What of the recorder's health is that of the whole service."""


class Neighbour:
    """The way to another part of the service.

    Parameters
    ----------
    path
        Its Unix socket.
    name
        What it is called in messages.
    patience
        Seconds that a request may take there.
    """

    def __init__(self, path: Path, name: str, patience: float = PATIENCE) -> None:
        self._name = name
        self._waiting = 0
        self._bytes = 0
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                verify=False,  # a Unix socket: there is no TLS to set up
                uds=str(path),
                limits=httpx.Limits(max_connections=32),
            ),
            base_url="http://neighbour",
            timeout=patience,
        )

    async def hand_on(self, request: Request[Any, Any, Any]) -> ASGIResponse:
        """Return its answer to a request.

        Raises
        ------
        BusyError, FactsDownError
            If it does not answer, or too much is on its way to it.
        """
        size = announced(request.headers)
        if self._waiting >= MOST_WAITING or (self._bytes and self._bytes + size > MOST_BYTES):
            raise BusyError(f"too much waits for the {self._name}")
        self._waiting += 1
        self._bytes += size
        try:
            return await self._handed_on(request, await request.body())
        finally:
            self._waiting -= 1
            self._bytes -= size

    async def _handed_on(self, request: Request[Any, Any, Any], body: bytes) -> ASGIResponse:
        scope = request.scope
        target = scope["raw_path"].decode("ascii")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if name.decode("latin-1").lower() not in HOP
        ]
        headers.append((WHO, who(scope).encode()))
        if onward := scope.get(ONWARD):
            headers = [(name, value) for name, value in headers if name.lower() != PARENT]
            headers.append((PARENT, str(onward).encode()))
        try:
            reply = await self._client.request(
                request.method, target, content=body, headers=headers
            )
        except httpx.HTTPError as error:
            raise self.down(error) from error
        kept = {name: value for name, value in reply.headers.items() if name not in HOP}
        return ASGIResponse(body=reply.content, status_code=reply.status_code, headers=kept)

    def down(self, error: Exception) -> ApiError:
        """Return what is said when it does not answer."""
        return BusyError(f"the {self._name} does not answer ({_said(error)})")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def handed_on(self, handlers: Iterable[BaseRouteHandler], owner: str) -> list[BaseRouteHandler]:
        """Return the handlers, with those of this part replaced by handing on."""
        return [self._instead(handler, owner) for handler in handlers]

    def _instead(self, handler: BaseRouteHandler, owner: str) -> BaseRouteHandler:
        if handler.opt.get(OWNER) != owner or not isinstance(handler, HTTPRouteHandler):
            return handler

        async def hand_on(request: Request[Any, Any, Any]) -> ASGIResponse:
            return await self.hand_on(request)

        return HTTPRouteHandler(
            sorted(handler.paths),
            http_method=sorted(handler.http_methods),
            name=handler.name,
            status_code=200,  # the other part says which
            opt=handler.opt,
            guards=handler.guards,
        )(hand_on)


def announced(headers: Mapping[str, str]) -> int:
    """Return how many bytes a body has, as far as its sender says."""
    if "transfer-encoding" in headers:
        return UNKNOWN_BYTES
    text = headers.get("content-length", "0")
    return int(text) if text.isdigit() and len(text) < 12 else UNKNOWN_BYTES


class Recorder(Neighbour):
    """The way to the recorder, and how it is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "recorder")
        self.reason: str | None = "it has not been asked yet"
        self._said: dict[str, Any] = {}

    def down(self, error: Exception) -> ApiError:
        """Return what is said when it does not answer."""
        return FactsDownError(f"the recorder does not answer ({_said(error)})")

    async def send(self, events: Sequence[Event]) -> None:
        """Have the recorder record events of our own.

        Raises
        ------
        FactsDownError
            If it does not: they may be sent again.
        """
        raw = [{**msgspec.json.decode(event_json(one)), **OWN} for one in events]
        try:
            reply = await self._client.post(
                "/v1/facts",
                content=msgspec.json.encode(raw),
                headers={"content-type": BATCH, MARK.decode(): "1"},
            )
        except httpx.HTTPError as error:
            raise self.down(error) from error
        if reply.status_code != 200:
            raise FactsDownError(f"the recorder answers {reply.status_code}: {reply.text[:200]}")

    async def watch(self) -> None:
        """Ask how the recorder is, for ever."""
        while True:
            await self._ask()
            await asyncio.sleep(ASKED_EVERY)

    async def _ask(self) -> None:
        try:
            reply = await self._client.get("/health/ready", timeout=ASKED_FOR)
            self._said = msgspec.json.decode(reply.content, type=dict[str, Any])
            self.reason = None
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            self.reason = f"the recorder does not answer ({_said(error)})"

    def health(self) -> tuple[dict[str, Any], list[str]]:
        """Return how its parts of the service are, and what is not as it should be."""
        parts = {name: self._said.get(name) for name in PARTS}
        if self.reason is not None:
            parts["facts"] = {"available": False, "reason": self.reason}
            return parts, [f"facts: {self.reason}"]
        reasons = self._said.get("reasons", [])
        return parts, [text for text in reasons if text.partition(":")[0] in PARTS]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the recorder for as long as the worker runs."""
        task = asyncio.create_task(self.watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.close()


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
