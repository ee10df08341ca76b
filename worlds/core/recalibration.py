"""Recalibration: a monotone map of cumulative probabilities, learned from how past forecasts did.

Where outcomes fell at the level u of past forecasts (their probability integral transforms), G(u)
is how often they fell below it. If forecasts are right, G is the identity; forecasts that are too
wide have few outcomes at the ends, so that G is flat there and steep in the middle. The map is
piecewise linear between fixed knots, so it is small, exact to invert, and never leaves [0, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.distributions import Floats
from worlds.errors import SnapshotError

KNOTS: Floats = np.concatenate(
    [[0.0, 0.005, 0.01, 0.02, 0.05], np.arange(1, 10) / 10, [0.95, 0.98, 0.99, 0.995, 1.0]]
)
"""Levels between which the map is linear: finer at the ends, where intervals are read."""
STRENGTH = 60.0
"""Forecasts that the identity is worth: with as many resolved ones the map goes half the way."""
STEEPEST = 20.0
"""No density is multiplied by more: one surprise must not make a spike."""


@dataclass(frozen=True, slots=True, eq=False)
class Recalibration:
    """A monotone piecewise-linear map of [0, 1] onto itself.

    Parameters
    ----------
    levels, values
        Arrays (K,): strictly increasing levels from 0 to 1, and what they become (not decreasing,
        from 0 to 1).
    forecasts
        Number of resolved forecasts it was learned from (weighted, if they were).
    """

    levels: Floats
    values: Floats
    forecasts: float = 0.0

    def __post_init__(self) -> None:
        levels, values = self.levels, self.values
        ends = levels.shape == values.shape and levels.ndim == 1 and len(levels) > 1
        ends = ends and levels[0] == values[0] == 0 and levels[-1] == values[-1] == 1
        if not (ends and (np.diff(levels) > 0).all() and (np.diff(values) >= 0).all()):
            msg = (
                "levels and values must rise together from 0 to 1;"
                f" got levels {levels.tolist()} and values {values.tolist()}"
            )
            raise SnapshotError(msg)

    @classmethod
    def identity(cls) -> Self:
        """Return the map that changes nothing."""
        return cls(np.array([0.0, 1.0]), np.array([0.0, 1.0]))

    @classmethod
    def fit(
        cls, pits: ArrayLike, *, weights: ArrayLike | None = None, strength: float = STRENGTH
    ) -> Self:
        """Return the map learned from randomised probability integral transforms.

        Parameters
        ----------
        pits
            Array (n,) in [0, 1]: for a count, uniform between P(X < y) and P(X <= y). What is
            not finite is left out.
        weights
            Array (n,): how much every one counts (1 where left out), to let old ones fade.
        strength
            How many forecasts the identity is worth.
        """
        return cls.fit_between(pits, pits, weights=weights, strength=strength)

    @classmethod
    def fit_between(
        cls,
        below: ArrayLike,
        upto: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        strength: float = STRENGTH,
    ) -> Self:
        """Return the map learned from counts, in expectation over the randomisation.

        The same as `fit` on infinitely many randomised transforms: nothing is left to chance
        (Czado, Gneiting & Held 2009, doi:10.1111/j.1541-0420.2009.01191.x).

        Parameters
        ----------
        below, upto
            Arrays (n,): P(X < y) and P(X <= y) of every past forecast at its outcome y.
        weights, strength
            As in `fit`.
        """
        low = np.clip(np.asarray(below, float).ravel(), 0.0, 1.0)
        high = np.clip(np.asarray(upto, float).ravel(), 0.0, 1.0)
        weight = np.ones(len(low)) if weights is None else np.asarray(weights, float).ravel()
        known = np.isfinite(low) & np.isfinite(high) & (weight > 0)
        low, high, weight = low[known], np.maximum(low, high)[known], weight[known]
        if low.size == 0:
            return cls.identity()
        masses = np.diff(weight @ _reached(low, high, KNOTS))
        widths = np.diff(KNOTS)
        total = float(weight.sum())
        density = (masses + strength * widths) / ((total + strength) * widths)
        steps = np.clip(density, 1 / STEEPEST, STEEPEST) * widths
        values = np.concatenate([[0.0], np.cumsum(steps / steps.sum())])
        values[-1] = 1.0
        return cls(KNOTS.copy(), np.minimum(values, 1.0), total)

    @property
    def changes(self) -> bool:
        """Whether the map is anything but the identity."""
        return bool(np.abs(self.values - self.levels).max() > 1e-12)

    def apply(self, cumulative: ArrayLike) -> Floats:
        """Return what cumulative probabilities become, elementwise."""
        return np.asarray(np.interp(np.asarray(cumulative, float), self.levels, self.values))

    def invert(self, levels: ArrayLike) -> Floats:
        """Return the cumulative probabilities that become `levels`, elementwise.

        The quantile of a recalibrated distribution at p is that of the original at `invert(p)`.
        """
        rising = np.concatenate([[True], np.diff(self.values) > 0])
        inverse = np.interp(np.asarray(levels, float), self.values[rising], self.levels[rising])
        return np.asarray(inverse)

    def slope(self, low: ArrayLike, high: ArrayLike) -> Floats:
        """Return [G(high) - G(low)] / (high - low): what the probability in between is times.

        Parameters
        ----------
        low, high
            Cumulative probabilities just below and at a value; where they are equal the slope of
            the map there is meant.
        """
        low, high = np.asarray(low, float), np.asarray(high, float)
        gap = high - low
        piece = np.clip(np.searchsorted(self.levels, low, "right") - 1, 0, len(self.levels) - 2)
        local = (np.diff(self.values) / np.diff(self.levels))[piece]
        small = gap <= 1e-14
        ratio = (self.apply(high) - self.apply(low)) / np.where(small, 1.0, gap)
        return np.asarray(np.where(small, local, ratio))

    def to_json(self) -> dict[str, Any]:
        """Return the map as plain lists."""
        return {
            "levels": self.levels.tolist(),
            "values": self.values.tolist(),
            "forecasts": self.forecasts,
        }

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Read back what `to_json` returned.

        Raises
        ------
        SnapshotError
            If it is no map of [0, 1] onto itself.
        """
        try:
            levels = np.asarray(obj["levels"], float)
            values = np.asarray(obj["values"], float)
            forecasts = float(obj.get("forecasts", 0.0))
        except (KeyError, TypeError, ValueError) as error:
            msg = f"a recalibration needs lists of levels and values; got {obj!r}"
            raise SnapshotError(msg) from error
        return cls(levels, values, forecasts)


def _reached(low: Floats, high: Floats, knots: Floats) -> Floats:
    """Return the probability (n, K) that a uniform draw from [low, high] lies at or below a knot.

    Where both ends are the same it is the share of a step.
    """
    width = np.maximum(high - low, 1e-12)[:, None]
    reached = np.clip((knots - low[:, None]) / width, 0.0, 1.0)
    reached[:, 0], reached[:, -1] = 0.0, 1.0
    return np.asarray(reached)
