"""Every error as a problem of RFC 9457: one table from exceptions to answers."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException

from api import errors as api
from facts import errors as facts
from worlds import errors as worlds

MEDIA_TYPE = "application/problem+json"
PAGE = "/problems"
INFERENCE = "/v2"
"""Below this, errors have the form of the Open Inference Protocol."""
GONE = "client disconnected prematurely"
"""What the framework says of a client that left in the middle of its request: no fault of ours."""
log = logging.getLogger("api")


class Kind(msgspec.Struct, frozen=True):
    """A kind of problem: its status, its address on the page of problems, and its title."""

    status: int
    slug: str
    title: str


BAD_REQUEST = Kind(400, "bad-request", "The request cannot be understood")
UNAUTHORIZED = Kind(401, "unauthorized", "A key is needed")
FORBIDDEN = Kind(403, "forbidden", "The key may not do this")
BAD_HTTP = Kind(400, "bad-http", "This is no HTTP")
TIMEOUT = Kind(408, "timeout", "The request did not come in time")
LONG_HEAD = Kind(431, "long-head", "The request has too long a head")
NOT_FOUND = Kind(404, "not-found", "There is nothing at this address")
UNKNOWN_NAME = Kind(404, "unknown-name", "Nobody declared this name")
METHOD = Kind(405, "method", "This address does not take this method")
CONFLICT = Kind(409, "conflict", "This does not go with how things are")
TOO_LARGE = Kind(413, "too-large", "The body is too large")
MEDIA = Kind(415, "media-type", "The body is of a kind that is not taken here")
FORMULA = Kind(400, "formula", "The formula cannot be read or has no meaning")
MEANINGLESS = Kind(422, "meaningless", "What was asked has no meaning")
TIME = Kind(422, "time", "Nothing is known as of this time")
LIMITED = Kind(429, "limited", "The key has used up its budget")
BUSY = Kind(503, "busy", "More was asked than the service takes on at once")
NO_FACTS = Kind(503, "facts-unavailable", "The fact store is not available")
UNAVAILABLE = Kind(503, "unavailable", "This cannot be done now")
FAULT = Kind(500, "fault", "The service made a mistake")

KINDS = (
    *(BAD_REQUEST, FORMULA, NOT_FOUND, UNKNOWN_NAME, METHOD, TOO_LARGE, MEDIA, MEANINGLESS, TIME),
    *(
        BAD_HTTP,
        LONG_HEAD,
        TIMEOUT,
        CONFLICT,
        UNAUTHORIZED,
        FORBIDDEN,
        LIMITED,
        BUSY,
        NO_FACTS,
        UNAVAILABLE,
        FAULT,
    ),
)

TABLE: Mapping[type[Exception], Kind] = {
    api.RequestError: BAD_REQUEST,
    api.MediaTypeError: MEDIA,
    api.TimeError: TIME,
    api.BeyondError: MEANINGLESS,
    api.MissingError: NOT_FOUND,
    api.ConflictError: CONFLICT,
    api.UnauthorizedError: UNAUTHORIZED,
    api.ForbiddenError: FORBIDDEN,
    api.LimitError: LIMITED,
    api.BusyError: BUSY,
    api.FactsDownError: NO_FACTS,
    api.LearnError: UNAVAILABLE,
    worlds.UnknownNameError: UNKNOWN_NAME,
    worlds.FormulaError: FORMULA,
    worlds.QuestionError: MEANINGLESS,
    worlds.WeightError: MEANINGLESS,
    worlds.SnapshotError: UNAVAILABLE,
    worlds.WorldsError: UNAVAILABLE,
    facts.IntakeFull: BUSY,
    facts.QueryError: BAD_REQUEST,
    facts.EventError: BAD_REQUEST,
    facts.ValueKindError: BAD_REQUEST,
    facts.StoreError: NO_FACTS,
    facts.FactsError: NO_FACTS,
    RecursionError: BAD_REQUEST,
}
"""The first class in the method resolution order of an exception that is here decides."""

BY_STATUS = {kind.status: kind for kind in reversed(KINDS)}


def kind_of(error: Exception) -> Kind:
    """Return the kind of problem an exception is."""
    for cls in type(error).__mro__:
        if cls in TABLE:
            return TABLE[cls]
    if isinstance(error, HTTPException):
        gone = isinstance(error, InternalServerException) and error.detail == GONE
        return TIMEOUT if gone else _kind_of_status(error.status_code)
    return FAULT


def _kind_of_status(status: int) -> Kind:
    if status in BY_STATUS:
        return BY_STATUS[status]
    phrase = HTTPStatus(status).phrase
    return Kind(status, "bad-request" if status < 500 else "fault", phrase)


def problem(error: Exception, path: str) -> tuple[Kind, dict[str, Any], dict[str, str]]:
    """Return the kind, the body and extra headers of the answer to an exception."""
    kind = kind_of(error)
    body: dict[str, Any] = {
        "type": f"{PAGE}#{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": _detail(error, kind),
        "instance": path,
    }
    headers: dict[str, str] = {}
    if fields := getattr(error, "fields", None):
        body["errors"] = [{"field": field, "message": message} for field, message in fields]
    if isinstance(error, worlds.UnknownNameError):
        body["known"] = list(error.known)
    if isinstance(error, worlds.FormulaError):
        body["place"] = place(error)
    if (retry := getattr(error, "retry_after", None)) is not None:
        headers["retry-after"] = str(max(1, ceil(float(retry))))
    if isinstance(error, HTTPException | api.UnauthorizedError) and error.headers:
        headers |= {name.lower(): value for name, value in error.headers.items()}
    return kind, body, headers


def place(error: worlds.FormulaError) -> dict[str, Any]:
    """Return where in a formula something is wrong: line and column from 1, offsets from 0."""
    start, end = error.span
    return {
        "line": error.line,
        "column": error.column,
        "start": start,
        "end": end,
        "text": printable(error.source[start:end], 200),
        "reason": printable(error.reason),
    }


def _detail(error: Exception, kind: Kind) -> str:
    if kind is FAULT:
        return "the service made a mistake; its log says more"
    if isinstance(error, RecursionError):
        return "the body is nested too deep"
    if isinstance(error, HTTPException):
        return {404: "see /docs for what there is", 405: "see the Allow header"}.get(
            kind.status, error.detail
        )
    return printable(str(error))


def printable(text: str, limit: int = 2000) -> str:
    """Return a text that UTF-8 can hold, cut to a length."""
    return text[:limit].encode("utf-8", "replace").decode()


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer an exception with a problem."""
    kind, body, headers = problem(error, printable(request.scope.get("path", "/")))
    if kind is FAULT:
        log.error("%s %s failed", request.method, body["instance"], exc_info=error)
    if body["instance"] == INFERENCE or body["instance"].startswith(f"{INFERENCE}/"):
        wrong = "; ".join(f"{one['field']}: {one['message']}" for one in body.get("errors", ()))
        said = (
            body["detail"] if not wrong or wrong in body["detail"] else f"{body['detail']}: {wrong}"
        )
        return Response(
            msgspec.json.encode({"error": said}),
            status_code=kind.status,
            headers=headers,
            media_type="application/json",
        )
    return Response(
        msgspec.json.encode(body),
        status_code=kind.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )
