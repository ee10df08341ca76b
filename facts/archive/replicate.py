"""Replicas: an archive folder kept up to date while the store writes."""

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from facts.archive.manifest import read_manifest
from facts.archive.merge import merge
from facts.archive.seal import SealReport, locked, seal
from facts.errors import FactsError
from facts.store import Store

LOG = logging.getLogger(__name__)
SHORTEST_PAUSE = 0.02


def replicate(store: Store, folder: Path | str) -> SealReport:
    """Bring a replica up to date with everything committed so far.

    Like ``seal``, and keeps the number of its files small.
    """
    report = seal(store, folder)
    place = Path(folder).resolve()
    if report.rows:
        with locked(place):
            report = replace(report, head=merge(place, read_manifest(place)).head)
    return report


class Replicator:
    """Keeps a replica at most so many seconds behind, in a thread, until stopped.

    A round begins every half of that time, so what was committed just after one began is in the
    replica when the next has ended.

    Parameters
    ----------
    store : Store
        What to replicate.
    folder : path
        Where to.
    seconds : float
        How far the replica may be behind.

    Attributes
    ----------
    last : SealReport or None
        What the last good round added.
    error : str or None
        Why the last round failed, None after a good one. A failed round is tried again.
    """

    def __init__(self, store: Store, folder: Path | str, seconds: float = 10.0) -> None:
        self._store = store
        self.folder = Path(folder)
        self.seconds = seconds
        self._stop = threading.Event()
        self._complete = time.monotonic()
        self.last: SealReport | None = None
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, name="facts-replica", daemon=True)
        self._thread.start()

    @property
    def behind(self) -> float:
        """Seconds: everything that was committed before that is in the replica."""
        return time.monotonic() - self._complete

    @property
    def trouble(self) -> str | None:
        """Why the replica is further behind than it may be, None where it is not."""
        if self.behind <= self.seconds:
            return None
        why = self.error or "a round takes too long"
        return f"{self.behind:.1f} s behind, at most {self.seconds:g} are allowed: {why}"

    def _run(self) -> None:
        while not self._stop.is_set():
            begin = time.monotonic()
            self._round()
            took = time.monotonic() - begin
            self._stop.wait(max(self.seconds / 2 - took, SHORTEST_PAUSE))

    def _round(self) -> None:
        begin = time.monotonic()
        try:
            self.last = replicate(self._store, self.folder)
        except (FactsError, OSError, duckdb.Error, pa.ArrowException) as error:
            self.error = str(error)
            LOG.warning("replica %s: %s", self.folder.name, error)
        else:
            self.error = None
            self._complete = begin

    def stop(self) -> None:
        """Stop after a last round, so that the replica holds everything committed."""
        self._stop.set()
        self._thread.join()
        self._round()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
