"""The sum of a random number of random counts, by inverting its generating function.

The generating function of S = X_1 + ... + X_N is G_N(G_X(z)). Parameters shared by all X of one
world (the level everybody's posts have) are nodes: S given the node is a compound sum, and the
nodes are averaged in the transform. On small ranges the discrete Fourier transform inverts it
exactly up to aliasing; on large ones the COS series (Fang & Oosterlee 2008,
doi:10.1137/080718061) does, in its form for whole numbers: summing cos(w n) over n = 0..k gives
sin(w (k + 1/2)) / (2 sin(w / 2)) + 1/2, so that only the truncation of the series is left as error.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from worlds.core.distributions import (
    Complexes,
    Count,
    CountMixture,
    Distribution,
    Floats,
    Mixture,
    PmfTable,
    Point,
    check_levels,
    negative_binomial_pgf,
    rescaled,
    whole_quantile,
)
from worlds.core.interpolation import cubic
from worlds.errors import QuestionError

TAIL = 1e-10
"""Probability beyond the upper end of the range that is inverted (Chernoff bound)."""
EXACT_RANGE = 8192
"""Ranges up to this many whole numbers are inverted by the discrete transform."""
SINGLE = 1e-8
"""Probability of exactly one item from which on that case is kept out of the series."""
ITEM_POINTS = 1025
_EXPONENTS: Floats = np.geomspace(1e-3, 30.0, 48)
_UNIT: Floats = np.arange(64) / 64
_LINE: Floats = np.arange(192) / 192
_FEW: Floats = np.linspace(0.0, 1.0, 32)
MANY = 4
"""Components from which on a count may be cheaper as a table."""
WORTH = 100
"""Terms of a polynomial that cost as much as one component."""
LOOSE = 5e-5
"""Tolerances from here on are tried with the fewest terms first."""
TERMS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


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

    @cached_property
    def table_error(self) -> float:
        """Twice the largest error of the table at the middle of every eighth step."""
        table, last = self._table
        place = np.arange(1.5, len(table) - 2, 8.0)
        k = np.expm1(place * (np.log1p(last) / (len(table) - 1)))
        return 2 * float(np.abs(cubic(table, place) - self._exact(k)).max())

    def _exact(self, k: Floats) -> Floats:
        values = [getattr(part, "smooth_cdf", part.cdf)(k) for part in self.parts]
        return np.asarray(np.tensordot(self.weights, np.array(values), 1))

    @cached_property
    def _table(self) -> tuple[Floats, float]:
        last = upper_end(Point(1.0), self, compound_moments(Point(1.0), self))
        k = np.expm1(np.linspace(0.0, np.log1p(last), ITEM_POINTS))
        return self._exact(k), last

    def pgfs(self, z: Floats | Complexes) -> Complexes:
        """Return the generating function of every node, array (V, len(z))."""
        if self._stacked is None:
            return np.array([part.pgf(z) for part in self.parts])
        weights, means, sizes = self._stacked
        gap = (1 - np.asarray(z))[None, :, None]
        parts = negative_binomial_pgf(gap, means[:, None], sizes[:, None])
        return np.asarray(np.einsum("vnk,vk->vn", parts, weights))

    @cached_property
    def _stacked(self) -> tuple[Floats, Floats, Floats] | None:
        """The mixtures of all nodes as arrays (V, K), if they are alike and none is Poisson."""
        parts = [part for part in self.parts if isinstance(part, CountMixture)]
        if len(parts) < len(self.parts) or len({len(part.weights) for part in parts}) != 1:
            return None
        sizes = np.array([part.sizes for part in parts])
        if not np.isfinite(sizes).all():
            return None
        return np.array([p.weights for p in parts]), np.array([p.means for p in parts]), sizes

    def scaled(self, factor: float) -> "Severity":
        """Return the severity with every intensity times `factor`."""
        return replace(self, parts=tuple(part.scaled(factor) for part in self.parts))

    def sample_sum(self, counts: Floats, rng: np.random.Generator) -> Floats:
        """Return one draw of the sum for every entry of `counts`, each with its own node."""
        nodes = rng.choice(len(self.weights), size=len(counts), p=self.weights)
        return self.sums_at(nodes, counts, rng)

    def sums_at(self, nodes: NDArray[np.int64], counts: Floats, rng: np.random.Generator) -> Floats:
        """Return one draw of the sum of `counts` items at every node of `nodes`, arrays (n,)."""
        sums = np.zeros(len(counts))
        for node in np.unique(nodes):
            mine = nodes == node
            sums[mine] = _sums_of(self.parts[node], counts[mine], rng)
        return sums


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


@dataclass(frozen=True, slots=True, eq=False)
class SeriesSum:
    """A non-negative whole-valued sum, inverted by a cosine series and tabulated.

    P(S <= k) = atom + single F(k) + A_0 / 2 x + sum_j A_j sin(w_j x) / (2 sin(w_j / 2))
    at x = k + 1/2 and w_j = j pi / upper: nothing at all, exactly one item (whose density may be
    infinite at zero, where a series would converge slowly), and the series for two or more.

    Parameters
    ----------
    atom, single
        The mass at zero that is not in `single`, and the probability of exactly one item.
    item
        What one item brings.
    upper
        End of the range.
    series
        Values of the series at equal steps over [0, upper].
    moments
        Mean and variance in closed form.
    error
        Bound on the error of every cumulative probability.
    terms
        Number of terms of the series.
    """

    atom: float
    single: float
    item: Severity
    upper: float
    series: Floats
    moments: tuple[float, float]
    error: float = 1.0
    terms: int = 0
    method: str = "pgf inversion (COS)"

    def mean(self) -> float:
        """Return the mean (closed form)."""
        return self.moments[0]

    def var(self) -> float:
        """Return the variance (closed form)."""
        return self.moments[1]

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(S <= x), within `error`."""
        k = np.floor(np.asarray(x, float))
        one = self.single * self.item.cdf(k) if self.single > 0 else np.zeros_like(k)
        place = np.clip(k + 0.5, 0.0, self.upper) * ((len(self.series) - 1) / self.upper)
        rest = np.maximum(cubic(self.series, place), 0.0)
        total = np.where(k + 0.5 >= self.upper, 1.0, np.minimum(self.atom + one + rest, 1.0))
        return np.asarray(np.where(k < 0, 0.0, total))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest whole k with P(S <= k) >= p."""
        if self.single > 0:
            return whole_quantile(self.cdf, p, *self.moments)
        rising = np.maximum.accumulate(self.series)
        levels = check_levels(p)
        step = self.upper / (len(self.series) - 1)
        near = np.searchsorted(rising, levels - self.atom) * step
        around = np.floor(near - 2 * step), np.ceil(near + 2 * step)
        return whole_quantile(self.cdf, levels, *self.moments, around=around)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws by inversion."""
        return self.quantile(np.clip(rng.uniform(size=size), 1e-12, 1 - 1e-12))


def compound(count: Count, severity: Severity, tolerance: float = 1e-5) -> Distribution:
    """Return the distribution of the sum of `count` items of the given severity.

    Parameters
    ----------
    count
        Distribution of the number of items; independent of the severity.
    severity
        Distribution of one item, with nodes for what the items share.
    tolerance
        Error of the cdf at which the series stops growing.

    Returns
    -------
    Distribution
        `Point` for points, `PmfTable` on small ranges, else `SeriesSum` with its error.

    Raises
    ------
    QuestionError
        If the number of items, or the size of an item among uncertain ones, is not whole.
    """
    if isinstance(count, Point) and count.value != np.floor(count.value):
        msg = f"the number of items must be whole; got {count.value!r}"
        raise QuestionError(msg)
    if all(isinstance(part, Point) for part in severity.parts):
        parts = tuple(rescaled(count, part.mean()) for part in severity.parts)
        return parts[0] if len(parts) == 1 else Mixture(severity.weights, parts)
    moments = compound_moments(count, severity)
    if moments[0] == 0:
        return Point(0.0)
    count = shortened(count)
    upper = upper_end(count, severity, moments)
    own = float(getattr(count, "error", 0.0))
    if upper <= EXACT_RANGE:
        table = _invert_fft(partial(_rest, count, severity, 0.0, 0.0), upper)
        return replace(table, error=table.error + own)
    start = _start(count, severity, upper, moments)
    rest = partial(_rest, count, severity, start.atom, start.single)
    series = _invert_cos(rest, start, tolerance)
    return replace(series, error=series.error + own)


def shortened(count: Count) -> Count:
    """Return a count of many components as a table, where that is less work.

    A polynomial costs less a term than a power, and few things have few terms: a count that was
    thinned by an uncertain share has hundreds of components and a handful of things.
    """
    means = getattr(count, "means", None)
    if means is None or np.size(means) < MANY:
        return count
    spread = float(np.sqrt(count.var()))
    if count.mean() + 12 * spread > WORTH * np.size(means):
        return count
    one = Severity(np.ones(1), (Point(1.0),))
    upper = upper_end(count, one, (count.mean(), count.var()))
    if upper > WORTH * np.size(means):
        return count
    table = getattr(count, "table", None)
    if isinstance(table, PmfTable):
        return table
    return _invert_fft(lambda frequency: count.pgf(np.exp(1j * frequency)), upper)


def _start(
    count: Count, severity: Severity, upper: float, moments: tuple[float, float]
) -> SeriesSum:
    """Return what stays outside the series: the mass at zero and the case of one item."""
    single = float(count.pmf(1.0))
    if single < SINGLE or any(isinstance(part, Point) for part in severity.parts):
        single = 0.0
    atom = _mass_at_zero(count, severity)
    if single > 0:
        atom -= single * float(severity.weights @ [float(part.cdf(0.0)) for part in severity.parts])
    return SeriesSum(atom, single, severity, upper, np.zeros(2), moments)


def _mass_at_zero(count: Count, severity: Severity) -> float:
    nothing = severity.pgfs(np.zeros(1)).real
    return float(severity.weights @ count.pgf(nothing).real[:, 0])


def compound_moments(count: Count, severity: Severity) -> tuple[float, float]:
    """Return mean and variance of the sum (law of total variance over the shared nodes)."""
    n_mean, n_var = count.mean(), count.var()
    means = np.array([part.mean() for part in severity.parts])
    variances = np.array([part.var() for part in severity.parts])
    mean = n_mean * float(severity.weights @ means)
    within = n_mean * variances + n_var * means**2
    between = (n_mean * means - mean) ** 2
    return mean, float(severity.weights @ (within + between))


def _rest(
    count: Count, severity: Severity, atom: float, single: float, frequency: Floats
) -> Complexes:
    """Return the characteristic function of the sum less the parts kept out of the inversion."""
    inner = severity.pgfs(np.exp(1j * frequency))
    outer = count.pgf(inner)
    return np.asarray(severity.weights @ (outer - single * inner) - atom)


def upper_end(count: Count, severity: Severity, moments: tuple[float, float]) -> float:
    """Return b with P(S > b) <= TAIL, by the Chernoff bound over a grid of exponents."""
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
        bounds = (np.log(total) - np.log(TAIL)) / theta
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


def _invert_fft(transform: Callable[[Floats], Complexes], upper: float) -> PmfTable:
    size = 1 << int(np.ceil(np.log2(upper + 2)))
    half = transform(2 * np.pi * np.arange(size // 2 + 1) / size)
    probs: Floats = np.clip(scipy.fft.irfft(np.conj(half), size), 0.0, None)
    return PmfTable(0, probs / probs.sum(), error=TAIL, method="pgf inversion (FFT)")


def _invert_cos(
    rest: Callable[[Floats], Complexes], start: SeriesSum, tolerance: float
) -> SeriesSum:
    points = np.concatenate([start.upper**_UNIT, start.upper * _LINE])
    last: Floats | None = None
    current, coefficients = start, np.zeros(0)
    for limit in TERMS if tolerance >= LOOSE else TERMS[1:]:
        known, terms = len(coefficients), min(limit, int(start.upper))
        if terms <= known:
            break
        omega = np.arange(known, terms, dtype=float) * (np.pi / start.upper)
        coefficients = np.concatenate([coefficients, 2 / start.upper * rest(omega).real])
        current = replace(current, series=_sum_series(coefficients, start.upper), terms=terms)
        values = current.cdf(points)
        if last is not None:
            error = 2 * float(np.abs(values - last).max()) + TAIL
            error += start.single * start.item.table_error if start.single > 0 else 0.0
            current = replace(current, error=error)
            if error <= tolerance:
                current = replace(current, error=error + _table_error(current, coefficients))
                if current.error <= tolerance:
                    return current
        last = values
    return replace(current, error=current.error + _table_error(current, coefficients))


def _sum_series(coefficients: Floats, upper: float) -> Floats:
    """Return the series at equal steps over [0, upper], by one sine transform."""
    size = max(4 * len(coefficients), 4096)
    amplitudes = np.zeros(size - 1)
    amplitudes[: len(coefficients) - 1] = _amplitudes(coefficients, upper)
    table: Floats = np.arange(size + 1.0)
    table *= coefficients[0] / 2 * upper / size
    table[1:-1] += scipy.fft.dst(amplitudes, type=1) / 2
    return table


def _amplitudes(coefficients: Floats, upper: float) -> Floats:
    omega = np.arange(1.0, len(coefficients)) * (np.pi / upper)
    return np.asarray(coefficients[1:] / (2 * np.sin(omega / 2)))


def _table_error(total: SeriesSum, coefficients: Floats) -> float:
    """Return how far interpolation in the table is from the series itself, at 32 points."""
    points = np.floor((total.upper - 1) ** _FEW) + 0.5
    omega = np.arange(1.0, len(coefficients)) * (np.pi / total.upper)
    waves = np.sin(points[:, None] * omega) @ _amplitudes(coefficients, total.upper)
    place = points * ((len(total.series) - 1) / total.upper)
    exact = coefficients[0] / 2 * points + waves
    return float(np.abs(cubic(total.series, place) - exact).max())
