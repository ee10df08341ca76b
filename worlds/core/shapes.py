"""Shapes that people state: uniform, triangular, an interval that keeps its tails."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy
from numpy.typing import ArrayLike

from worlds.core.distributions import Floats, check_levels
from worlds.core.laws import check_finite
from worlds.errors import QuestionError

_ROOT = 1 / np.sqrt(2 * np.pi)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every value between low and high equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        check_finite("uniform law", self.low, self.high)
        if not self.low < self.high:
            msg = f"a uniform law needs low < high; got {self.low!r} and {self.high!r}"
            raise QuestionError(msg)

    def mean(self) -> float:
        """Return the mean."""
        return (self.low + self.high) / 2

    def var(self) -> float:
        """Return the variance."""
        return (self.high - self.low) ** 2 / 12

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        return np.clip((np.asarray(x, float) - self.low) / (self.high - self.low), 0.0, 1.0)

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the x with P(X <= x) = p."""
        return self.low + check_levels(p) * (self.high - self.low)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return rng.uniform(self.low, self.high, size)


@dataclass(frozen=True, slots=True)
class Triangular:
    """A density that rises straight from low to mode and falls straight to high."""

    low: float
    mode: float
    high: float

    def __post_init__(self) -> None:
        check_finite("triangular law", self.low, self.mode, self.high)
        if not (self.low <= self.mode <= self.high and self.low < self.high):
            msg = f"a triangular law needs low <= mode <= high; got {self}"
            raise QuestionError(msg)

    @property
    def _peak(self) -> float:
        return (self.mode - self.low) / (self.high - self.low)

    def mean(self) -> float:
        """Return the mean."""
        return (self.low + self.mode + self.high) / 3

    def var(self) -> float:
        """Return the variance."""
        a, m, b = self.low, self.mode, self.high
        return (a * a + m * m + b * b - a * m - a * b - m * b) / 18

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        u = np.clip((np.asarray(x, float) - self.low) / (self.high - self.low), 0.0, 1.0)
        c = self._peak
        rising = u * u / c if c > 0 else np.zeros_like(u)
        falling = 1 - (1 - u) ** 2 / (1 - c) if c < 1 else np.ones_like(u)
        return np.asarray(np.where(u < c, rising, falling))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the x with P(X <= x) = p."""
        levels, c = check_levels(p), self._peak
        u = np.where(levels < c, np.sqrt(levels * c), 1 - np.sqrt((1 - levels) * (1 - c)))
        return self.low + u * (self.high - self.low)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return rng.triangular(self.low, self.mode, self.high, size)


@dataclass(frozen=True, slots=True)
class Elicited:
    """What a person states: an interval, its probability, and a median. The tails are kept.

    The normal score of a value is (x - median) / left below and / right above the median (of
    logarithms where `positive`), so that exactly half of the rest lies on either side.
    """

    median: float
    left: float
    right: float
    positive: bool

    @classmethod
    def of(
        cls,
        low: float,
        high: float,
        median: float | None = None,
        *,
        prob: float = 0.9,
        positive: bool | None = None,
    ) -> Self:
        """Build from an interval that holds the value with probability `prob`.

        Parameters
        ----------
        low, high
            (1 - prob) / 2 lies below low, as much above high.
        median
            The middle of the interval where left out (of logarithms where positive).
        positive
            Whether the quantity cannot be negative; where left out, if low is above zero.
        """
        check_finite("stated interval", low, high, low if median is None else median)
        check_levels(prob)
        logs = low > 0 if positive is None else positive
        if not low < high or (logs and low <= 0):
            msg = f"an interval needs low < high, and low > 0 if positive; got {low!r}, {high!r}"
            raise QuestionError(msg)
        a, b = (np.log(low), np.log(high)) if logs else (low, high)
        middle = (a + b) / 2
        if median is not None:
            middle = np.log(median) if logs and median > 0 else float(median)
        if not a < middle < b:
            msg = f"the median must lie between {low!r} and {high!r}; got {median!r}"
            raise QuestionError(msg)
        z = float(scipy.special.ndtri((1 + prob) / 2))
        return cls(float(middle), float(middle - a) / z, float(b - middle) / z, logs)

    def mean(self) -> float:
        """Return the mean (closed form)."""
        if not self.positive:
            return float(self.median + (self.right - self.left) * _ROOT)
        return float(np.exp(self.median) * self._moment(1))

    def _moment(self, k: int) -> float:
        halves = [
            np.exp((k * s) ** 2 / 2) * scipy.special.ndtr(sign * k * s)
            for s, sign in ((self.left, -1), (self.right, 1))
        ]
        return float(sum(halves))

    def var(self) -> float:
        """Return the variance (closed form)."""
        if self.positive:
            return float(np.exp(2 * self.median)) * (self._moment(2) - self._moment(1) ** 2)
        square = (self.left**2 + self.right**2) / 2
        return float(square - ((self.right - self.left) * _ROOT) ** 2)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        values = np.asarray(x, float)
        if self.positive:
            with np.errstate(divide="ignore"):
                values = np.log(np.maximum(values, 0.0))
        gap = values - self.median
        return np.asarray(scipy.special.ndtr(gap / np.where(gap < 0, self.left, self.right)))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the x with P(X <= x) = p."""
        z = scipy.special.ndtri(check_levels(p))
        values = self.median + z * np.where(z < 0, self.left, self.right)
        return np.asarray(np.exp(values) if self.positive else values)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return self.quantile(np.clip(rng.uniform(size=size), 1e-16, 1 - 1e-16))
