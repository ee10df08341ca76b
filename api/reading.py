"""Reading facts and quarantine a page at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar.datastructures import MultiDict

from api.asking import known_time
from api.routes.query import whole

FACTS_QUERY = ("entity", "attribute", "as_of", "limit", "cursor")
QUARANTINE_QUERY = ("limit", "cursor")
LARGEST_PAGE = 1000
LARGEST_CURSOR = 10**18 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows are wanted: those after `cursor`, at most `limit`."""

    cursor: int
    limit: int


@dataclass(frozen=True, slots=True)
class FactsWanted:
    """Which facts are wanted."""

    entity: str | None
    attributes: tuple[str, ...]
    as_of: datetime | None
    page: Page


def _page(query: MultiDict[str]) -> Page:
    return Page(
        whole(query, "cursor", 0, 0, LARGEST_CURSOR), whole(query, "limit", 100, 1, LARGEST_PAGE)
    )


def facts_query(query: MultiDict[str], now: datetime) -> FactsWanted:
    """Read the query string of ``GET /v1/facts``."""
    return FactsWanted(
        query.get("entity"),
        tuple(query.getall("attribute", [])),
        known_time(query.get("as_of"), now),
        _page(query),
    )


def quarantine_query(query: MultiDict[str]) -> Page:
    """Read the query string of ``GET /v1/quarantine``."""
    return _page(query)


def facts(store: Any, wanted: FactsWanted) -> dict[str, Any]:
    """Return a page of the facts that were visible at a time. Blocking."""
    raise NotImplementedError


def quarantine(store: Any, page: Page) -> dict[str, Any]:
    """Return a page of what could not be understood. Blocking."""
    raise NotImplementedError
