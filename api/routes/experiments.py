"""Experiments: declared, listed, told with their results, ended."""

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from api.asking import recordable
from api.errors import MissingError, RequestError
from api.processes.place import BY_RECORDER
from api.routes.query import check_query
from api.routes.replies import json_reply, read
from api.routes.supervision import desk_of
from api.security.audit import acted
from api.service import Service
from api.watch_desk import WatchDesk
from api.watch_schemas import ExperimentRequest
from worlds.watch.experiments import Arm, Experiment, Guardrail, Results
from worlds.watch.watch import experiment_event

_decoder = msgspec.json.Decoder(ExperimentRequest)


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""

    @get("/v1/experiments", name="experiments", opt=BY_RECORDER)
    async def experiments() -> ASGIResponse:
        desk = await desk_of(service)
        found = [_short(one, service) for one in desk.decisions.experiments.values()]
        return json_reply({"experiments": found})

    @post("/v1/experiments", name="declare_experiment", status_code=200, opt=BY_RECORDER)
    async def declare(request: Request[Any, Any, Any]) -> ASGIResponse:
        wanted = await read(request, _decoder)
        desk = await desk_of(service)
        declared = experiment_of(wanted, service)
        _check(declared, desk, service)
        await desk.record([experiment_event(declared, service.now(), "declared")])
        await asyncio.to_thread(service.serving.refresh)
        await acted(service, request, "declare experiment", declared.name, declared.reason)
        return json_reply(declared.to_json())

    @get("/v1/experiments/{name:str}", name="experiment", opt=BY_RECORDER)
    async def experiment(name: FromPath[str]) -> ASGIResponse:
        return json_reply(_whole(_found(await desk_of(service), name), service))

    @delete("/v1/experiments/{name:str}", name="end_experiment", status_code=200, opt=BY_RECORDER)
    async def end(request: Request[Any, Any, Any], name: FromPath[str]) -> ASGIResponse:
        query = check_query(request, ("by", "reason"))
        desk = await desk_of(service)
        results = _found(desk, name)
        if results.of.ended is None:
            by, why = query.get("by") or "somebody", query.get("reason") or "it was ended"
            over = replace(results.of, ended=f"{why[:2000]} ({by[:100]})")
            event = experiment_event(over, service.now(), "ended", results.to_json())
            await desk.record([event])
            await asyncio.to_thread(service.serving.refresh)
            await acted(service, request, "end experiment", name, why)
        return json_reply(_whole(_found(desk, name), service))

    return [experiments, declare, experiment, end]


def experiment_of(wanted: ExperimentRequest, service: Service) -> Experiment:
    """Return the experiment a request declares.

    Raises
    ------
    worlds.errors.QuestionError
        If it has no meaning.
    """
    now = service.now()
    usual = service.domain.quantity("size").usual[1]
    better = wanted.better or ("higher" if wanted.metric == "outcome" else "lower")
    return Experiment(
        name=wanted.name,
        arms=tuple(Arm(a.name, a.share, a.weights, a.presentation) for a in wanted.arms),
        salt=wanted.salt or f"{wanted.name} {now.isoformat()}",
        mode=wanted.mode,
        metric=wanted.metric,
        bound=wanted.bound or (1.0 if wanted.metric == "missed" else 2.0 * usual),
        better=better,
        alpha=wanted.alpha,
        by=wanted.by,
        reason=wanted.reason,
        started_at=now,
        until=recordable(wanted.until, "until"),
        guardrails=tuple(
            Guardrail(rail.metric, rail.worse_by, rail.bound or _own_bound(rail.metric))
            for rail in wanted.guardrails
        ),
    )


def _own_bound(metric: str) -> float | None:
    return 1.0 if metric == "missed" else None


def _check(declared: Experiment, desk: WatchDesk, service: Service) -> None:
    """Refuse what cannot be served.

    Raises
    ------
    RequestError
        If a model is not there, the name is taken, or another experiment is shown.
    """
    release = service.serving.current.answerer.release
    size = service.domain.quantity("size").name
    there = set(release.models.get(size, {})) if release is not None else set()
    wrong = [
        (f"arms.{arm.name}.weights", f"no model {name!r}; there are {', '.join(sorted(there))}")
        for arm in declared.arms
        for name, weight in (arm.weights or {}).items()
        if weight > 0 and name not in there
    ]
    running = [one.of for one in desk.decisions.experiments.values() if one.of.runs(service.now())]
    if any(one.name == declared.name for one in running):
        wrong.append(("name", f"an experiment {declared.name!r} runs already; end it first"))
    shown = [one.name for one in running if one.mode == "live"]
    if declared.mode == "live" and shown:
        wrong.append(("mode", f"{shown[0]!r} is shown already; end it, or run this in the shadow"))
    if wrong:
        raise RequestError("the experiment cannot run", wrong)


def _found(desk: WatchDesk, name: str) -> Results:
    found = desk.watch.experiments.get(name) or desk.decisions.experiments.get(name)
    if found is None:
        raise MissingError(f"no experiment {name!r}; see GET /v1/experiments")
    return found


def _short(results: Results, service: Service) -> dict[str, Any]:
    one = results.of
    return {
        "name": one.name,
        "state": "running" if one.runs(service.now()) else "ended",
        "mode": one.mode,
        "metric": one.metric,
        "arms": [arm.name for arm in one.arms],
        "until": one.until.isoformat(),
        "ended": one.ended,
    }


def _whole(results: Results, service: Service) -> dict[str, Any]:
    state = "running" if results.of.runs(service.now()) else "ended"
    return {"state": state, **results.of.to_json(), "results": results.to_json()}
