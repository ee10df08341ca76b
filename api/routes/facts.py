"""Facts: taking them in, reading them back, and what could not be understood."""

import asyncio
from collections import Counter
from typing import Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from api import reading
from api.cloudevents import Intake, parse
from api.problems import BAD_REQUEST, MEDIA_TYPE, PAGE
from api.processes.place import BY_RECORDER
from api.representations import FACTS, QUARANTINE, fact_rows, paged, quarantine_rows
from api.routes.query import check_query
from api.routes.replies import json_reply
from api.security.own import foreign, stated_by_us
from api.service import Service
from facts import Receipt

THREAD_FROM = 32_768
"""Bodies from this many bytes on are parsed in a thread: predictions go on meanwhile."""


def summary(receipts: list[Receipt]) -> dict[str, Any]:
    """Return the receipts with their counts."""
    counts = Counter(receipt.status for receipt in receipts)
    return {
        "accepted": counts["accepted"],
        "duplicate": counts["duplicate"],
        "quarantined": counts["quarantined"],
        "receipts": receipts,
    }


async def _parse(request: Request[Any, Any, Any]) -> Intake:
    body = await request.body()
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in request.scope["headers"]
    }
    if len(body) < THREAD_FROM:
        return parse(headers, body)
    return await asyncio.to_thread(parse, headers, body)


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""
    desk, behind = service.facts, service.place.role == "recorder"

    @post("/v1/facts", name="record", status_code=200, opt=BY_RECORDER)
    async def record(request: Request[Any, Any, Any]) -> ASGIResponse:
        intake = await _parse(request)
        own = behind and stated_by_us(request.scope)
        items = intake.items if own else foreign(intake.items)
        receipts = await desk.record(items) if items else []
        content = summary(receipts)
        if intake.broken is None:
            return json_reply(content)
        problem = {
            "type": f"{PAGE}#{BAD_REQUEST.slug}",
            "title": BAD_REQUEST.title,
            "status": BAD_REQUEST.status,
            "detail": f"{intake.broken}; the body was put into quarantine as it came",
            "instance": "/v1/facts",
        }
        response = json_reply({**problem, **content}, BAD_REQUEST.status)
        response.headers["content-type"] = MEDIA_TYPE
        return response

    @get("/v1/facts", name="facts", opt=BY_RECORDER)
    async def facts(request: Request[Any, Any, Any]) -> ASGIResponse:
        query = check_query(request, reading.FACTS_QUERY)
        wanted = reading.facts_query(query, service.now())
        content = await service.desk.run(lambda: reading.facts(desk.store, wanted))
        return paged(request, content, fact_rows, FACTS)

    @get("/v1/quarantine", name="quarantine", opt=BY_RECORDER)
    async def quarantine(request: Request[Any, Any, Any]) -> ASGIResponse:
        query = check_query(request, reading.QUARANTINE_QUERY)
        wanted = reading.quarantine_query(query)
        content = await service.desk.run(lambda: reading.quarantine(desk.store, wanted))
        return paged(request, content, quarantine_rows, QUARANTINE)

    return [record, facts, quarantine]
