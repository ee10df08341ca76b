"""Questions: which there are, and their answers across the possible worlds."""

from collections import OrderedDict
from threading import Lock
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from api.asking import arguments, from_pairs, known_time
from api.describe import catalogue
from api.errors import TimeError
from api.routes.query import check_query
from api.routes.replies import json_bytes, read
from api.schemas import QuestionRequest
from api.service import Service
from worlds.ask import Answerer
from worlds.publish import Release

KEPT_RELEASES = 4
QUERY = ("threshold", "level", "given", "do", "where", "as_of")

_decoder = msgspec.json.Decoder(QuestionRequest)
_canonical = msgspec.json.Encoder(order="deterministic")


class Past:
    """The models of older releases, a few of them in memory."""

    def __init__(self, service: Service) -> None:
        self._serving = service.serving
        self._kept: OrderedDict[str, Answerer] = OrderedDict()
        self._lock = Lock()

    def find(self, wanted: str | None, service: Service) -> Release | None:
        """Return the release that was in force at a time, None for the present one.

        Raises
        ------
        TimeError
            If the time lies in the future or before the first release.
        """
        moment = known_time(wanted, service.now())
        if moment is None:
            return None
        release = self._serving.store.as_of(moment)
        if release is None:
            known = self._serving.store.releases()
            first = (
                f"the first release knows {known[-1].as_of.isoformat()}" if known else "none yet"
            )
            msg = f"nothing had been learned as of {moment.isoformat()}: {first}"
            raise TimeError(msg)
        return release

    def answerer(self, release: Release) -> Answerer:
        """Return the models of a release."""
        with self._lock:
            found = self._kept.get(release.id)
            if found is None:
                found = self._kept[release.id] = self._serving.as_of(release)
                while len(self._kept) > KEPT_RELEASES:
                    self._kept.popitem(last=False)
        return found


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""
    listed = msgspec.json.encode(catalogue(service.domain))
    past = Past(service)

    def compute(name: str, wanted: QuestionRequest, answerer: Answerer | None) -> bytes:
        if wanted.as_of is not None:
            release = past.find(wanted.as_of, service)
            answerer = past.answerer(release) if release else answerer
        chosen = answerer or service.serving.current.answerer
        return msgspec.json.encode(chosen.ask(name, **arguments(wanted)).to_dict())

    async def reply(name: str, wanted: QuestionRequest) -> ASGIResponse:
        service.domain.question(name)
        if wanted.as_of is not None:  # which release that is may change: not cached
            return json_bytes(await service.desk.run(lambda: compute(name, wanted, None)))
        served = service.serving.current
        key = (served.serial, name, _canonical.encode(wanted))
        found = service.desk.cached(key) or await service.desk.compute(
            key, lambda: compute(name, wanted, served.answerer)
        )
        return json_bytes(found)

    @get("/v1/questions", name="questions")
    async def questions() -> ASGIResponse:
        return json_bytes(listed)

    @get("/v1/questions/{question:str}", name="ask")
    async def ask(request: Request[Any, Any, Any], question: FromPath[str]) -> ASGIResponse:
        return await reply(question, from_query(request))

    @post("/v1/questions/{question:str}", name="ask_with_body")
    async def ask_with_body(
        request: Request[Any, Any, Any], question: FromPath[str]
    ) -> ASGIResponse:
        service.domain.question(question)
        return await reply(question, await read(request, _decoder))

    return [questions, ask, ask_with_body]


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
    )
