"""Whether something is there now: hidden states of cells, seen at times by fallible eyes.

A cell is clean or dirty. It gets dirty at one rate and clean at another, on its own; somebody who
passes sees something with one probability if it is dirty, and with another (a false alarm) if it is
clean. Between passages the probability relaxes to its long-run value, at a passage Bayes' rule
holds: the filter of a two-state hidden Markov chain in continuous time (Rabiner 1989,
doi:10.1109/5.18626, with its transition matrix in closed form).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.membership.errors import MembershipError

type Ints = NDArray[np.int64]

PRIOR = np.array([[-3.0, 1.5], [-1.5, 1.5], [1.5, 1.0], [-3.5, 1.0]])
"""Mean and sd of log appear, log removed (per day), logit hit and logit false alarm."""
MOST_AMBIGUOUS = 0.5
"""Passages enter the fit of the rates if one cell has at least this probability."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How cells change and how well people see.

    Parameters
    ----------
    appear, removed
        Rates per day at which a clean cell gets dirty, and a dirty one clean.
    hit, false_alarm
        Probability that who passes reports something, if it is dirty and if it is clean.
    """

    appear: float
    removed: float
    hit: float
    false_alarm: float

    def __post_init__(self) -> None:
        if not (0 < self.appear < np.inf and 0 < self.removed < np.inf):
            msg = f"rates must be positive; got {self.appear!r} and {self.removed!r} per day"
            raise MembershipError(msg)
        if not 0 <= self.false_alarm < self.hit <= 1:
            msg = f"needs 0 <= false_alarm < hit <= 1; got {self.false_alarm!r} and {self.hit!r}"
            raise MembershipError(msg)

    @property
    def usual(self) -> float:
        """Long-run probability that a cell is dirty."""
        return self.appear / (self.appear + self.removed)

    def later(self, probs: Floats, days: Floats | float) -> Floats:
        """Return the probabilities some days later."""
        fade = np.exp(-(self.appear + self.removed) * np.asarray(days, float))
        return np.asarray(self.usual + (probs - self.usual) * fade)

    def seen(self, probs: Floats) -> Floats:
        """Return the probability of a report where cells are dirty with these probabilities."""
        return np.asarray(self.false_alarm + (self.hit - self.false_alarm) * probs)


def updated(rates: Rates, probs: Floats, weights: Floats, seen: bool) -> tuple[Floats, float]:
    """Return probabilities after somebody passed one of several cells, and how likely that was.

    Parameters
    ----------
    rates
        Of the cells.
    probs
        Array (k,): probability that each cell is dirty, before. Independent.
    weights
        Array (k,): probability that it was this cell; they sum to 1.
    seen
        Whether something was reported.

    Returns
    -------
    tuple
        The exact new probability of every cell. That the cells depend on each other from then
        on (it was one of them) is dropped.
    """
    if_dirty = rates.hit if seen else 1 - rates.hit
    if_clean = rates.false_alarm if seen else 1 - rates.false_alarm
    likely = if_dirty * probs + if_clean * (1 - probs)
    total = float(weights @ likely)
    others = total - weights * likely
    return np.clip(probs * (weights * if_dirty + others) / total, 0.0, 1.0), total


@dataclass(frozen=True, slots=True)
class Passages:
    """Who passed where and saw what, in order of time.

    Parameters
    ----------
    days
        Array (n,): time of each passage in days since any origin.
    seen
        Array (n,): whether something was reported.
    cells, weights
        For every passage the cells it may have been, and their probabilities.
    """

    days: Floats
    seen: NDArray[np.bool_]
    cells: Sequence[Ints]
    weights: Sequence[Floats]


@dataclass(slots=True)
class Streets:
    """The state of all cells as filtered so far; `at` is when each was last updated."""

    rates: Rates
    probs: Floats
    at: Floats
    surprise: float = field(default=0.0)

    @classmethod
    def untouched(cls, rates: Rates, cells: int, since: float) -> "Streets":
        """Return cells nobody has looked at."""
        return cls(rates, np.full(cells, rates.usual), np.full(cells, since))

    def follow(self, passages: Passages) -> None:
        """Filter passages, the earliest first."""
        rows = zip(passages.days, passages.seen, passages.cells, passages.weights, strict=True)
        for day, seen, cells, weights in rows:
            before = self.rates.later(self.probs[cells], day - self.at[cells])
            self.probs[cells], likely = updated(self.rates, before, weights, bool(seen))
            self.at[cells] = day
            self.surprise -= float(np.log(likely))

    def now(self, day: float) -> Floats:
        """Return the probability that each cell is dirty at a time."""
        return self.rates.later(self.probs, np.maximum(day - self.at, 0.0))


def fit_rates(passages: Passages, cells: int) -> Rates:
    """Return the most probable rates (maximum a posteriori, weak priors in `PRIOR`).

    A passage counts for its most probable cell. With the rest of the probability it was another
    one, about which its report says as much as about any.

    Raises
    ------
    MembershipError
        If no passage has a clear cell, or the search does not end.
    """
    table = _by_cell(passages, cells)
    if table is None:
        raise MembershipError("no passage is placed well enough to tell its cell")
    start = PRIOR[:, 0]
    found = scipy.optimize.minimize(_badness, start, args=table, method="L-BFGS-B")
    if not (np.isfinite(found.x).all() and np.isfinite(found.fun)):
        msg = f"the search for rates did not end: {found.message}"
        raise MembershipError(msg)
    return _rates(found.x)


def _rates(x: Floats) -> Rates:
    hit = float(scipy.special.expit(x[2]))
    appear, removed = np.exp(x[:2]).tolist()
    return Rates(appear, removed, hit, float(scipy.special.expit(x[3])) * hit * 0.999)


type Table = tuple[Floats, Floats, Floats, Floats]


def _by_cell(passages: Passages, cells: int) -> Table | None:
    """Return waits, reports, sureness and use of the passages of every cell, arrays (L, C)."""
    rows: list[list[tuple[float, bool, float]]] = [[] for _ in range(cells)]
    listed = zip(passages.days, passages.seen, passages.cells, passages.weights, strict=True)
    for day, seen, places, weights in listed:
        best = int(np.argmax(weights))
        if weights[best] >= MOST_AMBIGUOUS:
            rows[int(places[best])].append((float(day), bool(seen), float(weights[best])))
    rows = [row for row in rows if row]
    if not rows:
        return None
    longest = max(len(row) for row in rows)
    wait, report, sure, used = (np.zeros((longest, len(rows))) for _ in range(4))
    for column, row in enumerate(rows):
        days, seen, weight = (np.array(part, float) for part in zip(*row, strict=True))
        wait[: len(row), column] = np.diff(days, prepend=days[0])
        report[: len(row), column], sure[: len(row), column] = seen, weight
        used[: len(row), column] = 1.0
    return wait, report, sure, used


def _badness(x: Floats, wait: Floats, report: Floats, sure: Floats, used: Floats) -> float:
    """Return minus the log posterior of the rates."""
    rates = _rates(np.clip(x, -12.0, 8.0))
    probs = np.full(wait.shape[1], rates.usual)
    elsewhere = float(rates.seen(np.array(rates.usual)))
    total = 0.0
    for step in range(len(wait)):
        probs = rates.later(probs, wait[step])
        seen, weight = report[step] > 0, sure[step]
        dirty = weight * rates.hit + (1 - weight) * elsewhere
        clean = weight * rates.false_alarm + (1 - weight) * elsewhere
        dirty, clean = np.where(seen, dirty, 1 - dirty), np.where(seen, clean, 1 - clean)
        likely = probs * dirty + (1 - probs) * clean
        total += float(used[step] @ np.log(np.maximum(likely, 1e-300)))
        probs = np.where(used[step] > 0, probs * dirty / likely, probs)
    return 0.5 * float((((x - PRIOR[:, 0]) / PRIOR[:, 1]) ** 2).sum()) - total
