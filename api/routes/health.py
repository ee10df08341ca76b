"""Health: whether the process is alive, and what it answers from."""

import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from api.processes.status import read, troubles
from api.routes.replies import json_bytes, json_reply
from api.service import Service

if TYPE_CHECKING:
    from facts.archive import Replicator

LIVE = b'{"status":"live"}'


def readiness(service: Service) -> dict[str, Any]:
    """Return what the service answers from, and everything that is not as it should be."""
    served = service.serving.current
    release, degraded = served.answerer.release, served.answerer.degraded
    parts, wrong = service.recorder.health() if service.recorder else recording(service)
    unread = service.serving.unread
    wrong = [
        *([f"models: {degraded}"] if degraded else []),
        *([f"decisions about models: {unread}; those before hold"] if unread else []),
        *([f"keys: {service.gate.trouble}"] if service.gate.trouble else []),
        *wrong,
        *others(service),
    ]
    return {
        "status": "degraded" if wrong else "ready",
        "reasons": wrong,
        "domain": service.domain.name,
        "predictions": {
            "path": served.path,
            "release": release.id if release else None,
            "as_of": release.as_of.isoformat() if release else None,
            "degraded": degraded,
            "refused": service.serving.refused,
            "age_seconds": age(service),
            "log": service.log.health(),
        },
        **parts,
    }


def recording(service: Service) -> tuple[dict[str, Any], list[str]]:
    """Return how the facts, their replica and learning are in this process, and the troubles."""
    facts, run, replica = service.facts, service.learning.last, service.facts.replica
    stale, down = staleness(service), facts.reason or facts.failing
    parts = {
        "facts": {"available": facts.reason is None, "reason": down},
        "replica": None if replica is None else replica_state(replica),
        "learning": run,
        "learning_stale": stale,
        "supervision": None if service.watch is None else service.watch.health(),
    }
    blind = service.watch.reason if service.watch is not None and facts.reason is None else None
    return parts, [
        *([f"supervision: {blind}"] if blind else []),
        *([f"facts: {down}"] if down else []),
        *([f"replica: {replica.trouble}"] if replica is not None and replica.trouble else []),
        *([f"learning: {run.reason}"] if run.state == "failed" else []),
        *([f"learning: {stale}"] if stale else []),
    ]


def others(service: Service) -> list[str]:
    """Return what is wrong with the other processes, as the supervisor says."""
    if service.place.role != "worker" or service.place.status is None:
        return []
    return troubles(read(service.place.status), time.monotonic())


def status(service: Service) -> dict[str, Any]:
    """Return every process of the service, and how this one is."""
    said = read(service.place.status) if service.place.status else None
    return {
        "role": service.place.role,
        "pid": os.getpid(),
        "supervisor": said.supervisor if said else None,
        "parts": [asdict(part) for part in said.parts] if said else [],
        "ready": readiness(service),
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

    @get("/v1/status", name="status")
    async def all_parts() -> ASGIResponse:
        return json_reply(status(service))

    return [live, ready, all_parts]
