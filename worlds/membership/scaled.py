"""Multiples of distributions that keep their method and error."""

from dataclasses import dataclass

from worlds.core.distributions import Distribution, Multiple, Point


@dataclass(frozen=True, slots=True, eq=False)
class Scaled(Multiple):
    """A distribution times one positive number; its cdf is as exact as before."""

    error: float = 0.0
    method: str = "exact"


def scaled(base: Distribution, factor: float) -> Distribution:
    """Return the distribution of `factor` (> 0) times the variable."""
    if factor == 1:
        return base
    if isinstance(base, Point):
        return Point(base.value * factor)
    error, method = getattr(base, "error", 0.0), getattr(base, "method", "exact")
    if isinstance(base, Multiple):
        return Scaled(base.base, base.factor * factor, error, method)
    return Scaled(base, factor, error, method)
