"""Possible worlds and the outcome that mixes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.distributions import Distribution, Floats, Mixture, Point, check_levels
from worlds.core.estimate import Estimate
from worlds.core.questions import Comparison
from worlds.errors import QuestionError


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """One value for every choice, its probability, and what happens if it is the right one.

    Parameters
    ----------
    choices
        Which model of which quantity holds, as ``{"pupdates": "historical"}``.
    weight
        Probability of this world.
    outcome
        Distribution of the answer inside this world.
    parts
        The distributions of the quantities that go into it, by name.
    """

    choices: Mapping[str, str]
    weight: float
    outcome: Distribution
    parts: Mapping[str, Distribution]

    @property
    def method(self) -> str:
        """How the distribution inside this world is computed."""
        return str(getattr(self.outcome, "method", "exact"))

    @property
    def error(self) -> float:
        """Bound on the error of its cumulative probabilities."""
        return float(getattr(self.outcome, "error", 0.0))


@dataclass(frozen=True, eq=False)
class Outcome:
    """The distribution that answers a question: a mixture over worlds.

    Every number it gives is an `Estimate`: a float with `method` and `error`.
    """

    worlds: tuple[World, ...]
    unit: str

    @cached_property
    def mixture(self) -> Mixture:
        """The mixture over the worlds."""
        weights = np.array([world.weight for world in self.worlds])
        return Mixture(weights, tuple(world.outcome for world in self.worlds))

    @cached_property
    def method(self) -> str:
        """How the numbers are computed: the least exact of the worlds' methods."""
        return max(self.worlds, key=lambda world: (world.error, world.method)).method

    @cached_property
    def error(self) -> float:
        """Bound on the error of every cumulative probability."""
        return float(sum(world.weight * world.error for world in self.worlds))

    def mean(self) -> Estimate:
        """Return the mean (closed form: the error is that of rounding)."""
        value = self.mixture.mean()
        return Estimate(value, method="exact", error=1e-12 * value)

    def sd(self) -> Estimate:
        """Return the standard deviation (closed form)."""
        value = float(np.sqrt(self.mixture.var()))
        return Estimate(value, method="exact", error=1e-12 * value)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(outcome <= x); the error of every value is at most `error`."""
        return self.mixture.cdf(x)

    def prob(self, comparison: str | Comparison) -> Estimate:
        """Return the probability of a comparison such as ``"> 200000"``."""
        wanted = comparison if isinstance(comparison, Comparison) else Comparison.parse(comparison)
        return Estimate(_prob(self.mixture, wanted), method=self.method, error=self.error)

    def quantile(self, p: float) -> Estimate:
        """Return the smallest value not exceeded with probability p (0 < p < 1)."""
        return self.quantiles([p])[0]

    def quantiles(self, levels: ArrayLike) -> list[Estimate]:
        """Return the quantile of every level; their errors follow from that of the cdf."""
        p = check_levels(levels)
        values = self.mixture.quantile(p)
        errors = np.zeros_like(values)
        if self.error > 0:
            around = np.concatenate(
                [np.maximum(p - self.error, p / 2), np.minimum(p + self.error, (1 + p) / 2)]
            )
            low, high = np.split(self.mixture.quantile(around), 2)
            errors = np.maximum(values - low, high - values)
        return [
            Estimate(value, method=self.method, error=float(error))
            for value, error in zip(values, errors, strict=True)
        ]

    def median(self) -> Estimate:
        """Return the median."""
        return self.quantile(0.5)

    def interval(self, level: float = 0.9) -> tuple[Estimate, Estimate]:
        """Return the central interval: equal probability on both sides of it."""
        check_levels(level)
        low, high = self.quantiles([(1 - level) / 2, (1 + level) / 2])
        return low, high

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws from the mixture."""
        return self.mixture.sample(rng, size)

    def quantity(self, name: str) -> Mixture:
        """Return the distribution of one of the quantities behind the answer."""
        if name not in self.worlds[0].parts:
            msg = f"the answer has no quantity {name!r}; it has {sorted(self.worlds[0].parts)}"
            raise QuestionError(msg)
        weights = np.array([world.weight for world in self.worlds])
        return Mixture(weights, tuple(world.parts[name] for world in self.worlds))


def _prob(distribution: Distribution, comparison: Comparison) -> float:
    at = float(distribution.cdf(comparison.value))
    if comparison.sign in {"<", ">="}:
        at = float(distribution.cdf(np.nextafter(comparison.value, -np.inf)))
    return min(max(1 - at if comparison.sign in {">", ">="} else at, 0.0), 1.0)


def world_prob(world: World, comparison: Comparison) -> float:
    """Return the probability of a comparison inside one world."""
    return _prob(world.outcome, comparison)


def certain(world: World) -> bool:
    """Return whether the world leaves nothing open."""
    return isinstance(world.outcome, Point)
