"""Distributions of non-negative quantities: what all can tell, multiples and mixtures.

The laws of counts are in `worlds.core.counts`; their names are found here too.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.arrays import Complexes, Floats
from worlds.core.counts import LARGEST, CountMixture, PmfTable, Point
from worlds.core.levels import check_levels, whole_quantile
from worlds.core.negative_binomial import (
    negative_binomial_cdf,
    negative_binomial_logpmf,
    negative_binomial_pgf,
)
from worlds.core.polynomial import polynomial

__all__ = [
    "LARGEST",
    "Complexes",
    "Count",
    "CountMixture",
    "Distribution",
    "Floats",
    "Mixture",
    "Multiple",
    "PmfTable",
    "Point",
    "check_levels",
    "negative_binomial_cdf",
    "negative_binomial_logpmf",
    "negative_binomial_pgf",
    "polynomial",
    "rescaled",
    "whole",
    "whole_quantile",
]


@runtime_checkable
class Distribution(Protocol):
    """What every distribution of a non-negative quantity can tell."""

    def mean(self) -> float:
        """Return the expectation."""
        ...

    def var(self) -> float:
        """Return the variance."""
        ...

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x), elementwise."""
        ...

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(X <= x) >= p, elementwise."""
        ...

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return `size` independent draws."""
        ...


@runtime_checkable
class Count(Distribution, Protocol):
    """A distribution on 0, 1, 2, ... that knows its generating function."""

    def pmf(self, k: ArrayLike) -> Floats:
        """Return P(X = k) for whole k >= 0."""
        ...

    def pgf(self, z: ArrayLike) -> Complexes:
        """Return E[z ** X] for complex z in the unit disc (or real z where it is finite)."""
        ...

    def scaled(self, factor: float) -> "Count":
        """Return the count whose intensity is `factor` times as high (thinning below 1)."""
        ...


def whole(law: object) -> bool:
    """Return whether a law is known to have whole numbers only."""
    return bool(getattr(law, "whole", False))


@dataclass(frozen=True, slots=True, eq=False)
class Multiple:
    """A distribution whose values are all multiplied by one positive number."""

    base: Distribution
    factor: float

    def mean(self) -> float:
        """Return the mean."""
        return self.factor * self.base.mean()

    def var(self) -> float:
        """Return the variance."""
        return self.factor**2 * self.base.var()

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x); values that rounding puts a hair above their place still count."""
        return self.base.cdf(np.asarray(x, float) / self.factor * (1 + 1e-14))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest value with P(X <= value) >= p."""
        return self.factor * self.base.quantile(p)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return self.factor * self.base.sample(rng, size)


def rescaled(base: Distribution, factor: float) -> Distribution:
    """Return the distribution of `factor` times the variable (factor >= 0)."""
    if factor == 0:
        return Point(0.0)
    if isinstance(base, Point):
        return Point(base.value * factor)
    return base if factor == 1 else Multiple(base, factor)


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A mixture of any distributions."""

    weights: Floats
    parts: tuple[Distribution, ...]

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers."""
        return all(whole(part) for part in self.parts)

    def mean(self) -> float:
        """Return the mean."""
        return float(sum(w * part.mean() for w, part in zip(self.weights, self.parts, strict=True)))

    def var(self) -> float:
        """Return the variance: within parts and between them."""
        mean = self.mean()
        pairs = zip(self.weights, self.parts, strict=True)
        return float(sum(w * (part.var() + (part.mean() - mean) ** 2) for w, part in pairs))

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        values = [part.cdf(x) for part in self.parts]
        return np.asarray(np.minimum(np.tensordot(self.weights, np.array(values), 1), 1.0))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(X <= x) >= p.

        The quantile of a mixture lies between those of its parts. Among whole numbers it is
        searched in few steps; else bisection closes in on it and ends on a value that a part can
        take.
        """
        levels = check_levels(p)
        alive = [part for w, part in zip(self.weights, self.parts, strict=True) if w > 0]
        if len(alive) == 1:
            return alive[0].quantile(levels)
        ends = np.array([part.quantile(levels) for part in alive])
        low, high = ends.min(0), ends.max(0)
        goal = levels * (1 - 1e-14)
        if all(whole(part) for part in alive):
            return whole_quantile(self.cdf, goal, self.mean(), self.var(), (low - 1, high))
        return self._bisected(goal, low, high)

    def _bisected(self, goal: Floats, low: Floats, high: Floats) -> Floats:
        done = self.cdf(low) >= goal
        high = np.where(done, low, high)
        for _ in range(200):
            middle = low + (high - low) / 2
            if not ((high - low > 1e-12 * high) & (middle > low) & (middle < high)).any():
                break
            enough = self.cdf(middle) >= goal
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return self._on_grid(high)

    def _on_grid(self, x: Floats) -> Floats:
        """Return x, or the whole number or point value that bisection stopped just above."""
        snapped = x
        values = [part.value for part in self.parts if isinstance(part, Point)]
        for candidate in [np.round(x), *[np.full_like(x, value) for value in values]]:
            near = np.abs(candidate - x) <= 1e-9 * np.maximum(x, 1.0)
            snapped = np.where(near, candidate, snapped)
        return np.asarray(snapped)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        part = rng.choice(len(self.parts), size=size, p=self.weights)
        draws = np.empty(size)
        for index, distribution in enumerate(self.parts):
            mine = part == index
            draws[mine] = distribution.sample(rng, int(mine.sum()))
        return draws
