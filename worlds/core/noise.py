"""How sizes differ beyond what is known of them: a factor on the mean with a law of its own.

A negative binomial says that likes differ as a gamma law does. Real ones are narrower in the
middle and heavier in the tail. `Noise` is a law of the factor itself, on steps of equal ratio; a
count is a negative binomial around mean times factor, with a size that only smooths from step to
step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import LARGEST, CountMixture, Floats, negative_binomial_cdf
from worlds.core.lattice import (
    GRID,
    HIGH,
    LOW,
    STEPS,
    LogMean,
    NegBinLattice,
    mixture_over,
)
from worlds.errors import SnapshotError

SMOOTH_SIZE = 20.0
"""Size of the negative binomial around mean times factor."""
RATIO_STEP = 0.15
"""Step of the log factor: less than the width of the smoothing size (0.22)."""
LOWEST, HIGHEST = -6.0, 9.0
"""Range of the log factor, whole multiples of its step."""
FINE = 0.05
"""Step of the table that all lattices with noise are averaged from; divides `RATIO_STEP`."""
SOFT = 0.35
"""Standard deviation of the noise from which on a coarse lattice of log means is fine enough."""


@dataclass(frozen=True, eq=False)
class Noise:
    """A law of the factor between a mean and what one thing really gets around.

    Parameters
    ----------
    first
        The log of the lowest factor, in steps of `RATIO_STEP`.
    weights
        Array (M,): probabilities of exp(RATIO_STEP * (first + k)).
    """

    first: int
    weights: Floats

    def __post_init__(self) -> None:
        lowest, highest = round(LOWEST / RATIO_STEP), round(HIGHEST / RATIO_STEP)
        inside = lowest <= self.first <= self.first + len(self.weights) - 1 <= highest
        proper = bool((self.weights >= 0).all()) and abs(float(self.weights.sum()) - 1) < 1e-5
        if not (inside and proper):
            msg = (
                f"noise needs probabilities of log factors in [{LOWEST:g}, {HIGHEST:g}];"
                f" got {len(self.weights)} from {self.first * RATIO_STEP:g}, sum"
                f" {float(self.weights.sum()):g}"
            )
            raise SnapshotError(msg)

    @classmethod
    def of(cls, log_factors: Floats, weights: Floats, least: float = 1e-6) -> Self:
        """Return the noise on a grid of log factors, without its negligible ends."""
        kept = np.flatnonzero(weights > least)
        part = weights[kept[0] : kept[-1] + 1]
        return cls(round(float(log_factors[kept[0]]) / RATIO_STEP), part / part.sum())

    @cached_property
    def log_factors(self) -> Floats:
        """The log factors."""
        return np.asarray(RATIO_STEP * (self.first + np.arange(len(self.weights))))

    @cached_property
    def factors(self) -> Floats:
        """The factors."""
        return np.asarray(np.exp(self.log_factors))

    @cached_property
    def moments(self) -> tuple[float, float]:
        """Mean and mean square of the factor."""
        return float(self.weights @ self.factors), float(self.weights @ self.factors**2)

    @cached_property
    def log_sd(self) -> float:
        """Standard deviation of the log factor."""
        mean = float(self.weights @ self.log_factors)
        return float(np.sqrt(self.weights @ (self.log_factors - mean) ** 2))

    def mixture(self, parts: Sequence[LogMean], size: float) -> CountMixture:
        """Return the mixture over uncertain log means and the noise, exactly enough."""
        # the noise smooths as well: it decides how fine the nodes of the log mean must be
        inner = mixture_over(parts, 1 / (1 / size + self.log_sd**2))
        means = np.minimum(np.outer(inner.means, self.factors), LARGEST).ravel()
        weights = np.outer(inner.weights, self.weights).ravel()
        kept = weights > 1e-8
        return CountMixture.of(means[kept], size, weights[kept] / weights[kept].sum())


class NoisyLattice(NegBinLattice):
    """The lattice of log means when noise multiplies the mean."""

    def __init__(self, noise: Noise, size: float) -> None:
        coarse, fine = (step for _, step in STEPS)
        self.size = size
        self.step = coarse if noise.log_sd > SOFT else fine
        self.factor_moments = noise.moments
        self.smooth = 1 / size + noise.log_sd**2
        stride, jump = round(self.step / FINE), round(RATIO_STEP / FINE)
        count = round((HIGH - LOW) / self.step) + 1
        start = round(-LOWEST / FINE) + jump * noise.first
        base = _base(size)
        table = np.zeros((count, len(GRID)), np.float32)
        for k, weight in enumerate(noise.weights):
            begin = start + jump * k
            table += np.float32(weight) * base[begin : begin + stride * (count - 1) + 1 : stride]
        self.table = table


@lru_cache(maxsize=2)
def _base(size: float) -> NDArray[np.float32]:
    """Return P(X <= grid) for log means from LOW + LOWEST to HIGH + HIGHEST, computed once."""
    nodes = np.arange(round((HIGH + HIGHEST - LOW - LOWEST) / FINE) + 1) * FINE + LOW + LOWEST
    table = negative_binomial_cdf(GRID, np.exp(nodes)[:, None], np.asarray(size))
    return np.asarray(table, np.float32)


def log_grid() -> Floats:
    """Return all log factors that noise may have."""
    steps = np.arange(round(LOWEST / RATIO_STEP), round(HIGHEST / RATIO_STEP) + 1)
    return np.asarray(RATIO_STEP * steps)
