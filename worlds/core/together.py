"""Sums of the same items over many counts, all at once.

Given the node, the transform of a sum of n items is the n-th power of that of one item. The powers,
averaged over the nodes, are the rows of one matrix, and the probabilities of the counts are those
of another: all transforms are their product. What is shared (the items, the range, the waves) is
computed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy
from numpy.typing import ArrayLike

from worlds.core.compound import EXACT_RANGE, compound
from worlds.core.distributions import (
    Complexes,
    Count,
    Distribution,
    Floats,
    PmfTable,
    Point,
    check_levels,
    whole_quantile,
)
from worlds.core.interpolation import cubic
from worlds.core.series import LOOSE, amplitudes, sum_series
from worlds.core.severity import TAIL, Severity, compound_moments, upper_end
from worlds.core.thinning import as_table

MOST_ROWS = 1024
"""Largest count whose powers are listed."""
ALONE = 256
"""The same where a count is by itself: more are quicker done by `compound`."""
TIGHT = 1e-6
SHORT_RANGE, LOOSE_RANGE = 2048, 1024
"""Ranges up to here are inverted by the discrete transform where less exactness is asked."""
STAGES = ((512, 128), (1024, 256), (2048, 512), (2048, 1024), (4096, 2048), (8192, 4096))
"""Small values that are computed exactly, and terms of the series: as many as it takes."""
DAMPED = 1e-8
NEGLIGIBLE = 1e-15
SHRINK = 0.9
NOTHING = 1e-18
"""Probability of a number of things that is left out at the end of a table."""
_UNIT: Floats = np.concatenate([np.arange(96) / 96, np.arange(97, 128) / 128])
STRAY = 1e-4
"""Error of a sum on a shared range from which on it is computed by itself."""
ALIKE = 4.0
"""Sums whose reaches differ by no more than this factor share one range."""


def compounds(
    counts: Sequence[Count], severity: Severity, tolerance: float = 1e-5
) -> list[Distribution]:
    """Return the distribution of the sum of every one of several counts of items.

    The same as `compound` of each; what is less exact together than `tolerance` goes by itself.

    Raises
    ------
    QuestionError
        As `compound` does.
    """
    found: dict[int, Distribution] = {}
    if not any(isinstance(part, Point) for part in severity.parts):
        shared = [place for place, count in enumerate(counts) if _few(count)]
        for places in _alike([counts[place] for place in shared], severity):
            chosen = [shared[place] for place in places]
            if len(chosen) > 1 or _reach(counts[chosen[0]]) < ALONE:
                laws = _together([counts[place] for place in chosen], severity, tolerance)
                found |= dict(zip(chosen, laws, strict=True))
    return [
        _checked(found.get(place), counts[place], severity, tolerance)
        for place in range(len(counts))
    ]


def _checked(
    law: Distribution | None, count: Count, severity: Severity, tolerance: float
) -> Distribution:
    """Return the law of a sum; where tails reach too far for a shared range, one by itself."""
    if law is None:
        return compound(count, severity, tolerance)
    if getattr(law, "error", 0.0) <= max(tolerance, STRAY):
        return law
    alone = compound(count, severity, max(tolerance, STRAY))
    return alone if getattr(alone, "error", 0.0) < getattr(law, "error", 0.0) else law


def _few(count: Count) -> bool:
    return not isinstance(count, Point) and _reach(count) < MOST_ROWS


def _reach(count: Count) -> float:
    """Return more than there will be, by moments."""
    return float(count.mean() + 12 * np.sqrt(count.var()) + 20)


def _alike(counts: Sequence[Count], severity: Severity) -> list[list[int]]:
    """Return places of counts in groups whose sums reach about as far."""
    reach = []
    for count in counts:
        mean, var = compound_moments(count, severity)
        reach.append(mean + 8 * var**0.5)
    groups: list[list[int]] = []
    for place in np.argsort(reach).tolist():
        if groups and reach[place] <= ALIKE * reach[groups[-1][0]]:
            groups[-1].append(place)
        elif reach[place] > 0:
            groups.append([place])
    return groups


def _together(
    counts: Sequence[Count], severity: Severity, tolerance: float
) -> Sequence[Distribution]:
    tables = [as_table(count) for count in counts]
    rows = max(table.start + len(table.probs) for table in tables)
    probs = np.zeros((len(tables), rows))
    for row, table in zip(probs, tables, strict=True):
        row[table.start : table.start + len(table.probs)] = table.probs
    probs = probs[:, : int(np.flatnonzero(probs.max(0) > NOTHING)[-1]) + 1]
    pool = PmfTable(0, probs.mean(0))
    moments = [compound_moments(count, severity) for count in counts]
    upper = upper_end(pool, severity, compound_moments(pool, severity), TAIL / len(tables))
    errors = np.array([table.error for table in tables]) + TAIL
    exact = EXACT_RANGE if tolerance < TIGHT else SHORT_RANGE if tolerance < LOOSE else LOOSE_RANGE
    if upper <= exact:
        return _by_fft(probs, severity, upper, errors)
    return _by_series(_Sums(probs, severity, upper, moments), tolerance, errors)


def powers(inner: Complexes, weights: Floats, rows: int) -> Complexes:
    """Return the mean over the nodes of the powers 0, 1, ... of transforms, array (rows, T).

    Parameters
    ----------
    inner
        Array (V, T): transform of one item at every node.
    weights
        Array (V,).
    """
    found = np.zeros((rows, inner.shape[1]), complex)
    current = np.broadcast_to(weights[:, None], inner.shape).astype(complex)
    with np.errstate(divide="ignore"):
        worth = np.log(NEGLIGIBLE) / np.log(np.minimum(np.abs(inner).max(0), 1 - 1e-12))
    # columns from which on the power has vanished everywhere are left out
    last = len(worth) - np.searchsorted(np.maximum.accumulate(worth[::-1]), np.arange(rows))
    for row, end in zip(found, last.tolist(), strict=True):
        if end < SHRINK * current.shape[1]:
            current, inner = current[:, :end].copy(), inner[:, :end].copy()
        row[: current.shape[1]] = current.sum(0)
        current *= inner
    return found


def mixed(probs: Floats, transforms: Complexes) -> Complexes:
    """Return the product of a real matrix and a complex one, as one of real numbers."""
    return np.asarray((probs @ transforms.view(float)).view(complex))


def _by_fft(
    probs: Floats, severity: Severity, upper: float, errors: Floats
) -> Sequence[Distribution]:
    size = 1 << int(np.ceil(np.log2(upper + 2)))
    inner = severity.pgfs(np.exp(2j * np.pi * np.arange(size // 2 + 1) / size))
    half = mixed(probs, powers(inner, severity.weights, probs.shape[1]))
    found = np.clip(scipy.fft.irfft(np.conj(half), size), 0.0, None)
    return [
        PmfTable(0, row / row.sum(), float(error) + TAIL, "pgf inversion (FFT)")
        for row, error in zip(found, errors, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """A sum given by exact probabilities of small values, and by a cosine series beyond them.

    What a few items bring is rough near zero, where a series would converge slowly; away from
    there a smoothed series converges fast. Where both are known they are compared.

    Parameters
    ----------
    low
        Array (K,): P(S <= 0), P(S <= 1), ...
    upper
        End of the range.
    series
        Cumulative probabilities at equal steps over [0, upper], good from K on.
    moments
        Mean and variance in closed form.
    error
        Bound on the error of every cumulative probability.
    terms
        Number of terms of the series.
    """

    low: Floats
    upper: float
    series: Floats
    moments: tuple[float, float]
    error: float
    terms: int
    method: str = "pgf inversion (COS)"
    whole: ClassVar[bool] = True

    def mean(self) -> float:
        """Return the mean (closed form)."""
        return self.moments[0]

    def var(self) -> float:
        """Return the variance (closed form)."""
        return self.moments[1]

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(S <= x), within `error`."""
        k = np.floor(np.asarray(x, float))
        below = self.low.take(np.clip(k, 0, len(self.low) - 1).astype(np.int64))
        place = np.clip(k + 0.5, 0.0, self.upper) * ((len(self.series) - 1) / self.upper)
        beyond = np.clip(cubic(self.series, place), self.low[-1], 1.0)
        found = np.where(k < len(self.low), below, np.where(k + 0.5 >= self.upper, 1.0, beyond))
        return np.asarray(np.where(k < 0, 0.0, found))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest whole k with P(S <= k) >= p."""
        levels = check_levels(p)
        step = self.upper / (len(self.series) - 1)
        rising = np.maximum.accumulate(self.series)
        near = np.maximum(np.searchsorted(rising, levels) * step, len(self.low))
        inside = np.searchsorted(self.low, levels)
        there = inside < len(self.low)
        around = (
            np.where(there, inside - 1.0, np.floor(near - 2 * step)),
            np.where(there, inside, np.ceil(near + 2 * step)),
        )
        return whole_quantile(self.cdf, levels, *self.moments, around=around)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws by inversion."""
        return self.quantile(np.clip(rng.uniform(size=size), 1e-12, 1 - 1e-12))


@dataclass(frozen=True, eq=False)
class _Sums:
    probs: Floats
    severity: Severity
    upper: float
    moments: Sequence[tuple[float, float]]

    def transformed(self, z: Complexes) -> Complexes:
        """Return the generating function of every sum at some points, array (C, T)."""
        inner = self.severity.pgfs(z)
        return mixed(self.probs, powers(inner, self.severity.weights, self.probs.shape[1]))

    def low(self, size: int) -> Floats:
        """Return cumulative probabilities of small values, array (C, 3 size / 4).

        The transform is taken on a circle of radius below 1: what is beyond `size` and comes back
        as an alias is scaled down by `DAMPED`.
        """
        damp = DAMPED ** (np.arange(size) / size)
        turns = np.exp(2j * np.pi * np.arange(size // 2 + 1) / size)
        found = scipy.fft.irfft(np.conj(self.transformed(damp[1] * turns)), size)
        kept = 3 * size // 4
        return np.cumsum(np.maximum(found[:, :kept] / damp[:kept], 0.0), axis=1)

    def joined(self, size: int, terms: int) -> tuple[list[Joined], Floats]:
        """Return the laws with so many exact values and terms, and their errors."""
        low, upper = self.low(size), self.upper
        omega = np.arange(terms) * (np.pi / upper)
        atoms = low[:, :1]
        raw = 2 / upper * (self.transformed(np.exp(1j * omega)).real - atoms)
        coefficients = raw * _smoothing(terms)
        series = sum_series(coefficients, upper) + atoms
        first = low.shape[1]
        places = np.arange(first // 2, first, max(first // 64, 1))
        here = np.floor(first + (upper - 1 - first) * _UNIT)
        both = np.concatenate([places, here]) + 0.5
        waves = np.sin(np.pi / upper * np.arange(1.0, terms)[:, None] * both)
        exact = _summed(coefficients, waves, upper, both) + atoms
        fewer = raw[:, : terms // 2] * _smoothing(terms // 2)
        rough = _summed(fewer, waves[: terms // 2 - 1], upper, both) + atoms
        table = cubic(series, both * ((series.shape[1] - 1) / upper))
        known = len(places)
        error = np.abs(low[:, places] - exact[:, :known]).max(1)
        error += np.abs(exact - rough)[:, known:].max(1, initial=0.0)
        error = 2 * (error + np.abs(exact - table).max(1))
        laws = zip(low, series, self.moments, strict=True)
        return [Joined(a, upper, b, m, 1.0, terms) for a, b, m in laws], error


def _smoothing(terms: int) -> Floats:
    """Return factors that end a series gently: far from rough places it converges fast."""
    return np.asarray(np.exp(-36.0 * (np.arange(terms) / terms) ** 8))


def _summed(coefficients: Floats, waves: Floats, upper: float, x: Floats) -> Floats:
    return np.asarray(coefficients[:, :1] / 2 * x + amplitudes(coefficients, upper) @ waves)


def _by_series(sums: _Sums, tolerance: float, errors: Floats) -> Sequence[Distribution]:
    for size, terms in STAGES if tolerance >= LOOSE else STAGES[1:]:
        laws, found = sums.joined(size, terms)
        found = found + errors
        if (found <= tolerance).all() or terms >= sums.upper:
            break
    return [replace(law, error=float(error)) for law, error in zip(laws, found, strict=True)]
