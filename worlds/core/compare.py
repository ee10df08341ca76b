"""Two answers on common worlds: the distribution of their difference and P(B > A).

What happens inside a pair of worlds is not said by the two answers alone: a coupling says it.
``same luck`` gives both the same quantile level (a good hour in one is a good hour in the other),
``independent`` none in common. The bounds hold whatever the coupling inside a world is (Makarov
1981, doi:10.1137/1126086).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from typing import Any, Literal, get_args

import numpy as np

from worlds.core.coupling import Pair, couple
from worlds.core.distributions import Distribution, Floats, Point, check_levels
from worlds.core.explain import comparison
from worlds.core.outcome import Outcome
from worlds.core.partial import LEVELS, whole_valued
from worlds.core.questions import Comparison
from worlds.core.tables import amount, named, percent, signed, table
from worlds.errors import QuestionError

Luck = Literal["same luck", "independent"]
COUPLINGS: dict[str, str] = {
    "same luck": "inside a pair of worlds both answers take the same quantile level",
    "independent": "inside a pair of worlds the answers are independent",
}
CELLS = 4096
LEAST_CELLS = 128
MOST_ATOMS = 400_000
STEPS = 44
LISTED = 1000
SHOWN = (0.5, 0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Quantiles of both answers of a pair on cells of the quantile level."""

    a: Floats
    b: Floats
    weights: Floats
    error: float


def cells_of(a: Distribution, b: Distribution, count: int) -> Cells:
    """Return quantiles at the middle of cells; exact for whole numbers of a short range."""
    jumps = [_jumps(a, count), _jumps(b, count)]
    exact = all(found is not None for found in jumps)
    edges = [np.array([0.0, 1.0])] if exact else [_grid(count)]
    edges += [found for found in jumps if found is not None]
    merged = np.unique(np.clip(np.concatenate(edges), 0.0, 1.0))
    middles, widths = (merged[1:] + merged[:-1]) / 2, np.diff(merged)
    kept = (widths > 1e-15) & (middles > 0) & (middles < 1)
    middles, widths = middles[kept], widths[kept]
    own = float(getattr(a, "error", 0.0)) + float(getattr(b, "error", 0.0))
    error = (1e-12 if exact else float(widths.max())) + own
    return Cells(a.quantile(middles), b.quantile(middles), widths / widths.sum(), error)


def _jumps(distribution: Distribution, most: int) -> Floats | None:
    """Return the levels at which the quantile jumps, if they are few enough to list."""
    if isinstance(distribution, Point):
        return np.zeros(0)
    marks = distribution.quantile(LEVELS)
    if marks[-1] - marks[0] > most or not whole_valued(distribution, marks):
        return None
    return distribution.cdf(np.arange(marks[0], marks[-1] + 1))


def _grid(count: int) -> Floats:
    """Return edges of cells: equal in the middle, geometric in both tails."""
    tail = np.geomspace(1e-12, 1 / count, max(count // 32, 12))[:-1]
    middle = np.linspace(1 / count, 1 - 1 / count, count - 1)
    return np.concatenate([[0.0], tail, middle, 1 - tail[::-1], [1.0]])


@dataclass(frozen=True, eq=False)
class Difference:
    """The distribution of B - A.

    Parameters
    ----------
    pairs
        Worlds that hold together.
    coupling
        What both have in common inside a pair.
    """

    pairs: tuple[Pair, ...]
    coupling: str

    @cached_property
    def cells(self) -> tuple[Cells, ...]:
        """The quantiles of both answers in every pair."""
        most = CELLS if self.coupling == "same luck" else CELLS // 2
        count = int(np.clip(MOST_ATOMS // len(self.pairs), LEAST_CELLS, most))
        return tuple(cells_of(pair.a.outcome, pair.b.outcome, count) for pair in self.pairs)

    @cached_property
    def error(self) -> float:
        """Bound on the error of probabilities."""
        found = zip(self.pairs, self.cells, strict=True)
        return fsum(pair.weight * cells.error for pair, cells in found)

    def mean(self) -> float:
        """Return the mean: the difference of the means, whatever the coupling."""
        return fsum(p.weight * (p.b.outcome.mean() - p.a.outcome.mean()) for p in self.pairs)

    def var(self) -> float:
        """Return the variance."""
        mean = self.mean()
        total = 0.0
        for pair, cells in zip(self.pairs, self.cells, strict=True):
            a, b = pair.a.outcome, pair.b.outcome
            centre = b.mean() - a.mean()
            if self.coupling == "independent":
                inside = a.var() + b.var()
            else:
                inside = float(cells.weights @ (cells.b - cells.a - centre) ** 2)
            total += pair.weight * (inside + (centre - mean) ** 2)
        return total

    @cached_property
    def _atoms(self) -> tuple[Floats, Floats]:
        """Sorted differences under the same luck, and the probability up to each."""
        values = np.concatenate([cells.b - cells.a for cells in self.cells])
        found = zip(self.pairs, self.cells, strict=True)
        weights = np.concatenate([pair.weight * cells.weights for pair, cells in found])
        order = np.argsort(values, kind="stable")
        return values[order], np.cumsum(weights[order])

    def cdf(self, x: float) -> float:
        """Return P(B - A <= x)."""
        if self.coupling == "same luck":
            values, below = self._atoms
            place = int(np.searchsorted(values, x, side="right"))
            return float(below[place - 1]) if place else 0.0
        return float(self._independent(np.array([x]))[0])

    def below(self, x: float) -> float:
        """Return P(B - A < x)."""
        if self.coupling == "same luck":
            return self.cdf(float(np.nextafter(x, -np.inf)))
        return float(self._independent(np.array([x]), strict=True)[0])

    def _independent(self, x: Floats, *, strict: bool = False) -> Floats:
        """Return P(A >= B - x), strictly P(A > B - x): the mean over B of what A leaves above."""
        total = np.zeros_like(x)
        for pair, cells in zip(self.pairs, self.cells, strict=True):
            edge = cells.b[:, None] - x
            near = np.round(edge)
            edge = np.where(np.abs(edge - near) <= 1e-9 * np.abs(near) + 1e-12, near, edge)
            above = 1 - pair.a.outcome.cdf(edge if strict else np.nextafter(edge, -np.inf))
            total += pair.weight * (cells.weights @ above)
        return total

    def quantiles(self, levels: Sequence[float]) -> list[float]:
        """Return the smallest differences not exceeded with these probabilities."""
        p = check_levels(levels)
        if self.coupling == "same luck":
            values, below = self._atoms
            place = np.searchsorted(below, p - 1e-12)
            return [float(x) for x in values[np.minimum(place, len(values) - 1)]]
        low = np.full(p.shape, min(float(c.b.min() - c.a.max()) for c in self.cells) - 1.0)
        high = np.full(p.shape, max(float(c.b.max() - c.a.min()) for c in self.cells) + 1.0)
        for _ in range(STEPS):
            middle = (low + high) / 2
            enough = self._independent(middle) >= p
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        near = np.round(high)
        return [float(x) + 0.0 for x in np.where(np.abs(high - near) < 1e-6, near, high)]

    def above_in(self, place: int) -> float:
        """Return P(B > A) inside one pair."""
        pair, cells = self.pairs[place], self.cells[place]
        if self.coupling == "same luck":
            found = float(cells.weights @ (cells.b > cells.a))
        else:
            found = float(cells.weights @ pair.a.outcome.cdf(np.nextafter(cells.b, -np.inf)))
        low, high = self._bounds[place]
        return min(max(found, low), high)

    def bounds(self) -> tuple[float, float]:
        """Return bounds of P(B > A) that hold for every coupling inside the pairs."""
        found = list(zip(self.pairs, self._bounds, strict=True))
        low = fsum(pair.weight * ends[0] for pair, ends in found)
        return low, min(fsum(pair.weight * ends[1] for pair, ends in found), 1.0)

    @cached_property
    def _bounds(self) -> tuple[tuple[float, float], ...]:
        return tuple(
            _bounds(pair.a.outcome, pair.b.outcome, np.concatenate([cells.a, cells.b]))
            for pair, cells in zip(self.pairs, self.cells, strict=True)
        )


def _bounds(a: Distribution, b: Distribution, points: Floats) -> tuple[float, float]:
    """Return the least and the largest P(B > A) of any coupling."""
    at_least = float(np.max(a.cdf(points) - b.cdf(points)))
    before = np.nextafter(points, -np.inf)
    at_most = 1 - float(np.max(b.cdf(points) - a.cdf(before)))
    return max(at_least, 0.0), min(max(at_most, 0.0), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Two answers compared; `names` are those of A and B."""

    names: tuple[str, str]
    unit: str
    a: Outcome
    b: Outcome
    difference: Difference
    threshold: Comparison | None
    levels: tuple[float, ...]

    @property
    def same_models(self) -> float:
        """How probable it is that the same models hold in both."""
        return min(fsum(pair.weight for pair in self.difference.pairs if pair.same), 1.0)

    @property
    def prob_above(self) -> float:
        """P(B > A)."""
        pairs = enumerate(self.difference.pairs)
        return min(fsum(p.weight * self.difference.above_in(i) for i, p in pairs), 1.0)

    @property
    def prob_below(self) -> float:
        """P(B < A)."""
        return min(max(self.difference.below(0.0), 0.0), 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        difference, above, below = self.difference, self.prob_above, self.prob_below
        ends = [p for level in self.levels for p in ((1 - level) / 2, (1 + level) / 2)]
        median, *quantiles = difference.quantiles([0.5, *ends])
        low, high = difference.bounds()
        return {
            "a": self.names[0],
            "b": self.names[1],
            "unit": self.unit,
            "coupling": difference.coupling,
            "coupling_text": COUPLINGS[difference.coupling],
            "same_models": self.same_models,
            "mean_a": float(self.a.mean()),
            "mean_b": float(self.b.mean()),
            "threshold": str(self.threshold) if self.threshold else None,
            "prob_a": float(self.a.prob(self.threshold)) if self.threshold else None,
            "prob_b": float(self.b.prob(self.threshold)) if self.threshold else None,
            "difference": {
                "mean": difference.mean(),
                "sd": float(np.sqrt(difference.var())),
                "median": median,
                "intervals": [
                    {"level": level, "low": quantiles[2 * i], "high": quantiles[2 * i + 1]}
                    for i, level in enumerate(self.levels)
                ],
                "prob_above": above,
                "prob_equal": min(max(1 - above - below, 0.0), 1.0),
                "prob_below": below,
                "prob_above_bounds": {"low": low, "high": high},
                "error_bound": difference.error,
            },
            "worlds": [self._pair(i) for i in range(min(len(difference.pairs), LISTED))],
        }

    def _pair(self, place: int) -> dict[str, Any]:
        pair = self.difference.pairs[place]
        mean_a, mean_b = pair.a.outcome.mean(), pair.b.outcome.mean()
        return {
            "choices_a": dict(pair.a.choices),
            "choices_b": dict(pair.b.choices),
            "same_models": pair.same,
            "weight": pair.weight,
            "mean_a": mean_a,
            "mean_b": mean_b,
            "difference": mean_b - mean_a,
            "prob_above": self.difference.above_in(place),
        }

    def text(self) -> str:
        """Return a sentence and a table for a terminal."""
        a, b = self.names
        low, high = self.difference.quantiles([0.05, 0.95])
        least, most = self.difference.bounds()
        head = (
            f"{b} less {a}: mean {signed(self.difference.mean())} {self.unit}, "
            f"in 90 of 100 cases {signed(low)} to {signed(high)}\n"
            f"P({b} > {a}) = {percent(self.prob_above)} with {self.difference.coupling} "
            f"(whatever the luck: {percent(least)} to {percent(most)}); "
            f"the same models hold in both: {percent(self.same_models)}"
        )
        rows = [
            (
                named(row["choices_b"]),
                percent(row["weight"]),
                amount(row["mean_a"]),
                amount(row["mean_b"]),
                signed(row["difference"]),
                percent(row["prob_above"]),
            )
            for row in (self._pair(i) for i in range(min(len(self.difference.pairs), 20)))
        ]
        heads = (f"world of {b}", "weight", f"mean {a}", f"mean {b}", "difference", "P(above)")
        return f"{head}\n\n{table(heads, rows)}"


def compare(
    a: Outcome,
    b: Outcome,
    *,
    names: tuple[str, str] = ("A", "B"),
    coupling: str = "same luck",
    threshold: str | float | Comparison | None = None,
    levels: Sequence[float] = SHOWN,
) -> Compared:
    """Compare two answers to one question on common worlds.

    Parameters
    ----------
    a, b
        The answers.
    names
        What they are called.
    coupling
        ``same luck`` or ``independent``, inside a pair of worlds.
    threshold
        A comparison whose probability is given for both.
    levels
        Levels of the central intervals of the difference.

    Raises
    ------
    QuestionError
        If the units differ, the coupling is unknown, or there are too many pairs of worlds.
    """
    if a.unit != b.unit:
        msg = f"{names[0]} is in {a.unit!r} and {names[1]} in {b.unit!r}: they cannot be compared"
        raise QuestionError(msg)
    if coupling not in get_args(Luck):
        msg = f"coupling must be one of {', '.join(get_args(Luck))}; got {coupling!r}"
        raise QuestionError(msg)
    check_levels(levels)
    wanted = None if threshold is None else comparison(threshold)
    difference = Difference(couple(a, b), coupling)
    return Compared(names, a.unit, a, b, difference, wanted, tuple(levels))
