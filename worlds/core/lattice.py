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
from math import ceil, exp, expm1, floor, log1p

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

    def mix(self, parts: Sequence[LogMean]) -> CdfTable:
        """Return the mixture over uncertain log means."""
        start, weights = spread(parts, self.step)
        values = weights @ self.table[start : start + len(weights)]
        np.minimum(np.maximum(values, 0.0, out=values), 1.0, out=values)
        first = second = 0.0
        for part in parts:
            mean = exp(min(part.mean + part.sd**2 / 2, 300.0))
            first += part.weight * mean
            square = exp(min(2 * part.mean + 2 * part.sd**2, 600.0))
            second += part.weight * (mean + square * (1 + 1 / self.size))
        moments = (first, second - first**2)
        return CdfTable(values, moments)


def spread(parts: Sequence[LogMean], step: float) -> tuple[int, NDArray[np.float32]]:
    """Return the first node and the weights that uncertain log means put on the lattice."""
    last = round((HIGH - LOW) / step)
    if len(parts) == 1 and parts[0].sd >= NARROW * step:
        return _one(_place(parts[0].mean, step), parts[0].sd / step, last)
    spots = [(part.weight, _place(part.mean, step), part.sd / step) for part in parts]
    start = max(int(min(spot - REACH * sd for _, spot, sd in spots)) - 3, 0)
    stop = min(int(max(spot + REACH * sd for _, spot, sd in spots)) + 5, last + 1)
    weights = np.zeros(stop - start, np.float32)
    wide = [(weight, spot, 1 / sd) for weight, spot, sd in spots if sd >= NARROW]
    if wide:
        table = np.array(wide)
        z = (np.arange(start, stop) - table[:, 1:2]) * table[:, 2:3]
        mass = np.exp(-0.5 * z * z)
        weights += (table[:, 0] / mass.sum(1)) @ mass
    for weight, spot, sd in spots:
        if sd < NARROW:
            left = min(max(int(spot), 2), last - 3)
            six = _match_moments(spot - left, sd)
            weights[left - 2 - start : left + 4 - start] += weight * six
    return start, weights


def _one(spot: float, sd: float, last: int) -> tuple[int, NDArray[np.float32]]:
    """Return the first node and the weights of a single wide normal: nearly every prediction."""
    start = max(int(spot - REACH * sd) - 3, 0)
    stop = min(int(spot + REACH * sd) + 5, last + 1)
    z = (_NODES[start:stop] - np.float32(spot)) * np.float32(1 / sd)
    z *= z
    z *= np.float32(-0.5)
    mass = np.exp(z, out=z)
    mass *= np.float32(1 / float(np.add.reduce(mass)))
    return start, mass


def weigh(
    means: Sequence[float], sds: Sequence[float], step: float
) -> tuple[int, NDArray[np.float32], list[tuple[int, int]]]:
    """Return what `spread` does for every one of some normals: they share the first node.

    Parameters
    ----------
    means, sds
        Of the N normals.
    step
        Of the lattice.

    Returns
    -------
    tuple
        The first node; an array (N, W): the weights of the nodes from there on, which sum to 1;
        and the first and last but one column of every row that matter.
    """
    last, fine = round((HIGH - LOW) / step), 1 / step
    spots: list[tuple[float]] = []
    scales: list[tuple[float]] = []
    narrow: list[tuple[int, float]] = []
    spans: list[tuple[int, int]] = []
    for mean, sd in zip(means, sds, strict=True):
        spot, width = (mean - LOW) * fine, sd * fine
        if not 0 <= spot <= last:
            spot = _place(mean, step)
        reach = REACH * width
        first, end = int(spot - reach) - 3, int(spot + reach) + 5
        spans.append((first if first > 0 else 0, end if end <= last else last + 1))
        if width < NARROW:
            narrow.append((len(spots), width))
            width = NARROW
        spots.append((spot,))
        scales.append((-0.5 / (width * width),))
    start, stop = min(begin for begin, _ in spans), max(end for _, end in spans)
    mass = _NODES[start:stop] - np.array(spots, np.float32)
    mass *= mass
    mass *= np.array(scales, np.float32)
    np.exp(mass, out=mass)
    mass /= np.add.reduce(mass, 1, keepdims=True)
    for row, width in narrow:
        spot = spots[row][0]
        left = min(max(int(spot), 2), last - 3)
        mass[row] = 0
        mass[row, left - 2 - start : left + 4 - start] = _match_moments(spot - left, width)
    return start, mass, spans


def _place(mean: float, step: float) -> float:
    return (min(max(mean, LOW), HIGH) - LOW) / step


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
