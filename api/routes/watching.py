"""Watching: what changes, as server-sent events; counts and times, as Prometheus reads them."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import ServerSentEvent
from litestar.response.base import ASGIResponse
from litestar.response.sse import ServerSentEventMessage

from api.errors import BusyError
from api.events import Event
from api.metrics import Gauges, render
from api.processes.status import read
from api.routes.health import age, readiness
from api.service import Service
from worlds.watch.rules import Standing

TEXT = "text/plain; version=1.0.0; charset=utf-8"
BEAT = 15.0
"""Seconds without news after which a comment is sent: a client that is gone is found out by it."""


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""

    @get("/v1/events", name="events")
    async def events(request: Request[Any, Any, Any]) -> ServerSentEvent:
        service.bus.check()
        found = service.bus.listen(request.headers.get("last-event-id"), BEAT)
        return ServerSentEvent(_messages(found), headers={"cache-control": "no-store"})

    @get("/metrics", name="metrics")
    async def metrics() -> ASGIResponse:
        return ASGIResponse(body=render(service.metrics, Gauges(gauges(service))), media_type=TEXT)

    return [events, metrics]


async def _messages(
    events: AsyncIterator[Event | None],
) -> AsyncIterator[ServerSentEventMessage]:
    yield ServerSentEventMessage(data=None, comment="what changes is told here", retry=2000)
    try:
        async for event in events:
            if event is None:
                yield ServerSentEventMessage(data=None, comment="nothing new")
                continue
            content = msgspec.json.encode(event)
            yield ServerSentEventMessage(data=content, event=event.kind, id=event.id)
    except BusyError:
        return  # others came first since it was let in: it will come back


type Family = tuple[str, list[tuple[dict[str, str], float]]]


def gauges(service: Service) -> Mapping[str, Family]:
    """Return what is read off the service now, by the name of its metric."""
    ready = readiness(service)
    release = service.serving.current.answerer.release
    evidence = release.evidence if release is not None else {}
    seconds = age(service)
    said = read(service.place.status) if service.place.status else None
    found: dict[str, Family] = {
        "worlds_ready": ("1 if nothing is degraded", [({}, float(ready["status"] == "ready"))]),
        "worlds_queue": (
            "Events that wait for the writer (in the process that records)",
            [({}, float(service.facts.waiting))],
        ),
        "worlds_model_weight": (
            "Weight of a model",
            [
                ({"quantity": use.quantity, "model": use.model}, use.weight)
                for use in service.serving.current.answerer.versions
            ],
        ),
        "worlds_coverage": (
            "Share of resolved past forecasts of the pool inside the interval of this level",
            [
                ({"quantity": quantity, "level": name.removeprefix("coverage_")}, float(value))
                for quantity, about in evidence.items()
                for name, value in about.get("pool", {}).items()
                if name.startswith("coverage_")
            ],
        ),
        "worlds_process_up": (
            "1 if a process runs",
            [
                ({"name": part.name}, float(part.state == "running"))
                for part in (said.parts if said else ())
            ],
        ),
        "worlds_process_restarts": (
            "How often a process was started again",
            [({"name": part.name}, float(part.restarts)) for part in (said.parts if said else ())],
        ),
    }
    if seconds is not None:
        found["worlds_models_age_seconds"] = (
            "Seconds since the facts behind the models were read",
            [({}, seconds)],
        )
    return found


def states(service: Service) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Return everything whose change is an event: (kind, name) to its state."""
    served = service.serving.current
    release = served.answerer.release
    ready = readiness(service)
    found: dict[tuple[str, str], Mapping[str, Any]] = {
        ("release", service.domain.name): {
            "release": release.id if release else None,
            "as_of": release.as_of.isoformat() if release else None,
            "path": served.path,
            "refused": service.serving.refused,
        },
        ("health", "service"): {"status": ready["status"], "reasons": ready["reasons"]},
    }
    for quantity, models in release.models.items() if release else ():
        for model in models:
            stands = served.board.models.get((quantity, model), Standing())
            found["model", f"{quantity}/{model}"] = {
                "state": stands.state,
                "reason": stands.reason,
                "snapshot": stands.snapshot,
            }
    said = read(service.place.status) if service.place.status else None
    for part in said.parts if said else ():
        found["process", part.name] = {
            "state": part.state,
            "restarts": part.restarts,
            "reason": part.reason,
        }
    return found
