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

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from worlds.core.distributions import (
    Complexes,
    Count,
    Distribution,
    Floats,
    Mixture,
    PmfTable,
    Point,
    check_levels,
    rescaled,
)
from worlds.errors import QuestionError

TAIL = 1e-10
"""Probability beyond the upper end of the range that is inverted (Chernoff bound)."""
EXACT_RANGE = 8192
"""Ranges up to this many whole numbers are inverted by the discrete transform."""
SINGLE = 1e-8
"""Probability of exactly one item from which on that case is kept out of the series."""
TERMS = (256, 512, 1024, 2048, 4096, 8192, 16384)


@dataclass(frozen=True, slots=True, eq=False)
class Severity:
    """The size of one item, given parameters that all items of a world share.

    Parameters
    ----------
    weights
        Array (V,): probability of every node of the shared parameters.
    parts
        The distribution of one item at every node.
    """

    weights: Floats
    parts: tuple[Count, ...]

    def mean(self) -> float:
        """Return the mean of one item."""
        return float(sum(w * part.mean() for w, part in zip(self.weights, self.parts, strict=True)))

    def cf(self, frequency: Floats) -> Complexes:
        """Return the characteristic function of one item."""
        z = np.exp(1j * frequency)
        parts = [part.pgf(z) for part in self.parts]
        return np.asarray(np.tensordot(self.weights, np.array(parts), 1))

    def scaled(self, factor: float) -> "Severity":
        """Return the severity with every intensity times `factor`."""
        return Severity(self.weights, tuple(part.scaled(factor) for part in self.parts))

    def sample_sum(self, counts: Floats, rng: np.random.Generator) -> Floats:
        """Return one draw of the sum for every entry of `counts` (an oracle for tests)."""
        node = rng.choice(len(self.weights), size=len(counts), p=self.weights)
        sums = np.zeros(len(counts))
        for index, (v, n) in enumerate(zip(node, counts, strict=True)):
            sums[index] = self.parts[v].sample(rng, int(n)).sum()
        return sums


@dataclass(frozen=True, slots=True, eq=False)
class CosSum:
    """A non-negative whole-valued sum given by its COS coefficients.

    P(S <= k) = atom + single F(k) + A_0 / 2 x + sum_j A_j sin(w_j x) / (2 sin(w_j / 2))
    at x = k + 1/2 and w_j = j pi / upper: nothing at all, exactly one item (whose density may be
    infinite at zero, where a series would converge slowly), and the series for two or more.
    """

    atom: float
    single: float
    item: Severity
    upper: float
    coefficients: Floats
    moments: tuple[float, float]
    error: float
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
        points = np.clip(k + 0.5, 0.0, self.upper)
        omega = np.arange(1.0, len(self.coefficients)) * (np.pi / self.upper)
        waves = np.sin(points[..., None] * omega) @ self._amplitudes(omega)
        total = self.atom + self.coefficients[0] / 2 * points + waves + self._one(k)
        total = np.where(k + 0.5 >= self.upper, 1.0, np.clip(total, 0.0, 1.0))
        return np.asarray(np.where(k < 0, 0.0, np.maximum(total, self.atom + self._one(k))))

    def _amplitudes(self, omega: Floats) -> Floats:
        return np.asarray(self.coefficients[1:] / (2 * np.sin(omega / 2)))

    def _one(self, k: Floats) -> Floats:
        if self.single == 0:
            return np.zeros_like(k)
        parts = [part.cdf(k) for part in self.item.parts]
        return np.asarray(self.single * np.tensordot(self.item.weights, np.array(parts), 1))

    def table(self) -> tuple[Floats, Floats]:
        """Return points and cdf on a uniform grid, by one sine transform."""
        size = len(self.coefficients)
        omega = np.arange(1.0, size) * (np.pi / self.upper)
        waves = fft.dst(self._amplitudes(omega), type=1) / 2
        points = np.arange(1, size) * self.upper / size
        values = self.atom + self.coefficients[0] / 2 * points + waves + self._one(points)
        points = np.concatenate([[0.0], points, [self.upper]])
        values = np.concatenate([[self.atom], values, [1.0]])
        return points, np.clip(np.maximum.accumulate(values), 0.0, 1.0)

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest whole k with P(S <= k) >= p."""
        levels = check_levels(p)
        points, values = self.table()
        right = np.searchsorted(values, levels)
        low = np.floor(points[np.maximum(right - 2, 0)]) - 1
        high = np.ceil(points[np.minimum(right + 1, len(points) - 1)])
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            enough = self.cdf(middle) >= levels
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return np.maximum(high, 0.0)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws by inversion on the grid."""
        points, values = self.table()
        draws = np.interp(rng.uniform(self.atom, 1.0, size), values, points)
        return np.where(rng.uniform(size=size) < self.atom, 0.0, np.ceil(draws - 0.5))


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
        `Point` for points, `PmfTable` on small ranges, else `CosSum` with its error.

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
    upper = upper_end(count, severity, moments)
    transform = _transform(count, severity)
    if upper <= EXACT_RANGE:
        return _invert_fft(transform, upper)
    return _invert_cos(transform, _start(count, severity, upper, moments), tolerance)


def _start(count: Count, severity: Severity, upper: float, moments: tuple[float, float]) -> CosSum:
    """Return what stays outside the series: the mass at zero and the case of one item."""
    single = float(count.pmf(1.0))
    if single < SINGLE or any(isinstance(part, Point) for part in severity.parts):
        single = 0.0
    atom = _mass_at_zero(count, severity)
    atom -= single * float(severity.weights @ [float(part.cdf(0.0)) for part in severity.parts])
    return CosSum(atom, single, severity, upper, np.zeros(0), moments, 1.0)


def _mass_at_zero(count: Count, severity: Severity) -> float:
    empty = [float(count.pgf(part.pgf(0.0).real).real) for part in severity.parts]
    return float(severity.weights @ np.array(empty))


def compound_moments(count: Count, severity: Severity) -> tuple[float, float]:
    """Return mean and variance of the sum (law of total variance over the shared nodes)."""
    n_mean, n_var = count.mean(), count.var()
    means = np.array([part.mean() for part in severity.parts])
    variances = np.array([part.var() for part in severity.parts])
    mean = n_mean * float(severity.weights @ means)
    within = n_mean * variances + n_var * means**2
    between = (n_mean * means - mean) ** 2
    return mean, float(severity.weights @ (within + between))


def _transform(count: Count, severity: Severity) -> Callable[[Floats], Complexes]:
    def transform(frequency: Floats) -> Complexes:
        z = np.exp(1j * frequency)
        total = np.zeros(len(frequency), complex)
        for weight, part in zip(severity.weights, severity.parts, strict=True):
            total += weight * count.pgf(part.pgf(z))
        return total

    return transform


def upper_end(count: Count, severity: Severity, moments: tuple[float, float]) -> float:
    """Return b with P(S > b) <= TAIL, by the Chernoff bound over a grid of exponents."""
    mean, var = moments
    spread = np.sqrt(var) + 1.0
    theta = np.geomspace(1e-3, 30.0, 120) / spread
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        total = np.zeros_like(theta)
        for weight, part in zip(severity.weights, severity.parts, strict=True):
            inner = part.pgf(np.exp(theta))
            outer = count.pgf(inner.real)
            valid = _converges(part, np.exp(theta)) & _converges(count, inner.real)
            total += weight * np.where(valid, outer.real, np.inf)
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
    probs: Floats = np.clip(fft.irfft(np.conj(half), size), 0.0, None)
    return PmfTable(0, probs / probs.sum(), error=TAIL, method="pgf inversion (FFT)")


def _invert_cos(
    transform: Callable[[Floats], Complexes], start: CosSum, tolerance: float
) -> CosSum:
    ends = np.geomspace(1.0, start.upper, 65)[:-1]
    points = np.concatenate([[0.0], ends, np.linspace(0, start.upper, 193)[1:-1]])
    last: Floats | None = None
    current = start
    for limit in TERMS:
        known, terms = len(current.coefficients), min(limit, int(start.upper))
        if terms <= known:
            break
        omega = np.arange(known, terms, dtype=float) * (np.pi / start.upper)
        rest = transform(omega).real - start.atom - start.single * start.item.cf(omega).real
        grown = np.concatenate([current.coefficients, 2 / start.upper * rest])
        current = replace(current, coefficients=grown)
        values = current.cdf(points)
        if last is not None:
            error = 2 * float(np.abs(values - last).max()) + TAIL
            current = replace(current, error=error)
            if error <= tolerance:
                break
        last = values
    return current
