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
from numpy.typing import ArrayLike
from scipy import fft

from worlds.core.distributions import Complexes, CountMixture, Floats, PmfTable
from worlds.core.formula.ranges import Range
from worlds.errors import QuestionError

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
        gap = 1 - np.asarray(z, complex)[..., None]
        product = np.ones(np.shape(gap)[:-1] + self.weights.shape, complex)
        for means, sizes in zip(self.means, self.sizes, strict=True):
            finite = np.isfinite(sizes)
            shape = np.where(finite, sizes, 1.0)
            negbin = np.exp(-shape * np.log1p(gap * (means / shape)))
            product *= (
                np.where(finite, negbin, np.exp(-gap * means)) if not finite.all() else negbin
            )
        return np.asarray(product @ self.weights)

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
        probs: Floats = np.clip(fft.irfft(np.conj(half), size), 0.0, None)
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
        level = rng.choice(len(self.weights), size=size, p=self.weights)
        total = np.zeros(size)
        for means, sizes in zip(self.means, self.sizes, strict=True):
            finite = np.isfinite(sizes[level])
            shape = np.where(finite, sizes[level], 1.0)
            rates = np.where(finite, rng.gamma(shape) / shape, 1.0) * means[level]
            total += rng.poisson(rates)
        return total

    def scaled(self, factor: float) -> "PathTotal":
        """Return the total with every intensity times `factor` (exact thinning below 1)."""
        return PathTotal(self.weights, self.means * factor, self.sizes)
