"""Bulk loading: facts that are columns already, recorded without a Python object for each.

``Store.load`` takes an Arrow table and records it in commits of up to a million rows. Rows are
checked as strictly as events, duplicates are found in the same way, and roll-ups and late
references hold.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as arrow_compute
from numpy.typing import NDArray

from facts.entitykey import bytes_of
from facts.errors import EventError, ValueKindError
from facts.events import MAX_TEXT
from facts.identity import MIX, Hashes, hash_key, hash_keys
from facts.layout import ASSERT, LOG
from facts.values import Cells, value_from_cells

pc: Any = arrow_compute  # its annotations do not know chunked arrays
NEEDED = ("source", "id", "entity", "attribute", "valid_from")
GIVEN = (*NEEDED, "kind", *Cells._fields, "valid_to", "choice", "extra")
STARTS_AS = {"kind": "exact"}
AT_ONCE = 32_768  # rows whose hashes fit the processor's cache


class Blank:
    """Columns without any value: they share their memory, which ``pyarrow.nulls`` makes anew.

    Parameters
    ----------
    count : int
        Their rows.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._zeros = pa.py_buffer(bytes(8 * (count + 1)))

    def of(self, kind: pa.DataType) -> Any:
        """Return a column of a type of the log."""
        if isinstance(kind, pa.ListType):
            inside = [pa.array([], kind.value_type)]
            return pa.ListArray.from_buffers(
                kind, self._count, [self._zeros] * 2, self._count, children=inside
            )
        texts = [self._zeros] if pa.types.is_string(kind) or pa.types.is_binary(kind) else []
        buffers: list[pa.Buffer | None] = [self._zeros, self._zeros, *texts]
        return pa.Array.from_buffers(kind, self._count, buffers, self._count)


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
    columns, empty = [], Blank(table.num_rows)
    for name in GIVEN:
        field = LOG.field(name)
        if name in table.schema.names:
            columns.append(_typed(table.column(name), field))
        elif name in STARTS_AS:
            columns.append(pa.repeat(pa.scalar(STARTS_AS[name], field.type), table.num_rows))
        else:
            columns.append(empty.of(field.type))
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
    _check_extra(table)
    ends = pc.fill_null(pc.less_equal(table.column("valid_to"), table.column("valid_from")), False)
    if pc.any(ends).as_py():
        msg = f"valid_to must be after valid_from; row {_first(ends)}"
        raise EventError(msg)
    _check_values(table)


def _check_text(name: str, column: Any) -> None:
    found = pc.min_max(pc.binary_length(column)).as_py()
    if found["min"] < 1 or found["max"] > MAX_TEXT:  # bytes: never fewer than characters
        lengths = pc.utf8_length(column)
        bad = pc.or_(pc.less(lengths, 1), pc.greater(lengths, MAX_TEXT))
        if pc.any(bad).as_py():
            msg = f"column {name!r} must have 1 to {MAX_TEXT} characters; row {_first(bad)}"
            raise EventError(msg)
    if any(_has_nul(chunk) for chunk in column.chunks):
        msg = f"column {name!r} holds a NUL"
        raise EventError(msg)


def _check_extra(table: pa.Table) -> None:
    """Check the optional texts, as an event's choice and unknown keys are."""
    choice, extra = table.column("choice"), table.column("extra")
    if choice.null_count < len(choice):
        _check_text("choice", choice.drop_null())
    if extra.null_count == len(extra):
        return
    for row, text in enumerate(extra.to_pylist()):
        if text is not None and not _is_object(text):
            msg = f"column 'extra' must hold JSON objects; row {row} has {text[:80]!r}"
            raise EventError(msg)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _has_nul(texts: Any) -> bool:
    data, low, high = bytes_of(texts)
    return high > low and int(data[low:high].min()) == 0


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
    named = table.select(["source", "id", "attribute"])
    if not named.num_rows:
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    parts = [_keys_of(named.slice(at, AT_ONCE)) for at in range(0, named.num_rows, AT_ONCE)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _keys_of(table: pa.Table) -> tuple[Hashes, Hashes]:
    source, name, attribute = (_flat(table.column(c)) for c in ("source", "id", "attribute"))
    events = hash_keys(source, name)
    coded = attribute.dictionary_encode()
    seeds = np.array([hash_key("", a) for a in coded.dictionary.to_pylist()], dtype=np.uint64)
    facts = (events ^ seeds[coded.indices.to_numpy(zero_copy_only=False)]) * np.uint64(MIX)
    return events, facts


def _flat(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


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
    made |= {name: table.column(name) for name in GIVEN}
    empty = Blank(count)
    columns = [made[f.name] if f.name in made else empty.of(f.type) for f in LOG]
    return pa.table(columns, schema=LOG)
