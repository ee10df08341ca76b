"""How simulated events enter a store: the same intake as everybody's, in batches."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Protocol
from urllib.parse import urlencode

from facts import Event, Receipt

PREFIX = "simulator:"
"""How the source of every simulated fact starts."""


class Recorder(Protocol):
    """What is needed of a store: `facts.Store` has it."""

    def record(self, items: Sequence[Event]) -> Sequence[Receipt]:
        """Record events and wait until they are durable."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the events: how many, and how many of each status."""

    events: int
    accepted: int
    duplicate: int
    quarantined: int


def source_name(domain: str, **settings: object) -> str:
    """Return the source of simulated facts, such as ``simulator:sniffable?seed=7&days=21``."""
    return f"{PREFIX}{domain}?{urlencode(settings)}"


def is_simulated(source: str) -> bool:
    """Return whether facts of this source were made by a simulator."""
    return source.startswith(PREFIX)


def write(
    store: Recorder,
    events: Iterable[Event],
    *,
    batch: int = 4000,
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Record events in batches.

    Parameters
    ----------
    store
        An open store.
    events
        What to record, in order.
    batch
        Events per commit.
    progress
        Called after every commit with the number of events recorded so far.

    Returns
    -------
    Written
        Writing the same events twice is harmless: the second time they are duplicates.
    """
    statuses: Counter[str] = Counter()
    for part in batched(events, batch):
        statuses.update(receipt.status for receipt in store.record(part))
        if progress is not None:
            progress(statuses.total())
    return Written(
        statuses.total(), statuses["accepted"], statuses["duplicate"], statuses["quarantined"]
    )
