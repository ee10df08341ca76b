"""Models: what is in force, where it comes from, what it was weighed on; and learning anew."""

from typing import Any

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from api.routes.replies import json_bytes, json_reply
from api.service import Service
from worlds.ask import Answerer
from worlds.errors import SnapshotError
from worlds.publish import SnapshotStore


def describe(answerer: Answerer, store: SnapshotStore) -> dict[str, Any]:
    """Return the models in force with weights, provenance, checks and what declined. Blocking."""
    release = answerer.release
    return {
        "domain": answerer.domain.name,
        "release": release.id if release else None,
        "as_of": release.as_of.isoformat() if release else None,
        "until": release.until.isoformat() if release else None,
        "simulated": bool(release and release.simulated),
        "degraded": answerer.degraded,
        "quantities": {
            quantity.name: {
                "unit": quantity.unit,
                "per": quantity.per,
                "models": [
                    {"model": model, "weight": loaded.weight, **_origin(loaded.snapshot, store)}
                    for model, loaded in answerer.models[quantity.name].items()
                ],
                "declined": dict(release.declined.get(quantity.name, {})) if release else {},
                "evidence": release.evidence.get(quantity.name) if release else None,
            }
            for quantity in answerer.domain.quantities
        },
    }


def _origin(snapshot_id: str | None, store: SnapshotStore) -> dict[str, Any]:
    if snapshot_id is None:
        return {"snapshot": None, "provenance": None, "checks": []}
    try:
        snapshot = store.get(snapshot_id)
    except SnapshotError as error:
        return {"snapshot": snapshot_id, "provenance": None, "checks": [], "damaged": str(error)}
    return {
        "snapshot": snapshot_id,
        "form": snapshot.form.form,
        "provenance": dict(snapshot.provenance),
        "checks": [dict(check) for check in snapshot.checks],
        "parent": snapshot.parent,
    }


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""

    @get("/v1/models", name="models")
    async def models() -> ASGIResponse:
        served = service.serving.current
        key = (served.serial, "models")
        return json_bytes(
            await service.desk.compute(
                key,
                lambda: msgspec.json.encode(describe(served.answerer, service.serving.store)),
            )
        )

    @get("/v1/learn", name="learning")
    async def learning() -> ASGIResponse:
        return json_reply(service.learning.last)

    @post("/v1/learn", name="learn", status_code=202)
    async def learn() -> ASGIResponse:
        service.facts.store  # noqa: B018 - answers 503 with the reason if it is down
        return json_reply(service.learning.start(), 202)

    return [models, learning, learn]
