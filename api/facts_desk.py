"""The fact store as the service holds it: open, or down with a reason. Predictions need neither."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from api.cloudevents import Item
from api.errors import FactsDownError, LearnError, RequestError
from facts import FactsError, Receipt, Store, without_pandas

if TYPE_CHECKING:
    from facts.archive import Erasure, Replicator

log = logging.getLogger("api")

FAILING_SECONDS = 60.0
"""How long it is said that facts could not be recorded, if nobody has tried again since."""


@dataclass(frozen=True, slots=True)
class Export:
    """A copy of the fact file, and the last time at which anything in it was recorded."""

    path: Path
    as_of: datetime


class FactsDesk:
    """Owns the store of one fact file.

    Parameters
    ----------
    path
        The fact file.
    queue
        Events that may wait for the writer.
    replica
        Folder of a replica to keep while the store is open, and the most seconds it may be behind.
    """

    def __init__(self, path: Path, queue: int, replica: tuple[Path, float] | None = None) -> None:
        self.path = path
        self.replica: Replicator | None = None
        self._replicate_to = replica
        self.reason: str | None = "it has not been opened yet"
        self._queue = queue
        self._store: Store | None = None
        self._inode = -1
        self._failed: tuple[str, float] | None = None
        self._rewriting = False

    def open(self) -> bool:
        """Open the store, made if there is none; return whether it is open. Blocking."""
        if self._store is not None and self.reason is None:
            return True
        without_pandas()
        try:
            self._release()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._store = Store.open(self.path, limit=self._queue)
            self._inode = self.path.stat().st_ino
            self.replica = self._replicate()
        except (FactsError, OSError) as error:
            self.reason = str(error)
            return False
        except Exception as error:  # whatever a file holds, predictions must go on
            log.exception("the fact store at %s cannot be opened", self.path)
            self.reason = f"{type(error).__name__}: {error}"
            return False
        self.reason = None
        return True

    def _replicate(self) -> "Replicator | None":
        if self._replicate_to is None or self._store is None:
            return None
        from facts.archive import Replicator  # a server without a replica need not load it

        return Replicator(self._store, *self._replicate_to)

    @property
    def store(self) -> Store:
        """The open store.

        Raises
        ------
        FactsDownError
            With the reason, if it is not open.
        """
        if self._store is None:
            raise FactsDownError(self.reason or "it is closed")
        return self._store

    @property
    def waiting(self) -> int:
        """Events that are taken in and not durable yet."""
        return self._store.waiting if self._store is not None else 0

    async def record(self, items: Sequence[Item]) -> list[Receipt]:
        """Hand items to the writer and wait until they are durable, off no thread of ours.

        Raises
        ------
        FactsDownError
            If the store is not open.
        RequestError
            If they would not fit into an empty queue.
        IntakeFull
            If too much waits for the writer; nothing was taken.
        """
        if len(items) > self._queue:
            wrong = f"{len(items)} events; at most {self._queue} fit"
            raise RequestError("too many events in one batch", [("body", wrong)])
        store = self.store
        self._check_file()
        submitted = asyncio.wrap_future(store.submit(items))
        try:
            receipts = await submitted
        except FactsError as error:
            self._failed = str(error), time.monotonic()
            raise
        self._failed = None
        return receipts

    @property
    def failing(self) -> str | None:
        """Why facts could not be recorded a moment ago (a full disk); None if they could."""
        if self._failed is None or time.monotonic() - self._failed[1] > FAILING_SECONDS:
            return None
        return f"nothing can be recorded: {self._failed[0]}"

    def _check_file(self) -> None:
        """Take no facts into a file that was deleted or replaced: they would die with us."""
        if self._rewriting:
            return
        try:
            here = self.path.stat().st_ino == self._inode
        except OSError:
            here = False
        if not here:
            self.reason = f"{self.path.name} was deleted or replaced while it was in use"
            raise FactsDownError(self.reason)

    async def erase(self, entity: str, reason: str) -> "Erasure":
        """Erase an entity from the file, which is written anew, and from every archive.

        Raises
        ------
        FactsDownError
            If the store is not open.
        facts.QueryError
            If the store holds nothing of it, or the reason is empty or names it.
        """
        from facts.archive import erase

        store = self.store
        self._check_file()
        self._rewriting = True
        try:
            return await asyncio.to_thread(erase, store, entity, reason)
        finally:
            with suppress(OSError):
                self._inode = self.path.stat().st_ino
            self._rewriting = False

    def export(self, folder: Path) -> Export:
        """Copy the fact file as it is now, with its roll-ups. Blocking.

        Raises
        ------
        FactsDownError
            If the store is not open.
        LearnError
            If there are no facts.
        """
        with self.store.reader() as reader:
            as_of = reader.last_recorded()
        if as_of is None:
            raise LearnError("there are no facts to learn from")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{token_hex(8)}.duckdb"
        self.store.copy(path)
        return Export(path, as_of)

    def close(self) -> None:
        """Let the writer finish what it took, then close the file. Blocking."""
        self.reason = "it is closed"
        self._release()

    def _release(self) -> None:
        """Let go of the store, after a last round of its replica."""
        replica, self.replica = self.replica, None
        store, self._store = self._store, None
        if replica is not None:
            replica.stop()
        if store is not None:
            store.close()
