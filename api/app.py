"""The application: one process that owns the fact file and answers from published models."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Litestar
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from api import learning, problems
from api.desk import Desk
from api.events import Watcher
from api.facts_desk import FactsDesk
from api.learning import Learning
from api.metrics import Metrics
from api.openapi import document
from api.patience import Patience
from api.prediction_log import PredictionLog
from api.processes.place import ALONE, Place
from api.routes import (
    comparisons,
    erasures,
    experiments,
    facts,
    health,
    inference,
    models,
    pages,
    predictions,
    questions,
    releases,
    scenarios,
    supervision,
    watching,
)
from api.security.audit import follow_keys
from api.security.door import around, behind, gate_of
from api.service import Service, utc_now
from api.serving import Serving
from api.settings import Settings, words
from api.watch_desk import WatchDesk
from worlds.domain import Domain, load_domain
from worlds.publish import SnapshotStore

if TYPE_CHECKING:
    from api.processes.neighbours import Neighbour, Recorder
    from api.webhooks import Webhooks

log = logging.getLogger("api")

REOPEN_SECONDS = 5.0
"""How often a fact file that could not be opened is tried again."""


def create_service(
    settings: Settings,
    domain: Domain | None = None,
    now: Callable[[], datetime] = utc_now,
    place: Place = ALONE,
) -> Service:
    """Return what the application holds, with the models loaded. Opens no fact file."""
    domain = domain or load_domain(settings.domain)
    root = settings.root(domain.name)
    replica = (Path(settings.replicate_to), settings.replicate_every)
    desk = FactsDesk(
        root / "facts.duckdb", settings.queue, replica if settings.replicate_to else None
    )
    store = SnapshotStore(root / "snapshots")
    serving = Serving(domain, store, now=now, predicts=place.role != "recorder")
    if place.role != "recorder":
        serving.current.answerer.prepare()
    serving.refresh()
    learner = Learning(
        partial(desk.export, root / "exports"),
        partial(learning.command, Path(settings.var), settings.domain),
        settings.learn_deadline,
        now,
        root / "learning.json",
        root / "exports",
    )
    predicted = PredictionLog(settings.prediction_log, now)
    metrics = Metrics(place.counts, place.row, place.rows)
    serving.on_fault, predicted.on_drop = predicted.fault, partial(metrics.count, "unlogged")
    questions = Desk(settings.question_threads, settings.question_queue, settings.question_cache)
    return Service(
        settings=settings,
        domain=domain,
        serving=serving,
        desk=questions,
        patience=Patience(questions, settings.question_seconds, settings.question_cache),
        facts=desk,
        learning=learner,
        now=now,
        place=place,
        recorder=_recorder(place),
        questions=_questions(place, settings),
        metrics=metrics,
        gate=gate_of(settings, place),
        log=predicted,
        watch=WatchDesk(domain, desk, store, learner, now) if place.records else None,
    )


def _recorder(place: Place) -> "Recorder | None":
    """Return the way to the recorder; a process that is alone loads no HTTP client for it."""
    if place.records or place.recorder is None:
        return None
    from api.processes.neighbours import Recorder

    return Recorder(place.recorder)


def _questions(place: Place, settings: Settings) -> "Neighbour | None":
    if place.role != "worker" or place.questions is None:
        return None
    from api.processes.neighbours import PATIENCE, Neighbour

    return Neighbour(place.questions, "process for questions", settings.question_seconds + PATIENCE)


def create_app(
    settings: Settings | None = None,
    domain: Domain | None = None,
    now: Callable[[], datetime] = utc_now,
    place: Place = ALONE,
) -> Litestar:
    """Return the application.

    It starts whatever it finds: without a release the domain's default belief answers, without
    the fact file only the routes for facts are down. Both are said in the answers and in
    ``/health/ready``.

    Parameters
    ----------
    settings
        How it runs; the defaults if None.
    domain
        What it is about; found by the settings if None.
    now
        The clock.
    place
        Which part of a service of several processes this is.

    Raises
    ------
    worlds.errors.WorldsError
        If there is no such domain.
    """
    service = create_service(settings or Settings(), domain, now, place)
    lane = predictions.lane(service)
    handlers: list[BaseRouteHandler] = [
        *predictions.handlers(lane),
        *inference.handlers(service),
        *questions.handlers(service),
        *comparisons.handlers(service),
        *scenarios.handlers(service),
        *facts.handlers(service),
        *erasures.handlers(service),
        *models.handlers(service),
        *releases.handlers(service),
        *health.handlers(service),
        *watching.handlers(service),
        *supervision.handlers(service),
        *experiments.handlers(service),
        *pages.handlers(service, cache(lambda: msgspec.json.encode(document(service)))),
    ]
    if service.recorder is not None:
        handlers = service.recorder.handed_on(handlers, "recorder")
    if service.questions is not None:
        handlers = service.questions.handed_on(handlers, "questions")
    return Litestar(
        route_handlers=behind(service.gate, handlers),
        **around(service.settings),
        exception_handlers={Exception: problems.answer},
        state=State({"service": service, "lane": lane}),
        lifespan=[lambda _: _running(service)],
        request_max_body_size=service.settings.body_limit,
        openapi_config=None,
        logging_config=None,
    )


@contextlib.asynccontextmanager
async def _running(service: Service) -> AsyncIterator[None]:
    if service.recorder is not None:
        works = [_poll(service), service.log.run(service.recorder.send)]
        if service.place.role == "worker":
            works += [_watch(service), follow_keys(service)]
        async with service.recorder.running(), _tasks(*works):
            yield
            service.bus.close()
        if service.questions is not None:
            await service.questions.close()
        await asyncio.to_thread(service.patience.close)
        await asyncio.to_thread(service.desk.close)
        return
    await asyncio.to_thread(service.facts.open)
    works = [
        *(_poll(service), _reopen(service), _watch(service), follow_keys(service)),
        service.log.run(service.facts.record),
        *([service.watch.run()] if service.watch is not None else []),
        *([_webhooks(service).run()] if service.settings.webhooks else []),
    ]
    tasks = [asyncio.create_task(work) for work in works]
    if service.settings.learn_every > 0:
        every = service.learning.every(service.settings.learn_every)
        tasks.append(asyncio.create_task(every))
    try:
        yield
    finally:
        service.bus.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.learning.close()
        await asyncio.to_thread(service.facts.close)
        await asyncio.to_thread(service.patience.close)
        await asyncio.to_thread(service.desk.close)


def _webhooks(service: Service) -> "Webhooks":
    """Return what tells other services of alerts; only with an address it loads a client."""
    import httpx

    from api.webhooks import Webhooks, read_secret

    secret = read_secret(Path(service.settings.webhook_secret))
    found = Webhooks(words(service.settings.webhooks), secret, httpx.AsyncClient)
    service.bus.alerts.append(found.alert)
    return found


@contextlib.asynccontextmanager
async def _tasks(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run works in the background, until the end."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _poll(service: Service) -> None:
    """Look for new releases in a thread, for ever."""
    while True:
        await asyncio.sleep(service.settings.poll_seconds)
        try:
            await asyncio.to_thread(service.serving.refresh)
        except Exception:  # whatever lies on the disk, looking must go on
            log.exception("the release in force could not be looked up")


async def _watch(service: Service) -> None:
    """Tell what changes, for ever."""
    await Watcher(service.bus, lambda: watching.states(service), service.now).run()


async def _reopen(service: Service) -> None:
    """Try again to open a fact file that could not be opened."""
    while True:
        await asyncio.sleep(REOPEN_SECONDS)
        if service.facts.reason is not None:
            try:
                await asyncio.to_thread(service.facts.open)
            except Exception:  # a store that breaks while it closes must not end the trying
                log.exception("the fact file could not be opened again")
