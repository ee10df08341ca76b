"""Scores of forecasts of counts: log score, CRPS, coverage. Proper, and exact for whole counts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Distribution, Floats
from worlds.learn.series import Times

LEVELS = (0.5, 0.9)
SMALLEST = 1e-300
CRPS_POINTS = 400


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of n forecasts, aligned with the outcomes they met.

    Parameters
    ----------
    at
        Array (n,): when the things or periods forecast began.
    outcome
        Array (n,): what happened.
    log_score
        Array (n,): log probability of what happened (higher is better).
    crps
        Array (n,): continuous ranked probability score (lower is better).
    below, upto
        Arrays (n,): P(Y < y) and P(Y <= y); a randomised PIT lies between them.
    """

    at: Times
    outcome: Floats
    log_score: Floats
    crps: Floats
    below: Floats
    upto: Floats

    def __len__(self) -> int:
        return len(self.outcome)

    def coverage(self, level: float) -> float:
        """Return how often the central interval held the outcome.

        The expectation over the randomisation of the PIT, so that a perfect forecast of small
        counts covers exactly its level.
        """
        if len(self) == 0:
            return float("nan")
        low, high = (1 - level) / 2, (1 + level) / 2
        width = np.maximum(self.upto - self.below, SMALLEST)
        inside = np.clip(np.minimum(self.upto, high) - np.maximum(self.below, low), 0.0, None)
        return float(np.mean(np.minimum(inside / width, 1.0)))

    @property
    def made(self) -> "Scores":
        """The scores of the forecasts that were made: a declined one is nan."""
        return self.take(np.flatnonzero(np.isfinite(self.log_score)))

    def take(self, chosen: NDArray[np.intp]) -> "Scores":
        """Return some of the scores."""
        return Scores(*(getattr(self, name)[chosen] for name in self.__slots__))


def score(forecast: Distribution, outcome: float) -> tuple[float, float, float, float]:
    """Return log score, CRPS, P(Y < y) and P(Y <= y) of one forecast."""
    upto, below = (float(x) for x in forecast.cdf(np.array([outcome, outcome - 1])))
    pmf = getattr(forecast, "pmf", None)
    prob = float(pmf(np.array(outcome))) if pmf is not None else upto - below
    return float(np.log(max(prob, SMALLEST))), crps(forecast.cdf, outcome, forecast), below, upto


def crps(cdf: Callable[[Floats], Floats], outcome: float, forecast: Distribution) -> float:
    """Return the integral of (F(x) - 1[x >= y])^2: exact on small ranges, else by a grid.

    The grid is dense around quantiles and outcome; between grid points F is taken as linear.
    """
    spread = np.sqrt(max(forecast.var(), 0.0))
    top = max(outcome, forecast.mean() + 8 * spread) + 1
    if top <= CRPS_POINTS:
        k = np.arange(np.ceil(top) + 1)
        return float(((cdf(k) - (k >= outcome)) ** 2).sum())
    grid = np.concatenate([np.linspace(0, 1, CRPS_POINTS) ** 3 * top, [outcome]])
    grid = np.unique(np.floor(grid))
    values = cdf(grid)
    below = np.minimum(grid[1:], outcome) - np.minimum(grid[:-1], outcome)
    above = np.maximum(grid[1:], outcome) - np.maximum(grid[:-1], outcome)
    left, right = values[:-1], values[1:]
    squares = (left**2 + left * right + right**2) / 3
    misses = ((1 - left) ** 2 + (1 - left) * (1 - right) + (1 - right) ** 2) / 3
    return float(squares @ below + misses @ above)


def collect(at: Times, outcomes: Floats, rows: list[tuple[float, float, float, float]]) -> Scores:
    """Return scores from the rows that `score` gave."""
    table = np.array(rows, float).reshape(len(rows), 4)
    return Scores(at, np.asarray(outcomes, float), table[:, 0], table[:, 1], table[:, 2], table[:, 3])
