"""Rows of the log as the writer builds them: from events to columns, Arrow and SQL parameters."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from facts.events import Event, RawBad
from facts.layout import LOG, OPS, QUARANTINE, RELEASE, RETRACT, entity_key
from facts.times import micros, naive_of
from facts.values import Value
from facts.values.base import Cells

LogRow = tuple[Any, ...]
NO_CELLS = Cells()
TIMES = tuple(i for i, field in enumerate(LOG) if pa.types.is_timestamp(field.type))
SEQ, TX, RECORDED, OP, SOURCE, ID, ENTITY = range(7)
ATTRIBUTE = LOG.get_field_index("attribute")


def as_json(extra: Mapping[str, Any], form: Mapping[str, Any] | None) -> str | None:
    """Return the ``extra`` column: what came along unknown, and the form the value came in."""
    if not extra and form is None:
        return None
    kept = dict(extra)
    if form is not None:
        kept["form"] = dict(form)
    return json.dumps(kept, sort_keys=True, default=str, separators=(",", ":"))


def event_rows(
    event: Event, attributes: Iterable[str], seq: int, tx: int, recorded_us: int
) -> list[LogRow]:
    """Return one row for each named attribute of an event; a full retraction has one, ``""``."""
    op = OPS[event.op]
    refers = event.refers or (None, None)
    start = micros(event.valid_from)
    end = None if event.valid_to is None else micros(event.valid_to)
    entity = event.entity
    key = entity_key(entity)
    plain = as_json(event.extra, None)
    rows: list[LogRow] = []
    for offset, attribute in enumerate(attributes):
        value: Value | None = None if op == RETRACT else event.attributes[attribute]
        kind = None if value is None else value.kind
        cells = NO_CELLS if value is None else value.cells()
        form = None if value is None else value.form
        extra = plain if form is None else as_json(event.extra, form)
        head = (seq + offset, tx, recorded_us, op, event.source, event.id, entity, key, attribute)
        rows.append((*head, kind, *cells, start, end, event.choice, *refers, extra, None))
    return rows


def quarantine_row(item: RawBad, digest: str, seq: int, tx: int, recorded_us: int) -> LogRow:
    """Return the row that keeps input which could not be understood."""
    head = (seq, tx, recorded_us, QUARANTINE, item.source, item.id, None, None, digest, None)
    return (*head, None, None, None, item.reason, *(None,) * 9, item.raw)


def release_row(released: int, note: str | None, seq: int, tx: int, recorded_us: int) -> LogRow:
    """Return the row that says that a quarantined row was released."""
    head = (seq, tx, recorded_us, RELEASE, None, None, None, None, None, None, float(released))
    return (*head, None, None, note, *(None,) * 10)


def columns_of(rows: Sequence[LogRow]) -> list[tuple[Any, ...]]:
    """Return the rows turned into columns."""
    return list(zip(*rows, strict=True))


def table_of(columns: Sequence[Sequence[Any]]) -> pa.Table:
    """Return the Arrow table of columns, with no chain hash yet."""
    count = len(columns[0])
    arrays = [
        _array(values, field.type, count) for field, values in zip(LOG, columns, strict=False)
    ]
    return pa.Table.from_arrays([*arrays, pa.nulls(count, pa.binary())], schema=LOG)


def _array(values: Sequence[Any], kind: Any, count: int) -> Any:
    if values[0] is None and values[-1] is None and not any(v is not None for v in values):
        return pa.nulls(count, kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def parameters(row: LogRow, chain: bytes | None) -> list[Any]:
    """Return one row as bound parameters."""
    out = list(row)
    for at in TIMES:
        if out[at] is not None:
            out[at] = naive_of(out[at])
    out.append(chain)
    return out
