"""Scenarios compared: what a question of the domain, or a formula, brings under each."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from api.answering import checked, compare
from api.past import Past
from api.processes.place import BY_QUESTIONS
from api.routes.replies import json_bytes, read
from api.scenarios import store_of
from api.schemas import CompareRequest, FormulaCompareRequest
from api.service import Service

_decoder = msgspec.json.Decoder(CompareRequest)
_formula_decoder = msgspec.json.Decoder(FormulaCompareRequest)


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""
    past = Past(service)
    stored = store_of(service.settings.root(service.domain.name))

    async def compared(question: str | None, wanted: CompareRequest) -> ASGIResponse:
        current = service.serving.current.answerer

        def compute() -> bytes:
            chosen = past.models(wanted.as_of, current)
            found = checked(lambda: compare(chosen, question, wanted, stored))[1]
            return msgspec.json.encode(found)

        return json_bytes(await service.desk.run(compute))

    @post("/v1/questions/{question:str}/compare", name="compare", opt=BY_QUESTIONS)
    async def compare_scenarios(
        request: Request[Any, Any, Any], question: FromPath[str]
    ) -> ASGIResponse:
        service.domain.question(question)
        return await compared(question, await read(request, _decoder))

    @post("/v1/query/compare", name="compare_query", opt=BY_QUESTIONS)
    async def compare_query(request: Request[Any, Any, Any]) -> ASGIResponse:
        wanted = await read(request, _formula_decoder)
        return await compared(None, wanted)

    return [compare_scenarios, compare_query]
