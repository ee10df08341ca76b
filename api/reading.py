"""Reading facts and quarantine a page at a time."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar.datastructures import MultiDict

from api.asking import known_time
from api.errors import TimeError
from api.routes.query import whole
from facts import Reader, Store, fact_value

FACTS_QUERY = ("entity", "attribute", "as_of", "limit", "cursor")
QUARANTINE_QUERY = ("limit", "cursor")
PLAIN = (
    *("seq", "entity", "attribute", "valid_from", "valid_to", "recorded_at"),
    *("source", "id", "choice", "extra", "tx"),
)
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


def facts(store: Store, wanted: FactsWanted) -> dict[str, Any]:
    """Return a page of the facts that were visible at a time. Blocking.

    Raises
    ------
    TimeError
        If nothing had been recorded by then.
    """
    reader = store.reader()
    try:
        _check_known(reader, wanted.as_of)
        table = reader.page(
            wanted.page.cursor,
            wanted.page.limit + 1,
            as_of=wanted.as_of,
            entity=wanted.entity,
            attribute=wanted.attributes or None,
        )
    finally:
        reader.close()
    rows = table.slice(0, wanted.page.limit).to_pylist()
    more = table.num_rows > len(rows)
    return {
        "facts": [fact(row) for row in rows],
        "next_cursor": rows[-1]["seq"] if more else None,
    }


def _check_known(reader: Reader, as_of: datetime | None) -> None:
    if as_of is None:
        return
    first = reader.first_recorded()
    if first is None or as_of < first:
        known = f"the first fact was recorded at {first.isoformat()}" if first else "there are none"
        raise TimeError(f"nothing was known as of {as_of.isoformat()}: {known}")


def fact(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON: its value in one form, empty parts left out."""
    kept = {name: row[name] for name in PLAIN if row[name] is not None}
    return {**kept, "value": fact_value(row).to_json()}


def quarantine(store: Store, page: Page) -> dict[str, Any]:
    """Return a page of what could not be understood. Blocking.

    Bytes that are no UTF-8 are shown with replacement signs and in base64.
    """
    reader = store.reader()
    try:
        found = reader.quarantined(after=page.cursor, limit=page.limit + 1)
    finally:
        reader.close()
    rows = found[: page.limit]
    more = len(found) > len(rows)
    return {
        "quarantined": [_kept_aside(row) for row in rows],
        "next_cursor": rows[-1]["seq"] if more else None,
    }


def _kept_aside(row: Mapping[str, Any]) -> dict[str, Any]:
    raw = bytes(row["raw"] or b"")
    try:
        return {**row, "raw": raw.decode()}
    except UnicodeDecodeError:
        return {**row, "raw": raw.decode("utf-8", "replace"), "raw_base64": b64encode(raw).decode()}
