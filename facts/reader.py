"""Reading facts as they were known at any time.

Both times are closed-open: a fact recorded at T is known from T on, and a fact valid until V no
longer holds at V. A reader has its own cursor; calls on one reader are serialised, calls on
different readers run side by side and never wait for the writer.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facts.errors import QueryError
from facts.layout import CORRECT, QUARANTINE, entity_key
from facts.times import micros, moment_of, naive_of
from facts.values import Value, value_from_cells
from facts.values.base import Cells

FACTS = (
    "seq",
    "tx",
    "entity",
    "attribute",
    "kind",
    "num",
    "num2",
    "num3",
    "text",
    "labels",
    "probs",
    "nums",
    "valid_from",
    "valid_to",
    "recorded_at",
    "source",
    "id",
    "choice",
    "extra",
)
UTC_TIME = pa.timestamp("us", "UTC")
ALWAYS = 2**62


def fact_value(row: Mapping[str, Any]) -> Value:
    """Return the value of one row of ``Reader.facts(...).to_pylist()``."""
    cells = Cells(*(row.get(name) for name in Cells._fields))
    return value_from_cells(row["kind"], cells)


class Reader:
    """As-of reads of a store; made by ``Store.reader``.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        A cursor of the reader's own.
    committed : callable
        Returns the recorded time of the last commit in microseconds.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, committed: Callable[[], int]) -> None:
        self._con = con
        self._committed = committed
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give the cursor back."""
        self._con.close()

    def _rows(self, sql: str, bound: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._con.execute(sql, list(bound)).fetchall()

    def _table(self, sql: str, bound: Sequence[Any] = ()) -> pa.Table:
        with self._lock:
            found: pa.Table = self._con.sql(sql, params=list(bound)).to_arrow_table()
            return found

    def _known_at(self, as_of: datetime | None) -> int:
        """Return the last recorded time to read, in microseconds."""
        last = self._committed()
        if as_of is None:
            return last
        if as_of.tzinfo is None:
            msg = f"as_of needs a time zone; got {as_of!r}"
            raise QueryError(msg)
        return min(last, micros(as_of))

    def facts(
        self,
        *,
        as_of: datetime | None = None,
        entity: str | None = None,
        attribute: str | Sequence[str] | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the visible facts as known at a time, in the order recorded.

        Parameters
        ----------
        as_of : datetime, optional
            Known when; default: now.
        entity : str, optional
            Only this entity.
        attribute : str or sequence of str, optional
            Only these attributes.
        valid_from, valid_to : datetime, optional
            Only facts that hold at some time in ``[valid_from, valid_to)``. For what holds at one
            moment see ``at``.
        columns : sequence of str, optional
            Only these columns; default: all of ``facts.reader.FACTS``.

        Returns
        -------
        pyarrow.Table
            One row per fact. Times are in UTC with zone.

        Raises
        ------
        QueryError
            A time has no zone, or a column is unknown.
        """
        chosen = _columns(columns)
        known = self._known_at(as_of)
        where, bound = _where(known, entity, attribute, valid_from, valid_to)
        wanted = ["seq", *(c for c in chosen if c != "seq")]
        table = self._table(
            f"SELECT {', '.join(wanted)} FROM log WHERE {where}",  # noqa: S608 from FACTS
            bound,
        )
        return _with_zones(self._drop_hidden(table, known).select(chosen))

    def _hidden(self, known: int) -> NDArray[np.int64]:
        """Return the sequence numbers hidden as known at a time, sorted."""
        found = self._table(
            "SELECT seq FROM shadow WHERE recorded_at <= ? GROUP BY seq HAVING sum(step) > 0",
            [_bound_time(known)],
        )
        return np.sort(found.column("seq").to_numpy())

    def _drop_hidden(self, table: pa.Table, known: int) -> pa.Table:
        if table.num_rows == 0:
            return table
        hidden = self._hidden(known)
        if len(hidden) == 0:
            return table
        seq = table.column("seq").to_numpy()
        keep = np.ones(len(seq), dtype=bool)
        if np.all(seq[1:] > seq[:-1]):
            at = np.searchsorted(seq, hidden)
            inside = at < len(seq)
            at, hidden = at[inside], hidden[inside]
            keep[at[seq[at] == hidden]] = False
        else:
            keep = ~np.isin(seq, hidden)
        return table if keep.all() else table.filter(pa.array(keep))

    def values(self, **conditions: Any) -> Iterator[tuple[str, str, Value]]:
        """Yield entity, attribute and value of the facts that ``facts`` returns."""
        for row in self.facts(**conditions).to_pylist():
            yield row["entity"], row["attribute"], fact_value(row)

    def entities(self, prefix: str = "", *, as_of: datetime | None = None) -> list[str]:
        """Return the entities with recorded facts whose name starts with a prefix, sorted."""
        rows = self._rows(
            "SELECT DISTINCT entity FROM log WHERE recorded_at <= ? AND op <= ?"
            " AND starts_with(entity, ?) ORDER BY entity",
            [_bound_time(self._known_at(as_of)), CORRECT, prefix],
        )
        return [row[0] for row in rows]

    def attributes(self, *, as_of: datetime | None = None) -> list[str]:
        """Return the attributes with recorded facts, sorted."""
        rows = self._rows(
            "SELECT DISTINCT attribute FROM log WHERE recorded_at <= ? AND op <= ?"
            " ORDER BY attribute",
            [_bound_time(self._known_at(as_of)), CORRECT],
        )
        return [row[0] for row in rows]

    def first_recorded(self) -> datetime | None:
        """Return when the first row was recorded, or None for an empty store."""
        return self._recorded("min")

    def last_recorded(self) -> datetime | None:
        """Return when the last row was recorded, or None for an empty store."""
        return self._recorded("max")

    def _recorded(self, which: str) -> datetime | None:
        rows = self._rows(f"SELECT epoch_us({which}(recorded_at)) FROM log")  # noqa: S608 two words
        return None if rows[0][0] is None else moment_of(rows[0][0])

    def version(self, as_of: datetime | None = None) -> tuple[int, str, int]:
        """Return what names the state of the facts at a time, for provenance.

        Returns
        -------
        tuple of (int, str, int)
            The last transaction, its chain hash in hex, and how many facts were recorded so far.
            An empty store has ``(0, "00...", 0)``.
        """
        known = _bound_time(self._known_at(as_of))
        head = self._rows(
            "SELECT tx, chain FROM log WHERE seq ="
            " (SELECT max(seq) FROM log WHERE recorded_at <= ?)",
            [known],
        )
        count = self._rows(
            "SELECT count(*) FROM log WHERE recorded_at <= ? AND op <= ?", [known, CORRECT]
        )[0][0]
        return (head[0][0], head[0][1].hex(), count) if head else (0, "00" * 32, 0)

    def quarantined(self, *, as_of: datetime | None = None) -> list[dict[str, Any]]:
        """Return what is in quarantine: seq, recorded_at, source, id, reason and the raw bytes."""
        rows = self._rows(
            "SELECT seq, epoch_us(recorded_at), source, id, text, raw FROM log"
            " WHERE op = ? AND recorded_at <= ? ORDER BY seq",
            [QUARANTINE, _bound_time(self._known_at(as_of))],
        )
        return [
            {
                "seq": seq,
                "recorded_at": moment_of(us),
                "source": source,
                "id": name,
                "reason": reason,
                "raw": raw,
            }
            for seq, us, source, name, reason, raw in rows
        ]


def _columns(columns: Sequence[str] | None) -> list[str]:
    chosen = list(columns) if columns is not None else list(FACTS)
    for name in chosen:
        if name not in FACTS:
            msg = f"unknown column {name!r}; known are {', '.join(FACTS)}"
            raise QueryError(msg)
    return chosen


def _bound_time(us: int) -> Any:
    """Return a time as bound parameter, held within what DuckDB and Python can say."""
    limit = 253_402_300_799_999_999  # the last microsecond of the year 9999
    return naive_of(max(-62_135_596_800_000_000, min(limit, us)))


def _where(
    known: int,
    entity: str | None,
    attribute: str | Sequence[str] | None,
    valid_from: datetime | None,
    valid_to: datetime | None,
) -> tuple[str, list[Any]]:
    parts, bound = ["op <= ? AND recorded_at <= ?"], [CORRECT, _bound_time(known)]
    if entity is not None:
        parts.append("ekey = ? AND entity = ?")
        bound += [entity_key(entity), entity]
    if isinstance(attribute, str):
        parts.append("attribute = ?")
        bound.append(attribute)
    elif attribute is not None:
        names = list(attribute)
        parts.append(f"attribute IN ({', '.join('?' * len(names))})" if names else "false")
        bound += names
    if valid_to is not None:
        parts.append("valid_from < ?")
        bound.append(_bound_time(_aware("valid_to", valid_to)))
    if valid_from is not None:
        parts.append("(valid_to IS NULL OR valid_to > ?)")
        bound.append(_bound_time(_aware("valid_from", valid_from)))
    return " AND ".join(parts), bound


def _aware(name: str, moment: datetime) -> int:
    if moment.tzinfo is None:
        msg = f"{name} needs a time zone; got {moment!r}"
        raise QueryError(msg)
    return micros(moment)


def _with_zones(table: pa.Table) -> pa.Table:
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is None:
            table = table.set_column(i, field.name, table.column(i).cast(UTC_TIME))
    return table
