"""Erasing by law, through the process that has the facts."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from api.erasing import Erasing
from api.processes.place import BY_RECORDER
from api.routes.replies import json_reply, read
from api.security.audit import acted
from api.service import Service


class ErasureRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Remove all content of an entity from the file and from every archive.

    Parameters
    ----------
    entity
        The exact name.
    reason
        Why; it stays, so it must not name the entity.
    """

    entity: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


_wanted = msgspec.json.Decoder(ErasureRequest)


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""
    erasing = Erasing(service.facts)

    @post("/v1/erasures", name="erase", status_code=200, opt=BY_RECORDER)
    async def erase(request: Request[Any, Any, Any]) -> ASGIResponse:
        wanted = await read(request, _wanted)
        done = await erasing.erase(wanted.entity, wanted.reason)
        if done is None:
            return json_reply({"state": "running"}, 202)
        await asyncio.to_thread(service.learning.sweep)  # a run under way reads on what it has open
        await acted(service, request, "erase", done.token, wanted.reason)
        return json_reply({"state": "done", **msgspec.to_builtins(done)})

    return [erase]
