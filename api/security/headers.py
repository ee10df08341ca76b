"""What every answer carries, also problems: no sniffing, no framing, no keeping by caches."""

from typing import Any

from litestar.types import BeforeMessageSendHookHandler

from api.security.gate import USED

SNIFF = (b"x-content-type-options", b"nosniff")
POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
STORE = (b"cache-control", b"no-store")
PAGE = ((b"referrer-policy", b"no-referrer"), (b"cross-origin-resource-policy", b"same-origin"))
CLOSE = (b"connection", b"close")
EVERY = [SNIFF, POLICY, STORE]


def hook() -> BeforeMessageSendHookHandler:
    """Return what adds the headers to an answer before it is sent."""

    async def add(message: Any, scope: Any) -> None:
        if message["type"] != "http.response.start":
            return
        headers = message["headers"] = list(message.get("headers", ()))
        names = {name for name, _ in headers}
        headers += [header for header in EVERY if header[0] not in names]
        if POLICY[0] in names:
            headers += PAGE
        if _framed_twice(scope["headers"]):
            headers.append(CLOSE)
        if (used := scope["state"].get(USED)) is not None:
            headers += used

    return add


def _framed_twice(headers: Any) -> bool:
    """Return whether a request states its length in two ways.

    What a proxy before us took for its end may be another place, and what follows somebody else's
    request: the connection must end with the answer (RFC 9112, section 6.1).
    """
    for name, _ in headers:
        if name == b"transfer-encoding":
            return any(other == b"content-length" for other, _ in headers)
    return False
