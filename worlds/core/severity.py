"""The size of one item, with nodes for what all items share, and how far sums of them reach."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from worlds.core.distributions import (
    Complexes,
    Count,
    CountMixture,
    Floats,
    Point,
    whole,
    whole_quantile,
)
from worlds.core.interpolation import cubic
from worlds.core.negative_binomial import negative_binomial_log

TAIL = 1e-10
"""Probability beyond the upper end of the range that is inverted (Chernoff bound)."""
FEWEST, FINEST = 64, 4096
"""Steps of the table of one item: as many as it takes."""
FEW = 6.0
"""Items a draw up to which they are drawn one by one."""
WIDTH = 256
"""Places at which generating functions are computed at once: as many as stay in the cache."""
SMALL = 1e-6
"""Error at which the steps of that table are small enough."""
_EXPONENTS: Floats = np.geomspace(1e-3, 30.0, 48)


@dataclass(frozen=True, eq=False)
class Severity:
    """The size of one item, given parameters that all items of a world share.

    Parameters
    ----------
    weights
        Array (V,): probability of every node of the shared parameters.
    parts
        The distribution of one item at every node.
    members
        Array (S,): the node of every posterior draw that the nodes were made of, if known. Two
        severities made of the same draws share them.
    """

    weights: Floats
    parts: tuple[Count, ...]
    members: NDArray[np.int64] | None = None

    @property
    def whole(self) -> bool:
        """Whether every item is a whole number."""
        return all(whole(part) for part in self.parts)

    def mean(self) -> float:
        """Return the mean of one item."""
        return float(sum(w * part.mean() for w, part in zip(self.weights, self.parts, strict=True)))

    def var(self) -> float:
        """Return the variance of one item."""
        return compound_moments(Point(1.0), self)[1]

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest whole k with P(one item <= k) >= p."""
        return whole_quantile(self.cdf, p, self.mean(), self.var())

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws of one item, each with its own node."""
        return self.sample_sum(np.ones(size), rng)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(one item <= x) for x >= 0, from a table (see `table_error`)."""
        k = np.floor(np.asarray(x, float))
        table, last = self._table
        place = np.log1p(np.maximum(k, 0.0)) * ((len(table) - 1) / np.log1p(last))
        return np.asarray(np.where(k >= last, 1.0, np.clip(cubic(table, place), 0.0, 1.0)))

    @property
    def table_error(self) -> float:
        """Error of the table, from what halving its steps changed last."""
        return self._tabulated[2]

    def _exact(self, k: Floats) -> Floats:
        values = [getattr(part, "smooth_cdf", part.cdf)(k) for part in self.parts]
        return np.asarray(np.tensordot(self.weights, np.array(values), 1))

    @property
    def _table(self) -> tuple[Floats, float]:
        return self._tabulated[:2]

    @cached_property
    def _tabulated(self) -> tuple[Floats, float, float]:
        """Cumulative probabilities at equal steps of log(1 + x), the last x, and the error.

        The steps are halved until the new places agree with the cubic through the old ones.
        """
        last = upper_end(Point(1.0), self, compound_moments(Point(1.0), self))
        steps = FEWEST
        table = self._exact(np.expm1(np.linspace(0.0, np.log1p(last), steps + 1)))
        while True:
            between = np.arange(0.5, steps)
            found = self._exact(np.expm1(between * (np.log1p(last) / steps)))
            error = float(np.abs(cubic(table, between) - found).max())
            finer = np.empty(2 * steps + 1)
            finer[::2], finer[1::2] = table, found
            table, steps = finer, 2 * steps
            if error <= SMALL or steps >= FINEST:
                return table, last, error / 8  # a sixteenth, where it is smooth

    def pgfs(self, z: Floats | Complexes) -> Complexes:
        """Return the generating function of every node, array (V, len(z))."""
        if self._listed is None:
            return np.array([part.pgf(z) for part in self.parts])
        gap = np.subtract(1, z)
        blocks = [gap[at : at + WIDTH] for at in range(0, len(gap), WIDTH)]
        return np.concatenate([self._listed.pgfs(block) for block in blocks], axis=1)

    @cached_property
    def _listed(self) -> "_Components | None":
        """The components of all nodes in one list, where all are mixtures."""
        parts = [part for part in self.parts if isinstance(part, CountMixture)]
        return _Components.of(parts) if len(parts) == len(self.parts) else None

    def scaled(self, factor: float) -> "Severity":
        """Return the severity with every intensity times `factor`."""
        return replace(self, parts=tuple(part.scaled(factor) for part in self.parts))

    def sample_sum(self, counts: Floats, rng: np.random.Generator) -> Floats:
        """Return one draw of the sum for every entry of `counts`, each with its own node."""
        nodes = rng.choice(len(self.weights), size=len(counts), p=self.weights)
        return self.sums_at(nodes, counts, rng)

    def sums_at(self, nodes: NDArray[np.int64], counts: Floats, rng: np.random.Generator) -> Floats:
        """Return one draw of the sum of `counts` items at every node of `nodes`, arrays (n,)."""
        if self._listed is not None and counts.sum() < FEW * len(counts):
            return self._one_by_one(nodes, counts.astype(np.int64), self._listed, rng)
        sums = np.zeros(len(counts))
        for node in np.unique(nodes):
            mine = nodes == node
            sums[mine] = _sums_of(self.parts[node], counts[mine], rng)
        return sums

    def _one_by_one(
        self,
        nodes: NDArray[np.int64],
        counts: NDArray[np.int64],
        listed: "_Components",
        rng: np.random.Generator,
    ) -> Floats:
        """Draw every item: less work than a split over the components, where items are few."""
        node = np.repeat(nodes, counts)
        component = listed.drawn(node, rng)
        sizes, ratios = listed.sizes[component, 0], listed.ratios[component, 0]
        rates = rng.gamma(sizes) * ratios
        constant = np.isin(component, listed.poisson)
        rates[constant] = ratios[constant]
        items = rng.poisson(rates).astype(float)
        ends = np.cumsum(counts)
        upto = np.concatenate([[0.0], np.cumsum(items)])
        return np.asarray(upto[ends] - upto[ends - counts])


@dataclass(frozen=True, slots=True, eq=False)
class _Components:
    """Components of several mixtures one below the other, as columns (K, 1)."""

    weights: Floats
    ratios: Floats
    sizes: Floats
    poisson: NDArray[np.int64]
    means: Floats
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, parts: Sequence[CountMixture]) -> "_Components":
        weights, means, sizes = (
            np.concatenate([getattr(part, name) for part in parts])[:, None]
            for name in ("weights", "means", "sizes")
        )
        finite = np.isfinite(sizes)
        shapes = np.where(finite, sizes, 1.0)
        starts = np.cumsum([0, *(len(part.weights) for part in parts[:-1])])
        poisson = np.flatnonzero(~finite)
        return cls(weights, means / shapes, shapes, poisson, means[poisson], starts)

    def drawn(self, nodes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return a component of the mixture of every node, its place in the list."""
        upto = np.cumsum(self.weights[:, 0])
        before = np.concatenate([[0.0], upto])[self.starts]
        ends = np.append(self.starts[1:], len(upto)) - 1
        chance = before[nodes] + rng.uniform(size=len(nodes)) * (upto[ends] - before)[nodes]
        found = np.searchsorted(upto, chance, side="right")
        return np.asarray(np.minimum(found, ends[nodes]))

    def pgfs(self, gap: Floats | Complexes) -> Complexes:
        """Return the generating function of every mixture at 1 - gap."""
        if not np.iscomplexobj(gap):
            real = np.exp(-self.sizes * np.log1p(gap * self.ratios))
            real[self.poisson] = np.exp(-gap * self.means)
            return np.asarray(np.add.reduceat(self.weights * real, self.starts, axis=0))
        size, angle = negative_binomial_log(np.asarray(gap, complex), self.ratios, self.sizes)
        if len(self.poisson):
            size[self.poisson] = -gap.real * self.means
            angle[self.poisson] = -gap.imag * self.means
        length = self.weights * np.exp(size)
        found = np.empty((len(self.starts), len(gap)), complex)
        found.real = np.add.reduceat(length * np.cos(angle), self.starts, axis=0)
        found.imag = np.add.reduceat(length * np.sin(angle), self.starts, axis=0)
        return found


def _sums_of(part: Count, counts: Floats, rng: np.random.Generator) -> Floats:
    """Return draws of sums of so many items: n negative binomials of size r are one of n r."""
    if isinstance(part, Point):
        return np.asarray(part.value * counts)
    if not isinstance(part, CountMixture):
        ends = np.cumsum(counts).astype(int)
        drawn = np.concatenate([[0.0], np.cumsum(part.sample(rng, int(counts.sum())))])
        return np.asarray(drawn[ends] - drawn[ends - counts.astype(int)])
    split = rng.multinomial(counts.astype(np.int64), part.weights)
    finite = np.isfinite(part.sizes)
    shape = np.where(finite, split * np.where(finite, part.sizes, 1.0), 1.0)
    gamma = rng.gamma(shape) / np.where(finite, part.sizes, 1.0)
    rates = np.where(finite, gamma, split) * part.means
    return rng.poisson(rates).sum(1).astype(float)


def compound_moments(count: Count, severity: Severity) -> tuple[float, float]:
    """Return mean and variance of the sum (law of total variance over the shared nodes)."""
    n_mean, n_var = count.mean(), count.var()
    means = np.array([part.mean() for part in severity.parts])
    variances = np.array([part.var() for part in severity.parts])
    mean = n_mean * float(severity.weights @ means)
    within = n_mean * variances + n_var * means**2
    between = (n_mean * means - mean) ** 2
    return mean, float(severity.weights @ (within + between))


def upper_end(
    count: Count, severity: Severity, moments: tuple[float, float], tail: float = TAIL
) -> float:
    """Return b with P(S > b) <= tail, by the Chernoff bound over a grid of exponents."""
    mean, var = moments
    spread = np.sqrt(var) + 1.0
    theta = _EXPONENTS / spread
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        z = np.exp(theta)
        inner = severity.pgfs(z).real
        valid = np.array([_converges(part, z) for part in severity.parts])
        valid &= _converges(count, inner)
        outer = np.where(valid, count.pgf(inner).real, np.inf)
        total = severity.weights @ outer
        bounds = (np.log(total) - np.log(tail)) / theta
    bounds = bounds[np.isfinite(bounds) & (bounds > 0)]
    if bounds.size == 0:
        return float(np.ceil(mean + 60 * spread))
    return float(max(np.ceil(bounds.min()), np.ceil(mean) + 1))


def _converges(part: Count, z: Floats) -> NDArray[np.bool_]:
    """Return where the generating function of `part` is finite at real z >= 1."""
    means, sizes = getattr(part, "means", None), getattr(part, "sizes", None)
    if means is None or sizes is None:
        return np.isfinite(z)
    reach = (means / sizes).max()
    return np.asarray(np.isfinite(z) & ((z - 1) * reach < 1))
