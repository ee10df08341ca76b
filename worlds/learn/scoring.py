"""Scores of forecasts of counts: log score, CRPS, coverage. Proper, and exact for whole counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Distribution, Floats
from worlds.learn.series import Times

LEVELS = (0.5, 0.9)
SMALLEST = 1e-300
EXACT_RANGE = 200
DRAWS = 400


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
        return Scores(*(getattr(self, name)[chosen] for name in Scores.__slots__))


def score(
    forecast: Distribution, outcome: float, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Return log score, CRPS, P(Y < y) and P(Y <= y) of one forecast."""
    upto, below = (float(x) for x in forecast.cdf(np.array([outcome, outcome - 1])))
    pmf = getattr(forecast, "pmf", None)
    prob = float(pmf(np.array(outcome))) if pmf is not None else upto - below
    return float(np.log(max(prob, SMALLEST))), crps(forecast, outcome, rng), below, upto


def crps(forecast: Distribution, outcome: float, rng: np.random.Generator) -> float:
    """Return the integral of (F(x) - 1[x >= y])^2.

    Exact on small ranges. On large ones the unbiased estimate from draws: its error is a few per
    cent of one score and vanishes in the mean over many (Zamo & Naveau 2018,
    doi:10.1007/s11004-017-9709-7).
    """
    top = max(outcome, forecast.mean() + 8 * np.sqrt(max(forecast.var(), 0.0))) + 1
    if top <= EXACT_RANGE:
        k = np.arange(np.ceil(top) + 1)
        return float(((forecast.cdf(k) - (k >= outcome)) ** 2).sum())
    draws = np.sort(forecast.sample(rng, DRAWS))
    spread = float((2 * np.arange(DRAWS) - DRAWS + 1) @ draws) / (DRAWS * (DRAWS - 1))
    return float(np.abs(draws - outcome).mean()) - spread


def collect(at: Times, outcomes: Floats, rows: list[tuple[float, float, float, float]]) -> Scores:
    """Return scores from the rows that `score` gave."""
    table = np.array(rows, float).reshape(len(rows), 4)
    return Scores(
        at, np.asarray(outcomes, float), table[:, 0], table[:, 1], table[:, 2], table[:, 3]
    )
