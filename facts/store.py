"""The store: one DuckDB file owned by one process, one writer, any number of readers."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from facts import bulk, derived, erasing, loading, stated
from facts.access import Access
from facts.errors import QueryError, StoreBusy, StoreClosed, StoreMissing, of_database
from facts.events import Event, RawBad, Receipt
from facts.file import connect, copy_file, left_over, prepare, say_what_was_recovered
from facts.intake import Intake, Item
from facts.mark import NEVER
from facts.quarantine import events_of
from facts.reader import Reader
from facts.recorder import Recorder
from facts.rollup import RollUp
from facts.times import utc_now

BULK = 1_000_000
_open_here: set[Path] = set()
_open_lock = threading.Lock()


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
        self._closed = False
        self._access = Access(con)
        self._recorder = Recorder(con.cursor(), clock)
        self._intake = Intake(self._recorder.commit, self._reopen, limit, group)

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
            return cls._opened(place, clock, limit, group)
        except BaseException:
            _open_here.discard(place)
            raise

    @classmethod
    def _opened(cls, place: Path, clock: Callable[[], datetime], limit: int, group: int) -> Self:
        place.parent.mkdir(parents=True, exist_ok=True)
        left = left_over(place)
        con = connect(place)
        try:
            prepare(con, place)
            store = cls(place, con, clock, limit, group)
        except duckdb.Error as error:
            con.close()
            raise of_database(error) from error
        except BaseException:
            con.close()
            raise
        if left:
            tx, when = store._recorder.tx or 0, store._recorder.recorded_us
            say_what_was_recovered(place, left, tx, when if when > NEVER else None)
        return store

    # -- recording -------------------------------------------------------------------------------

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

    def load(self, table: pa.Table) -> tuple[int, int]:
        """Record a table of facts in bulk and wait until it is durable.

        Parameters
        ----------
        table : pyarrow.Table
            Columns ``source``, ``id``, ``entity``, ``attribute``, ``valid_from`` (with zone), and
            optionally ``kind`` (default exact), ``num``, ``num2``, ``num3``, ``text``, ``labels``,
            ``probs``, ``nums``, ``valid_to``, ``choice`` and ``extra``: the column form of values.

        Returns
        -------
        tuple of (int, int)
            How many facts were new, and how many were known.

        Raises
        ------
        EventError
            The columns or a row break a rule; nothing of the table was recorded.

        Notes
        -----
        Known facts are counted, not compared: what was recorded first stays in force. ``record``
        gives a receipt for each event, which says where known content differs.
        """
        whole = bulk.normalise(table)
        new = 0
        for start in range(0, whole.num_rows, BULK):
            part = whole.slice(start, BULK).combine_chunks()
            new += self._intake.run(partial(loading.load, self._recorder, part)).result()[0]
        return new, whole.num_rows - new

    def quarantine(
        self, raw: bytes, reason: str, source: str | None = None, id: str | None = None
    ) -> Receipt:
        """Keep something that could not be understood, with the reason, until it is released."""
        return self.record([RawBad(raw, reason, source, id)])[0]

    def release(
        self, seq: int, events: Sequence[Event] | None = None, *, note: str | None = None
    ) -> list[Receipt]:
        """Take a row out of quarantine, recording what it turned out to be.

        Parameters
        ----------
        seq : int
            Its number, from ``Reader.quarantined``.
        events : sequence of Event, optional
            What it means. Default: its raw bytes are read as one event or a list of them, in JSON.
            An empty sequence dismisses it.
        note : str, optional
            Why, for whoever reads the log.

        Raises
        ------
        QueryError
            There is no such row in quarantine, it cannot be read, or it is refused again.
        """
        with self.reader() as reader:
            held = {row["seq"]: row for row in reader.quarantined()}
        if seq not in held:
            msg = f"row {seq} is not in quarantine; waiting are {sorted(held)[:20] or 'none'}"
            raise QueryError(msg)
        found = events_of(held[seq]["raw"]) if events is None else list(events)
        return self._intake.run(lambda: self._recorder.release(seq, found, note)).result()

    @property
    def waiting(self) -> int:
        """Items in the queue that are not durable yet."""
        return self._intake.waiting

    # -- reading ---------------------------------------------------------------------------------

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
        recorder = self._recorder
        return Reader(
            self._access,
            lambda: recorder.mark,
            self._entity_key,
        )

    def _entity_key(self, entity: str) -> int:
        return self._recorder.keys.one(entity)

    # -- roll-ups and derived tables ---------------------------------------------------------------

    def declare_rollup(self, rollup: RollUp) -> None:
        """Keep a roll-up from now on, and fill it with everything recorded so far.

        Declaring the same again changes nothing.

        Raises
        ------
        QueryError
            Another roll-up has the name.
        """
        self._intake.run(lambda: self._declare(rollup)).result()

    def _declare(self, rollup: RollUp) -> None:
        for known in self._recorder.rollups:
            if known == rollup:
                return
            if known.name == rollup.name:
                msg = f"the roll-up {rollup.name!r} is declared as {known!r}; choose another name"
                raise QueryError(msg)
        con = self._recorder.con
        with stated.pinned(con):
            con.execute(
                "INSERT INTO rollups VALUES (?, ?, ?, ?)",
                [rollup.name, rollup.attribute, rollup.bucket, rollup.by],
            )
            derived.fill_rollup(con, rollup)
        self._recorder.rollups.append(rollup)

    def rollups(self) -> list[RollUp]:
        """Return the declared roll-ups."""
        return list(self._recorder.rollups)

    def rebuild_derived(self) -> None:
        """Compute anew from the log what corrections hide, and all roll-ups."""
        self._intake.run(self._rebuild).result()

    def _rebuild(self) -> None:
        derived.rebuild(self._recorder.con, self._recorder.rollups)
        self._recorder.forget()

    def check_derived(self) -> list[tuple[str, str]]:
        """Return each derived table and row that does not follow from the log."""
        recorder = self._recorder

        def check() -> list[tuple[str, str]]:
            at = (recorder.seq, recorder.keys, recorder.broken)
            return list(derived.check(recorder.con, recorder.rollups, *at))

        return self._intake.run(check).result()

    # -- archives, restoring, erasing ----------------------------------------------------------

    def copy(self, target: Path | str) -> None:
        """Copy the whole file between two commits, for another process to open and read.

        Remove the copy once it was read: no erasure reaches it. Where it cannot be written
        (``OSError``, or ``StoreError`` for a file that exists), nothing is left of it.
        """
        self._intake.run(partial(copy_file, self._recorder.con, self.path, Path(target))).result()

    def remember_archive(self, folder: Path) -> None:
        """Note a folder that holds copies of the log, so that erasures reach it."""
        if str(folder) not in self.archives():
            self._meta("archive", str(folder))

    def archives(self) -> list[str]:
        """Return the folders that hold copies of the log."""
        with self._access.shared() as con, con.cursor() as cursor:
            rows = cursor.execute("SELECT value FROM meta WHERE key = 'archive'").fetchall()
        return sorted({row[0] for row in rows})

    def keep_erasures(self, extras: Sequence[str]) -> None:
        """Keep what erasures say which lie beyond the point a store was restored to."""
        for extra in extras:
            self._meta("erasure", extra)

    def _meta(self, key: str, value: str) -> None:
        def insert() -> None:
            with stated.pinned(self._recorder.con):
                self._recorder.con.execute("INSERT INTO meta VALUES (?, ?)", [key, value])

        self._intake.run(insert).result()

    def adopt(self, table: pa.Table) -> None:
        """Take over rows of another store's log as they are; for restoring."""

        def insert() -> None:
            self._recorder.con.from_arrow(self._recorder.keyed(table)).insert_into("log")
            self._recorder.forget()

        self._intake.run(insert).result()

    def wipe(self, entity: str, reason: str) -> erasing.Wipe:
        """Erase an entity from this file only; see ``archive.erase``, which reaches archives too.

        Raises
        ------
        QueryError
            The log holds nothing of the entity.
        """
        return self._intake.run(lambda: self._wipe(entity, reason)).result()

    def _wipe(self, entity: str, reason: str) -> erasing.Wipe:
        recorder = self._recorder
        with self._access.alone() as con:
            at = (recorder.seq + 1, recorder.tx + 1, recorder.next_time(), recorder.head)
            wipe = erasing.prepare(recorder.con, entity, reason, at)
            if wipe is None or con is None:
                msg = f"the store holds nothing of {entity!r}"
                raise QueryError(msg)
            recorder.con.close()
            con.close()
            try:
                erasing.rewrite(self.path, wipe, recorder.keys)
            finally:
                fresh = connect(self.path)
                self._access.replace(fresh)
                recorder.use(fresh.cursor())
        return wipe

    def _reopen(self) -> None:
        """Open the file anew after an error that ended the database, such as a full disk."""
        with self._access.alone() as con:
            self._recorder.con.close()
            if con is not None:
                con.close()
            fresh = connect(self.path)
            self._access.replace(fresh)
            self._recorder.use(fresh.cursor())

    # -- closing -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Commit what is queued, write the file through, and let others open it."""
        if self._closed:
            return
        self._closed = True
        try:
            self._intake.close()
            with self._access.alone() as con:
                self._recorder.con.close()
                if con is not None:
                    con.close()
                self._access.replace(None)
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
