"""Questions and formulas: answered across the possible worlds, explained, decided."""

from functools import partial
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
from api.patience import HURRY, preferred_wait
from api.processes.place import BY_QUESTIONS
from api.representations import conditional, tabular, world_rows
from api.routes.query import check_query, whole
from api.routes.replies import json_bytes, read
from api.schemas import FormulaRequest, QuestionRequest
from api.service import Service
from worlds.viewing import find_view

QUERY = ("threshold", "level", "given", "do", "where", "over", "by", "as_of", "error", "deadline")
MOST_PERIODS = 1000
HURRIED_ERROR = 1e-2
"""Error that is good enough for a formula when there is no time."""

_decoder = msgspec.json.Decoder(QuestionRequest)
_formula_decoder = msgspec.json.Decoder(FormulaRequest)
_canonical = msgspec.json.Encoder(order="deterministic")


class Asked:
    """Answers questions in time.

    Parameters
    ----------
    service
        Whose models and facts they are about.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._past = Past(service)

    async def reply(
        self, name: str | None, wanted: QuestionRequest, request: Request[Any, Any, Any]
    ) -> ASGIResponse:
        """Answer a question about the models, or a formula if it has no name."""
        served = self._service.serving.current
        wait = preferred_wait(request.headers.get("prefer"))

        def compute(asked: QuestionRequest = wanted) -> bytes:
            chosen = self._past.models(wanted.as_of, served.answerer)
            then = (
                self._past.models(wanted.since, served.answerer)
                if wanted.since is not None
                else None
            )
            return msgspec.json.encode(checked(lambda: respond(chosen, name, asked, then))[1])

        if wanted.as_of is not None or wanted.since is not None:  # which release that is may change
            return _replied(await self._service.patience.run(compute, wait=wait), wait)
        lasting = (name, _canonical.encode(wanted))
        key = (served.serial, *lasting)
        known = self._service.desk.cached(key)
        if known is None:
            hurried = _hurried(wanted)
            cheap = partial(compute, hurried) if hurried is not None else None
            known = await self._service.patience.answer(
                key, lasting, compute, cheap=cheap, wait=wait
            )
        return _replied(known, wait)

    async def answer(
        self, question: str, wanted: QuestionRequest, request: Request[Any, Any, Any]
    ) -> ASGIResponse:
        """Answer a question about the models or a view of the facts."""
        view = find_view(self._service.domain, question)
        if view is None:
            return await self.reply(question, wanted, request)
        if self._service.recorder is not None:  # it is asked of the facts
            return await self._service.recorder.hand_on(request)
        moment = known_time(wanted.as_of, self._service.now())
        wait = preferred_wait(request.headers.get("prefer"))

        def compute() -> bytes:
            reader = self._service.facts.store.reader()
            try:
                found = checked(lambda: respond_from_facts(view, reader, moment, wanted))[1]
            finally:
                reader.close()
            return msgspec.json.encode(found)

        return _replied(await self._service.patience.run(compute, wait=wait), wait)


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""
    listed = msgspec.json.encode(catalogue(service.domain))
    asked = Asked(service)

    @get("/v1/questions", name="questions")
    async def questions(request: Request[Any, Any, Any]) -> ASGIResponse:
        return conditional(request, json_bytes(listed))

    @get("/v1/questions/{question:str}", name="ask", opt=BY_QUESTIONS)
    async def ask(request: Request[Any, Any, Any], question: FromPath[str]) -> ASGIResponse:
        find_view(service.domain, question)
        found = await asked.answer(question, from_query(request), request)
        return tabular(request, found, world_rows)

    @post("/v1/questions/{question:str}", name="ask_with_body", opt=BY_QUESTIONS)
    async def ask_with_body(
        request: Request[Any, Any, Any], question: FromPath[str]
    ) -> ASGIResponse:
        find_view(service.domain, question)
        found = await asked.answer(question, await read(request, _decoder), request)
        return tabular(request, found, world_rows)

    @post("/v1/query", name="query", opt=BY_QUESTIONS)
    async def query(request: Request[Any, Any, Any]) -> ASGIResponse:
        wanted = await read(request, _formula_decoder)
        return tabular(request, await asked.reply(None, wanted, request), world_rows)

    return [questions, ask, ask_with_body, query]


def _hurried(wanted: QuestionRequest) -> QuestionRequest | None:
    """Return a formula asked with less effort; of a named question the last answer is as good."""
    if not isinstance(wanted, FormulaRequest):
        return None
    error = max(wanted.error or HURRIED_ERROR, HURRIED_ERROR)
    deadline = min(wanted.deadline or HURRY, HURRY)
    return msgspec.structs.replace(wanted, error=error, deadline=deadline)


def _replied(body: bytes, wait: float | None) -> ASGIResponse:
    """Return an answer; it says so where the client's wish how long to wait was heeded."""
    response = json_bytes(body)
    if wait is not None:
        response.headers["preference-applied"] = f"wait={wait:g}"
    return response


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
        more={name: query[name] for name in ("error", "deadline") if name in query},
    )
