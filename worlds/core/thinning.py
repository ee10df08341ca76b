"""Counting only some of the things: every one is taken with a probability that may be uncertain.

Thinning a mixture of negative binomials by a share is exact. A count that is given as a table
(because it was conditioned, or fixed) is thinned through its generating function: G(1 - f + f z)
is put together from halves, q(y) = low(y) + y ** m high(y) with y = 1 - f + f z, so that a table
of T values takes T log(T)^2 steps and every number stays a probability.
"""

import numpy as np
import scipy

from worlds.core.distributions import Count, CountMixture, Floats, PmfTable, Point
from worlds.core.path_total import PathTotal
from worlds.errors import QuestionError

MOST = 1 << 17
"""Largest table that is thinned."""
TAIL = 1e-12
SHORT = 32
"""Polynomials of so few coefficients are multiplied directly."""


def thin(count: Count, shares: Floats, weights: Floats) -> Count:
    """Return how many of the things are taken.

    Parameters
    ----------
    count
        How many there are.
    shares, weights
        Arrays (V,): values of the probability with which each is taken, and how probable every
        value is. All things share the value.

    Raises
    ------
    QuestionError
        If the count spans too many values.
    """
    if isinstance(count, CountMixture | PathTotal):
        return count.spread(shares, weights)
    table = as_table(count)
    total = sum(
        (w * _taken(table.probs, table.start, f) for f, w in zip(shares, weights, strict=True)),
        np.zeros(table.start + len(table.probs)),
    )
    return PmfTable(0, total / total.sum(), table.error + TAIL, "thinned table")


def as_table(count: Count) -> PmfTable:
    """Return the probabilities of every number of things.

    Raises
    ------
    QuestionError
        If there are too many, or the number is not whole.
    """
    if isinstance(count, PmfTable):
        found = count
    elif isinstance(count, Point):
        if count.value != np.floor(count.value):
            msg = f"the number of things must be whole; got {count.value!r}"
            raise QuestionError(msg)
        found = PmfTable(int(count.value), np.ones(1))
    else:
        top = int(count.quantile(1 - TAIL)) + 1
        _check(top)
        probs = count.pmf(np.arange(top + 1))
        found = PmfTable(0, probs / probs.sum(), float(getattr(count, "error", 0.0)) + TAIL)
    _check(found.start + len(found.probs))
    return found


def _check(top: int) -> None:
    if top > MOST:
        msg = f"up to {top:,} things are too many to tell apart; at most {MOST:,}"
        raise QuestionError(msg)


def _taken(probs: Floats, start: int, share: float) -> Floats:
    """Return the probabilities of 0, 1, ... things taken, array (start + len(probs),)."""
    size = 1 << max(len(probs) - 1, 0).bit_length()
    rows = np.zeros((size, 1))
    rows[: len(probs), 0] = probs
    step = 1
    while len(rows) > 1:
        low, high = rows[::2], rows[1::2]
        rows = _product(high, binomial(step, share))
        rows[:, : low.shape[1]] += low
        step *= 2
    taken = _product(rows, binomial(start, share))[0] if start else rows[0]
    return np.asarray(taken[: start + len(probs)])


def _product(rows: Floats, other: Floats) -> Floats:
    """Return every row times a polynomial."""
    length = rows.shape[1] + len(other) - 1
    if min(rows.shape[1], len(other)) <= SHORT:
        out = np.zeros((len(rows), length))
        if len(other) <= rows.shape[1]:
            for shift, factor in enumerate(other.tolist()):
                out[:, shift : shift + rows.shape[1]] += factor * rows
        else:
            for shift in range(rows.shape[1]):
                out[:, shift : shift + len(other)] += rows[:, shift : shift + 1] * other
        return out
    size = scipy.fft.next_fast_len(length, real=True)
    waves = scipy.fft.rfft(rows, size) * scipy.fft.rfft(other, size)
    return np.maximum(scipy.fft.irfft(waves, size)[:, :length], 0.0)


def binomial(n: int, share: float) -> Floats:
    """Return the probabilities of 0, ..., n successes."""
    k = np.arange(n + 1.0)
    ways = (
        scipy.special.gammaln(n + 1)
        - scipy.special.gammaln(k + 1)
        - scipy.special.gammaln(n - k + 1)
    )
    logs = ways + scipy.special.xlogy(k, share) + scipy.special.xlog1py(n - k, -share)
    return np.asarray(np.exp(logs))
