"""The first six cumulants of a sum over uncertain members, and its transform expanded in them."""

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Complexes, Floats

BLOCK = 8192
"""Things handled at once: they stay in the processor's cache."""


def cumulants(probs: Floats, mean: Floats, var: Floats) -> Floats:
    """Return the first six cumulants of the sum of what things bring, arrays (n,)."""
    parts = [
        _part(probs[rows], mean[rows], var[rows])
        for rows in (slice(at, at + BLOCK) for at in range(0, len(probs), BLOCK))
    ]
    return np.asarray(np.sum([np.zeros(6), *parts], axis=0))


def _part(p: Floats, m: Floats, v: Floats) -> Floats:
    m2, v2 = m * m, v * v
    m3, m4 = m2 * m, m2 * m2
    raw = [
        m,
        m2 + v,
        m3 + 3 * m * v,
        m4 + 6 * m2 * v + 3 * v2,
        m4 * m + 10 * m3 * v + 15 * m * v2,
        m3 * m3 + 15 * m4 * v + 45 * m2 * v2 + 15 * v2 * v,
    ]
    mu = [p * r for r in raw]
    kappa: list[Floats] = []
    for n in range(1, 7):
        term = mu[n - 1].copy()
        for k in range(1, n):
            term -= _binomial(n - 1, k - 1) * kappa[k - 1] * mu[n - k - 1]
        kappa.append(term)
    return np.array([k.sum() for k in kappa])


def _binomial(n: int, k: int) -> float:
    found = 1.0
    for i in range(k):
        found = found * (n - i) / (i + 1)
    return found


def expansion(kappa: Floats, omega: NDArray[np.floating]) -> Complexes:
    """Return the sum of kappa_k (i omega)^k / k!."""
    steps = np.cumprod(np.multiply.outer(1 / np.arange(1.0, 7), 1j * omega), axis=0)
    return np.asarray(np.tensordot(kappa, steps, 1))
