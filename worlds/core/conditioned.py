"""Laws around other laws: held inside a range, or with another stated error."""

from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import ArrayLike

from worlds.core.distributions import Distribution, Floats, check_levels, whole
from worlds.core.laws import Atoms, Lognormals, Normals

LEAST = 1e-13
"""Smallest probability of a condition: less cannot be told from rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Truncated:
    """A law held inside [low, high] by conditioning: what is outside has been ruled out."""

    base: Distribution
    low: float
    high: float
    below: float
    mass: float

    @classmethod
    def of(cls, base: Distribution, low: float, high: float) -> "Truncated | None":
        """Condition on low <= X <= high; None where that has no probability.

        Ends are part of the range. For an open end give the next number inside.
        """
        below = float(base.cdf(np.nextafter(low, -np.inf))) if low > -np.inf else 0.0
        upto = float(base.cdf(high)) if high < np.inf else 1.0
        return cls(base, low, high, below, upto - below) if upto - below > LEAST else None

    @property
    def method(self) -> str:
        """How the law that was conditioned is computed."""
        return str(getattr(self.base, "method", "exact"))

    @property
    def error(self) -> float:
        """Bound on the error of cumulative probabilities, grown by conditioning."""
        return min(2 * float(getattr(self.base, "error", 0.0)) / self.mass, 1.0)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        values = np.asarray(x, float)
        inside = (self.base.cdf(np.minimum(values, self.high)) - self.below) / self.mass
        return np.asarray(np.where(values < self.low, 0.0, np.clip(inside, 0.0, 1.0)))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(X <= x) >= p."""
        levels = self.below + check_levels(p) * self.mass
        values = self.base.quantile(np.clip(levels, 1e-300, 1 - 1e-16))
        return np.clip(values, self.low, self.high)

    def mean(self) -> float:
        """Return the mean (Gauss-Legendre in pieces over the quantile function)."""
        return self._expect(1)

    def var(self) -> float:
        """Return the variance."""
        return max(self._expect(2) - self._expect(1) ** 2, 0.0)

    def _expect(self, power: int) -> float:
        x, w = np.polynomial.legendre.leggauss(16)
        ends = scipy.special.ndtr(np.linspace(-8.2, 8.2, 42))
        width, left = np.diff(ends)[:, None], ends[:-1, None]
        levels = np.clip((left + width * (x + 1) / 2).ravel(), 1e-16, 1 - 1e-16)
        return float((width * w / 2).ravel() @ self.quantile(levels) ** power)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws by inversion."""
        return self.quantile(np.clip(rng.uniform(size=size), 1e-16, 1 - 1e-16))


def with_error(law: Distribution, error: float, method: str = "") -> Distribution:
    """Return a law that states this error (those of its parts included)."""
    how = method or str(getattr(law, "method", "exact"))
    if isinstance(law, Normals | Lognormals | Atoms):
        return replace(law, error=error, method=how)
    return Stated(law, error, how)


@dataclass(frozen=True, slots=True, eq=False)
class Stated:
    """A law that states its error and method."""

    base: Distribution
    error: float
    method: str

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers."""
        return whole(self.base)

    def mean(self) -> float:
        """Return the mean."""
        return self.base.mean()

    def var(self) -> float:
        """Return the variance."""
        return self.base.var()

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        return self.base.cdf(x)

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(X <= x) >= p."""
        return self.base.quantile(p)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return self.base.sample(rng, size)


def condition(law: Distribution, sign: str, value: float) -> tuple[Distribution | None, float]:
    """Return a law given a comparison, and the probability of the comparison.

    Parameters
    ----------
    sign, value
        The comparison: ``>``, ``>=``, ``<`` or ``<=`` and a number.
    """
    if isinstance(law, Atoms):
        holds = _HOLDS[sign](law.values, value)
        prob = float(law.probs[holds].sum())
        if prob <= 0:
            return None, 0.0
        error = min(2 * law.error / prob, 1.0)
        return Atoms(law.values[holds], law.probs[holds] / prob, law.method, error), prob
    if sign in {">", ">="}:
        low = float(np.nextafter(value, np.inf)) if sign == ">" else value
        found = Truncated.of(law, low, np.inf)
    else:
        high = float(np.nextafter(value, -np.inf)) if sign == "<" else value
        found = Truncated.of(law, -np.inf, high)
    if found is None:
        return None, 0.0
    if found.mass >= 1:
        return law, 1.0
    return found, found.mass


_HOLDS = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
