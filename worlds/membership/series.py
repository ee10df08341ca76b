"""A sum as a cosine series on an interval, and sums over the same interval pooled into one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.distributions import Floats, Mixture, check_levels
from worlds.core.outcome import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class SeriesTotal:
    """A sum given by a cosine series on an interval, plus the mass at zero (nobody a member).

    Parameters
    ----------
    low, high
        The interval; at most 2e-10 of the probability lies outside.
    series
        Coefficients of the density without the mass at zero.
    zero
        Mass at zero.
    moments
        Mean and variance (closed form).
    whole
        Whether the sum is a whole number: then its cumulative probabilities are those of
        k + 1/2, summed exactly over whole numbers.
    error
        Error of the cdf: measured by doubling the terms, plus what was left out.
    """

    low: float
    high: float
    series: Floats
    zero: float
    moments: tuple[float, float]
    whole: bool
    error: float
    method: str

    def mean(self) -> float:
        """Return the mean."""
        return self.moments[0]

    def var(self) -> float:
        """Return the variance."""
        return self.moments[1]

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(S <= x), within `error`."""
        at = np.asarray(x, float)
        places = np.floor(at) + 0.5 if self.whole else at
        inside = np.clip(places.ravel(), self.low, self.high) - self.low
        omega = np.arange(1, len(self.series)) * (np.pi / (self.high - self.low))
        scale = 2 * np.sin(omega / 2) if self.whole else omega
        waves = np.sin(np.multiply.outer(inside, omega)) @ (self.series[1:] / scale)
        total = (self.series[0] / 2 * inside + waves).reshape(at.shape)
        total = np.clip(np.where(at >= 0, self.zero, 0.0) + total, 0.0, 1.0)
        return np.asarray(np.where(places >= self.high, 1.0, np.where(at < self.low, 0.0, total)))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(S <= x) >= p, by bisection."""
        levels = check_levels(p)
        low = np.full(levels.shape, self.low - 1.0)
        high = np.full(levels.shape, self.high)
        for _ in range(80):
            middle = np.floor((low + high) / 2) if self.whole else (low + high) / 2
            if not ((middle > low) & (middle < high)).any():
                break
            enough = self.cdf(middle) >= levels
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return np.where((np.abs(high) < 1e-9 * (self.high - self.low)), 0.0, high)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws by inversion."""
        return self.quantile(np.clip(rng.uniform(size=size), 1e-12, 1 - 1e-12))


def pooled(parts: Sequence[SeriesTotal], weights: Floats) -> SeriesTotal | None:
    """Return the mixture of series as one, or None if they are not over the same interval."""
    first = parts[0]
    alike = {(part.low, part.high, len(part.series), part.whole) for part in parts}
    if len(alike) > 1:
        return None
    means = np.array([part.mean() for part in parts])
    mean = float(weights @ means)
    within = np.array([part.var() for part in parts])
    var = float(weights @ (within + (means - mean) ** 2))
    return replace(
        first,
        series=weights @ np.array([part.series for part in parts]),
        zero=float(weights @ [part.zero for part in parts]),
        moments=(mean, var),
        error=float(weights @ [part.error for part in parts]),
    )


@dataclass(frozen=True, eq=False)
class Summed(Outcome):
    """An outcome whose worlds are pooled into one series where they share an interval."""

    @cached_property
    def mixture(self) -> Mixture:
        """The mixture over the worlds."""
        weights = np.array([world.weight for world in self.worlds])
        parts = [world.outcome for world in self.worlds]
        series = [part for part in parts if isinstance(part, SeriesTotal)]
        one = pooled(series, weights) if len(series) == len(parts) > 1 else None
        return Mixture(np.ones(1), (one,)) if one else Mixture(weights, tuple(parts))
