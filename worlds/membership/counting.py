"""How many of many independent facts are true: the Poisson-binomial distribution.

Its characteristic function is the product of 1 + p (e^{it} - 1) over the facts. Up to some ten
thousand facts it is a table, made by multiplying the factors pairwise (FFT). Beyond, its logarithm
is expanded in z = e^{it} - 1: the sum of (-1)^{k+1} s_k z^k / k with the power sums
s_k = sum of p^k (Hong 2013, doi:10.1016/j.csda.2012.10.006, inverts the same function without
expanding it). Facts with p > 1/2 enter by their complement, so that the series converges twice as
fast. Power sums add: whatever set of groups is true together, no fact is looked at again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from worlds.core.distributions import Complexes, Floats, PmfTable

ORDER = 6
"""Power sums kept."""
EXACT_FACTS = 8192
"""Groups of up to this many uncertain facts are multiplied out."""
TOLERANCE = 1e-10
"""Error of the series beyond which its larger probabilities are multiplied out."""
LARGE = 0.02
"""Probabilities from here on are multiplied out where the series alone is not exact enough."""
TAIL = 1e-12
"""Probability left outside a table (Bernstein's inequality)."""
NEGLIGIBLE = 40.0
"""A characteristic function below exp(-40) is taken as 0."""
BLOCK = 1 << 20
"""Numbers handled at once, worlds times table."""
PART = 8192
"""Facts handled at once: they stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """The number of true facts of one group of independent facts.

    Parameters
    ----------
    sure
        Facts that count as true before their complements are taken off.
    sums
        Array (2, ORDER): power sums of probabilities up to 1/2, and of complements of the rest.
    largest
        The largest of these probabilities.
    table
        Probabilities of 0, 1, ... true facts among those that are multiplied out.
    mean, var
        Moments of everything.
    least, most
        Fewest and most facts that can be true: those with probability 1, those above 0.
    """

    sure: float
    sums: Floats
    largest: float
    table: Floats
    mean: float
    var: float
    least: int
    most: int

    @property
    def smooth_var(self) -> float:
        """Variance of the part that is not multiplied out."""
        return float((self.sums[:, 0] - self.sums[:, 1]).sum())


NOBODY = Tally(0.0, np.zeros((2, ORDER)), 0.0, np.ones(1), 0.0, 0.0, 0, 0)


def tally(probs: Floats) -> Tally:
    """Return the tally of facts which are true with these probabilities, array (n,)."""
    probs = np.asarray(probs, float)
    if probs.size <= EXACT_FACTS:
        return _multiplied(probs)
    whole = _expanded(probs)
    if float(series_error(whole.sums, whole.largest, whole.smooth_var)) <= TOLERANCE:
        return whole
    large = (probs > LARGE) & (probs < 1 - LARGE)
    rest = _expanded(probs[~large])
    table = product_table(probs[large])
    return replace(whole, sure=rest.sure, sums=rest.sums, largest=rest.largest, table=table)


def _multiplied(probs: Floats) -> Tally:
    """Return the tally of few facts; what is certain needs no factor."""
    unsure = probs[(probs > 0) & (probs < 1)]
    least, most = int((probs == 1).sum()), int((probs > 0).sum())
    mean, var = float(probs.sum()), float((unsure * (1 - unsure)).sum())
    none = np.zeros((2, ORDER))
    return Tally(float(least), none, 0.0, product_table(unsure), mean, var, least, most)


def _expanded(probs: Floats) -> Tally:
    sums, largest, sure = np.zeros((2, ORDER)), 0.0, 0
    least_true, most_true = 0, 0
    for start in range(0, probs.size, PART):
        part = probs[start : start + PART]
        least = np.minimum(part, 1 - part)
        high = part > 0.5
        flipped = least * high
        sums[0] += _powers(least - flipped)
        sums[1] += _powers(flipped)
        largest = max(largest, float(least.max()))
        sure += int(np.count_nonzero(high))
        least_true += int(np.count_nonzero(part == 1))
        most_true += int(np.count_nonzero(part))
    mean = sure + sums[0, 0] - sums[1, 0]
    var = float((sums[:, 0] - sums[:, 1]).sum())
    return Tally(float(sure), sums, largest, np.ones(1), mean, max(var, 0.0), least_true, most_true)


def _powers(p: Floats) -> Floats:
    """Return the sums of p, p^2, ..., p^6 with two products and inner products."""
    square = p * p
    cube = square * p
    return np.array([p.sum(), p @ p, p @ square, square @ square, square @ cube, cube @ cube])


def product_table(probs: Floats) -> Floats:
    """Return the probabilities of 0, 1, ..., n true facts by multiplying all factors pairwise.

    Rounding leaves an absolute error of some 1e-15.
    """
    return joined_tables([], probs)


def joined_tables(tables: Sequence[Floats], probs: Floats | None = None) -> Floats:
    """Return the distribution of a sum of independent counts given by tables.

    Parameters
    ----------
    tables
        Probabilities of 0, 1, ... of every count.
    probs
        Facts to join in as well, each with this probability.
    """
    queue = sorted((np.asarray(table, float) for table in tables), key=len)
    if probs is not None and len(probs):
        queue.append(_pairwise(np.column_stack([1 - probs, probs]))[: len(probs) + 1])
    while len(queue) > 1:
        queue.sort(key=len)
        merged = [_convolve(a, b) for a, b in zip(queue[::2], queue[1::2], strict=False)]
        queue = merged + (queue[-1:] if len(queue) % 2 else [])
    return queue[0] if queue else np.ones(1)


def _pairwise(rows: Floats) -> Floats:
    """Multiply polynomials of equal length, array (m, length), two by two."""
    while len(rows) > 1:
        if len(rows) % 2:
            one = np.zeros((1, rows.shape[1]))
            one[0, 0] = 1.0
            rows = np.concatenate([rows, one])
        length = 2 * rows.shape[1] - 1
        if length <= 33:
            rows = _short(rows[::2], rows[1::2], length)
        else:
            size = scipy.fft.next_fast_len(length, real=True)
            waves = scipy.fft.rfft(rows, size)
            rows = np.maximum(scipy.fft.irfft(waves[::2] * waves[1::2], size)[:, :length], 0.0)
    return np.asarray(rows[0])


def _short(a: Floats, b: Floats, length: int) -> Floats:
    out = np.zeros((len(a), length))
    for shift in range(b.shape[1]):
        out[:, shift : shift + a.shape[1]] += a * b[:, shift : shift + 1]
    return out


def _convolve(a: Floats, b: Floats) -> Floats:
    if min(len(a), len(b)) <= 32:
        return np.convolve(a, b)
    size = scipy.fft.next_fast_len(len(a) + len(b) - 1, real=True)
    joined = scipy.fft.irfft(scipy.fft.rfft(a, size) * scipy.fft.rfft(b, size), size)
    return np.asarray(np.maximum(joined[: len(a) + len(b) - 1], 0.0))


def series_error(sums: Floats, largest: ArrayLike, var: ArrayLike) -> Floats:
    """Bound the error that cutting the series after six terms leaves in any cdf value.

    The rest of log(1 + p z) is at most |p z|^7 / (7 (1 - |p z|)), |phi| is at most
    exp(-var (1 - cos t)), and a cdf value is the mean over the circle of phi / (2 sin(t / 2))
    times a factor of modulus 1. `var` is that of the part expanded, so the bound holds whatever
    is added to it.

    Parameters
    ----------
    sums, largest, var
        Arrays (..., 2, ORDER), (...) and (...).
    """
    spread = np.asarray(var, float)[..., None]
    top = np.asarray(largest, float)[..., None]
    edge = np.arccos(np.maximum(1 - NEGLIGIBLE / np.maximum(spread, 1e-300), -1.0))
    t = edge * ((np.arange(400) + 0.5) / 400)
    size = 2 * np.sin(t / 2)
    reach = np.minimum(top * size, 0.99)
    seventh = sums[..., -1].sum(-1)[..., None] * top
    rest = np.minimum(seventh * size**7 / (7 * (1 - reach)), 50.0)
    decay = np.exp(-spread * (1 - np.cos(t)))
    bound = (decay * np.expm1(rest) / size).mean(-1) * edge[..., 0] / np.pi
    return np.asarray(bound + np.exp(-NEGLIGIBLE) * np.pi)


def width(var: float) -> float:
    """Return w with P(|X - mean| > w) <= TAIL for a sum of independent 0/1 variables.

    Bernstein: the probability is at most 2 exp(-w^2 / (2 (var + w / 3))).
    """
    level = np.log(2 / TAIL)
    return float(level / 3 + np.sqrt(level**2 / 9 + 2 * level * var))


def tables(groups: Sequence[Tally], active: NDArray[np.bool_]) -> list[PmfTable]:
    """Return the number of true facts of every world.

    Parameters
    ----------
    groups
        G groups of facts, independent given the world.
    active
        Array (W, G): which groups count in which world.

    Returns
    -------
    list of PmfTable
        One per world, with the bound on its error.
    """
    means = active @ np.array([g.mean for g in groups])
    variances = np.maximum(active @ np.array([g.var for g in groups]), 0.0)
    order = np.argsort(variances, kind="stable")
    sizes = np.array([_size(v) for v in variances])
    found: dict[int, PmfTable] = {}
    for size in np.unique(sizes):
        chosen = order[sizes[order] == size]
        step = max(1, BLOCK // int(size))
        for start in range(0, len(chosen), step):
            rows = chosen[start : start + step]
            made = _tables(groups, active[rows], means[rows], variances[rows], int(size))
            found.update(zip(rows.tolist(), made, strict=True))
    return [found[i] for i in range(len(active))]


def _size(var: float) -> int:
    """Return the number of whole numbers that a table spans: a power of 2."""
    return 1 << int(np.ceil(np.log2(2 * width(var) + 3)))


def _tables(
    groups: Sequence[Tally],
    active: NDArray[np.bool_],
    means: Floats,
    variances: Floats,
    size: int,
) -> list[PmfTable]:
    starts = np.array([_start(m, v) for m, v in zip(means, variances, strict=True)])
    terms = _terms(float(variances.min()), size)
    logs, factors = _logs(groups, active, starts, terms, size)
    waves = np.zeros((len(active), size // 2 + 1), complex)
    waves[:, :terms] = np.exp(logs) * factors
    probs = np.maximum(scipy.fft.irfft(np.conj(waves), size), 0.0)
    limits = active @ np.array([(g.least, g.most) for g in groups])
    errors = _errors(groups, active, means, variances)
    return [
        _trimmed(PmfTable(int(start), row, float(error), _method(error > exact)), *ends)
        for start, row, (error, exact), ends in zip(
            starts, probs, errors.T, limits.tolist(), strict=True
        )
    ]


def _method(expanded: bool) -> str:
    return "power sums, characteristic function" if expanded else "Poisson-binomial"


def _start(mean: float, var: float) -> float:
    return float(max(0.0, np.floor(mean - width(var))))


def _terms(var: float, size: int) -> int:
    """Return how many frequencies matter: the others are below exp(-NEGLIGIBLE)."""
    if var * 2 <= NEGLIGIBLE:
        return size // 2 + 1
    edge = np.arccos(1 - NEGLIGIBLE / var)
    return min(size // 2 + 1, int(np.ceil(edge * size / (2 * np.pi))) + 1)


def _logs(
    groups: Sequence[Tally],
    active: NDArray[np.bool_],
    starts: Floats,
    terms: int,
    size: int,
) -> tuple[Complexes, Complexes]:
    """Return log phi of the expanded parts, moved to the start, and phi of the tables."""
    t = 2 * np.pi / size * np.arange(terms)
    z = -2 * np.sin(t / 2) ** 2 + 1j * np.sin(t)
    powers = np.stack([(-1) ** (k + 1) * z**k / k for k in range(1, ORDER + 1)])
    rows = active.astype(float)
    sums = np.tensordot(rows, np.array([g.sums for g in groups]), 1)
    sure = rows @ np.array([g.sure for g in groups])
    logs = sums[:, 0] @ powers + sums[:, 1] @ np.conj(powers)
    logs += 1j * (sure - starts)[:, None] * t
    factors = np.ones((len(active), terms), complex)
    for index, group in enumerate(groups):
        on = active[:, index]
        if len(group.table) > 1 and on.any():
            factors[on] *= np.conj(scipy.fft.rfft(wrapped(group.table, size)))[:terms]
    return logs, factors


def wrapped(table: Floats, size: int) -> Floats:
    """Return a table folded onto whole numbers modulo `size`."""
    padded = np.zeros(-(-len(table) // size) * size)
    padded[: len(table)] = table
    return np.asarray(padded.reshape(-1, size).sum(0))


def _errors(
    groups: Sequence[Tally], active: NDArray[np.bool_], means: Floats, variances: Floats
) -> Floats:
    """Return bounds on the error of the cdf, array (2, W): all of it, and without the series."""
    phase = np.minimum(1.0, 9 / np.sqrt(np.maximum(variances, 1.0)))
    exact = 2 * TAIL + 4e-16 * (means * phase + 100)
    sums = np.tensordot(active.astype(float), np.array([g.sums for g in groups]), 1)
    largest = (active * np.array([g.largest for g in groups])).max(1)
    smooth = sums[..., 0].sum(1) > 0
    series = series_error(sums, largest, sums[:, :, 0].sum(1) - sums[:, :, 1].sum(1))
    return np.stack([exact + np.where(smooth, series, 0.0), exact])


def _trimmed(table: PmfTable, least: int, most: int) -> PmfTable:
    """Return the table between the fewest and the most that can be true, without empty ends."""
    first = max(least - table.start, 0)
    probs = table.probs[first : max(most - table.start + 1, first + 1)]
    inside = np.flatnonzero(probs > 1e-18)
    low, high = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 1)
    kept = probs[low:high]
    kept = kept / kept.sum() if inside.size else np.ones(1)
    return replace(table, start=table.start + first + low, probs=kept)
