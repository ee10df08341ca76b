"""Negative binomials (Poisson at infinite size): probabilities and generating functions."""

import numpy as np
import scipy
from numpy.typing import ArrayLike

from worlds.core.arrays import Complexes, Floats


def negative_binomial_pgf(gap: ArrayLike, means: Floats, sizes: Floats) -> Complexes:
    """Return (1 + m gap / r) ** -r, the generating function at 1 - gap.

    Complex powers in polar form: NumPy's complex logarithm and exponential take twice as long.

    Parameters
    ----------
    gap
        1 - z; its real part is not negative where it is complex.
    """
    distance, ratio = np.asarray(gap), means / sizes
    if not np.iscomplexobj(distance):
        return np.asarray(np.exp(-sizes * np.log1p(distance * ratio)))
    return exponential(*negative_binomial_log(distance, ratio, sizes))


def negative_binomial_log(gap: Complexes, ratio: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Return the logarithm of a generating function at 1 - gap, real and imaginary part.

    Parameters
    ----------
    gap
        1 - z, complex.
    ratio, sizes
        Mean over size, and size.
    """
    x, y = gap.real * ratio, gap.imag * ratio
    return -0.5 * sizes * np.log1p(x * (2 + x) + y * y), -sizes * np.arctan2(y, 1 + x)


def exponential(size: Floats, angle: Floats) -> Complexes:
    """Return exp(size + i angle)."""
    found = np.empty(np.shape(angle), complex)
    length = np.exp(size)
    found.real, found.imag = length * np.cos(angle), length * np.sin(angle)
    return found


def negative_binomial_cdf(k: Floats, mean: Floats, size: Floats) -> Floats:
    """Return P(X <= k), continuous in k, for negative binomials (Poisson at infinite size).

    Uses the regularised incomplete beta function, I_{r/(r+m)}(r, k + 1)
    (Johnson, Kemp & Kotz, Univariate Discrete Distributions, §5.6), and the incomplete
    gamma function for Poisson.
    """
    k, mean, size = np.broadcast_arrays(k, mean, size)
    shape = np.where(np.isfinite(size), size, 1.0)
    inside = np.maximum(k, 0.0)
    negbin = scipy.special.betainc(shape, inside + 1, shape / (shape + mean))
    poisson = scipy.special.gammaincc(inside + 1, mean)
    return np.asarray(np.where(k < 0, 0.0, np.where(np.isfinite(size), negbin, poisson)))


def negative_binomial_logpmf(k: Floats, mean: Floats, size: Floats) -> Floats:
    """Return log P(X = k) for negative binomials (Poisson at infinite size); k whole, >= 0."""
    k, mean, size = np.broadcast_arrays(k, mean, size)
    shape = np.where(np.isfinite(size), size, 1.0)
    negbin = (
        scipy.special.gammaln(k + shape)
        - scipy.special.gammaln(shape)
        - scipy.special.gammaln(k + 1)
        - shape * np.log1p(mean / shape)
        + scipy.special.xlogy(k, mean / (shape + mean))
    )
    poisson = scipy.special.xlogy(k, mean) - mean - scipy.special.gammaln(k + 1)
    return np.asarray(np.where(np.isfinite(size), negbin, poisson))
