"""Reading the log as it was written: for archives, verification and lineage."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facts.access import Access
from facts.errors import QueryError, StoreDamaged, of_database
from facts.layout import ERASE, LOG, LOG_COLUMNS
from facts.mark import Mark
from facts.times import micros, moment_of, naive_of

EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999
ALL = ", ".join(LOG_COLUMNS)


def bound_time(us: int) -> datetime:
    """Return a time as bound parameter, held within the years 1 to 9999."""
    return naive_of(max(EARLIEST, min(LATEST, us)))


class LogReader:
    """Reads of the raw log with a cursor of its own.

    Parameters
    ----------
    access : Access
        Where cursors come from.
    mark : callable
        Returns where the log stands.
    entity_key : callable
        Returns the key under which the file holds an entity.
    """

    def __init__(
        self,
        access: Access,
        mark: Callable[[], Mark],
        entity_key: Callable[[str], int],
    ) -> None:
        self._access = access
        self._mark = mark
        self._entity_key = entity_key
        self._seen: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._lock = threading.Lock()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._generation = -1

    def close(self) -> None:
        """Give the cursor back; the next read takes a new one."""
        with self._lock:
            if self._con is not None:
                self._con.close()
                self._con = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._lock, self._access.shared() as con:
            if self._con is None or self._generation != self._access.generation:
                self._con = con.cursor()
                self._generation = self._access.generation
            try:
                yield self._con
            except duckdb.Error as error:
                raise of_database(error) from error

    def _rows(self, sql: str, bound: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._cursor() as con:
            return con.execute(sql, list(bound)).fetchall()

    def _table(self, sql: str, bound: Sequence[Any] = ()) -> pa.Table:
        with self._cursor() as con:
            found: pa.Table = con.sql(sql, params=list(bound)).to_arrow_table()
            return found

    def _known_at(self, as_of: datetime | None) -> int:
        """Return the last recorded time to read, in microseconds."""
        last = self._mark().recorded_us
        if as_of is None:
            return last
        if as_of.tzinfo is None:
            msg = f"as_of needs a time zone; got {as_of!r}"
            raise QueryError(msg)
        return min(last, micros(as_of))

    def first_recorded(self) -> datetime | None:
        """Return when the first row was recorded, or None for an empty store."""
        return self._recorded("min")

    def last_recorded(self) -> datetime | None:
        """Return when the last row was recorded, or None for an empty store."""
        return self._recorded("max")

    def _recorded(self, which: str) -> datetime | None:
        rows = self._rows(f"SELECT epoch_us({which}(recorded_at)) FROM log")  # noqa: S608 two words
        return None if rows[0][0] is None else moment_of(rows[0][0])

    def chain_at(self, tx: int) -> str | None:
        """Return the chain hash of a transaction in hex, or None where it does not exist."""
        rows = self._rows("SELECT chain FROM log WHERE tx = ? AND chain IS NOT NULL", [tx])
        return rows[0][0].hex() if rows else None

    def erasures(self) -> list[str]:
        """Return what the erasures say they changed, in order."""
        rows = self._rows(
            "SELECT extra FROM log WHERE op = ? AND extra IS NOT NULL ORDER BY seq", [ERASE]
        )
        kept = self._rows("SELECT value FROM meta WHERE key = 'erasure'")
        return [row[0] for row in (*rows, *kept)]

    def erased_after(self, tx: int) -> frozenset[int]:
        """Return the transactions from which erasures after a transaction took content.

        Raises
        ------
        StoreDamaged
            The row of an erasure was changed.
        """
        rows = self._rows("SELECT extra FROM log WHERE op = ? AND tx > ?", [ERASE, tx])
        try:
            return frozenset(m[0] for row in rows for m in json.loads(row[0])["changed"])
        except (ValueError, TypeError, KeyError) as error:
            msg = "the row of an erasure was changed behind the writer's back; verify the store"
            raise StoreDamaged(msg) from error

    def log_rows(self, first: int, last: int) -> pa.Table:
        """Return the rows of the log from one sequence number to another, both included."""
        table = self._table(
            f"SELECT {ALL} FROM log WHERE seq BETWEEN ? AND ?",  # noqa: S608 a constant
            [first, last],
        )
        return table.cast(LOG)

    def log_after(self, seq: int, through: datetime | None, size: int) -> Iterator[pa.Table]:
        """Yield the log beyond a row in order, cut only between transactions.

        Parameters
        ----------
        seq : int
            The row after which to begin.
        through : datetime, optional
            Up to this recorded time; default: what is committed when the reading begins.
        size : int
            About how many rows to yield at once; a larger transaction comes whole.
        """
        known = bound_time(self._known_at(through))
        last = self._rows("SELECT max(seq) FROM log WHERE recorded_at <= ?", [known])[0][0] or 0
        while seq < last:
            step = size
            while True:
                table = self.log_rows(seq + 1, min(last, seq + step))
                ends = np.flatnonzero(table.column("chain").is_valid().to_numpy())
                if len(ends) or seq + step >= last:
                    break
                step *= 2
            if len(ends):
                table = table.slice(0, int(ends[-1]) + 1)
            if table.num_rows == 0:
                seq += step
                continue
            yield table
            seq = table.column("seq")[-1].as_py()

    def version(self, as_of: datetime | None = None) -> tuple[int, str, int]:
        """Return what names the state of the facts at a time, for provenance.

        Returns
        -------
        tuple of (int, str, int)
            The last transaction, its chain hash in hex, and how many facts were recorded so far.
            An empty store has ``(0, "00...", 0)``.
        """
        known = bound_time(self._known_at(as_of))
        head = self._rows(
            "SELECT tx, chain FROM log WHERE seq ="
            " (SELECT max(seq) FROM log WHERE recorded_at <= ?)",
            [known],
        )
        count = self._rows("SELECT count(*) FROM log WHERE recorded_at <= ? AND op <= 1", [known])
        return (head[0][0], (head[0][1] or b"").hex(), count[0][0]) if head else (0, "00" * 32, 0)

    def transactions(self, first: int = 1, last: int | None = None) -> list[dict[str, Any]]:
        """Return transactions in order: tx, recorded_at, rows, first and last row, chain hash."""
        rows = self._rows(
            "SELECT tx, epoch_us(min(recorded_at)), count(*), min(seq), max(seq), max(chain)"
            " FROM log WHERE tx BETWEEN ? AND ? GROUP BY tx ORDER BY tx",
            [first, 2**31 - 1 if last is None else last],
        )
        names = ("tx", "recorded_at", "rows", "first_seq", "last_seq", "chain")
        return [
            dict(zip(names, (tx, moment_of(us), *rest, chain and chain.hex()), strict=True))
            for tx, us, *rest, chain in rows
        ]
