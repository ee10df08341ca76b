"""Questions and formulas: answered across the possible worlds, explained, decided."""

from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from api.answering import checked, respond, respond_from_facts
from api.asking import from_pairs, known_time
from api.describe import catalogue
from api.past import Past
from api.routes.query import check_query, whole
from api.routes.replies import json_bytes, read
from api.schemas import FormulaRequest, QuestionRequest
from api.service import Service
from worlds.viewing import find_view

QUERY = ("threshold", "level", "given", "do", "where", "over", "by", "as_of")
MOST_PERIODS = 1000

_decoder = msgspec.json.Decoder(QuestionRequest)
_formula_decoder = msgspec.json.Decoder(FormulaRequest)
_canonical = msgspec.json.Encoder(order="deterministic")


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""
    listed = msgspec.json.encode(catalogue(service.domain))
    past = Past(service)

    async def reply(name: str | None, wanted: QuestionRequest) -> ASGIResponse:
        served = service.serving.current

        def compute() -> bytes:
            chosen = past.models(wanted.as_of, served.answerer)
            then = past.models(wanted.since, served.answerer) if wanted.since is not None else None
            return msgspec.json.encode(checked(lambda: respond(chosen, name, wanted, then))[1])

        if (
            wanted.as_of is not None or wanted.since is not None
        ):  # which release that is may change: not cached
            return json_bytes(await service.desk.run(compute))
        key = (served.serial, name, _canonical.encode(wanted))
        return json_bytes(service.desk.cached(key) or await service.desk.compute(key, compute))

    async def answered(question: str, wanted: QuestionRequest) -> ASGIResponse:
        view = find_view(service.domain, question)
        if view is None:
            return await reply(question, wanted)
        moment = known_time(wanted.as_of, service.now())

        def compute() -> bytes:
            reader = service.facts.store.reader()
            try:
                found = checked(lambda: respond_from_facts(view, reader, moment, wanted))[1]
            finally:
                reader.close()
            return msgspec.json.encode(found)

        return json_bytes(await service.desk.run(compute))

    @get("/v1/questions", name="questions")
    async def questions() -> ASGIResponse:
        return json_bytes(listed)

    @get("/v1/questions/{question:str}", name="ask")
    async def ask(request: Request[Any, Any, Any], question: FromPath[str]) -> ASGIResponse:
        find_view(service.domain, question)
        return await answered(question, from_query(request))

    @post("/v1/questions/{question:str}", name="ask_with_body")
    async def ask_with_body(
        request: Request[Any, Any, Any], question: FromPath[str]
    ) -> ASGIResponse:
        find_view(service.domain, question)
        return await answered(question, await read(request, _decoder))

    @post("/v1/query", name="query")
    async def query(request: Request[Any, Any, Any]) -> ASGIResponse:
        wanted = await read(request, _formula_decoder)
        return await reply(None, wanted)

    return [questions, ask, ask_with_body, query]


def from_query(request: Request[Any, Any, Any]) -> QuestionRequest:
    """Read a question from a query string.

    Raises
    ------
    RequestError
        If a parameter is unknown or cannot be read.
    """
    query = check_query(request, QUERY)
    return from_pairs(
        threshold=query.get("threshold"),
        levels=query.getall("level", []),
        given=query.getall("given", []),
        do=query.getall("do", []),
        where=query.getall("where", []),
        as_of=query.get("as_of"),
        over=whole(query, "over", 1, 1, MOST_PERIODS),
        by=query.get("by"),
    )
