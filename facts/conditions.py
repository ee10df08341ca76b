"""Conditions of a read, and the small steps from a table read to the table returned."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facts.errors import QueryError
from facts.layout import CORRECT, LOG
from facts.logread import bound_time
from facts.times import micros
from facts.values.base import Cells

FACTS = (
    *("seq", "tx", "entity", "attribute", "kind"),
    *Cells._fields,
    *("valid_from", "valid_to", "recorded_at", "source", "id", "choice", "extra"),
)
UTC_TIME = pa.timestamp("us", "UTC")


def without(table: pa.Table, hidden: NDArray[np.int64]) -> pa.Table:
    """Return the rows of a small table that are not hidden."""
    seq = table.column("seq").to_numpy()
    if len(hidden) == 0 or len(seq) == 0:
        return table
    at = np.minimum(np.searchsorted(hidden, seq), len(hidden) - 1)
    keep = hidden[at] != seq
    return table if keep.all() else table.filter(pa.array(keep))


def in_order(table: pa.Table) -> pa.Table:
    """Return a table in the order recorded, which an anti-join usually keeps."""
    seq = table.column("seq").to_numpy()
    return table if np.all(seq[1:] > seq[:-1]) else table.sort_by("seq")


def with_empty(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return a table with columns of the log that hold nothing, as far as it was read."""
    for name in names:
        table = table.append_column(name, pa.nulls(table.num_rows, LOG.field(name).type))
    return table


def columns(columns: Sequence[str] | None) -> list[str]:
    """Return the chosen columns, all of ``FACTS`` by default, after checking their names."""
    chosen = list(columns) if columns is not None else list(FACTS)
    for name in chosen:
        if name not in FACTS:
            msg = f"unknown column {name!r}; known are {', '.join(FACTS)}"
            raise QueryError(msg)
    return chosen


def where(
    known: int,
    attribute: str | Sequence[str] | None,
    valid_from: datetime | None,
    valid_to: datetime | None,
    begins_from: datetime | None = None,
) -> tuple[str, list[Any]]:
    """Return a condition on the log for visible candidates, with its bound parameters."""
    parts = [f"op <= {CORRECT} AND recorded_at <= ?"]
    bound: list[Any] = [bound_time(known)]
    if isinstance(attribute, str):
        parts.append("attribute = ?")
        bound.append(attribute)
    elif attribute is not None:
        names = list(attribute)
        parts.append(f"attribute IN ({', '.join('?' * len(names))})" if names else "false")
        bound += names
    if valid_to is not None:
        parts.append("valid_from < ?")
        bound.append(bound_time(aware("valid_to", valid_to)))
    if valid_from is not None:
        parts.append("(valid_to IS NULL OR valid_to > ?)")
        bound.append(bound_time(aware("valid_from", valid_from)))
    if begins_from is not None:
        parts.append("valid_from >= ?")
        bound.append(bound_time(aware("begins_from", begins_from)))
    return " AND ".join(parts), bound


def aware(name: str, moment: datetime) -> int:
    """Return a time with a zone in microseconds."""
    if moment.tzinfo is None:
        msg = f"{name} needs a time zone; got {moment!r}"
        raise QueryError(msg)
    return micros(moment)


def with_zones(table: pa.Table) -> pa.Table:
    """Return a table whose times say that they are UTC."""
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is None:
            table = table.set_column(i, field.name, table.column(i).cast(UTC_TIME))
    return table
