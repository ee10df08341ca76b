"""Functions of one quantity, and the least and greatest of independent ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.distributions import Distribution, Floats, check_levels
from worlds.core.evaluators.expect import bisect, integrate
from worlds.core.formula.functions import FUNCTIONS
from worlds.core.formula.ranges import Range
from worlds.core.formula.tree import Add, Call, Compare, Mul, Name, Node, Number
from worlds.core.laws import Atoms
from worlds.core.views import atoms, bounds

STRATA = 1 << 16
FURTHEST = 1e300


@dataclass(frozen=True, eq=False)
class Pushed:
    """The law of f(X) for a function that never falls (or never rises, if not `rising`)."""

    base: Distribution
    function: Callable[[Floats], Floats]
    rising: bool
    bounds: Range
    smooth = False

    @property
    def method(self) -> str:
        """How it is computed."""
        inner = str(getattr(self.base, "method", "exact"))
        return "closed form" if inner == "exact" else inner

    @property
    def error(self) -> float:
        """Bound on the error of cumulative probabilities: that of X."""
        return float(getattr(self.base, "error", 0.0))

    @cached_property
    def _ends(self) -> tuple[float, float]:
        low, high = self.base.quantile([1e-15, 1 - 1e-15]).tolist()
        inner = bounds(self.base)
        return max(low, inner.low), min(high, inner.high)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(f(X) <= x): the probability of the part of the line where f is at most x."""
        goal = np.asarray(x, float)
        low, high = (np.full(goal.shape, end) for end in self._ends)
        sign = 1.0 if self.rising else -1.0
        # the edge where f passes x, from the side where f is at most x
        inside = self.function(low) <= goal if self.rising else self.function(high) <= goal
        outside = self.function(high) <= goal if self.rising else self.function(low) <= goal
        good, bad = (low, high) if self.rising else (high, low)
        for _ in range(70):
            middle = good + (bad - good) / 2
            holds = self.function(middle) <= goal
            good, bad = np.where(holds, middle, good), np.where(holds, bad, middle)
        at = self.base.cdf(good if sign > 0 else np.nextafter(good, -np.inf))
        found = at if self.rising else 1 - at
        return np.asarray(np.where(outside, 1.0, np.where(inside, found, 0.0)))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest value with P(f(X) <= value) >= p."""
        levels = check_levels(p)
        if self.rising:
            return self.function(self.base.quantile(levels))
        above = np.clip(1 - levels + 1e-13, 1e-16, 1 - 1e-16)
        return self.function(self.base.quantile(above))

    @cached_property
    def _first(self) -> tuple[float, float]:
        return integrate(self.quantile)

    def mean(self) -> float:
        """Return the mean, by quadrature over the quantile function."""
        return self._first[0]

    def var(self) -> float:
        """Return the variance, by quadrature over the quantile function."""
        return max(integrate(lambda p: (self.quantile(p) - self.mean()) ** 2)[0], 0.0)

    @property
    def mean_error(self) -> float:
        """Bound on the error of the mean."""
        return self._first[1]

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return self.function(self.base.sample(rng, size))


def pushed(
    base: Distribution, function: Callable[[Floats], Floats], direction: int | None, span: Range
) -> Distribution:
    """Return the law of a function of one quantity.

    Parameters
    ----------
    direction
        +1 where the function never falls, -1 where it never rises, None where neither is known:
        then the law is read off at equally likely values of X, with an error of their number
        of pieces over the number of values.
    span
        Range of the function.
    """
    listed = atoms(base, 200_000)
    if listed is not None:
        return Atoms.of(function(listed.values), listed.probs, listed.method, listed.error)
    if direction:
        return Pushed(base, function, direction > 0, span)
    levels = (np.arange(STRATA) + 0.5) / STRATA
    values = np.broadcast_to(function(base.quantile(levels)), levels.shape)
    turns = int((np.diff(np.sign(np.diff(values))) != 0).sum())
    error = (turns + 2) / STRATA + float(getattr(base, "error", 0.0))
    weights = np.full(STRATA, 1 / STRATA)
    return Atoms.of(values, weights, "equally likely values", min(error, 1.0))


def direction(node: Node, name: Node, spans: Callable[[Node], Range]) -> int | None:
    """Return how a formula moves with one of its parts: +1, -1, 0 (not at all) or None."""
    if node == name:
        return 1
    match node:
        case Number() | Name():
            return 0
        case Add(terms=pairs):
            return _join([_times(sign, direction(part, name, spans)) for sign, part in pairs])
        case Mul(factors=pairs):
            return _product_direction(pairs, name, spans)
        case Compare(sign=sign, left=left, right=right):
            up = 1 if sign in {">", ">="} else -1
            parts = [direction(left, name, spans), _times(-1, direction(right, name, spans))]
            return _times(up, _join(parts))
        case Call(function=function, args=args):
            moves = [direction(arg, name, spans) for arg in args]
            rule = FUNCTIONS[function]
            return _join(
                [
                    0 if move == 0 else _times(rule.rise(place) or None, move)
                    for place, move in enumerate(moves)
                ]
            )


def _product_direction(
    pairs: tuple[tuple[int, Node], ...], name: Node, spans: Callable[[Node], Range]
) -> int | None:
    """Return how a product moves: with each factor as the signs of the others say."""
    signs, moves = [], []
    pairs = tuple(
        (1 if power > 0 else -1, part) for power, part in pairs for _ in range(abs(power))
    )
    for power, part in pairs:
        span = spans(part)
        signs.append(1 if span.low >= 0 else -1 if span.high <= 0 else None)
        moves.append(_times(power, direction(part, name, spans)))
    found: list[int | None] = []
    for place, move in enumerate(moves):
        if move == 0:
            continue
        sign: int | None = 1
        for other, one in enumerate(signs):
            if other != place:
                sign = _times(sign, one)
        if pairs[place][0] < 0 and signs[place] is None:
            sign = None
        found.append(_times(move, sign))
    return _join(found)


def _times(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a * b


def _join(parts: Sequence[int | None]) -> int | None:
    moving = {part for part in parts if part != 0}
    if not moving:
        return 0
    return moving.pop() if len(moving) == 1 else None


def extreme(parts: Sequence[Distribution], greatest: bool, span: Range) -> Distribution:
    """Return the law of the least or greatest of independent quantities."""
    listed = [one for part in parts for one in [atoms(part)] if one is not None]
    if len(listed) < len(parts):
        return Extreme(tuple(parts), greatest, span)
    values = np.unique(np.concatenate([one.values for one in listed]))
    upto = np.array([one.cdf(values) for one in listed])
    found = np.prod(upto, 0) if greatest else 1 - np.prod(1 - upto, 0)
    probs = np.maximum(np.diff(found, prepend=0.0), 0.0)
    error = min(sum(one.error for one in listed), 1.0)
    kept = probs > 0
    return Atoms(values[kept], probs[kept] / probs.sum(), "enumeration", error)


@dataclass(frozen=True, eq=False)
class Extreme:
    """The least or greatest of independent quantities: cumulative probabilities multiply."""

    parts: tuple[Distribution, ...]
    greatest: bool
    bounds: Range

    @property
    def method(self) -> str:
        """How it is computed."""
        return "closed form"

    @property
    def error(self) -> float:
        """Bound on the error of cumulative probabilities."""
        return min(sum(float(getattr(part, "error", 0.0)) for part in self.parts), 1.0)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(extreme <= x)."""
        below = np.array([part.cdf(x) for part in self.parts])
        return np.prod(below, 0) if self.greatest else 1 - np.prod(1 - below, 0)

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(extreme <= x) >= p."""
        levels = check_levels(p)
        ends = np.array([part.quantile([1e-15, 1 - 1e-15]) for part in self.parts])
        low, high = ends.min(), ends.max()
        found = bisect(self.cdf, levels, np.asarray(low - 1e-12 * abs(low)), np.asarray(high))
        whole = np.round(found)
        return np.where(np.abs(found - whole) < 1e-9 * np.maximum(1, np.abs(found)), whole, found)

    @cached_property
    def _first(self) -> tuple[float, float]:
        return integrate(self.quantile)

    def mean(self) -> float:
        """Return the mean, by quadrature over the quantile function."""
        return self._first[0]

    def var(self) -> float:
        """Return the variance, by quadrature over the quantile function."""
        return max(integrate(lambda p: (self.quantile(p) - self.mean()) ** 2)[0], 0.0)

    @property
    def mean_error(self) -> float:
        """Bound on the error of the mean."""
        return self._first[1]

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        draws = np.array([part.sample(rng, size) for part in self.parts])
        return draws.max(0) if self.greatest else draws.min(0)
