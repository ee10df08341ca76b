"""Rows of the log as the writer builds them: from events to columns, Arrow and SQL parameters."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from facts.events import Event, RawBad
from facts.layout import LOG, OPS, QUARANTINE, RELEASE, RETRACT
from facts.times import micros, naive_of
from facts.values import Exact, Value
from facts.values.base import Cells
from facts.values.exact import SAFE_INTEGER

LogRow = tuple[Any, ...]
NO_CELLS = Cells()
_TIME: Any = pa.timestamp("us")
TIMES = tuple(i for i, field in enumerate(LOG) if pa.types.is_timestamp(field.type))


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
    rows: list[LogRow] = []
    for offset, attribute in enumerate(attributes):
        value: Value | None = None if op == RETRACT else event.attributes[attribute]
        kind = None if value is None else value.kind
        cells = NO_CELLS if value is None else value.cells()
        extra = as_json(event.extra, None if value is None else value.form)
        head = (seq + offset, tx, recorded_us, op, event.source, event.id, entity, attribute)
        rows.append((*head, kind, *cells, start, end, event.choice, *refers, extra, None))
    return rows


def event_table(
    events: Sequence[Event], attributes: Sequence[str], seq: int, tx: int, recorded_us: int
) -> pa.Table:
    """Return the rows of many facts as an Arrow table, with no chain hash yet.

    The same rows as ``event_rows`` makes, column by column, which is what a full group needs.

    Parameters
    ----------
    events, attributes
        The event and the attribute of each row.
    seq, tx, recorded_us : int
        The first row's number, the transaction, its recorded time.
    """
    count = len(events)
    ops = [OPS[e.op] for e in events]
    refers = [e.refers or (None, None) for e in events]
    values = [
        None if op == RETRACT else e.attributes[a]
        for e, a, op in zip(events, attributes, ops, strict=True)
    ]
    made: dict[str, Any] = {
        "seq": np.arange(seq, seq + count),
        "tx": np.full(count, tx, dtype=np.int32),
        "op": np.array(ops, dtype=np.uint8),
        "source": [e.source for e in events],
        "id": [e.id for e in events],
        "entity": [e.entity for e in events],
        "attribute": attributes,
        "kind": [None if v is None else v.kind for v in values],
        **_cell_columns(values),
        "choice": [e.choice for e in events],
        "refers_source": [r[0] for r in refers],
        "refers_id": [r[1] for r in refers],
        "extra": _extras(events, values),
        "recorded_at": pa.array(np.full(count, recorded_us)).cast(_TIME),
        "valid_from": _times([e.valid_from for e in events]),
        "valid_to": _times([e.valid_to for e in events]),
    }
    arrays = [
        cells
        if isinstance(cells := made.get(field.name), pa.Array)
        else _array(cells, field, count)
        for field in LOG
    ]
    return pa.Table.from_arrays(arrays, schema=LOG)


def _times(moments: Sequence[datetime | None]) -> Any:
    if not any(moments):
        return pa.nulls(len(moments), _TIME)
    return pa.array(moments, pa.timestamp("us", "UTC")).cast(_TIME)


def _extras(events: Sequence[Event], values: Sequence[Value | None]) -> list[str | None] | None:
    forms = [None if v is None else v.form for v in values]
    if not any(forms) and not any(e.extra for e in events):
        return None
    return [as_json(e.extra, f) for e, f in zip(events, forms, strict=True)]


def _cell_columns(values: Sequence[Value | None]) -> dict[str, Any]:
    """Return the column form of values; numbers known exactly, the usual case, take a short way."""
    if all(type(v) is Exact for v in values):
        inner = [v.value for v in values if type(v) is Exact]
        if {int, float}.issuperset(map(type, inner)):
            numbers = np.array(inner, dtype=np.float64)
            if np.all(np.abs(numbers) <= SAFE_INTEGER):
                return {"num": numbers}
    cells = [NO_CELLS if v is None else v.cells() for v in values]
    return dict(zip(Cells._fields, zip(*cells, strict=True), strict=True))


def _array(values: Any, field: Any, count: int) -> Any:
    if values is None or (not isinstance(values, np.ndarray) and values.count(None) == count):
        return pa.nulls(count, field.type)
    return pa.array(values, field.type)


def quarantine_row(item: RawBad, digest: str, seq: int, tx: int, recorded_us: int) -> LogRow:
    """Return the row that keeps input which could not be understood."""
    head = (seq, tx, recorded_us, QUARANTINE, item.source, item.id, None, digest, None)
    return (*head, None, None, None, item.reason, *(None,) * 9, item.raw)


def release_row(released: int, note: str | None, seq: int, tx: int, recorded_us: int) -> LogRow:
    """Return the row that says that a quarantined row was released."""
    head = (seq, tx, recorded_us, RELEASE, None, None, None, None, None, float(released))
    return (*head, None, None, note, *(None,) * 10)


def columns_of(rows: Sequence[LogRow]) -> list[tuple[Any, ...]]:
    """Return the rows turned into columns."""
    return list(zip(*rows, strict=True))


def table_of(rows: Sequence[LogRow]) -> pa.Table:
    """Return the Arrow table of rows, with no chain hash yet."""
    if not rows:
        return LOG.empty_table()
    columns = columns_of(rows)
    arrays = []
    for field, values in zip(LOG, columns, strict=False):
        if pa.types.is_timestamp(field.type):
            arrays.append(pa.array(values, pa.int64()).cast(field.type))
        else:
            arrays.append(_array(values, field, len(rows)))
    return pa.Table.from_arrays([*arrays, pa.nulls(len(rows), pa.binary())], schema=LOG)


def with_chain(table: pa.Table, head: bytes) -> pa.Table:
    """Return a commit's rows with the chain hash in the last one."""
    at = LOG.get_field_index("chain")
    last = pa.array([head], pa.binary())
    marks = pa.chunked_array([pa.nulls(table.num_rows - 1, pa.binary()), last])
    return table.set_column(at, LOG.field(at), marks.combine_chunks())


def parameters(row: LogRow, chain: bytes | None, key: int) -> list[Any]:
    """Return one row as bound parameters, with its chain hash and its entity's key."""
    out = list(row)
    for at in TIMES:
        if out[at] is not None:
            out[at] = naive_of(out[at])
    return [*out, chain, key]


ENTITY = LOG.get_field_index("entity")
