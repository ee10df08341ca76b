"""The store: one DuckDB file owned by one process, one writer, any number of readers."""

import logging
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from facts.errors import StoreBusy, StoreClosed, StoreDamaged, StoreMissing, StoreTooNew
from facts.events import RawBad, Receipt
from facts.intake import Intake, Item
from facts.layout import CREATE, FORMAT
from facts.reader import Reader
from facts.recorder import Recorder
from facts.times import utc_now

LOG = logging.getLogger(__name__)
_open_here: set[Path] = set()
_open_lock = threading.Lock()
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class Store:
    """Immutable uncertain facts in one file. Open it with ``Store.open``.

    Every write goes through one queue and one thread; a receipt is given after the commit reached
    the disk. Reads use cursors of the same process; other processes read what ``archive``
    publishes.
    """

    def __init__(
        self,
        path: Path,
        con: duckdb.DuckDBPyConnection,
        clock: Callable[[], datetime],
        limit: int,
        group: int,
    ) -> None:
        self.path = path
        self._con = con
        self._closed = False
        self._recorder = Recorder(con.cursor(), clock)
        self._intake = Intake(self._recorder.commit, limit, group)

    @classmethod
    def open(
        cls,
        path: Path | str,
        create: bool = True,
        *,
        clock: Callable[[], datetime] = utc_now,
        limit: int = 100_000,
        group: int = 10_000,
    ) -> Self:
        """Open the fact file, creating it where asked.

        Parameters
        ----------
        path : path
            The file.
        create : bool
            Whether a missing file is made.
        clock : callable
            Gives recorded time; injected by tests.
        limit : int
            Most items the intake queue takes before it refuses.
        group : int
            Most items in one commit.

        Raises
        ------
        StoreBusy
            A process, maybe this one, has it open.
        StoreTooNew
            It was written by newer code.
        StoreMissing
            It is missing and ``create`` is false.
        StoreDamaged
            It is no fact file, or cannot be read.
        """
        place = Path(path).resolve()
        if not place.exists() and not create:
            msg = f"there is no fact file at {path}; import or record something first"
            raise StoreMissing(msg)
        with _open_lock:
            if place in _open_here:
                msg = f"{path} is already open in this process; use that store's reader()"
                raise StoreBusy(msg)
            _open_here.add(place)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            con = _connect(place)
            try:
                _prepare(con, place)
                return cls(place, con, clock, limit, group)
            except BaseException:
                con.close()
                raise
        except BaseException:
            _open_here.discard(place)
            raise

    def submit(self, items: Sequence[Item]) -> Future[list[Receipt]]:
        """Queue items for recording; the future holds their receipts once they are durable.

        Parameters
        ----------
        items : sequence of Event or RawBad
            Taken whole or refused whole.

        Raises
        ------
        IntakeFull
            The queue has no room for them; none was taken.
        StoreClosed
            The store is closed.
        """
        return self._intake.submit(items)

    def record(self, items: Sequence[Item]) -> list[Receipt]:
        """Record items and wait until they are durable; see ``submit``."""
        return self.submit(items).result()

    def quarantine(
        self, raw: bytes, reason: str, source: str | None = None, id: str | None = None
    ) -> Receipt:
        """Keep something that could not be understood, with the reason, until it is released."""
        return self.record([RawBad(raw, reason, source, id)])[0]

    @property
    def waiting(self) -> int:
        """Items in the queue that are not durable yet."""
        return self._intake.waiting

    def reader(self) -> Reader:
        """Return a new reader with its own cursor.

        Raises
        ------
        StoreClosed
            The store is closed.
        """
        if self._closed:
            msg = f"the store {self.path.name} is closed; open it again to read"
            raise StoreClosed(msg)
        return Reader(self._con.cursor(), lambda: self._recorder.recorded_us)

    def close(self) -> None:
        """Commit what is queued, write the file through, and let others open it."""
        if self._closed:
            return
        self._closed = True
        try:
            self._intake.close()
            self._con.close()
        finally:
            _open_here.discard(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(path), config=CONFIG)
    except duckdb.IOException as error:
        holder = re.search(r"PID (\d+)", str(error))
        if "lock" in str(error).lower():
            who = f"process {holder.group(1)}" if holder else "another process"
            msg = (
                f"{path.name} is held by {who}, and one process at a time owns a fact file."
                " Ask that process (the running service answers over HTTP), or read the sealed"
                " Parquet segments of its archive, which any process may open."
            )
            raise StoreBusy(msg) from error
        msg = f"{path.name} cannot be opened: {error}"
        raise StoreDamaged(msg) from error
    except duckdb.Error as error:
        msg = f"{path.name} cannot be opened as a fact file: {error}"
        raise StoreDamaged(msg) from error


def _prepare(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    tables = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not tables:
        con.execute("BEGIN")
        for statement in CREATE:
            con.execute(statement)
        con.execute("INSERT INTO meta VALUES ('format', ?)", [str(FORMAT)])
        con.execute("COMMIT")
        return
    if "meta" not in tables or "log" not in tables:
        msg = f"{path.name} is a DuckDB file but no fact file: it has no log; choose another path"
        raise StoreDamaged(msg)
    found = con.execute("SELECT value FROM meta WHERE key = 'format'").fetchall()
    version = int(found[0][0]) if found else 0
    if version > FORMAT:
        msg = (
            f"{path.name} has format {version}, this code writes format {FORMAT};"
            " use the newer release that wrote it"
        )
        raise StoreTooNew(msg)
