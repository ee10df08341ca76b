"""The negative binomial as learning needs it: weights, gradients and its size from residuals.

A count with mean m and size r has variance m + m^2 / r. In terms of the log mean its score is
(y - m) / (1 + m / r) and its expected information m / (1 + m / r)
(Hilbe, Negative Binomial Regression, 2nd ed., §8.3).
"""

import numpy as np
from scipy import optimize

from worlds.core.distributions import Floats, negative_binomial_cdf, negative_binomial_logpmf

SMALLEST_SIZE, LARGEST_SIZE = 0.02, 1e6
"""Sizes outside are not told apart from their ends: 1e6 is Poisson for every count here."""


def information(mean: Floats, size: float) -> Floats:
    """Return the expected information about the log mean, m / (1 + m / r)."""
    return mean / (1 + mean / size)


def score(y: Floats, mean: Floats, size: float) -> Floats:
    """Return the derivative of the log likelihood with respect to the log mean."""
    return (y - mean) / (1 + mean / size)


def bounded_score(y: Floats, mean: Floats, size: float, reach: float) -> Floats:
    """Return a score in which counts beyond `reach` standard deviations pull no harder.

    Counts are cut at c, and what cut counts have on average is taken off, so that the score is
    zero on average where the model is right: E[min(Y, c)] = m F+(c - 1) + c (1 - F(c)), with F+
    the distribution function of size r + 1 and mean m (r + 1) / r. (A Huber-type score,
    Cantoni & Ronchetti 2001, doi:10.1198/016214501753209004.)

    Parameters
    ----------
    y, mean
        Arrays (n,).
    size
        Size of the negative binomial.
    reach
        Where counts are cut, in standard deviations above their mean; infinite: nowhere.
    """
    if not np.isfinite(reach):
        return score(y, mean, size)
    cut = np.ceil(mean + reach * np.sqrt(mean + mean**2 / size))
    upto = negative_binomial_cdf(cut, mean, np.asarray(size))
    tilted = negative_binomial_cdf(cut - 1, mean * (size + 1) / size, np.asarray(size + 1))
    return (np.minimum(y, cut) - mean * tilted - cut * (1 - upto)) / (1 + mean / size)


def loglik(y: Floats, mean: Floats, size: float, weight: Floats | None = None) -> float:
    """Return the (weighted) log likelihood of counts."""
    terms = negative_binomial_logpmf(y, mean, np.asarray(size))
    return float(terms.sum() if weight is None else weight @ terms)


def moment_size(y: Floats, mean: Floats, weight: Floats, used: float = 1.0) -> float:
    """Return the size by moments: excess of the squared residuals over the mean.

    Parameters
    ----------
    y, mean, weight
        Arrays (n,): counts, their fitted means and the weight of each.
    used
        Number of parameters the means have used up, in units of whole observations.
    """
    total = float(weight.sum())
    effective = total**2 / max(float(weight @ weight), 1e-300)
    spare = max(1 - used / effective, 0.2)
    squares = float(weight @ (y - mean) ** 2) / total / spare
    excess = squares - float(weight @ mean) / total
    square = float(weight @ mean**2) / total
    if square <= 0 or excess <= square / LARGEST_SIZE:
        return LARGEST_SIZE
    return float(np.clip(square / excess, SMALLEST_SIZE, LARGEST_SIZE))


def likely_size(
    y: Floats, mean: Floats, weight: Floats | None = None, adjustment: float = 0.0
) -> float:
    """Return the size by maximum (weighted) likelihood at fixed means.

    Parameters
    ----------
    y, mean, weight
        Arrays (n,): counts, their means and weights (1 where left out).
    adjustment
        Cox-Reid correction: d/d(log r) of half the log determinant of the information of the
        mean parameters.
    """
    low, high = np.log(SMALLEST_SIZE), np.log(LARGEST_SIZE)

    def cost(log_size: float) -> float:
        size = float(np.exp(log_size))
        return adjustment * log_size - loglik(y, mean, size, weight) + _prior(log_size)

    found = optimize.minimize_scalar(cost, bounds=(low, high), options={"xatol": 1e-5})
    return float(np.exp(found.x))


def _prior(log_size: float) -> float:
    """Return a weak pull towards the middle: it decides only where the counts say nothing."""
    return 0.5 * ((log_size - 2.0) / 4.0) ** 2
