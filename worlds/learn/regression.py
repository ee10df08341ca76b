"""Negative-binomial regression with a ridge: bounded iteratively reweighted least squares."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from worlds.core.distributions import Floats
from worlds.learn import negbin

ROUNDS = 30
TOLERANCE = 1e-6
LARGEST_STEP = 2.0
BEYOND = 1.5
"""The log mean never leaves the range of the counts by more than this."""
ROBUST_ROUNDS = 5
SMALLEST_NOISE = 1e-3
"""Logs of counts are never taken to be known better."""


@dataclass(frozen=True, slots=True)
class Regression:
    """A fitted regression.

    Parameters
    ----------
    coefficients, covariance
        Mode and its covariance (Laplace).
    size
        Size of the negative binomial (maximum likelihood, Cox-Reid corrected).
    low, high
        Range of the log mean.
    rounds, gradient
        Steps taken; length of the gradient in posterior standard deviations.
    """

    coefficients: Floats
    covariance: Floats
    size: float
    low: float
    high: float
    rounds: int
    gradient: float

    def predict(self, rows: Floats, offset: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """Return log mean and its standard deviation for rows (h, p)."""
        log_mean = np.clip(rows @ self.coefficients + offset, self.low, self.high)
        variance = np.einsum("hp,pq,hq->h", rows, self.covariance, rows)
        return log_mean, np.sqrt(np.maximum(variance, 0.0))


def fit(
    rows: Floats, y: Floats, ridge: Floats, weight: Floats, offset: Floats | None = None
) -> Regression:
    """Return the regression of counts on rows.

    Parameters
    ----------
    rows
        Array (n, p); the first column is the intercept.
    y, weight
        Arrays (n,): counts and the weight of each.
    ridge
        Array (p,): prior precision of every coefficient around 0.
    offset
        Array (n,): what is added to the log mean; without it the intercept starts at the mean.
    """
    low, high = np.log(max(y.min(), 0.5)) - BEYOND, np.log(y.max() + 1.0) + BEYOND
    beta = np.zeros(rows.shape[1])
    if offset is None:
        beta[0] = np.log(float(weight @ y) / float(weight.sum()) + 0.1)
    fixed = np.zeros(len(y)) if offset is None else offset
    size, gradient, turn = 5.0, np.inf, 0
    for turn in range(1, ROUNDS + 1):
        mean = np.exp(np.clip(rows @ beta + fixed, low, high))
        information = weight * negbin.information(mean, size)
        hessian = (rows * information[:, None]).T @ rows + np.diag(ridge)
        slope = rows.T @ (weight * negbin.score(y, mean, size)) - ridge * beta
        root = linalg.cho_factor(hessian, lower=True)
        step = linalg.cho_solve(root, slope)
        gradient = float(np.sqrt(max(float(slope @ step), 0.0)))
        if gradient < TOLERANCE and turn > 4:
            break
        beta = beta + step * min(1.0, LARGEST_STEP / max(float(np.abs(step).max()), 1e-12))
        if turn in (3, 6, 9):
            size = _size(rows, y, mean, size, weight, linalg.cho_solve(root, np.eye(len(beta))))
    covariance = linalg.cho_solve(root, np.eye(len(beta)))
    return Regression(beta, covariance, size, low, high, turn, gradient)


def _size(
    rows: Floats,
    y: Floats,
    mean: Floats,
    size: float,
    weight: Floats,
    covariance: Floats,
) -> float:
    information = negbin.information(mean, size)
    sensitive = weight * information * (1 - information / mean)
    gram = (rows * sensitive[:, None]).T @ rows
    adjustment = 0.5 * float((covariance * gram).sum())
    return negbin.likely_size(y, mean, weight, adjustment)


@dataclass(frozen=True, slots=True)
class Robust:
    """A linear regression that outliers move little: Huber's estimate with a ridge.

    Parameters
    ----------
    coefficients
        Of the intercept and of the standardised columns.
    centre, scale, low, high
        Of every column: mean, standard deviation and range in training (inputs saturate there).
    least, most
        Range of the outcome in training: forecasts stay inside.
    """

    coefficients: Floats
    centre: Floats
    scale: Floats
    low: Floats
    high: Floats
    least: float
    most: float

    @classmethod
    def fit(cls, rows: Floats, outcome: Floats, weight: Floats, ridge: float) -> "Robust":
        """Return the estimate (Huber 1964, doi:10.1214/aoms/1177703732; reweighting).

        Parameters
        ----------
        rows, outcome, weight
            Arrays (m, p), (m,) and (m,): what is known, what followed and what each counts.
        ridge
            Prior precision of every coefficient, in units of the noise.
        """
        low, high, centre = rows.min(0), rows.max(0), rows.mean(0)
        scale = np.maximum(rows.std(0), 1e-6)
        full = np.hstack([np.ones((len(rows), 1)), (rows - centre) / scale])
        penalty = np.r_[1e-3, np.full(rows.shape[1], ridge)]
        trust, noise = np.ones(len(outcome)), float(outcome.var()) + 1e-9
        beta = np.zeros(full.shape[1])
        for _ in range(ROBUST_ROUNDS):
            weighted = full * (weight * trust)[:, None]
            gram = weighted.T @ full + np.diag(penalty * noise + 1e-8 * len(rows))
            beta = linalg.solve(gram, weighted.T @ outcome, assume_a="pos")
            left = np.abs(outcome - full @ beta)
            spread = max(1.48 * float(np.median(left)), SMALLEST_NOISE)
            noise, trust = spread**2, np.minimum(1.0, spread / np.maximum(left, 1e-9))
        return cls(
            beta, centre, scale, low, high, float(outcome.min()), float(outcome.max())
        )  # fmt: skip

    def predict(self, rows: Floats) -> Floats:
        """Return the forecast of rows (m, p)."""
        inside = (np.clip(rows, self.low, self.high) - self.centre) / self.scale
        found = self.coefficients[0] + inside @ self.coefficients[1:]
        return np.asarray(np.clip(found, self.least, self.most))

    def raised(self, by: float) -> "Robust":
        """Return the regression with `by` added to what it forecasts."""
        moved = np.r_[self.coefficients[0] + by, self.coefficients[1:]]
        return replace(self, coefficients=moved, least=self.least + by, most=self.most + by)
