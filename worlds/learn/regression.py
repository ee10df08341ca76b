"""Negative-binomial regression with a ridge: bounded iteratively reweighted least squares."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from worlds.core.distributions import Floats
from worlds.learn import negbin

ROUNDS = 30
TOLERANCE = 1e-6
LARGEST_STEP = 2.0
BEYOND = 1.5
"""The log mean never leaves the range of the counts by more than this."""


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
