"""Releases: which there are, which is in force; put another one into force, or go back."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from api import registry
from api.errors import ConflictError, MissingError
from api.representations import conditional
from api.routes.query import check_query, whole
from api.routes.replies import json_reply, read
from api.security.audit import acted
from api.security.gate import who
from api.service import Service
from worlds.errors import SnapshotError
from worlds.publish import Release, switching
from worlds.publish.switching import By

MOST = 1000
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Switch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Put another release into force.

    Parameters
    ----------
    reason
        Why; it is kept with the release and as a fact.
    """

    reason: Reason


_decoder = msgspec.json.Decoder(Switch)


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""
    store, run = service.serving.store, service.desk.run

    def find(name: str) -> Release:
        try:
            found = switching.find(store, name)
        except (SnapshotError, OSError, ValueError) as error:
            raise MissingError(str(error)) from error
        if not isinstance(found, Release):
            raise MissingError(f"{name!r} is a snapshot, no release; see GET /v1/releases")
        return found

    async def switched(
        request: Request[Any, Any, Any], action: str, switch: Callable[[By], Release]
    ) -> ASGIResponse:
        reason = (await read(request, _decoder)).reason
        by = By(who(request.scope), reason, service.now())

        def put() -> Release:
            try:
                return switch(by)
            except SnapshotError as error:
                raise ConflictError(str(error)) from error

        made = await run(put)
        await asyncio.to_thread(service.serving.refresh)
        await acted(service, request, action, made.id, reason)
        return json_reply(registry.line(made, made.id, []))

    @get("/v1/releases", name="releases")
    async def releases(request: Request[Any, Any, Any]) -> ASGIResponse:
        limit = whole(check_query(request, ("limit",)), "limit", 20, 1, MOST)
        return conditional(request, json_reply(await run(lambda: registry.releases(store, limit))))

    @get("/v1/releases/{release:str}", name="release")
    async def release(request: Request[Any, Any, Any], release: FromPath[str]) -> ASGIResponse:
        content = await run(lambda: registry.release(store, find(release)))
        return conditional(request, json_reply(content))

    @post("/v1/releases/{release:str}/promote", name="promote", status_code=200)
    async def promote(request: Request[Any, Any, Any], release: FromPath[str]) -> ASGIResponse:
        found = await run(lambda: find(release))
        return await switched(request, "promote", lambda by: switching.promote(store, found.id, by))

    @post("/v1/rollback", name="rollback", status_code=200)
    async def rollback(request: Request[Any, Any, Any]) -> ASGIResponse:
        return await switched(request, "rollback", lambda by: switching.rollback(store, by))

    return [releases, release, promote, rollback]
