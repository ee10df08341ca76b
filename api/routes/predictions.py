"""POST /v1/predictions/{label}: what one thing, or many, will bring. The hot path."""

from collections.abc import Callable
from datetime import datetime
from itertools import count
from secrets import token_hex
from time import perf_counter
from typing import Any

import msgspec
from litestar.handlers import ASGIRouteHandler

from api.asking import parse_time
from api.drafts import Draft, DraftChecker, shown
from api.errors import RequestError
from api.lane import Lane
from api.prediction_log import Noted
from api.routes.hot import hot_post
from api.routing import Routed
from api.schemas import PredictionRequest, decode
from api.security.needs import PREDICT
from api.service import Service
from api.serving import Served
from worlds.domain import Domain
from worlds.errors import ModelFaultError

THREAD_FROM = 8
"""Batches of this many drafts and more are computed in the pool, not on the event loop."""

ENTITY = "entity"
MOST_NAME = 200

_decoder = msgspec.json.Decoder(PredictionRequest)
_encode = msgspec.json.Encoder().encode


def handlers(lane: Lane) -> list[ASGIRouteHandler]:
    """Return the handler for the domain's label."""
    return [hot_post(lane, "predict")]


def lane(service: Service) -> Lane:
    """Return what predictions are answered by, on the short way and on the ordinary one."""
    serving, limit = service.serving, service.settings.batch_limit
    single, many = computing(service)

    def count_drafts(number: int, degraded: bool) -> None:
        service.metrics.count("predictions", number)
        if degraded:
            service.metrics.count("degraded", number)

    async def predict(body: bytes) -> bytes:
        wanted = decode(_decoder, body)
        degraded = serving.current.path != "models"
        if wanted.draft is not None and wanted.drafts is None:
            reply = single(wanted, wanted.draft)
            count_drafts(1, degraded)
            return reply
        drafts = wanted.drafts
        if drafts is None or wanted.draft is not None:
            raise RequestError(
                "send one draft or several drafts",
                [("draft", 'exactly one of "draft" and "drafts" is needed')],
            )
        if len(drafts) > limit:
            wrong = f"{len(drafts)} drafts; at most {limit} in one request"
            raise RequestError("too many drafts", [("drafts", wrong)])
        if len(drafts) < THREAD_FROM:
            reply = many(wanted, drafts)
        else:
            reply = await service.desk.run(lambda: many(wanted, drafts))
        count_drafts(len(drafts), degraded)
        return reply

    path = f"/v1/predictions/{service.domain.label}"
    most = service.settings.body_limit
    return Lane(path, most, predict, service.gate, PREDICT, service.metrics)


type Single = Callable[[PredictionRequest, Draft], bytes]
type Many = Callable[[PredictionRequest, list[dict[str, Any]]], bytes]


def computing(service: Service) -> tuple[Single, Many]:
    """Return what answers one draft, and many.

    A model that fails is left out by `Serving.trip`, and the others are asked again.
    """
    checker = DraftChecker(service.domain.draft)
    serving, note, named = service.serving, service.log.note, naming(service.domain)
    boot, numbers = token_hex(6), count(1)

    def one(
        served: Served, wanted: PredictionRequest, draft: Draft, place: str
    ) -> tuple[bytes, Routed | None, Noted]:
        begin = perf_counter()
        draft = checker.check(draft, place)
        entity = draft.get(ENTITY)
        routed = None
        if entity is not None:
            draft, entity = named(draft, place)
            if served.routing is not None and entity is not None:
                routed = served.routing.of(entity)
        at = _moment(wanted.at) or checker.moment(draft)
        answerer = served.answerer if routed is None else routed.answerer
        prediction, said = answerer.forecast(
            draft,
            at=at,
            levels=wanted.levels,
            thresholds=wanted.thresholds,
            worlds=wanted.worlds,
        )
        name = f"{boot}-{next(numbers):x}"
        noted = (name, entity, served, routed, said, at, perf_counter() - begin)
        return b'{"id":"%s",%s' % (name.encode(), _encode(prediction)[1:]), routed, noted

    def single(wanted: PredictionRequest, draft: Draft) -> bytes:
        served = serving.current
        try:
            found, routed, noted = one(served, wanted, draft, "draft")
        except ModelFaultError as fault:  # it is left out from now on: ask the others
            if not serving.trip(fault):
                raise
            return single(wanted, draft)
        note(noted)
        return b"%s,%s" % (found[:-1], served.tail if routed is None else routed.tail)

    def many(wanted: PredictionRequest, drafts: list[dict[str, Any]]) -> bytes:
        served = serving.current
        try:
            made = [one(served, wanted, draft, f"drafts[{i}]") for i, draft in enumerate(drafts)]
        except ModelFaultError as fault:
            if not serving.trip(fault):
                raise
            return many(wanted, drafts)
        parts = [
            part if routed is None else b"%s,%s}" % (part[:-1], routed.head)
            for part, routed, _ in made
        ]
        for _, _, noted in made:
            note(noted)
        return b'{"predictions":[%s],%s' % (b",".join(parts), served.tail)

    return single, many


def _moment(text: str | None) -> datetime | None:
    return parse_time(text, "at") if text is not None else None


def naming(domain: Domain) -> Callable[[Draft, str], tuple[Draft, str | None]]:
    """Return what takes the entity out of a draft: which thing of the facts it will be.

    ``"entity": "post:17"``, or ``"17"`` for short, is no feature: it lets the prediction meet its
    outcome later, and puts it into the arm of an experiment. A domain that declares a field of
    that name keeps it.
    """
    declared = any(field.name == ENTITY for field in domain.draft)
    prefix = f"{domain.entity}:"

    def named(draft: Draft, place: str) -> tuple[Draft, str | None]:
        if declared:
            return draft, None
        value = draft[ENTITY]
        if not isinstance(value, str) or not 0 < len(value) <= MOST_NAME or not value.isprintable():
            wrong = f"expected the name of a thing such as '{prefix}17', got {shown(value)}"
            raise RequestError("the draft has values without meaning", [(f"{place}.entity", wrong)])
        rest = {name: one for name, one in draft.items() if name != ENTITY}
        return rest, value if value.startswith(prefix) else prefix + value

    return named
