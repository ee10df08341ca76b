"""Formulas evaluated at randomised quasi-random points, until the error is small enough."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.distributions import Count, CountMixture, Distribution, Floats, check_levels
from worlds.core.evaluators.effort import Effort
from worlds.core.evaluators.sobol import DIMENSIONS, Scrambled
from worlds.core.formula.ranges import Range
from worlds.core.laws import Atoms, Lognormals, Normals
from worlds.core.views import atoms

REPLICATES = 16
FIRST = 1 << 8
LAST = 1 << 15
SURE = 4.07
"""Student's t with 15 degrees of freedom at 99.95%: a bound exceeded in 1 of 1,000."""
LEVELS = np.concatenate([[1e-3, 0.01, 0.025], np.linspace(0.05, 0.95, 19), [0.975, 0.99, 0.999]])

type Block = tuple[Floats, np.random.Generator]
type Values = Callable[[Floats, np.random.Generator], tuple[Floats, Floats | None]]
"""From points (n, d) to values (n,), and whether each fulfils the condition (None: all do)."""


@dataclass(frozen=True, eq=False)
class Replicated:
    """An empirical law from independent replicates, each with its own scrambling.

    Parameters
    ----------
    replicates
        For every replicate its values, sorted.
    points
        Number of points of a replicate, those that failed a condition included.
    bounds
        Range of the values.
    masses
        For every replicate the share of its points that fulfilled the condition.
    """

    replicates: tuple[Floats, ...]
    points: int
    bounds: Range
    masses: tuple[float, ...]
    method = "randomised QMC"
    smooth = False

    @cached_property
    def _pooled(self) -> Floats:
        return np.sort(np.concatenate(self.replicates))

    @cached_property
    def mass(self) -> float:
        """The share of points that fulfilled the condition."""
        return float(np.mean(self.masses))

    @property
    def mass_error(self) -> float:
        """Error of that share, from the spread of the replicates (99.9%)."""
        return SURE * float(np.std(self.masses, ddof=1) / np.sqrt(len(self.masses)))

    def _each(self, x: Floats) -> Floats:
        """Return the cumulative probabilities of every replicate, shape (R, ...)."""
        return np.array(
            [np.searchsorted(one, x, side="right") / max(len(one), 1) for one in self.replicates]
        )

    @cached_property
    def error(self) -> float:
        """Error of cumulative probabilities, from the spread of the replicates (99.9%)."""
        spread = self._each(self.quantile(LEVELS)).std(0, ddof=1)
        least = 1 / len(self._pooled)
        return min(SURE * float(spread.max() / np.sqrt(len(self.replicates))) + least, 1.0)

    def mean(self) -> float:
        """Return the mean."""
        return float(self._pooled.mean())

    @cached_property
    def mean_error(self) -> float:
        """Error of the mean, from the spread of the replicates (99.9%)."""
        means = [one.mean() for one in self.replicates if len(one)]
        return SURE * float(np.std(means, ddof=1) / np.sqrt(len(means)))

    def var(self) -> float:
        """Return the variance."""
        return float(self._pooled.var())

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        place = np.searchsorted(self._pooled, np.asarray(x, float), side="right")
        return np.asarray(place / len(self._pooled))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(X <= x) >= p."""
        place = np.ceil(check_levels(p) * len(self._pooled) * (1 - 1e-14)).astype(int) - 1
        return np.asarray(self._pooled[np.clip(place, 0, len(self._pooled) - 1)])

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return rng.choice(self._pooled, size=size)


def replicated(values: Values, dimensions: int, span: Range, effort: Effort) -> Replicated | None:
    """Evaluate until the error is small enough or the time is up; None if nothing fulfils.

    Parameters
    ----------
    values
        What to evaluate; columns beyond the 64 dimensions of the sequence are plainly random.
    dimensions
        Number of columns it needs.
    """
    seeds = np.random.SeedSequence(effort.seed).spawn(REPLICATES)
    streams = [np.random.default_rng(seed) for seed in seeds]
    quasi = min(max(dimensions, 1), DIMENSIONS)
    nets = [Scrambled(quasi, rng) for rng in streams]
    found: list[list[Floats]] = [[] for _ in streams]
    done, count, law = 0, FIRST, None
    while True:
        for net, rng, parts in zip(nets, streams, found, strict=True):
            points = net.block(done, count)
            if dimensions > quasi:
                more = rng.uniform(size=(count, dimensions - quasi))
                points = np.concatenate([points, more], axis=1)
            numbers, holds = values(points, rng)
            numbers = np.broadcast_to(numbers, (count,))
            parts.append(numbers if holds is None else numbers[holds != 0])
        done += count
        law = _law(found, done, span)
        enough = law is not None and law.error <= effort.tolerance
        if enough or done >= LAST or (effort.over and (law is not None or done >= 8 * FIRST)):
            return law
        count = done


def _law(found: Sequence[Sequence[Floats]], points: int, span: Range) -> Replicated | None:
    replicates = tuple(np.sort(np.concatenate(parts)) for parts in found)
    if sum(len(one) for one in replicates) < 2 * len(replicates):
        return None
    masses = tuple(len(one) / points for one in replicates)
    return Replicated(tuple(one for one in replicates if len(one)), points, span, masses)


def inverse(law: Distribution, u: Floats) -> Floats:
    """Return the value of a law at levels u: one column of points becomes one quantity."""
    if isinstance(law, Normals | Lognormals) and len(law.weights) > 1:
        return _by_component(law, u)
    if isinstance(law, CountMixture | Atoms):
        listed = atoms(law, 200_000)
        if listed is not None:
            place = np.searchsorted(np.cumsum(listed.probs), u)
            return listed.values[np.minimum(place, len(listed.values) - 1)]
    return law.quantile(u)


def _by_component(law: Normals | Lognormals, u: Floats) -> Floats:
    part, rest = component(law.weights, u)
    if isinstance(law, Normals):
        z = Normals(np.ones(1), np.zeros(1), np.ones(1)).quantile(rest)
        return law.means[part] + law.sds[part] * z
    return np.exp(_by_component(law.log, u))


def component(
    weights: Floats, u: Floats
) -> tuple["np.ndarray[tuple[int, ...], np.dtype[np.int64]]", Floats]:
    """Split levels into an index with the given weights and a level of its own."""
    ends = np.cumsum(weights / weights.sum())
    part = np.minimum(np.searchsorted(ends, u, side="right"), len(weights) - 1)
    start = np.concatenate([[0.0], ends])[part]
    rest = (u - start) / np.maximum(weights[part] / weights.sum(), 1e-300)
    return part.astype(np.int64), np.clip(rest, 1e-16, 1 - 1e-16)


def draw_count(count: Count, intensity: Floats, rng: np.random.Generator) -> Floats:
    """Return draws of a count whose intensity is multiplied, draw by draw."""
    if not isinstance(count, CountMixture):
        return np.array([count.scaled(float(f)).sample(rng, 1)[0] for f in intensity])
    part = rng.choice(len(count.weights), size=len(intensity), p=count.weights)
    return _negative_binomial(count.means[part] * intensity, count.sizes[part], rng)


def _negative_binomial(means: Floats, sizes: Floats, rng: np.random.Generator) -> Floats:
    finite = np.isfinite(sizes)
    shape = np.where(finite, sizes, 1.0)
    rates = np.where(finite, rng.gamma(shape) * means / shape, means)
    return rng.poisson(rates).astype(float)


def draw_sum(
    parts: Sequence[Count], counts: Floats, intensity: Floats, rng: np.random.Generator
) -> Floats:
    """Return draws of the sum of so many things, `parts[i]` being the law of one in draw i.

    Negative binomials of one mixture are drawn together: the number of things in every
    component, their gamma intensities added up, then one Poisson draw.
    """
    total = np.zeros(len(counts))
    for part in set(parts):
        mine = np.array([one is part for one in parts])
        total[mine] = _sum_of(part, counts[mine], intensity[mine], rng)
    return total


def _sum_of(part: Count, counts: Floats, intensity: Floats, rng: np.random.Generator) -> Floats:
    if not isinstance(part, CountMixture):
        numbers = counts.astype(int)
        draws = part.sample(rng, int(numbers.sum()))
        owner = np.repeat(np.arange(len(numbers)), numbers)
        return np.bincount(owner, draws, len(numbers)) * intensity
    split = rng.multinomial(counts.astype(int), part.weights)
    rates = np.zeros(len(counts))
    for k, (mean, size) in enumerate(zip(part.means, part.sizes, strict=True)):
        n = split[:, k].astype(float)
        if np.isfinite(size):
            rates += np.where(n > 0, rng.gamma(np.maximum(n * size, 1e-300)) * mean / size, 0.0)
        else:
            rates += n * mean
    return rng.poisson(rates * intensity).astype(float)
