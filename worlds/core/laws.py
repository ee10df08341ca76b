"""Continuous and discrete laws on the whole line: what quantities, drivers and answers follow.

Mixtures of normals and of lognormals are kept as arrays: multiplying by a constant, by an
independent factor given as quadrature nodes, or mixing keeps them in the family, so that a
question over many worlds is still one array.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol, Self

import numpy as np
import scipy
from numpy.typing import ArrayLike

from worlds.core.distributions import Distribution, Floats, check_levels
from worlds.errors import QuestionError

_ROOT = 1 / np.sqrt(2 * np.pi)
SCALARS = 8
"""Up to so many levels are inverted one by one, which is quicker than together."""
BLOCK = 1 << 21
"""Most numbers that evaluating a mixture holds at once."""


class Smooth(Protocol):
    """A law with a density."""

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        ...

    def pdf(self, x: ArrayLike) -> Floats:
        """Return the density."""
        ...


def invert(law: Smooth, p: Floats, low: Floats, high: Floats, start: Floats) -> Floats:
    """Return x with cdf(x) = p between low and high: Newton's method inside a bracket."""
    x = np.clip(start, low, high)
    for _ in range(80):
        gap = law.cdf(x) - p
        low, high = np.where(gap < 0, x, low), np.where(gap < 0, high, x)
        slope = law.pdf(x)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = np.where(slope > 0, x - gap / slope, np.nan)
        moved = np.where((step >= low) & (step <= high), step, low + (high - low) / 2)
        close = np.abs(moved - x) <= 1e-12 * np.abs(moved)
        x = moved
        if (close | (high - low <= 1e-14 * np.abs(high))).all():
            break
    return np.asarray(x)


def _invert_one(weights: Floats, means: Floats, sds: Floats, p: float, start: float) -> float:
    """Return the quantile of a mixture of normals at one level, by Newton inside a bracket."""
    z = float(scipy.special.ndtri(p))
    ends = means + z * sds
    low, high = float(ends.min()), float(ends.max())
    heights = weights * _ROOT / sds
    x = min(max(start, low), high)
    for _ in range(100):
        scores = (x - means) / sds
        gap = float(scipy.special.ndtr(scores) @ weights) - p
        if gap < 0:
            low = x
        else:
            high = x
        slope = float(np.exp(-0.5 * scores * scores) @ heights)
        step = x - gap / slope if slope > 0 else -np.inf
        moved_to = step if low <= step <= high else low + (high - low) / 2
        done = abs(moved_to - x) <= 2e-15 * abs(moved_to) or high - low <= 1e-14 * abs(high)
        x = moved_to
        if done:
            break
    return x


def by_blocks(function: Callable[[Floats], Floats], x: ArrayLike, width: int) -> Floats:
    """Apply a function that needs `width` numbers for every entry, in blocks that fit memory."""
    values = np.asarray(x, float)
    if values.size * width <= BLOCK:
        return function(values)
    count = int(np.ceil(values.size * width / BLOCK))
    parts = [function(block) for block in np.array_split(values.ravel(), count)]
    return np.concatenate(parts).reshape(values.shape)


def check_finite(name: str, *values: float) -> None:
    """Refuse parameters that are not finite numbers."""
    if not all(map(isfinite, values)):
        msg = f"the parameters of a {name} must be finite; got {values}"
        raise QuestionError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class Normals:
    """A mixture of normal laws, as arrays of weights, means and standard deviations (K,)."""

    weights: Floats
    means: Floats
    sds: Floats
    method: str = "closed form"
    error: float = 0.0

    @classmethod
    def of(cls, mean: float, sd: float) -> Self:
        """Return one normal law."""
        check_finite("normal law", mean, sd)
        if sd <= 0:
            msg = f"a standard deviation must be positive; got {sd!r}"
            raise QuestionError(msg)
        return cls(np.ones(1), np.array([float(mean)]), np.array([float(sd)]))

    def mean(self) -> float:
        """Return the mean."""
        return float(self.weights @ self.means)

    def var(self) -> float:
        """Return the variance."""
        return float(self.weights @ (self.sds**2 + (self.means - self.mean()) ** 2))

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        return by_blocks(self._cdf, x, len(self.weights))

    def _cdf(self, x: Floats) -> Floats:
        return np.asarray(scipy.special.ndtr((x[..., None] - self.means) / self.sds) @ self.weights)

    def pdf(self, x: ArrayLike) -> Floats:
        """Return the density."""
        return by_blocks(self._pdf, x, len(self.weights))

    def _pdf(self, x: Floats) -> Floats:
        z = (x[..., None] - self.means) / self.sds
        return np.asarray(np.exp(-0.5 * z * z) @ (self.weights * _ROOT / self.sds))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the x with P(X <= x) = p."""
        levels = check_levels(p)
        z = scipy.special.ndtri(levels)
        if len(self.weights) == 1:
            return np.asarray(self.means[0] + z * self.sds[0])
        if levels.size <= SCALARS:
            middle, spread = self.mean(), float(np.sqrt(self.var()))
            found = [
                _invert_one(self.weights, self.means, self.sds, level, middle + score * spread)
                for level, score in zip(levels.ravel().tolist(), z.ravel().tolist(), strict=True)
            ]
            return np.array(found).reshape(levels.shape)
        ends = self.means + z[..., None] * self.sds
        start = self.mean() + z * np.sqrt(self.var())
        return invert(self, levels, ends.min(-1), ends.max(-1), start)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        part = rng.choice(len(self.weights), size=size, p=self.weights)
        return self.means[part] + self.sds[part] * rng.standard_normal(size)

    def moved(self, scale: float, shift: float) -> "Normals":
        """Return the law of scale X + shift."""
        return Normals(
            self.weights,
            self.means * scale + shift,
            self.sds * abs(scale),
            self.method,
            self.error,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Lognormals:
    """A mixture of lognormal laws: arrays (K,) of weights and of mean and sd of the log."""

    weights: Floats
    mus: Floats
    sigmas: Floats
    method: str = "closed form"
    error: float = 0.0

    @classmethod
    def of(cls, median: float, sigma: float) -> Self:
        """Return one lognormal law with a median and the standard deviation of its log."""
        check_finite("lognormal law", median, sigma)
        if not (median > 0 and 0 < sigma <= 20):
            msg = f"a lognormal law needs a median > 0 and a log sd in (0, 20]; got {median, sigma}"
            raise QuestionError(msg)
        return cls(np.ones(1), np.array([np.log(median)]), np.array([float(sigma)]))

    def mean(self) -> float:
        """Return the mean."""
        return float(self.weights @ np.exp(self.mus + self.sigmas**2 / 2))

    def var(self) -> float:
        """Return the variance."""
        means = np.exp(self.mus + self.sigmas**2 / 2)
        within = means**2 * np.expm1(self.sigmas**2)
        return float(self.weights @ (within + (means - self.mean()) ** 2))

    @property
    def log(self) -> Normals:
        """The law of the logarithm."""
        return Normals(self.weights, self.mus, self.sigmas, self.method, self.error)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        values = np.asarray(x, float)
        with np.errstate(divide="ignore"):
            return self.log.cdf(np.log(np.maximum(values, 0.0)))

    def pdf(self, x: ArrayLike) -> Floats:
        """Return the density."""
        values = np.asarray(x, float)
        inside = np.maximum(values, 1e-300)
        return np.asarray(np.where(values > 0, self.log.pdf(np.log(inside)) / inside, 0.0))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the x with P(X <= x) = p."""
        return np.asarray(np.exp(self.log.quantile(p)))

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return np.asarray(np.exp(self.log.sample(rng, size)))

    def multiplied(self, factor: float) -> "Lognormals":
        """Return the law of factor X (factor > 0)."""
        return Lognormals(
            self.weights, self.mus + np.log(factor), self.sigmas, self.method, self.error
        )


@dataclass(frozen=True, slots=True, eq=False)
class Atoms:
    """Some values, each with its probability (sorted, distinct)."""

    values: Floats
    probs: Floats
    method: str = "exact"
    error: float = 0.0

    @classmethod
    def of(
        cls, values: ArrayLike, probs: ArrayLike, method: str = "exact", error: float = 0.0
    ) -> Self:
        """Sort the values and add up the probabilities of equal ones."""
        x, w = np.asarray(values, float).ravel(), np.asarray(probs, float).ravel()
        order = np.argsort(x, kind="stable")
        x, w = x[order], w[order]
        starts = np.flatnonzero(np.concatenate([[True], np.diff(x) > 1e-12 * np.abs(x[1:])]))
        return cls(x[starts], np.add.reduceat(w, starts), method, error)

    def mean(self) -> float:
        """Return the mean."""
        return float(self.values @ self.probs)

    def var(self) -> float:
        """Return the variance."""
        return float((self.values - self.mean()) ** 2 @ self.probs)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        total = np.concatenate([[0.0], np.cumsum(self.probs)])
        return np.asarray(np.minimum(total[np.searchsorted(self.values, x, side="right")], 1.0))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest value with P(X <= value) >= p."""
        levels = check_levels(p)
        place = np.searchsorted(np.cumsum(self.probs), levels * (1 - 1e-14))
        return np.asarray(self.values[np.minimum(place, len(self.values) - 1)])

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return rng.choice(self.values, size=size, p=self.probs / self.probs.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """The law of scale X + shift."""

    base: Distribution
    scale: float
    shift: float

    @property
    def method(self) -> str:
        """How the law of X is computed."""
        return str(getattr(self.base, "method", "exact"))

    @property
    def error(self) -> float:
        """Bound on the error of cumulative probabilities."""
        return float(getattr(self.base, "error", 0.0))

    def mean(self) -> float:
        """Return the mean."""
        return self.scale * self.base.mean() + self.shift

    def var(self) -> float:
        """Return the variance."""
        return self.scale**2 * self.base.var()

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(scale X + shift <= x); values a hair above their place still count."""
        values = (np.asarray(x, float) - self.shift) / self.scale
        hair = 1e-13 * (np.abs(values) + abs(self.shift / self.scale))
        if self.scale > 0:
            return self.base.cdf(values + hair)
        return np.asarray(1 - self.base.cdf(values - hair))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest value with P(value or less) >= p."""
        levels = check_levels(p)
        if self.scale > 0:
            return self.scale * self.base.quantile(levels) + self.shift
        # the largest x with P(X >= x) >= p, just above the quantile of 1 - p where it jumps
        above = np.minimum(1 - levels + 1e-13, 1 - 1e-16)
        return self.scale * self.base.quantile(above) + self.shift

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return self.scale * self.base.sample(rng, size) + self.shift


def moved(law: Distribution, scale: float, shift: float = 0.0) -> Distribution:
    """Return the law of scale X + shift, in the same family where there is one."""
    if scale == 0:
        return Atoms(np.array([shift]), np.ones(1))
    if scale == 1 and shift == 0:
        return law
    match law:
        case Normals():
            return law.moved(scale, shift)
        case Lognormals() if shift == 0 and scale > 0:
            return law.multiplied(scale)
        case Atoms():
            return Atoms.of(law.values * scale + shift, law.probs, law.method, law.error)
        case Affine():
            return Affine(law.base, law.scale * scale, law.shift * scale + shift)
        case _:
            return Affine(law, scale, shift)


def mixed(weights: Sequence[float], laws: Sequence[Distribution]) -> Distribution | None:
    """Return the mixture as one array law where all parts are of one family, else None."""
    family = type(laws[0])
    if family not in {Normals, Lognormals, Atoms} or any(type(law) is not family for law in laws):
        return None
    errors = [law.error for law in laws]  # type: ignore[attr-defined]
    how = laws[int(np.argmax(errors))].method  # type: ignore[attr-defined]
    error = float(np.dot(weights, errors))
    if family is Atoms:
        atoms = [law for law in laws if isinstance(law, Atoms)]
        w = np.concatenate([s * law.probs for s, law in zip(weights, atoms, strict=True)])
        return Atoms.of(np.concatenate([law.values for law in atoms]), w, how, error)
    if family is Normals:
        parts = [law for law in laws if isinstance(law, Normals)]
        w = np.concatenate([s * law.weights for s, law in zip(weights, parts, strict=True)])
        means = np.concatenate([law.means for law in parts])
        return Normals(w, means, np.concatenate([law.sds for law in parts]), how, error)
    logs = [law for law in laws if isinstance(law, Lognormals)]
    w = np.concatenate([s * law.weights for s, law in zip(weights, logs, strict=True)])
    mus = np.concatenate([law.mus for law in logs])
    return Lognormals(w, mus, np.concatenate([law.sigmas for law in logs]), how, error)
