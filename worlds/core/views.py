"""What evaluators need to know of any law: its range, its values, its quadrature nodes."""

from functools import lru_cache

import numpy as np
import scipy

from worlds.core.compound import SeriesSum, Severity
from worlds.core.conditioned import Stated, Truncated
from worlds.core.distributions import (
    CountMixture,
    Distribution,
    Floats,
    Mixture,
    Multiple,
    PmfTable,
    Point,
)
from worlds.core.formula.ranges import Range
from worlds.core.laws import Affine, Atoms, Lognormals, Normals
from worlds.core.path_total import PathTotal
from worlds.core.shapes import Elicited, Triangular, Uniform

FAR = 1e-12
"""Probability beyond the ends of tables."""


def bounds(law: Distribution) -> Range:  # noqa: C901 - one line a law
    """Return the range of values of a law."""
    match law:
        case Point(value=value):
            return Range.of(value, value)
        case Atoms(values=values):
            return Range.of(float(values[0]), float(values[-1]), bool((values == 0).any()))
        case PmfTable(start=start, probs=probs):
            return Range.of(start, start + len(probs) - 1, start == 0 and probs[0] > 0)
        case CountMixture() | SeriesSum() | Severity():
            return Range.of(0.0, float("inf"))
        case Multiple(base=base, factor=factor):
            return bounds(base).times(Range.of(factor, factor))
        case Affine(base=base, scale=scale, shift=shift):
            return bounds(base).times(Range.of(scale, scale)).plus(Range.of(shift, shift))
        case Uniform(low=low, high=high) | Triangular(low=low, high=high):
            return Range.of(low, high, low < 0 < high)
        case Lognormals():
            return Range.of(0.0, float("inf"), zero=False)
        case Elicited(positive=True):
            return Range.of(0.0, float("inf"), zero=False)
        case Truncated(base=base, low=low, high=high):
            inner = bounds(base)
            return Range.of(max(inner.low, low), min(inner.high, high), inner.zero)
        case Stated(base=base):
            return bounds(base)
        case Mixture(parts=parts):
            found = [bounds(part) for part in parts]
            total = found[0]
            for other in found[1:]:
                total = total.union(other)
            return total
        case _:
            known = getattr(law, "bounds", None)
            return known if isinstance(known, Range) else Range(-float("inf"), float("inf"))


def atoms(law: Distribution, most: int = 20_000) -> Atoms | None:  # noqa: C901 - one case a law
    """Return the values of a discrete law, or None if it is not discrete or has too many.

    Of an unbounded count the values up to a tail of 1e-12 are listed.
    """
    match law:
        case Point(value=value):
            return Atoms(np.array([float(value)]), np.ones(1))
        case Atoms():
            return law if len(law.values) <= most else None
        case PmfTable(start=start, probs=probs):
            if len(probs) > most:
                return None
            return Atoms(start + np.arange(len(probs), dtype=float), probs, law.method, law.error)
        case PathTotal():
            return atoms(law.table, most) if law.mean() < most else None
        case CountMixture():
            spread = law.mean() + 12 * np.sqrt(law.var()) + 40
            if spread > 4 * most:
                return None
            low, high = (float(x) for x in law.quantile([FAR / 2, 1 - FAR / 2]))
            if high - low > most:
                return None
            k = np.arange(low, high + 1)
            probs = law.pmf(k)
            return Atoms(k, probs / probs.sum(), "exact", FAR)
        case Multiple(base=base, factor=factor):
            inner = atoms(base, most)
            return inner and Atoms(inner.values * factor, inner.probs, inner.method, inner.error)
        case Affine(base=base, scale=scale, shift=shift):
            inner = atoms(base, most)
            return inner and Atoms.of(
                inner.values * scale + shift, inner.probs, inner.method, inner.error
            )
        case Mixture(weights=weights, parts=parts):
            lists = [atoms(part, most) for part in parts]
            good = [one for one in lists if one is not None]
            if len(good) < len(parts):
                return None
            return Atoms.of(
                np.concatenate([one.values for one in good]),
                np.concatenate([w * one.probs for w, one in zip(weights, good, strict=True)]),
                "exact",
                FAR,
            )
        case _:
            return None


def continuous(law: Distribution) -> bool:
    """Return whether the law has a density."""
    match law:
        case Normals() | Lognormals() | Uniform() | Triangular() | Elicited():
            return True
        case Affine(base=base) | Truncated(base=base) | Stated(base=base):
            return continuous(base)
        case Mixture(parts=parts):
            return all(continuous(part) for part in parts)
        case _:
            return bool(getattr(law, "smooth", False))


@lru_cache(maxsize=64)
def hermite(count: int) -> tuple[Floats, Floats]:
    """Return nodes and weights for the standard normal law."""
    x, w = scipy.special.roots_hermitenorm(count)
    return x, w / w.sum()


@lru_cache(maxsize=64)
def legendre(count: int) -> tuple[Floats, Floats]:
    """Return nodes and weights for the uniform law on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1) / 2, w / 2


@lru_cache(maxsize=64)
def halves(count: int) -> tuple[Floats, Floats]:
    """Return normal scores and weights, Gauss-Legendre on either side of zero."""
    u, w = legendre(max(count // 2, 4))
    right = 8.2 * u
    mass = w * np.exp(-0.5 * right**2)
    z = np.concatenate([-right[::-1], right])
    weights = np.concatenate([mass[::-1], mass])
    return z, weights / weights.sum()


def nodes(law: Distribution, count: int) -> tuple[Floats, Floats] | None:
    """Return quadrature nodes of a law with a density, or None if it has none."""
    match law:
        case Normals(weights=weights, means=means, sds=sds):
            z, w = hermite(count)
            return (means[:, None] + sds[:, None] * z).ravel(), (weights[:, None] * w).ravel()
        case Lognormals():
            found = nodes(law.log, count)
            return found and (np.exp(found[0]), found[1])
        case Uniform(low=low, high=high):
            u, w = legendre(count)
            return low + (high - low) * u, w
        case Triangular(low=low, mode=mode, high=high):
            return _triangle(low, mode, high, count)
        case Elicited():
            z, w = halves(2 * count)
            return law.quantile(scipy.special.ndtr(z)), w
        case Affine(base=base, scale=scale, shift=shift):
            found = nodes(base, count)
            return found and (scale * found[0] + shift, found[1])
        case _ if continuous(law):
            z, w = halves(4 * count)
            return law.quantile(np.clip(scipy.special.ndtr(z), 1e-16, 1 - 1e-16)), w
        case _:
            return None


def _triangle(low: float, mode: float, high: float, count: int) -> tuple[Floats, Floats]:
    u, w = legendre(max(count // 2, 4))
    left, right = low + (mode - low) * u, high - (high - mode) * u
    share = (mode - low) / (high - low)
    values = np.concatenate([left, right])
    return values, np.concatenate([2 * share * w * u, 2 * (1 - share) * w * u])
