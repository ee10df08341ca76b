"""What models are fitted on: counts per period and items with labels. Plain arrays, no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.core.features import Features
from worlds.core.questions import Quantity

type Times = NDArray[np.datetime64]
type SoftCounts = Mapping[str, tuple[tuple[str, ...], Floats]]
"""Category to its labels and an array (n, L): expected counts of every label a period."""

POPULATION = 200
"""Recent things that a form of sizes carries: the next ones are taken to be like them."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many things happened in every period, zeros included.

    Parameters
    ----------
    quantity
        What is counted.
    start, step
        Begin of the first period (aligned to UTC) and length of each; periods are closed-open.
    y
        Array (n,): the counts.
    shares
        Expected counts of the labels of categories, uncertain ones by their probability.
    """

    quantity: Quantity
    start: datetime
    step: timedelta
    y: Floats
    shares: SoftCounts = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def end(self) -> datetime:
        """End of the last complete period: the first predicted one starts here."""
        return self.start + len(self.y) * self.step

    def after(self, n: int) -> "Counts":
        """Return the periods from number n on."""
        shares = {name: (labels, soft[n:]) for name, (labels, soft) in self.shares.items()}
        return replace(self, start=self.start + n * self.step, y=self.y[n:], shares=shares)

    def before(self, n: int) -> "Counts":
        """Return the first n periods."""
        shares = {name: (labels, soft[:n]) for name, (labels, soft) in self.shares.items()}
        return replace(self, y=self.y[:n], shares=shares)


@dataclass(frozen=True, slots=True)
class Items:
    """Things that happened, oldest first, with what was known of them.

    Parameters
    ----------
    quantity
        What the label measures.
    features
        One entry an item.
    at
        Array (n,) of UTC times at which the items began.
    label
        Array (n,): the ripe label; nan where it is not known yet.
    label_at
        Array (n,) of the times at which the labels were observed (NaT where unknown).
    ripens
        How long after its begin the label of an item is final.
    """

    quantity: Quantity
    features: Sequence[Features]
    at: Times
    label: Floats
    label_at: Times
    ripens: timedelta = timedelta(0)

    def __len__(self) -> int:
        return len(self.features)

    def take(self, chosen: NDArray[np.intp]) -> "Items":
        """Return some of the items, in the order given."""
        return replace(
            self,
            features=[self.features[i] for i in chosen],
            at=self.at[chosen],
            label=self.label[chosen],
            label_at=self.label_at[chosen],
        )

    def labelled(self) -> "Items":
        """Return the items whose label is known."""
        return self.take(np.flatnonzero(np.isfinite(self.label)))

    def days(self, until: datetime) -> Floats:
        """Return the time of every item in days before `until` (negative: before it)."""
        return (self.at - utc64(until)) / np.timedelta64(1, "D")


def utc64(moment: datetime) -> np.datetime64:
    """Return an aware time as UTC in microseconds."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def aware(moment: np.datetime64) -> datetime:
    """Return a UTC array entry as an aware time."""
    micros = int(moment.astype("datetime64[us]").astype(np.int64))
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
