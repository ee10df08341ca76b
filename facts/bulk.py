"""Bulk loading: facts that are columns already, recorded without a Python object for each.

``Store.load`` takes an Arrow table and records it in commits of up to a million rows. Rows are
checked as strictly as events, duplicates are found in the same way, and roll-ups and late
references hold.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as arrow_compute
from numpy.typing import NDArray

from facts.errors import EventError, ValueKindError
from facts.events import MAX_TEXT
from facts.identity import MIX, Hashes, hash_key, hash_keys
from facts.layout import ASSERT, LOG
from facts.values import Cells, value_from_cells

pc: Any = arrow_compute  # its annotations do not know chunked arrays
NEEDED = ("source", "id", "entity", "attribute", "valid_from")
GIVEN = (*NEEDED, "kind", *Cells._fields, "valid_to", "choice", "extra")
STARTS_AS = {"kind": "exact"}


def normalise(table: pa.Table) -> pa.Table:
    """Return a table with exactly the columns ``GIVEN`` in the types of the log.

    Raises
    ------
    EventError
        A column is unknown, missing or of another type, or a row breaks a rule.
    """
    lacking = [name for name in NEEDED if name not in table.schema.names]
    unknown = [name for name in table.schema.names if name not in GIVEN]
    if lacking or unknown:
        msg = (
            f"the table lacks {', '.join(lacking) or 'nothing'} and has unknown columns"
            f" {', '.join(unknown) or 'none'}; known are {', '.join(GIVEN)}"
        )
        raise EventError(msg)
    columns = []
    for name in GIVEN:
        field = LOG.field(name)
        if name in table.schema.names:
            columns.append(_typed(table.column(name), field))
        elif name in STARTS_AS:
            columns.append(pa.repeat(pa.scalar(STARTS_AS[name], field.type), table.num_rows))
        else:
            columns.append(pa.nulls(table.num_rows, field.type))
    found = pa.table(columns, schema=pa.schema([LOG.field(n) for n in GIVEN])).combine_chunks()
    if found.num_rows:
        _check(found)
    return found


def _typed(column: Any, field: Any) -> Any:
    kind = column.type
    if pa.types.is_timestamp(field.type):
        if not pa.types.is_timestamp(kind) or kind.tz is None:
            msg = f"column {field.name!r} must hold timestamps with a time zone; got {kind}"
            raise EventError(msg)
        return column.cast(pa.timestamp("us", "UTC")).cast(field.type)
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        msg = f"column {field.name!r} must hold {field.type}; got {kind}: {error}"
        raise EventError(msg) from error


def _check(table: pa.Table) -> None:
    for name in NEEDED:
        if table.column(name).null_count:
            msg = f"column {name!r} must not be empty; row {_first(pc.is_null(table.column(name)))}"
            raise EventError(msg)
    for name in ("source", "id", "entity", "attribute"):
        _check_text(name, table.column(name))
    ends = pc.fill_null(pc.less_equal(table.column("valid_to"), table.column("valid_from")), False)
    if pc.any(ends).as_py():
        msg = f"valid_to must be after valid_from; row {_first(ends)}"
        raise EventError(msg)
    _check_values(table)


def _check_text(name: str, column: Any) -> None:
    lengths = pc.utf8_length(column)
    found = pc.min_max(lengths).as_py()
    if found["min"] < 1 or found["max"] > MAX_TEXT:
        bad = pc.or_(pc.less(lengths, 1), pc.greater(lengths, MAX_TEXT))
        msg = f"column {name!r} must have 1 to {MAX_TEXT} characters; row {_first(bad)}"
        raise EventError(msg)
    if b"\x00" in _bytes_of(column):
        msg = f"column {name!r} holds a NUL"
        raise EventError(msg)


def _bytes_of(column: Any) -> memoryview | bytes:
    buffers = [chunk.buffers()[2] for chunk in column.chunks]
    return b"".join(bytes(b) for b in buffers if b is not None)


def _check_values(table: pa.Table) -> None:
    """Check numbers at once, and other values one by one."""
    kind, num = table.column("kind"), table.column("num")
    plain = pc.fill_null(pc.and_(pc.equal(kind, "exact"), pc.is_finite(num)), False)
    others = [name for name in Cells._fields if name != "num"]
    for name in others:
        if table.column(name).null_count < table.num_rows:
            plain = pc.and_(plain, pc.is_null(table.column(name)))
    odd = np.flatnonzero(~plain.to_numpy())
    rows = table.select(["kind", *Cells._fields]).take(odd).to_pylist()
    for at, row in zip(odd.tolist(), rows, strict=True):
        name = row.pop("kind")
        try:
            value = value_from_cells(name, Cells(**row))
        except (ValueKindError, TypeError, ValueError) as error:
            msg = f"row {at}: {error}"
            raise EventError(msg) from error
        if name == "exact" and row["num"] is None and row["text"] is None:
            msg = f"row {at}: an exact value needs num or text"
            raise EventError(msg)
        kept = value.cells()
        if any(_given(row[f]) != _given(getattr(kept, f)) for f in Cells._fields):
            msg = f"row {at}: the columns hold no {name} in its column form; it would be {kept}"
            raise EventError(msg)


def _given(cell: Any) -> Any:
    return tuple(cell) if isinstance(cell, (list, tuple)) else cell


def _first(mask: Any) -> int:
    return int(np.flatnonzero(mask.to_numpy())[0])


def keys_of(table: pa.Table) -> tuple[Hashes, Hashes]:
    """Return the hash of each row's event, and of each row's fact (event and attribute)."""
    source, name, attribute = (
        table.column(c).combine_chunks() for c in ("source", "id", "attribute")
    )
    events = hash_keys(_flat(source), _flat(name))
    coded = _flat(attribute).dictionary_encode()
    seeds = np.array([hash_key("", a) for a in coded.dictionary.to_pylist()], dtype=np.uint64)
    facts = (events ^ seeds[coded.indices.to_numpy(zero_copy_only=False)]) * np.uint64(MIX)
    return events, facts


def _flat(column: Any) -> Any:
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def repeated(facts: Hashes) -> bool:
    """Whether some fact may occur twice in a table."""
    ordered = np.sort(facts)
    return bool(np.any(ordered[1:] == ordered[:-1]))


def first_of_each(table: pa.Table) -> NDArray[np.bool_]:
    """Return which rows come first among those with the same source, id and attribute."""
    numbered = table.select(["source", "id", "attribute"]).append_column(
        "_row", pa.array(np.arange(table.num_rows))
    )
    grouped = numbered.group_by(["source", "id", "attribute"]).aggregate([("_row", "min")])
    keep = np.zeros(table.num_rows, dtype=bool)
    keep[grouped.column("_row_min").to_numpy()] = True
    return keep


def as_log(table: pa.Table, seq: int, tx: int, recorded_us: int) -> pa.Table:
    """Return the rows of the log, numbered from ``seq`` on, with no chain hash yet."""
    count = table.num_rows
    made: dict[str, Any] = {
        "seq": pa.array(np.arange(seq, seq + count)),
        "tx": pa.array(np.full(count, tx, dtype=np.int32)),
        "recorded_at": pa.array(np.full(count, recorded_us)).cast(pa.timestamp("us")),
        "op": pa.array(np.full(count, ASSERT, dtype=np.uint8)),
    }
    columns = [
        table.column(field.name)
        if field.name in GIVEN
        else made.get(field.name, pa.nulls(count, field.type))
        for field in LOG
    ]
    return pa.table(columns, schema=LOG)
