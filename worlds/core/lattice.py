"""Fast predictive distributions: negative binomials on a lattice of log means.

If the log mean of a count is uncertain, its distribution is a mixture of negative binomials over
the log mean. On a fixed lattice of log means all cumulative probabilities can be computed once
(`NegBinLattice`); a prediction then is a row of weights times that matrix. For a normal density
the trapezoidal rule on the lattice converges exponentially (error 2 exp(-2 pi^2 s^2 / h^2) for
standard deviation s and step h; Trefethen & Weideman 2014, doi:10.1137/130932132); for narrower
ones six nodes match the first six moments. Both need counts whose own noise is wider than the
lattice (sizes up to `LARGEST_SIZE`); `mixture_over` serves every size, more slowly.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, expm1, floor, log1p, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from worlds.core.distributions import (
    CountMixture,
    Floats,
    check_levels,
    negative_binomial_cdf,
)

LOW, HIGH = -6.0, 18.0
REACH = 5.5
"""Standard deviations on either side of a log mean that the lattice covers (3.8e-8 beyond)."""
GRID: Floats = np.array(sorted({*range(32), *np.round(np.geomspace(32, 2e9, 380)).tolist()}), float)
_LOG_GRID: Floats = np.log1p(GRID)
_GRID_LIST: list[float] = GRID.tolist()
LARGEST_SIZE = 30.0
STEPS = ((8.0, 0.1), (LARGEST_SIZE, 0.05))
"""Step of the lattice for sizes up to: less noise needs a finer one."""
MISSED = 10.5
"""Minus the log of what the trapezoidal rule may miss on nodes further apart (see `weigh`)."""
WIDEST = 0.4
"""Nodes are at most so far apart: the transform of a skewed law falls more slowly."""
TWO_PI = 2 * pi
NARROW = 0.8
"""Steps below which a standard deviation is too small for the trapezoidal rule."""
_NODES: NDArray[np.float32] = np.arange(round((HIGH - LOW) / STEPS[-1][1]) + 2, dtype=np.float32)
_OFFSETS: Floats = np.arange(-2.0, 4.0)
_FROM_MOMENTS: Floats = np.linalg.inv(np.vander(_OFFSETS, increasing=True).T)
ERROR = 2e-4
"""Bound on the error of a cumulative probability from the lattice (checked in the tests)."""
METHOD = "quadrature (lattice)"


@dataclass(frozen=True, slots=True)
class LogMean:
    """An uncertain log mean: with `weight` it is normal with the given mean and sd."""

    weight: float
    mean: float
    sd: float


@dataclass(frozen=True, slots=True, eq=False)
class CdfTable:
    """A count given by its cumulative probabilities on `GRID`."""

    values: NDArray[np.floating]
    moments: tuple[float, float]
    error: float = ERROR
    method: str = METHOD

    def mean(self) -> float:
        """Return the mean (closed form)."""
        return self.moments[0]

    def var(self) -> float:
        """Return the variance (closed form)."""
        return self.moments[1]

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x), linear in log(1 + x) between grid points."""
        k = np.floor(np.asarray(x, float))
        inside = np.interp(np.log1p(np.maximum(k, 0.0)), _LOG_GRID, self.values)
        return np.asarray(np.where(k < 0, 0.0, inside))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest whole k with P(X <= k) >= p."""
        place = np.interp(check_levels(p), self.values, _LOG_GRID)
        return np.asarray(np.ceil(np.expm1(place) - 1e-9))

    def quantiles(self, levels: Floats) -> list[float]:
        """Return the quantiles at levels that `check_levels` has seen, as plain numbers."""
        places: list[float] = np.interp(levels, self.values, _LOG_GRID).tolist()
        return [float(ceil(expm1(place) - 1e-9)) for place in places]

    def exceedance(self, thresholds: Sequence[float]) -> list[float]:
        """Return P(X > x) for every threshold, as plain numbers."""
        return [1 - self._below(floor(x)) if x >= 0 else 1.0 for x in thresholds]

    def _below(self, k: int) -> float:
        """Return P(X <= k), as `cdf` does."""
        right = bisect_left(_GRID_LIST, k)
        if right >= len(_GRID_LIST):
            return float(self.values[-1])
        upper, high = float(self.values[right]), _GRID_LIST[right]
        if high == k:
            return upper
        lower, low = float(self.values[right - 1]), _GRID_LIST[right - 1]
        return lower + (upper - lower) * (log1p(k) - log1p(low)) / (log1p(high) - log1p(low))

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws by inversion."""
        return self.quantile(np.clip(rng.uniform(size=size), 1e-12, 1 - 1e-12))


class NegBinLattice:
    """All cumulative probabilities of negative binomials of one size on the lattice.

    Parameters
    ----------
    size
        Size r of the negative binomial, at most `LARGEST_SIZE`.

    Raises
    ------
    ValueError
        If the size is larger: the lattice is too coarse for so little noise.
    """

    table: NDArray[np.float32]
    """Array (nodes, grid): cumulative probabilities at every node of the log mean."""
    factor_moments: tuple[float, float]
    """Mean and mean square of the factor on the mean that is no part of the log mean."""
    smooth: float
    """Variance of the log of a count around its mean, at least: how fine the lattice must be."""

    def __init__(self, size: float) -> None:
        if not 0 < size <= LARGEST_SIZE:
            msg = f"the lattice serves sizes in (0, {LARGEST_SIZE:g}]; got {size:g}"
            raise ValueError(msg)
        self.size = size
        self.step = next(step for most, step in STEPS if size <= most)
        nodes = np.arange(LOW, HIGH + self.step / 2, self.step)
        table = negative_binomial_cdf(GRID, np.exp(nodes)[:, None], np.asarray(size))
        self.table = table.astype(np.float32)
        self.factor_moments = (1.0, 1.0)
        self.smooth = 1 / size

    def mix(self, parts: Sequence[LogMean]) -> CdfTable:
        """Return the mixture over uncertain log means."""
        nodes = weigh(
            [part.mean for part in parts], [part.sd for part in parts], self.step, self.smooth
        )
        shares = np.array([part.weight for part in parts], np.float32)
        values = (shares @ nodes.mass) @ self.table[nodes.rows()]
        np.minimum(np.maximum(values, 0.0, out=values), 1.0, out=values)
        first = second = 0.0
        for part in parts:
            first += part.weight * exp(min(part.mean + part.sd**2 / 2, 300.0))
            second += part.weight * exp(min(2 * part.mean + 2 * part.sd**2, 600.0))
        mean, square = self.factor_moments
        first, second = first * mean, second * square * (1 + 1 / self.size) + first * mean
        return CdfTable(values, (first, second - first**2))


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """The weights that some normals put on a lattice.

    Parameters
    ----------
    start, stride
        The first node, and how many nodes apart the used ones are.
    mass
        Array (N, W): the weights of every normal, which sum to 1.
    """

    start: int
    stride: int
    mass: NDArray[np.float32]

    def rows(self) -> slice:
        """Return which rows of a lattice's table the columns of `mass` stand for."""
        end = self.start + (self.mass.shape[1] - 1) * self.stride + 1
        return slice(self.start, end, self.stride)


def weigh(means: Sequence[float], sds: Sequence[float], step: float, smooth: float) -> Weights:
    """Return the weights that some normals put on the lattice, on nodes that they share.

    Where normals and counts are wide fewer nodes do: with standard deviation s, a spread of the
    log count of t and a distance h of the nodes, what the trapezoidal rule misses falls like
    exp(-(2 pi / h)^2 s^2 t^2 / (2 (s^2 + t^2))), the transform of both at the frequency 1 / h.

    Parameters
    ----------
    means, sds
        Of the N normals.
    step
        Of the lattice.
    smooth
        The variance of the log count around its mean, at least (t^2).
    """
    last, fine = round((HIGH - LOW) / step), 1 / step
    spots: list[tuple[float]] = []
    scales: list[tuple[float]] = []
    narrow: list[tuple[int, float]] = []
    low, high = float(last), 0.0
    for mean, sd in zip(means, sds, strict=True):
        spot, width = (mean - LOW) * fine, sd * fine
        if not 0 <= spot <= last:
            spot = 0.0 if spot < 0 else float(last)
        reach = REACH * width
        if spot - reach < low:
            low = spot - reach
        if spot + reach > high:
            high = spot + reach
        if width < NARROW:
            narrow.append((len(spots), width))
            width = NARROW
        spots.append((spot,))
        scales.append((-0.5 / (width * width),))
    start, stop, stride = int(low) - 3, int(high) + 5, 1
    inside = start >= 0 and stop <= last + 1
    if not narrow and inside:
        square = min(sds) ** 2
        wide = TWO_PI * sqrt(square * smooth / (2 * MISSED * (square + smooth)))
        stride = max(int(min(wide, WIDEST) * fine + 1e-9), 1)
    if inside:
        mass = _NODES[start:stop:stride] - np.array(spots, np.float32)
    else:
        mass = np.arange(start, stop, dtype=np.float32) - np.array(spots, np.float32)
    mass *= mass
    mass *= np.array(scales, np.float32)
    np.exp(mass, out=mass)
    mass /= np.add.reduce(mass, 1, keepdims=True)
    for row, width in narrow:
        spot = spots[row][0]
        left = min(max(int(spot), 2), last - 3)
        mass[row] = 0
        mass[row, left - 2 - start : left + 4 - start] = _match_moments(spot - left, width)
    if inside:
        return Weights(start, stride, mass)
    begin, end = max(start, 0), min(stop, last + 1)
    return Weights(begin, 1, _held(mass, begin - start, end - start))


def _held(mass: NDArray[np.float32], begin: int, end: int) -> NDArray[np.float32]:
    """Return weights of which what lies beyond the lattice stands on its first and last node."""
    held = mass[:, begin:end].copy()
    held[:, 0] += mass[:, :begin].sum(1)
    held[:, -1] += mass[:, end:].sum(1)
    return held


@lru_cache(maxsize=256)
def _match_moments(mean: float, sd: float) -> NDArray[np.float32]:
    """Return weights of six neighbouring nodes with the first six moments of a normal."""
    moments = [1.0, mean]
    for order in range(2, 6):
        moments.append(mean * moments[-1] + (order - 1) * sd**2 * moments[-2])
    six = np.asarray(_FROM_MOMENTS @ moments, np.float32)
    six.flags.writeable = False
    return six


def mixture_over(parts: Sequence[LogMean], size: float) -> CountMixture:
    """Return the mixture over uncertain log means, exactly enough for every size.

    The trapezoidal rule steps no wider than half a standard deviation of the log mean and no
    wider than the counting noise itself.
    """
    means, weights = [], []
    for part in parts:
        noise = np.sqrt(1 / size + np.exp(-min(part.mean + 2 * part.sd, HIGH)))
        step = min(0.5, noise / max(part.sd, 1e-9))
        z = np.arange(-6.5, 6.5 + step / 2, max(step, 0.005))
        mass = np.exp(-0.5 * z * z)
        means.append(np.exp(np.clip(part.mean + part.sd * z, LOW, HIGH + 8)))
        weights.append(part.weight * mass / mass.sum())
    return CountMixture.of(np.concatenate(means), size, np.concatenate(weights))
