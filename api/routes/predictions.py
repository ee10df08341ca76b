"""POST /v1/predictions/{label}: what one thing, or many, will bring. The hot path."""

from datetime import datetime
from itertools import count
from secrets import token_hex
from typing import Any

import msgspec
from litestar.handlers import ASGIRouteHandler

from api.asking import parse_time
from api.drafts import Draft, DraftChecker
from api.errors import RequestError
from api.routes.hot import hot_post
from api.schemas import PredictionRequest, decode
from api.security.needs import PREDICT
from api.service import Service
from api.serving import Served

THREAD_FROM = 8
"""Batches of this many drafts and more are computed in the pool, not on the event loop."""

_decoder = msgspec.json.Decoder(PredictionRequest)
_encode = msgspec.json.Encoder().encode


def handlers(service: Service) -> list[ASGIRouteHandler]:
    """Return the handler for the domain's label."""
    checker = DraftChecker(service.domain.draft)
    serving, limit = service.serving, service.settings.batch_limit
    boot, numbers = token_hex(6), count(1)

    def count_drafts(number: int, degraded: bool) -> None:
        service.metrics.count("predictions", number)
        if degraded:
            service.metrics.count("degraded", number)

    def one(served: Served, wanted: PredictionRequest, draft: Draft, place: str) -> bytes:
        draft = checker.check(draft, place)
        prediction = served.answerer.predict(
            draft,
            at=_moment(wanted.at) or checker.moment(draft),
            levels=wanted.levels,
            thresholds=wanted.thresholds,
            worlds=wanted.worlds,
        )
        return b'{"id":"%s-%x",%s' % (boot.encode(), next(numbers), _encode(prediction)[1:])

    def many(served: Served, wanted: PredictionRequest, drafts: list[dict[str, Any]]) -> bytes:
        parts = [one(served, wanted, draft, f"drafts[{i}]") for i, draft in enumerate(drafts)]
        return b'{"predictions":[%s],%s' % (b",".join(parts), served.tail)

    async def predict(body: bytes) -> bytes:
        wanted = decode(_decoder, body)
        served = serving.current
        count_drafts(1 if wanted.drafts is None else len(wanted.drafts), served.path != "models")
        if wanted.draft is not None and wanted.drafts is None:
            return b"%s,%s" % (one(served, wanted, wanted.draft, "draft")[:-1], served.tail)
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
            return many(served, wanted, drafts)
        return await service.desk.run(lambda: many(served, wanted, drafts))

    path = f"/v1/predictions/{service.domain.label}"
    limit_of_body = service.settings.body_limit
    return [hot_post(path, "predict", limit_of_body, predict, service.gate, PREDICT)]


def _moment(text: str | None) -> datetime | None:
    return parse_time(text, "at") if text is not None else None
