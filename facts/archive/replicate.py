"""Replicas: an archive folder kept up to date while the store writes."""

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from facts.archive.seal import SealReport, seal
from facts.errors import FactsError
from facts.store import Store

LOG = logging.getLogger(__name__)


def replicate(store: Store, folder: Path | str) -> SealReport:
    """Bring a replica up to date with everything committed so far; see ``seal``."""
    return seal(store, folder)


class Replicator:
    """Replicates every so many seconds in a thread, until stopped.

    Parameters
    ----------
    store : Store
        What to replicate.
    folder : path
        Where to.
    seconds : float
        The pause between two rounds.

    Attributes
    ----------
    last : SealReport or None
        What the last good round added.
    error : str or None
        Why the last round failed, None after a good one. A failed round is tried again.
    """

    def __init__(self, store: Store, folder: Path | str, seconds: float = 10.0) -> None:
        self._store = store
        self._folder = Path(folder)
        self._seconds = seconds
        self._stop = threading.Event()
        self.last: SealReport | None = None
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, name="facts-replica", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._round()
            self._stop.wait(self._seconds)

    def _round(self) -> None:
        try:
            self.last = replicate(self._store, self._folder)
            self.error = None
        except (FactsError, OSError) as error:
            self.error = str(error)
            LOG.warning("replica %s: %s", self._folder.name, error)

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
