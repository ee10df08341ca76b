"""How many things come in several periods together: one level, noise of its own a period.

The components of the periods are nodes of one uncertain level: component k of every period
belongs to the same level, so that a level that is high stays high. Given the level, the counts of
the periods are independent and their generating functions multiply. Taking the periods to be
independent altogether would make totals far too narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import ArrayLike

from worlds.core.distributions import (
    Complexes,
    CountMixture,
    Floats,
    PmfTable,
)
from worlds.core.formula.ranges import Range
from worlds.core.negative_binomial import exponential, negative_binomial_log
from worlds.core.path_given import PathGiven
from worlds.errors import ImpossibleError, QuestionError

MOST = 1 << 22
"""Largest table of probabilities."""
TAIL = 1e-10


@dataclass(frozen=True, eq=False)
class PathTotal:
    """The total over H periods that share a level with K nodes.

    Parameters
    ----------
    weights
        Array (K,): probability of every level.
    means, sizes
        Arrays (H, K): mean and size of the negative binomial of every period at every level.
    """

    weights: Floats
    means: Floats
    sizes: Floats
    method = "generating functions (FFT)"
    bounds = Range(0.0, float("inf"))
    whole = True

    @classmethod
    def of(cls, periods: Sequence[CountMixture]) -> "PathTotal":
        """Join periods whose components belong to the same levels.

        Raises
        ------
        QuestionError
            If the periods do not share their levels: the weights of the components differ.
        """
        first = periods[0].weights
        same = all(
            len(one.weights) == len(first) and np.allclose(one.weights, first) for one in periods
        )
        if not same:
            msg = "these periods have no common levels: this model cannot say what they total"
            raise QuestionError(msg)
        means = np.array([one.means for one in periods])
        return cls(first, means, np.array([one.sizes for one in periods]))

    def mean(self) -> float:
        """Return the mean."""
        return float(self.weights @ self.means.sum(0))

    def var(self) -> float:
        """Return the variance: within levels and between them."""
        within = (self.means + self.means**2 / self.sizes).sum(0)
        between = (self.means.sum(0) - self.mean()) ** 2
        return float(self.weights @ (within + between))

    def pgf(self, z: ArrayLike) -> Complexes:
        """Return the generating function: over levels, the product over periods."""
        return np.asarray(self.pgf_of_levels(z) @ self.weights)

    def pgf_of_levels(self, z: ArrayLike) -> Complexes:
        """Return the generating function at every level, array (..., K)."""
        found = [self.log_pgf(step, z) for step in range(len(self.means))]
        size, angle = found[0]
        for one, turn in found[1:]:
            size += one
            angle += turn
        return exponential(size, angle)

    def log_pgf(self, step: int, z: ArrayLike) -> tuple[Floats, Floats]:
        """Return the logarithm of the generating function of one period at every level.

        Real and imaginary part, arrays (..., K).
        """
        gap = 1 - np.asarray(z, complex)[..., None]
        means, sizes = self.means[step], self.sizes[step]
        finite = np.isfinite(sizes)
        shape = np.where(finite, sizes, 1.0)
        size, angle = negative_binomial_log(gap, means / shape, shape)
        if not finite.all():
            size = np.where(finite, size, -gap.real * means)
            angle = np.where(finite, angle, -gap.imag * means)
        return size, angle

    @cached_property
    def table(self) -> PmfTable:
        """The probabilities of all totals, by inverting the generating function."""
        theta = np.geomspace(1e-3, 30.0, 60) / (np.sqrt(self.var()) + 1)
        reach = float((self.means / self.sizes).max())
        theta = theta[(np.expm1(theta)) * reach < 0.999]
        with np.errstate(over="ignore", invalid="ignore"):
            ends = (np.log(self.pgf(np.exp(theta)).real) - np.log(TAIL)) / theta
        ends = ends[np.isfinite(ends) & (ends > 0)]
        wide = self.mean() + 60 * (np.sqrt(self.var()) + 1)
        top = float(np.ceil(ends.min() if ends.size else wide))
        if top > MOST:
            msg = f"a total of up to {top:.3g} things is too large; at most {MOST:,}"
            raise QuestionError(msg)
        size = 1 << int(np.ceil(np.log2(top + 2)))
        half = self.pgf(np.exp(2j * np.pi * np.arange(size // 2 + 1) / size))
        probs: Floats = np.clip(scipy.fft.irfft(np.conj(half), size), 0.0, None)
        return PmfTable(0, probs / probs.sum(), TAIL, self.method)

    @property
    def error(self) -> float:
        """Bound on the error of cumulative probabilities."""
        return TAIL

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(total <= x)."""
        return self.table.cdf(x)

    def pmf(self, k: ArrayLike) -> Floats:
        """Return P(total = k)."""
        return self.table.pmf(k)

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest k with P(total <= k) >= p."""
        return self.table.quantile(p)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws: a level, then every period."""
        return np.asarray(self.draws(rng, size).sum(0))

    def scaled(self, factor: float) -> "PathTotal":
        """Return the total with every intensity times `factor` (exact thinning below 1)."""
        return PathTotal(self.weights, self.means * factor, self.sizes)

    def spread(self, factors: Floats, weights: Floats) -> "PathTotal":
        """Return the total whose intensity is multiplied by an uncertain factor in all periods.

        Parameters
        ----------
        factors, weights
            Arrays (V,): the values of the factor and their probabilities.
        """
        means = (self.means[:, :, None] * factors).reshape(len(self.means), -1)
        probs = (self.weights[:, None] * weights).ravel()
        return PathTotal(probs, means, np.repeat(self.sizes, len(factors), axis=1))

    def period(self, step: int) -> CountMixture:
        """Return the count of one period by itself."""
        return CountMixture.of(self.means[step], self.sizes[step], self.weights)

    def periods(self) -> list[CountMixture]:
        """Return the count of every period by itself."""
        return [self.period(step) for step in range(len(self.means))]

    def given(self, low: float, high: float) -> "PathTotal | PathGiven":
        """Return the path, given that its total lies in [low, high].

        Raises
        ------
        ImpossibleError
            If no whole number lies there.
        """
        if low <= 0 and high == np.inf:
            return self
        if np.ceil(low) > high:
            raise ImpossibleError(f"a total between {low:g} and {high:g}")
        return PathGiven(self, int(np.ceil(low)), float(np.floor(high)))

    def draws(self, rng: np.random.Generator, size: int) -> Floats:
        """Return joint draws of all periods, array (H, size): a level, then every period."""
        level = rng.choice(len(self.weights), size=size, p=self.weights)
        return np.array(
            [_draws(rng, m[level], r[level]) for m, r in zip(self.means, self.sizes, strict=True)]
        )


def _draws(rng: np.random.Generator, means: Floats, sizes: Floats) -> Floats:
    finite = np.isfinite(sizes)
    shape = np.where(finite, sizes, 1.0)
    return rng.poisson(np.where(finite, rng.gamma(shape) / shape, 1.0) * means).astype(float)
