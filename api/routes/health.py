"""Health: whether the process is alive, and what it answers from."""

from typing import TYPE_CHECKING, Any

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from api.routes.replies import json_bytes, json_reply
from api.service import Service

if TYPE_CHECKING:
    from facts.archive import Replicator

LIVE = b'{"status":"live"}'


def readiness(service: Service) -> dict[str, Any]:
    """Return what the service answers from, and everything that is not as it should be."""
    served, facts, run = service.serving.current, service.facts, service.learning.last
    release, replica = served.answerer.release, facts.replica
    troubles = [
        *([f"models: {served.answerer.degraded}"] if served.answerer.degraded else []),
        *([f"facts: {facts.reason}"] if facts.reason else []),
        *([f"replica: {replica.trouble}"] if replica is not None and replica.trouble else []),
        *([f"learning: {run.reason}"] if run.state == "failed" else []),
        *([f"learning: {stale}"] if (stale := staleness(service)) else []),
    ]
    return {
        "status": "degraded" if troubles else "ready",
        "reasons": troubles,
        "domain": service.domain.name,
        "predictions": {
            "path": served.path,
            "release": release.id if release else None,
            "as_of": release.as_of.isoformat() if release else None,
            "degraded": served.answerer.degraded,
            "refused": service.serving.refused,
            "age_seconds": age(service),
        },
        "facts": {"available": facts.reason is None, "reason": facts.reason},
        "replica": None if replica is None else replica_state(replica),
        "learning": run,
        "learning_stale": stale,
    }


def replica_state(replica: "Replicator") -> dict[str, Any]:
    """Return where the replica of the facts is and how far it is behind."""
    return {
        "folder": str(replica.folder),
        "seconds_behind": round(replica.behind, 3),
        "seconds_allowed": replica.seconds,
        "transaction": replica.last.last_tx if replica.last else None,
        "error": replica.error,
    }


def age(service: Service) -> float | None:
    """Return how long ago the facts behind the models in force were read, in seconds."""
    release = service.serving.current.answerer.release
    if release is None:
        return None
    return round((service.now() - release.as_of).total_seconds(), 1)


def staleness(service: Service) -> str | None:
    """Return how long nothing was learned, if that is longer than the schedule allows."""
    release = service.serving.current.answerer.release
    since = (release.created_at or release.as_of) if release is not None else None
    return service.learning.stale(service.settings.learn_every, since)


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""

    @get("/health/live", name="live")
    async def live() -> ASGIResponse:
        return json_bytes(LIVE)

    @get("/health/ready", name="ready")
    async def ready() -> ASGIResponse:
        return json_reply(readiness(service))

    return [live, ready]
