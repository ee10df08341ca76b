"""Query strings: known names only, each of the right form."""

from collections.abc import Iterable
from typing import Any

from litestar import Request
from litestar.datastructures import MultiDict

from api.errors import RequestError

REPEATED = ("level", "given", "do", "where", "attribute")


def check_query(request: Request[Any, Any, Any], known: Iterable[str]) -> MultiDict[str]:
    """Return the query parameters.

    Raises
    ------
    RequestError
        If one is unknown, or given more than once where once is enough.
    """
    query = request.query_params
    names = tuple(known)
    wrong = [
        (name, f"unknown; known: {', '.join(names) or 'none'}")
        for name in query
        if name not in names
    ]
    wrong += [
        (name, "given more than once")
        for name in query
        if name in names and name not in REPEATED and len(query.getall(name)) > 1
    ]
    if wrong:
        raise RequestError("the query string cannot be understood", wrong)
    return query


def whole(query: MultiDict[str], name: str, default: int, low: int, high: int) -> int:
    """Return a whole number from the query.

    Raises
    ------
    RequestError
        If it is no whole number in [low, high].
    """
    text = query.get(name)
    if text is None:
        return default
    digits = text.strip()
    value = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else -1
    if not low <= value <= high:
        wrong = f"must be a whole number in [{low}, {high}]; got {text[:40]!r}"
        raise RequestError(f"{name} cannot be used", [(name, wrong)])
    return value
