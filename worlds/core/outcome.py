"""Possible worlds and the outcome that mixes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.conditioned import condition
from worlds.core.distributions import Distribution, Floats, Mixture, Point, check_levels
from worlds.core.estimate import Estimate
from worlds.core.laws import Lognormals, Normals, mixed
from worlds.core.questions import Comparison
from worlds.errors import ImpossibleError, QuestionError

HDI_SCAN = 257
SMALL = 1e-7
"""Errors of cumulative probabilities below this become errors of quantiles by the density."""


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

    Parameters
    ----------
    worlds
        The possible worlds, most probable first.
    unit
        Unit of the answer.
    missing
        Probability of the worlds that are not listed. The listed ones are scaled to sum to 1
        and the error grows by it, unless `whole` answers for all of them.
    whole
        The distribution over all worlds, where it was not computed world by world.
    """

    worlds: tuple[World, ...]
    unit: str
    missing: float = 0.0
    whole: Distribution | None = None

    @cached_property
    def mixture(self) -> Mixture:
        """The mixture over the worlds."""
        if self.whole is not None:
            return Mixture(np.ones(1), (self.whole,))
        weights = np.array([world.weight for world in self.worlds])
        return Mixture(weights, tuple(world.outcome for world in self.worlds))

    @cached_property
    def law(self) -> Distribution:
        """The mixture in its shortest form: one array law where all worlds are of one family."""
        mixture = self.mixture
        return mixed(mixture.weights.tolist(), mixture.parts) or mixture

    @cached_property
    def method(self) -> str:
        """How the numbers are computed: the least exact of the worlds' methods."""
        if self.whole is not None:
            return str(getattr(self.whole, "method", "exact"))
        return max(self.worlds, key=lambda world: (world.error, world.method)).method

    @cached_property
    def error(self) -> float:
        """Bound on the error of every cumulative probability."""
        if self.whole is not None:
            return float(getattr(self.whole, "error", 0.0))
        inside = float(sum(world.weight * world.error for world in self.worlds))
        return min(inside + self.missing, 1.0)

    @property
    def cost(self) -> dict[str, int]:
        """What the answer took: worlds listed, and quasi-random points where any were used."""
        points = sum(
            int(getattr(part, "points", 0)) * len(getattr(part, "replicates", ()))
            for part in self.mixture.parts
        )
        return {"worlds": len(self.worlds), "points": points}

    def mean(self) -> Estimate:
        """Return the mean (closed form: the error is that of rounding)."""
        value = self.mixture.mean()
        parts = zip(self.mixture.weights, self.mixture.parts, strict=True)
        error = sum(w * float(getattr(part, "mean_error", 0.0)) for w, part in parts)
        method = "exact" if error == 0 else self.method
        return Estimate(value, method=method, error=float(error) + 1e-12 * abs(value))

    def sd(self) -> Estimate:
        """Return the standard deviation (closed form)."""
        value = float(np.sqrt(self.mixture.var()))
        return Estimate(value, method="exact", error=1e-12 * value)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(outcome <= x); the error of every value is at most `error`."""
        return self.law.cdf(x)

    def exceedance(self, thresholds: Sequence[float]) -> list[tuple[float, Estimate]]:
        """Return for every threshold the probability of lying above it."""
        wanted = [Comparison.parse(x, ">") for x in thresholds]
        return [(one.value, self.prob(one)) for one in wanted]

    def table(self, count: int = 41) -> list[tuple[float, float]]:
        """Return values and cumulative probabilities, equally spaced in probability."""
        levels = (np.arange(count) + 0.5) / count
        values = self.law.quantile(levels)
        return list(zip(values.tolist(), self.law.cdf(values).tolist(), strict=True))

    def prob(self, comparison: str | Comparison) -> Estimate:
        """Return the probability of a comparison such as ``"> 200000"``."""
        wanted = comparison if isinstance(comparison, Comparison) else Comparison.parse(comparison)
        return Estimate(_prob(self.law, wanted), method=self.method, error=self.error)

    def possible(self, comparison: str | Comparison, least: float = 0.0) -> tuple[bool, Estimate]:
        """Return whether a comparison may hold, and the probability that makes it so.

        Possible means a probability above `least`, beyond the error of its computation.
        """
        prob = self.prob(comparison)
        return bool(prob > least + prob.error), prob

    def certain(self, comparison: str | Comparison, most: float = 0.0) -> tuple[bool, Estimate]:
        """Return whether a comparison holds for sure, and the probability that makes it so.

        Certain means that the contrary has a probability of at most `most`, the error of its
        computation counted against it.
        """
        prob = self.prob(comparison)
        return bool(1 - prob <= most + (1e-12 if prob.error == 0 else 0.0)), prob

    def given(self, comparison: str | Comparison) -> "Outcome":
        """Condition on the outcome itself (a threshold that was crossed), by Bayes.

        Worlds are weighted by how probable they made what happened, and what contradicts it is
        ruled out inside each. The quantities behind the answer are not carried over.

        Raises
        ------
        ImpossibleError
            If no world allows it.
        """
        wanted = comparison if isinstance(comparison, Comparison) else Comparison.parse(comparison)
        if self.whole is not None:
            law, prob = condition(self.whole, wanted.sign, wanted.value)
            if law is None or prob <= 0:
                raise ImpossibleError(str(wanted))
            return replace(self, worlds=(), whole=law)
        found = []
        for world in self.worlds:
            law, prob = condition(world.outcome, wanted.sign, wanted.value)
            if law is not None and prob > 0:
                found.append(World(world.choices, world.weight * prob, law, {}))
        total = sum(world.weight for world in found)
        if total <= 0:
            raise ImpossibleError(str(wanted))
        scaled = [replace(world, weight=world.weight / total) for world in found]
        missing = min(self.missing / (self.missing + total), 1.0) if self.missing else 0.0
        ordered = tuple(sorted(scaled, key=lambda world: -world.weight))
        return Outcome(ordered, self.unit, missing)

    def quantile(self, p: float) -> Estimate:
        """Return the smallest value not exceeded with probability p (0 < p < 1)."""
        return self.quantiles([p])[0]

    def quantiles(self, levels: ArrayLike) -> list[Estimate]:
        """Return the quantile of every level; their errors follow from that of the cdf."""
        p = check_levels(levels)
        close = np.minimum(p, 1 - p).min(initial=1.0) / 8
        if 0 < self.error < min(SMALL, close) and isinstance(self.law, Normals | Lognormals):
            values = self.law.quantile(p)
            # 4: the density may fall by half within the error, and as much for rounding
            errors = 4 * self.error / np.maximum(self.law.pdf(values), 1e-300)
        elif self.error > 0:
            around = [np.maximum(p - self.error, p / 2), np.minimum(p + self.error, (1 + p) / 2)]
            values, low, high = np.split(self.law.quantile(np.concatenate([p, *around])), 3)
            errors = np.maximum(np.maximum(values - low, high - values), 0.0)
        else:
            values = self.law.quantile(p)
            errors = np.zeros_like(values)
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

    def hdi(self, level: float = 0.9) -> tuple[Estimate, Estimate]:
        """Return the shortest interval that holds the outcome with this probability.

        (The highest-density interval, where the density has one peak.)
        """
        check_levels(level)
        rest = 1 - level
        low, high = 1e-9, rest - 1e-9 if rest > 4e-9 else rest / 2
        for _ in range(5):
            starts = np.linspace(low, high, HDI_SCAN)
            ends = self.law.quantile(np.concatenate([starts, starts + level]))
            widths = ends[HDI_SCAN:] - ends[:HDI_SCAN]
            best = int(np.argmin(widths))
            low, high = starts[max(best - 1, 0)], starts[min(best + 1, HDI_SCAN - 1)]
        left, right = self.quantiles([float(starts[best]), float(starts[best] + level)])
        return left, right

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws from the mixture."""
        return self.mixture.sample(rng, size)

    def quantity(self, name: str) -> Mixture:
        """Return the distribution of one of the quantities behind the answer."""
        known = self.worlds[0].parts if self.worlds else {}
        if name not in known:
            msg = f"the answer has no quantity {name!r}; it has {sorted(known)}"
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
