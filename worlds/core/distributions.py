"""Distributions of non-negative quantities: points, mixtures of counts, tables, mixtures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from worlds.errors import QuestionError

type Floats = NDArray[np.float64]
type Complexes = NDArray[np.complex128]

SECTIONS = 32
"""Parts into which the search for a few quantiles cuts its range at every step."""
BLOCK = 1 << 18
"""Numbers that are held at once when a polynomial is evaluated."""
LARGEST = 1e12
"""Means and values beyond this are refused: no count in any domain comes near."""


@runtime_checkable
class Distribution(Protocol):
    """What every distribution of a non-negative quantity can tell."""

    def mean(self) -> float:
        """Return the expectation."""
        ...

    def var(self) -> float:
        """Return the variance."""
        ...

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x), elementwise."""
        ...

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(X <= x) >= p, elementwise."""
        ...

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return `size` independent draws."""
        ...


@runtime_checkable
class Count(Distribution, Protocol):
    """A distribution on 0, 1, 2, ... that knows its generating function."""

    def pmf(self, k: ArrayLike) -> Floats:
        """Return P(X = k) for whole k >= 0."""
        ...

    def pgf(self, z: ArrayLike) -> Complexes:
        """Return E[z ** X] for complex z in the unit disc (or real z where it is finite)."""
        ...

    def scaled(self, factor: float) -> "Count":
        """Return the count whose intensity is `factor` times as high (thinning below 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Point:
    """All probability on one value."""

    value: float

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
        """Return the smallest whole k with P(X <= k) >= p (bisection on whole numbers)."""
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


@dataclass(frozen=True, slots=True, eq=False)
class Multiple:
    """A distribution whose values are all multiplied by one positive number."""

    base: Distribution
    factor: float

    def mean(self) -> float:
        """Return the mean."""
        return self.factor * self.base.mean()

    def var(self) -> float:
        """Return the variance."""
        return self.factor**2 * self.base.var()

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x); values that rounding puts a hair above their place still count."""
        return self.base.cdf(np.asarray(x, float) / self.factor * (1 + 1e-14))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest value with P(X <= value) >= p."""
        return self.factor * self.base.quantile(p)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return self.factor * self.base.sample(rng, size)


def rescaled(base: Distribution, factor: float) -> Distribution:
    """Return the distribution of `factor` times the variable (factor >= 0)."""
    if factor == 0:
        return Point(0.0)
    if isinstance(base, Point):
        return Point(base.value * factor)
    return base if factor == 1 else Multiple(base, factor)


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A mixture of any distributions."""

    weights: Floats
    parts: tuple[Distribution, ...]

    def mean(self) -> float:
        """Return the mean."""
        return float(sum(w * part.mean() for w, part in zip(self.weights, self.parts, strict=True)))

    def var(self) -> float:
        """Return the variance: within parts and between them."""
        mean = self.mean()
        pairs = zip(self.weights, self.parts, strict=True)
        return float(sum(w * (part.var() + (part.mean() - mean) ** 2) for w, part in pairs))

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        values = [part.cdf(x) for part in self.parts]
        return np.asarray(np.minimum(np.tensordot(self.weights, np.array(values), 1), 1.0))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(X <= x) >= p.

        The quantile of a mixture lies between those of its parts; bisection closes in on it and
        ends on a value that a part can take.
        """
        levels = check_levels(p)
        alive = [part for w, part in zip(self.weights, self.parts, strict=True) if w > 0]
        ends = np.array([part.quantile(levels) for part in alive])
        low, high = ends.min(0), ends.max(0)
        goal = levels * (1 - 1e-14)
        done = self.cdf(low) >= goal
        high = np.where(done, low, high)
        for _ in range(200):
            middle = low + (high - low) / 2
            if not ((high - low > 1e-12 * high) & (middle > low) & (middle < high)).any():
                break
            enough = self.cdf(middle) >= goal
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return self._on_grid(high)

    def _on_grid(self, x: Floats) -> Floats:
        """Return x, or the whole number or point value that bisection stopped just above."""
        snapped = x
        values = [part.value for part in self.parts if isinstance(part, Point)]
        for candidate in [np.round(x), *[np.full_like(x, value) for value in values]]:
            near = np.abs(candidate - x) <= 1e-9 * np.maximum(x, 1.0)
            snapped = np.where(near, candidate, snapped)
        return np.asarray(snapped)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        part = rng.choice(len(self.parts), size=size, p=self.weights)
        draws = np.empty(size)
        for index, distribution in enumerate(self.parts):
            mine = part == index
            draws[mine] = distribution.sample(rng, int(mine.sum()))
        return draws


def polynomial(coefficients: Floats, x: ArrayLike) -> Complexes:
    """Return a polynomial at many points, array like x.

    In blocks: the powers up to the root of the degree are made once, one matrix product gives all
    blocks, and Horner's rule joins them (Paterson & Stockmeyer 1973, doi:10.1137/0202007).

    Parameters
    ----------
    coefficients
        Of the powers 0, 1, ... of x.
    x
        Points, complex or real.
    """
    points = np.asarray(x)
    flat = points.ravel().astype(complex if np.iscomplexobj(points) else float)
    width = int(np.ceil(np.sqrt(len(coefficients))))
    rows = -(-len(coefficients) // width)
    padded = np.zeros(rows * width)
    padded[: len(coefficients)] = coefficients
    blocks = padded.reshape(rows, width).astype(flat.dtype)
    found = np.empty_like(flat)
    step = max(BLOCK // (width + rows), 1)
    for start in range(0, len(flat), step):
        part = flat[start : start + step]
        powers = np.ones((width + 1, len(part)), flat.dtype)
        for k in range(1, width + 1):
            np.multiply(powers[k - 1], part, out=powers[k])
        values = blocks @ powers[:width]
        total = values[-1]
        for row in values[-2::-1]:
            total = total * powers[width] + row
        found[start : start + step] = total
    return found.reshape(points.shape)


def negative_binomial_pgf(gap: ArrayLike, means: Floats, sizes: Floats) -> Complexes:
    """Return (1 + m gap / r) ** -r, the generating function at 1 - gap.

    Complex powers in polar form: NumPy's complex logarithm and exponential take twice as long.

    Parameters
    ----------
    gap
        1 - z; its real part is not negative where it is complex.
    """
    distance, ratio = np.asarray(gap), means / sizes
    if not np.iscomplexobj(distance):
        return np.asarray(np.exp(-sizes * np.log1p(distance * ratio)))
    x, y = distance.real * ratio, distance.imag * ratio
    angle = -sizes * np.arctan2(y, 1 + x)
    found = np.empty(angle.shape, complex)
    size = np.exp(-0.5 * sizes * np.log1p(x * (2 + x) + y * y))
    found.real, found.imag = size * np.cos(angle), size * np.sin(angle)
    return found


def negative_binomial_cdf(k: Floats, mean: Floats, size: Floats) -> Floats:
    """Return P(X <= k), continuous in k, for negative binomials (Poisson at infinite size).

    Uses the regularised incomplete beta function, I_{r/(r+m)}(r, k + 1)
    (Johnson, Kemp & Kotz, Univariate Discrete Distributions, §5.6), and the incomplete
    gamma function for Poisson.
    """
    k, mean, size = np.broadcast_arrays(k, mean, size)
    shape = np.where(np.isfinite(size), size, 1.0)
    inside = np.maximum(k, 0.0)
    negbin = scipy.special.betainc(shape, inside + 1, shape / (shape + mean))
    poisson = scipy.special.gammaincc(inside + 1, mean)
    return np.asarray(np.where(k < 0, 0.0, np.where(np.isfinite(size), negbin, poisson)))


def negative_binomial_logpmf(k: Floats, mean: Floats, size: Floats) -> Floats:
    """Return log P(X = k) for negative binomials (Poisson at infinite size); k whole, >= 0."""
    k, mean, size = np.broadcast_arrays(k, mean, size)
    shape = np.where(np.isfinite(size), size, 1.0)
    negbin = (
        scipy.special.gammaln(k + shape)
        - scipy.special.gammaln(shape)
        - scipy.special.gammaln(k + 1)
        - shape * np.log1p(mean / shape)
        + scipy.special.xlogy(k, mean / (shape + mean))
    )
    poisson = scipy.special.xlogy(k, mean) - mean - scipy.special.gammaln(k + 1)
    return np.asarray(np.where(np.isfinite(size), negbin, poisson))


def whole_quantile(
    cdf: Callable[[Floats], Floats],
    p: ArrayLike,
    mean: float,
    var: float,
    around: tuple[Floats, Floats] | None = None,
) -> Floats:
    """Invert a cdf on whole numbers >= 0: the smallest k with cdf(k) >= p.

    Parameters
    ----------
    cdf
        The cdf.
    p
        The levels.
    mean, var
        Moments: where the search begins.
    around
        Whole numbers below and above every answer, most likely: the search begins there instead.

    Raises
    ------
    QuestionError
        If a level lies outside (0, 1).
    """
    levels = check_levels(p)
    low = np.full(levels.shape, -1.0)
    high = np.full(levels.shape, np.ceil(mean + 4 * np.sqrt(var)) + 1)
    if around is not None:
        below, above = np.maximum(around[0], -1.0), np.maximum(around[1], 0.0)
        reached = cdf(np.stack([below, above])) >= levels
        low = np.where(reached[0], low, below)
        high = np.where(reached[1], above, np.maximum(high, above))
    for _ in range(200):
        short = cdf(high) < levels
        if not short.any():
            break
        high = np.where(short, high * 2, high)
    parts = SECTIONS if levels.size <= SECTIONS else 2
    inner = np.arange(1, parts) / parts
    # beyond 2**53 neighbouring floats are further apart than 1: close is close enough there
    while (high - low > np.maximum(1.0, 1e-14 * high)).any():
        width = (high - low)[..., None]
        middle = np.minimum(np.floor(low[..., None] + width * inner), high[..., None])
        enough = cdf(middle) >= levels[..., None]
        high = np.where(enough, middle, high[..., None]).min(-1)
        low = np.where(enough, low[..., None], middle).max(-1)
    return high


def check_levels(p: ArrayLike) -> Floats:
    """Return levels as an array; every one must lie strictly between 0 and 1."""
    try:
        levels = np.asarray(p, float)
    except OverflowError:
        msg = "levels must lie strictly between 0 and 1; one is beyond any float"
        raise QuestionError(msg) from None
    if not ((levels > 0) & (levels < 1)).all():
        msg = f"levels must lie strictly between 0 and 1; got {levels.tolist()}"
        raise QuestionError(msg)
    return levels
