"""Supervision: where models stand and why, what people decided about them."""

import asyncio
import json
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from api.asking import recordable
from api.errors import FactsDownError, MissingError, RequestError
from api.processes.place import BY_RECORDER
from api.routes.query import check_query, whole
from api.routes.replies import json_reply, read
from api.security.audit import acted
from api.service import Service
from api.watch_desk import WatchDesk
from api.watch_schemas import OverrideRequest
from worlds.watch.overrides import Override
from worlds.watch.record import FORECAST, model_entity
from worlds.watch.rules import LIVE, QUARANTINED, RETIRED, Standing
from worlds.watch.standing import check_names
from worlds.watch.watch import ended, override_event

MOST = 1000

_override = msgspec.json.Decoder(OverrideRequest)


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""

    @get("/v1/models/{name:str}/history", name="model_history", opt=BY_RECORDER)
    async def history(request: Request[Any, Any, Any], name: FromPath[str]) -> ASGIResponse:
        query = check_query(request, ("limit",))
        limit = whole(query, "limit", 100, 1, MOST)
        desk = await desk_of(service)
        found = check_names(known(service), name)
        content = await service.desk.run(lambda: story(service, desk, found, limit))
        return json_reply(content)

    @post("/v1/models/{name:str}/override", name="override", status_code=200, opt=BY_RECORDER)
    async def override(request: Request[Any, Any, Any], name: FromPath[str]) -> ASGIResponse:
        wanted = await read(request, _override)
        quantity, model = check_names(known(service), name)
        desk, now = await desk_of(service), service.now()
        made = Override(
            id=token(service, now),
            quantity=quantity,
            model=model,
            action=wanted.action,
            by=wanted.by,
            reason=wanted.reason,
            made_at=now,
            until=recordable(wanted.until, "until"),
            low=wanted.low,
            high=wanted.high,
        )
        events = [override_event(made)]
        if made.action == "reinstate":
            events.append(_reinstated(desk, service, made, now))
        await desk.record(events)
        await asyncio.to_thread(service.serving.refresh)
        done = f"{made.action} {quantity}/{model}"
        await acted(service, request, "override", f"{done} {made.id}", made.reason)
        return json_reply(made.to_json())

    @get("/v1/overrides", name="overrides")
    async def overrides() -> ASGIResponse:
        now = service.now()
        board = service.serving.current.board
        return json_reply({"overrides": [o.to_json() for o in board.overrides if o.holds(now)]})

    @delete("/v1/overrides/{override_id:str}", name="end_override", status_code=200,
            opt=BY_RECORDER)  # fmt: skip
    async def end_override(
        request: Request[Any, Any, Any], override_id: FromPath[str]
    ) -> ASGIResponse:
        query = check_query(request, ("by", "reason"))
        desk = await desk_of(service)
        made = desk.decisions.overrides.get(override_id)
        if made is None:
            raise MissingError(f"no override {override_id!r} is in force; see GET /v1/overrides")
        by = query.get("by") or "somebody"
        reason = query.get("reason") or "it was taken back"
        await desk.record([ended(made, service.now(), reason[:2000], by[:100])])
        await asyncio.to_thread(service.serving.refresh)
        await acted(service, request, "end override", override_id, reason)
        return json_reply(made.to_json())

    return [history, override, overrides, end_override]


async def desk_of(service: Service) -> WatchDesk:
    """Return where decisions are made.

    Raises
    ------
    FactsDownError
        If it is not in this process, or cannot record them.
    """
    if service.watch is None:
        raise FactsDownError("supervision runs where the facts are")
    service.facts.store  # noqa: B018 - answers 503 with the reason if it is down
    await service.watch.ready()
    return service.watch


def token(service: Service, now: datetime) -> str:
    """Return a new name for a decision."""
    return f"{now:%Y%m%dT%H%M%S}-{service.watch_names()}"


def known(service: Service) -> list[tuple[str, str]]:
    """Return (quantity, model) of all models that are published, declined or decided about."""
    served = service.serving.current
    release = served.answerer.release
    found = dict.fromkeys(served.board.models)
    for models in (release.models, release.declined) if release is not None else ():
        found |= dict.fromkeys((q, name) for q, named in models.items() for name in named)
    return sorted(found)


def story(service: Service, desk: WatchDesk, name: tuple[str, str], limit: int) -> dict[str, Any]:
    """Return where a model stands, what its forecasts showed, and all that was decided."""
    quantity, model = name
    release = service.serving.current.answerer.release
    loaded = service.serving.current.answerer.models.get(quantity, {}).get(model)
    stands = desk.decisions.models.get(name, Standing())
    page = desk.watch.book.pages.get(name)
    snapshot = release.models.get(quantity, {}).get(model) if release is not None else None
    with service.facts.store.reader() as reader:
        rows = reader.facts(entity=model_entity(*name)).to_pylist()
    told = [_line(row) for row in rows if row["attribute"] != FORECAST]
    return {
        "quantity": quantity,
        "model": model,
        "state": stands.state,
        "reason": stands.reason,
        "snapshot": snapshot,
        "weight": loaded.weight if loaded is not None else 0.0,
        "published_weight": release.weights.get(quantity, {}).get(model) if release else None,
        "evidence": page.to_json() if page is not None else None,
        "history": told[::-1][:limit],
    }


def _line(row: dict[str, Any]) -> dict[str, Any]:
    extra = json.loads(row["extra"]) if row["extra"] else {}
    value = row["text"] if row["text"] is not None else row["num"]
    return {
        "at": row["valid_from"].isoformat(),
        "recorded_at": row["recorded_at"].isoformat(),
        "what": str(row["attribute"]).removeprefix("watch."),
        "value": value,
        "reason": extra.get("reason"),
        "by": extra.get("by"),
        "fact": {"source": row["source"], "id": row["id"]},
        "detail": {k: v for k, v in extra.items() if k not in ("reason", "by")},
    }


def _reinstated(desk: WatchDesk, service: Service, made: Override, now: datetime) -> Any:
    name = (made.quantity, made.model)
    before = desk.decisions.models.get(name, Standing())
    if before.state not in (QUARANTINED, RETIRED):
        wrong = f"{made.quantity}/{made.model} is {before.state or LIVE}"
        raise RequestError("nothing to reinstate", [("action", wrong)])
    release = service.serving.current.answerer.release
    snapshot = release.models.get(name[0], {}).get(name[1]) if release is not None else None
    to = Standing("probation", f"reinstated by {made.by}: {made.reason}", snapshot)
    return desk.watch.move(name, to, now, by=made.by)
