"""Scores of forecasts of counts: log score, CRPS, coverage. Proper, and exact for whole counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Distribution, Floats
from worlds.learn.series import Times

LEVELS = (0.5, 0.9)
SMALLEST = 1e-300
EXACT_RANGE = 300
_SHAPE: Floats = np.linspace(0, 1, 500) ** 3
"""Points of the grid of the CRPS in units of its end: dense where counts are small."""


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


def score(
    forecast: Distribution, outcome: float, quick: Distribution | None = None
) -> tuple[float, float, float, float]:
    """Return log score, CRPS, P(Y < y) and P(Y <= y) of one forecast.

    Parameters
    ----------
    forecast, outcome
        What was forecast and what happened.
    quick
        The same forecast, faster and a little less exact: good enough for the CRPS.
    """
    upto, below = (float(x) for x in forecast.cdf(np.array([outcome, outcome - 1])))
    pmf = getattr(forecast, "pmf", None)
    prob = float(pmf(np.array(outcome))) if pmf is not None else upto - below
    return float(np.log(max(prob, SMALLEST))), crps(quick or forecast, outcome), below, upto


def crps(forecast: Distribution, outcome: float) -> float:
    """Return the integral of (F(x) - 1[x >= y])^2: exact on small ranges, else on a grid.

    Between grid points F is taken as linear.
    """
    top = max(outcome, forecast.mean() + 8 * np.sqrt(max(forecast.var(), 0.0))) + 1
    if top <= EXACT_RANGE:
        k = np.arange(np.ceil(top) + 1)
        return float(((forecast.cdf(k) - (k >= outcome)) ** 2).sum())
    grid = np.sort(np.append(np.floor(_SHAPE * top), outcome))
    values = forecast.cdf(grid)
    width = np.diff(grid)
    left, right = values[:-1], values[1:]
    after = grid[:-1] >= outcome
    left, right = np.where(after, 1 - left, left), np.where(after, 1 - right, right)
    return float(width @ ((left**2 + left * right + right**2) / 3))


def collect(at: Times, outcomes: Floats, rows: list[tuple[float, float, float, float]]) -> Scores:
    """Return scores from the rows that `score` gave."""
    table = np.array(rows, float).reshape(len(rows), 4)
    return Scores(
        at, np.asarray(outcomes, float), table[:, 0], table[:, 1], table[:, 2], table[:, 3]
    )
