"""What every answer carries, also problems: no sniffing, no framing, no keeping by caches."""

from typing import Any

from litestar.types import BeforeMessageSendHookHandler

from api.security.gate import USED

SNIFF = (b"x-content-type-options", b"nosniff")
POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
STORE = (b"cache-control", b"no-store")
PAGE = ((b"referrer-policy", b"no-referrer"), (b"cross-origin-resource-policy", b"same-origin"))
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
        if (used := scope["state"].get(USED)) is not None:
            headers += used

    return add
