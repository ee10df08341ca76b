"""A POST route for the hot path: it skips the framework's request and response objects.

They cost about as much as a third of a prediction. Errors raised here become problems like
everywhere else; the limit of the body and the methods are minded here, because the framework
minds them for its own handlers only.
"""

from litestar import asgi
from litestar.exceptions import MethodNotAllowedException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from api.errors import MediaTypeError
from api.lane import Lane
from api.routes.replies import JSON
from api.security.gate import ADMITTED

METHODS = "POST, OPTIONS"


def hot_post(lane: Lane, name: str) -> ASGIRouteHandler:
    """Return the ordinary way to what a lane leads to: it answers a JSON body with JSON.

    Parameters
    ----------
    lane
        The path, the work, and who is let in.
    name
        Of the route.
    """

    @asgi(lane.path, name=name, copy_scope=False, opt={"gated": True})
    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method")
        if method == "OPTIONS":
            await _send(send, 204, b"", (b"allow", METHODS.encode()))
            return
        if method != "POST":
            raise MethodNotAllowedException(headers={"allow": METHODS})
        if ADMITTED not in scope:
            lane.gate.admit(scope, lane.need)
        _check_type(scope)
        reply = await lane.work(await _read(receive, lane.limit))
        await _send(send, 200, reply, (b"content-type", JSON.encode()))

    return handler


def _check_type(scope: Scope) -> None:
    for name, value in scope["headers"]:
        if name == b"content-type":
            if not value.lower().startswith(JSON.encode()):
                raise MediaTypeError(value.decode("latin-1")[:100], JSON)
            return


async def _read(receive: Receive, limit: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise RequestEntityTooLarge
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _send(send: Send, status: int, body: bytes, header: tuple[bytes, bytes]) -> None:
    headers = [header, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
