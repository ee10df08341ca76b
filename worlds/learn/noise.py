"""The law of the noise from residuals: weights of factors on the mean, by expectation-maximisation.

The maximum-likelihood law of a mixture (Laird 1978, doi:10.1080/01621459.1978.10480103) with a
prior worth a few observations, which keeps a log-normal shape where nothing was seen. Recent
observations count more: how things differ drifts too.
"""

import numpy as np
from scipy import ndimage

from worlds.core.distributions import Floats
from worlds.core.noise import RATIO_STEP, SMOOTH_SIZE, Noise, log_grid
from worlds.learn.hierarchy import fading

MOST = 2_000
"""The latest residuals that are used."""
HALF_LIFE = 500.0
"""Observations after which one counts half."""
PRIOR = 3.0
"""Observations that the log-normal shape is worth."""
ROUNDS = 30
SURE = 0.02
"""Standard deviation of a log mean that makes no difference."""
TAIL_SD = 1.3
"""Spread of the prior around that of the residuals: tails a little heavier than log-normal."""


def fit(
    y: Floats,
    log_mean: Floats,
    *,
    used: float = 0.0,
    half_life: float = HALF_LIFE,
    unsettled: Floats | None = None,
) -> Noise:
    """Return the noise around fitted log means.

    Parameters
    ----------
    y, log_mean
        Arrays (n,), oldest first: counts and what was expected of them.
    used
        Parameters that the means have used up: residuals are too small by what they have taken.
    half_life
        Observations after which one counts half; infinite: all alike.
    unsettled
        Array (n,): variance of the log means by labels that are not certain. It is no noise:
        forecasts add that of their own labels.
    """
    spread = np.zeros(len(y)) if unsettled is None else np.sqrt(unsettled)
    y, log_mean, spread = y[-MOST:], log_mean[-MOST:], spread[-MOST:]
    weight = fading(len(y), half_life)
    grid = log_grid()
    likely = _likelihood(y, log_mean, spread, grid)
    prior = _prior(y, log_mean, weight, grid)
    found = prior
    for _ in range(ROUNDS):
        # the share of every factor in a count is likely * found / (their sum)
        total = found * ((weight / (likely @ found + 1e-300)) @ likely) + PRIOR * prior
        found = total / total.sum()
    return Noise.of(grid, _widened(found, grid, used, weight))


def _likelihood(y: Floats, log_mean: Floats, spread: Floats, grid: Floats) -> Floats:
    """Return the likelihood of every count under every factor, up to a constant of the count.

    That of an uncertain log mean is averaged over three nodes (Gauss-Hermite).
    """
    terms = _log_likelihood(y, log_mean, grid)
    top = terms.max(1, keepdims=True)
    likely = np.exp(terms - top)
    wide = np.flatnonzero(spread > SURE)
    if len(wide):
        y, log_mean, aside, top = y[wide], log_mean[wide], np.sqrt(3) * spread[wide], top[wide]
        likely[wide] *= 2 / 3
        for shifted in (log_mean - aside, log_mean + aside):
            likely[wide] += np.exp(_log_likelihood(y, shifted, grid) - top) / 6
    return np.asarray(likely)


def _log_likelihood(y: Floats, log_mean: Floats, grid: Floats) -> Floats:
    log_means = np.clip(log_mean[:, None] + grid, -30.0, 30.0)
    terms = y[:, None] * log_means
    terms -= (y[:, None] + SMOOTH_SIZE) * np.log(SMOOTH_SIZE + np.exp(log_means))
    return np.asarray(terms)


def _prior(y: Floats, log_mean: Floats, weight: Floats, grid: Floats) -> Floats:
    """Return a log-normal shape with the middle and spread of the residuals."""
    residual = np.clip(np.log(y + 0.5) - log_mean, grid[0], grid[-1])
    middle = float(weight @ residual) / float(weight.sum())
    spread = float(np.sqrt(weight @ (residual - middle) ** 2 / weight.sum()))
    shape = np.exp(-0.5 * ((grid - middle) / (TAIL_SD * max(spread, 0.3))) ** 2)
    return np.asarray(shape / shape.sum())


def _widened(weights: Floats, grid: Floats, used: float, weight: Floats) -> Floats:
    """Return the law made wider by what fitted parameters have taken from the residuals."""
    share = min(used / max(len(weight), 1), 0.5)
    middle = float(weights @ grid)
    variance = float(weights @ (grid - middle) ** 2) * share / (1 - share)
    sd = np.sqrt(variance) / RATIO_STEP
    if sd < 0.1:
        return weights
    return np.asarray(ndimage.gaussian_filter1d(weights, sd, mode="nearest"))
