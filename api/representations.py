"""The same answer in other forms: unchanged (304), CSV, Arrow; and links from page to page."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import pyarrow as pa
from litestar import Request
from litestar.response.base import ASGIResponse

from api.routes.replies import JSON, json_reply

CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
FORMS = (JSON, CSV, ARROW)

type Row = Mapping[str, Any]
type Rows = Callable[[Mapping[str, Any]], Sequence[Row]]

TIMES = ("valid_from", "valid_to", "recorded_at")
WHOLE = ("seq", "tx")
FACTS = (
    *("seq", "entity", "attribute", "kind", "number", "value"),
    *("valid_from", "valid_to", "recorded_at", "source", "id", "choice", "extra", "tx"),
)
QUARANTINE = ("seq", "recorded_at", "source", "id", "reason", "raw")


def conditional(
    request: Request[Any, Any, Any], reply: ASGIResponse, of: bytes | None = None
) -> ASGIResponse:
    """Return the answer with its entity tag, or 304 if the client has it already.

    Parameters
    ----------
    request
        Its If-None-Match decides.
    reply
        The answer.
    of
        The part that matters, where the rest (an age) is another one every time.
    """
    tag = f'"{hashlib.sha256(reply.body if of is None else of).hexdigest()[:32]}"'
    headers = {
        "etag": tag if of is None else f"W/{tag}",
        "cache-control": "private, no-cache",
        "vary": "accept",
    }
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or tag in (
        part.strip().removeprefix("W/") for part in known.split(",")
    ):
        return ASGIResponse(status_code=304, headers=headers)
    for name, value in headers.items():
        reply.headers[name] = value
    return reply


def wanted_form(accept: str) -> str:
    """Return the form that an Accept header prefers; JSON where it has no preference."""
    best, form = 0.0, JSON
    for part in accept.split(","):
        kind, *parameters = (one.strip().lower() for one in part.split(";"))
        quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            continue
        if kind in FORMS and weight > best:
            best, form = weight, kind
        elif kind in ("*/*", "application/*") and weight > best:
            best, form = weight, JSON
    return form


def tabular(
    request: Request[Any, Any, Any], reply: ASGIResponse, rows: Rows, names: Sequence[str] = ()
) -> ASGIResponse:
    """Return an answer as CSV or Arrow, if the client wants that.

    Parameters
    ----------
    request
        Its Accept header decides.
    reply
        The answer in JSON.
    rows
        From its content to the rows of the table.
    names
        Columns that are there even without rows.
    """
    form = wanted_form(request.headers.get("accept", ""))
    reply.headers["vary"] = "accept"
    if form == JSON:
        return reply
    table = rows(msgspec.json.decode(reply.body))
    body = as_csv(table, names) if form == CSV else as_arrow(table, names)
    kind = "text/csv; header=present" if form == CSV else ARROW
    kept = {name: reply.headers[name] for name in ("link", "vary") if name in reply.headers}
    return ASGIResponse(body=body, media_type=kind, headers=kept)


def paged(
    request: Request[Any, Any, Any], content: Mapping[str, Any], rows: Rows, names: Sequence[str]
) -> ASGIResponse:
    """Return a page with a link to the next one, in the form the client wants."""
    reply = json_reply(content)
    if (cursor := content["next_cursor"]) is not None:
        kept = [(k, v) for k, v in request.query_params.multi_items() if k != "cursor"]
        target = f"{request.url.path}?{urlencode([*kept, ('cursor', str(cursor))])}"
        reply.headers["link"] = f'<{target}>; rel="next"'
    return tabular(request, reply, rows, names)


def fact_rows(content: Mapping[str, Any]) -> Sequence[Row]:
    """Return the rows of a page of facts: exact numbers in a column of their own."""
    found = []
    for fact in content["facts"]:
        value = fact["value"]
        exact = value.get("value") if value["kind"] == "exact" else None
        number = exact if isinstance(exact, int | float) and not isinstance(exact, bool) else None
        row = dict.fromkeys(FACTS) | {name: fact.get(name) for name in FACTS if name in fact}
        row |= {"kind": value["kind"], "number": None if number is None else float(number)}
        found.append(row | {"value": _text(exact if exact is not None else value)})
    return found


def quarantine_rows(content: Mapping[str, Any]) -> Sequence[Row]:
    """Return the rows of a page of the quarantine."""
    return [{name: _plain(value) for name, value in one.items()} for one in content["quarantined"]]


def world_rows(content: Mapping[str, Any]) -> Sequence[Row]:
    """Return the rows of the worlds of an answer."""
    found = []
    for world in content.get("worlds", ()):
        row: dict[str, Any] = {f"choice.{name}": v for name, v in world["choices"].items()}
        interval = world["interval"]
        row |= {name: v for name, v in world.items() if name not in ("choices", "interval")}
        found.append(row | {"low": interval["low"], "high": interval["high"]})
    return found


def as_csv(rows: Sequence[Row], names: Sequence[str] = ()) -> bytes:
    """Return rows as CSV with a header (RFC 4180)."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _names(rows, names), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def as_arrow(rows: Sequence[Row], names: Sequence[str] = ()) -> bytes:
    """Return rows as an Arrow stream; times are timestamps, what has no one type is text."""
    columns = {name: _column(name, [row.get(name) for row in rows]) for name in _names(rows, names)}
    table = pa.table(columns)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _column(name: str, values: list[Any]) -> "pa.Array[Any]":
    if name in TIMES:
        times = [None if v is None else datetime.fromisoformat(v) for v in values]
        return pa.array(times, pa.timestamp("us", tz="UTC"))
    if name in WHOLE:
        return pa.array(values, pa.int64())
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {int, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    return pa.array([_text(value) for value in values], pa.string())


def _names(rows: Iterable[Row], names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*names, *(name for row in rows for name in row)]))


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else _text(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
