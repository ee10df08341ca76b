"""Laws of counts: one value, mixtures of negative binomials, tables of probabilities."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.arrays import Complexes, Floats
from worlds.core.levels import check_levels, whole_quantile
from worlds.core.negative_binomial import (
    negative_binomial_cdf,
    negative_binomial_logpmf,
    negative_binomial_pgf,
)
from worlds.core.polynomial import polynomial
from worlds.errors import QuestionError

MANY = 16
"""Components from which on quantiles come from all probabilities, if there are no more than:"""
TABLED = 512
LARGEST = 1e12
"""Means and values beyond this are refused: no count in any domain comes near."""


@dataclass(frozen=True, slots=True)
class Point:
    """All probability on one value."""

    value: float

    @property
    def whole(self) -> bool:
        """Whether the value is a whole number."""
        return float(self.value).is_integer()

    def __post_init__(self) -> None:
        if not (0 <= self.value <= LARGEST):
            msg = f"a quantity must lie in [0, {LARGEST:g}]; got {self.value!r}"
            raise QuestionError(msg)

    def mean(self) -> float:
        """Return the value."""
        return float(self.value)

    def var(self) -> float:
        """Return 0."""
        return 0.0

    def cdf(self, x: ArrayLike) -> Floats:
        """Return 1 from the value on, 0 before."""
        return np.asarray(np.asarray(x, float) >= self.value, float)

    def pmf(self, k: ArrayLike) -> Floats:
        """Return 1 at the value, 0 elsewhere."""
        return np.asarray(np.asarray(k, float) == self.value, float)

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the value for every level."""
        return np.full(np.shape(p), float(self.value))

    def sample(self, rng: np.random.Generator, size: int) -> Floats:  # noqa: ARG002 - one protocol
        """Return the value `size` times."""
        return np.full(size, float(self.value))

    def pgf(self, z: ArrayLike) -> Complexes:
        """Return z ** value."""
        return np.asarray(np.asarray(z, complex) ** self.value, complex)

    def scaled(self, factor: float) -> "Point":
        """Return the point `factor` times as high."""
        return Point(self.value * factor)


@dataclass(frozen=True, slots=True, eq=False)
class CountMixture:
    """A mixture of negative binomials (Poisson where the size is infinite).

    Parameters
    ----------
    weights, means, sizes
        Arrays of one shape (K,): probability, mean and size r of every component;
        the variance of a component is ``mean + mean ** 2 / r``.
    """

    weights: Floats
    means: Floats
    sizes: Floats
    whole: ClassVar[bool] = True

    @classmethod
    def of(
        cls, mean: ArrayLike, size: ArrayLike = np.inf, weight: ArrayLike = 1.0
    ) -> "CountMixture":
        """Build a mixture, broadcasting and checking its arrays.

        Raises
        ------
        QuestionError
            If a mean is negative or not finite, a size is not positive, or the weights
            do not sum to 1.
        """
        means, sizes, weights = np.broadcast_arrays(
            np.atleast_1d(np.asarray(mean, float)),
            np.asarray(size, float),
            np.asarray(weight, float),
        )
        if np.ndim(weight) == 0 and means.size > 1:
            weights = weights / means.size
        if not (np.isfinite(means).all() and (means >= 0).all() and (means <= LARGEST).all()):
            msg = f"means must lie in [0, {LARGEST:g}]; got {means!r}"
            raise QuestionError(msg)
        if not (sizes > 0).all():
            msg = f"sizes must be positive; got {sizes!r}"
            raise QuestionError(msg)
        if not ((weights >= 0).all() and abs(weights.sum() - 1) < 1e-6):
            msg = f"weights must be >= 0 and sum to 1; got {weights!r}"
            raise QuestionError(msg)
        return cls(weights / weights.sum(), means.copy(), sizes.copy())

    def mean(self) -> float:
        """Return the mean of the mixture."""
        return float(self.weights @ self.means)

    def var(self) -> float:
        """Return the variance: within components and between them."""
        mean = self.mean()
        within = self.means + self.means**2 / self.sizes
        return float(self.weights @ (within + (self.means - mean) ** 2))

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x); the continuous extension in x is that of whole numbers below."""
        k = np.floor(np.asarray(x, float))
        return self.smooth_cdf(k)

    def smooth_cdf(self, k: Floats) -> Floats:
        """Return the cdf continued smoothly between whole numbers, for interpolation."""
        parts = negative_binomial_cdf(k[..., None], self.means, self.sizes)
        return np.asarray(np.clip(parts @ self.weights, 0.0, 1.0))

    def pmf(self, k: ArrayLike) -> Floats:
        """Return P(X = k) for whole k >= 0."""
        x = np.asarray(k, float)[..., None]
        return np.asarray(
            np.exp(negative_binomial_logpmf(x, self.means, self.sizes)) @ self.weights
        )

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest whole k with P(X <= k) >= p (search among whole numbers).

        Of many components all probabilities up to where the search would begin are less work.
        """
        reach = int(self.mean() + 4 * np.sqrt(self.var())) + 2
        if len(self.weights) > MANY and reach < TABLED:
            upto = np.cumsum(self.pmf(np.arange(reach)))
            levels = check_levels(p)
            if (levels < upto[-1] * (1 - 1e-14)).all():
                return np.searchsorted(upto, levels * (1 - 1e-14)).astype(float)
        return whole_quantile(self.cdf, p, self.mean(), self.var())

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws: component, then intensity, then count."""
        part = rng.choice(len(self.weights), size=size, p=self.weights)
        means, sizes = self.means[part], self.sizes[part]
        finite = np.isfinite(sizes)
        shape = np.where(finite, sizes, 1.0)
        rates = np.where(finite, rng.gamma(shape) * means / shape, means)
        return rng.poisson(rates).astype(float)

    def pgf(self, z: ArrayLike) -> Complexes:
        """Return the generating function, sum of w (1 + m (1 - z) / r) ** -r.

        Real values for real z: a third of the work.
        """
        gap = 1 - np.asarray(z)[..., None]
        finite = np.isfinite(self.sizes)
        if finite.all():
            return np.asarray(negative_binomial_pgf(gap, self.means, self.sizes) @ self.weights)
        shape = np.where(finite, self.sizes, 1.0)
        parts = np.where(
            finite, negative_binomial_pgf(gap, self.means, shape), np.exp(-gap * self.means)
        )
        return np.asarray(parts @ self.weights)

    def scaled(self, factor: float) -> "CountMixture":
        """Return the mixture with every intensity times `factor` (exact thinning below 1)."""
        return CountMixture.of(self.means * factor, self.sizes, self.weights)

    def spread(self, factors: Floats, weights: Floats) -> "CountMixture":
        """Return the mixture whose intensity is multiplied by an uncertain factor.

        Parameters
        ----------
        factors, weights
            Arrays (V,): the values of the factor and their probabilities.
        """
        means = (self.means[:, None] * factors).ravel()
        probs = (self.weights[:, None] * weights).ravel()
        return CountMixture.of(means, np.repeat(self.sizes, len(factors)), probs)


@dataclass(frozen=True, slots=True, eq=False)
class PmfTable:
    """A count given by a table of probabilities of `start`, `start` + 1, ..."""

    start: int
    probs: Floats
    error: float = 0.0
    method: str = "exact"
    whole: ClassVar[bool] = True

    def mean(self) -> float:
        """Return the mean."""
        return float(self.probs @ self._values())

    def var(self) -> float:
        """Return the variance."""
        return float(self.probs @ (self._values() - self.mean()) ** 2)

    def _values(self) -> Floats:
        return self.start + np.arange(len(self.probs), dtype=float)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        steps = np.concatenate([[0.0], np.cumsum(self.probs)])
        index = np.floor(np.asarray(x, float)) - self.start + 1
        return np.asarray(np.minimum(steps[np.clip(index, 0, len(self.probs)).astype(int)], 1.0))

    def pmf(self, k: ArrayLike) -> Floats:
        """Return P(X = k)."""
        index = np.asarray(k, float) - self.start
        inside = (index >= 0) & (index < len(self.probs)) & (index == np.floor(index))
        return np.asarray(np.where(inside, self.probs[np.where(inside, index, 0).astype(int)], 0.0))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest k with P(X <= k) >= p."""
        index = np.searchsorted(np.cumsum(self.probs), np.asarray(p, float) * (1 - 1e-14))
        return self.start + np.minimum(index, len(self.probs) - 1).astype(float)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return self.start + rng.choice(len(self.probs), size=size, p=self.probs).astype(float)

    def pgf(self, z: ArrayLike) -> Complexes:
        """Return the generating function: a polynomial."""
        x = np.asarray(z)
        return np.asarray(polynomial(self.probs, x) * x**self.start)

    def scaled(self, factor: float) -> "PmfTable":
        """Refuse: a table has no intensity to scale."""
        msg = f"cannot scale by {factor}: use `do` before `given` on the same quantity"
        raise QuestionError(msg)
