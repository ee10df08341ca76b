"""Replies and bodies, as cheap as they can be: bytes in, bytes out."""

from typing import Any

import msgspec
from litestar import Request
from litestar.response.base import ASGIResponse

from api.errors import MediaTypeError
from api.schemas import decode

JSON = "application/json"


def json_bytes(body: bytes, status: int = 200) -> ASGIResponse:
    """Return a JSON reply of bytes that are JSON already."""
    return ASGIResponse(body=body, media_type=JSON, status_code=status)


def json_reply(content: object, status: int = 200) -> ASGIResponse:
    """Return a JSON reply."""
    return ASGIResponse(body=msgspec.json.encode(content), media_type=JSON, status_code=status)


async def read[T](request: Request[Any, Any, Any], decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a JSON body.

    Raises
    ------
    MediaTypeError
        If the body says that it is something else.
    RequestError
        If it does not have the expected form.
    """
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            if not value.lower().startswith(b"application/json"):
                raise MediaTypeError(value.decode("latin-1")[:100], JSON)
            break
    return decode(decoder, await request.body())
