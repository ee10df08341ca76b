"""Products of two independent quantities, by quadrature over the narrower one."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, log10

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.distributions import Distribution, Floats, check_levels
from worlds.core.evaluators.expect import bisect
from worlds.core.formula.ranges import Range
from worlds.core.laws import Atoms, Lognormals, Normals, by_blocks, moved
from worlds.core.views import atoms, bounds, continuous, nodes

ORDERS = (16, 32, 64, 128, 256)
MOST_NODES = 4096
MOST_VALUES = 200_000
BINS = (256, 512, 1024)
PROBES = np.array([1e-6, 1e-3, 0.01, 0.05, 0.2, 0.4, 0.5, 0.6, 0.8, 0.95, 0.99, 0.999, 1 - 1e-6])


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """The law of X times an independent factor with a few values (none of them zero)."""

    base: Distribution
    factors: Floats
    weights: Floats
    zero: float = 0.0
    error: float = 0.0
    method: str = "quadrature"

    @property
    def smooth(self) -> bool:
        """Whether there is a density."""
        return self.zero == 0 and continuous(self.base)

    @property
    def bounds(self) -> Range:
        """Range of the values."""
        part = Range.of(float(self.factors.min()), float(self.factors.max()))
        found = bounds(self.base).times(part)
        return found.union(Range.of(0, 0)) if self.zero else found

    def mean(self) -> float:
        """Return the mean."""
        return self.base.mean() * float(self.weights @ self.factors)

    def var(self) -> float:
        """Return the variance."""
        square = float(self.weights @ self.factors**2)
        return float((self.base.var() + self.base.mean() ** 2) * square - self.mean() ** 2)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(product <= x)."""
        return by_blocks(self._cdf, x, len(self.factors))

    def _cdf(self, values: Floats) -> Floats:
        scaled = values[..., None] / self.factors
        inside = self.base.cdf(scaled * (1 + 1e-15))
        upper = self.factors < 0
        if upper.any():
            inside = np.where(upper, 1 - inside, inside)
        return np.asarray(inside @ self.weights + self.zero * (values >= 0))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(product <= x) >= p."""
        levels = check_levels(p)
        ends = self.base.quantile([1e-15, 1 - 1e-15])
        low, high = _outer(ends, self.factors)
        return bisect(self.cdf, levels, np.asarray(min(low, 0.0)), np.asarray(max(high, 0.0)))

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        weights = np.append(self.weights, self.zero)
        factor = rng.choice(np.append(self.factors, 0.0), size=size, p=weights / weights.sum())
        return np.asarray(self.base.sample(rng, size) * factor)


def _outer(ends: Floats, factors: Floats) -> tuple[float, float]:
    corners = np.multiply.outer(ends, [factors.min(), factors.max()])
    return float(corners.min()), float(corners.max())


def product(x: Distribution, y: Distribution, tolerance: float = 1e-8) -> Distribution | None:
    """Return the law of the product of two independent quantities; None where neither route fits.

    Both discrete: enumeration. Otherwise one of them has a density: the sum over the values (or
    the quadrature nodes) of the other, doubled until nothing changes.
    """
    if isinstance(x, Lognormals) and isinstance(y, Lognormals):
        return _lognormals(x, y)
    if isinstance(x, Normals | Lognormals) and isinstance(y, Normals | Lognormals):
        wide, narrow = (x, y) if _spread(x) >= _spread(y) else (y, x)
        return _over_nodes(wide, narrow, tolerance)
    first, second = atoms(x, MOST_NODES), atoms(y, MOST_NODES)
    if first is not None and second is not None:
        values = np.multiply.outer(first.values, second.values)
        return Atoms.of(
            values,
            np.outer(first.probs, second.probs),
            "enumeration",
            first.error + second.error,
        )
    for base, other in ((x, y), (y, x)):
        listed = atoms(other, MOST_VALUES) if continuous(base) else atoms(other, MOST_NODES)
        if listed is not None:
            return _over_atoms(base, listed, tolerance)
    if continuous(y) and (not continuous(x) or _spread(x) >= _spread(y)):
        return _over_nodes(x, y, tolerance)
    return _over_nodes(y, x, tolerance) if continuous(x) else None


def _lognormals(x: Lognormals, y: Lognormals) -> Lognormals:
    return Lognormals(
        np.outer(x.weights, y.weights).ravel(),
        np.add.outer(x.mus, y.mus).ravel(),
        np.sqrt(np.add.outer(x.sigmas**2, y.sigmas**2)).ravel(),
        error=x.error + y.error,
    )


def _spread(law: Distribution) -> float:
    """Return the squared relative spread."""
    if isinstance(law, Normals) and len(law.weights) == 1:
        return float((law.sds[0] / law.means[0]) ** 2) if law.means[0] else float("inf")
    if isinstance(law, Lognormals) and len(law.weights) == 1:
        return float(np.expm1(law.sigmas[0] ** 2))
    return law.var() / max(law.mean() ** 2, 1e-300)


def _over_atoms(base: Distribution, listed: Atoms, tolerance: float) -> Distribution:
    alive = listed.values != 0
    zero = float(listed.probs[~alive].sum())
    error = listed.error + float(getattr(base, "error", 0.0))
    if zero == 1:
        return Atoms(np.zeros(1), np.ones(1))
    if zero == 0 and len(listed.values) == 1:
        return moved(base, float(listed.values[0]))
    values, probs = listed.values[alive], listed.probs[alive]
    if len(values) <= 2 * BINS[0] or not continuous(base):
        return _family(base, values, probs, error, zero, "enumeration")
    places = np.quantile(np.multiply.outer(base.quantile(PROBES), values), np.linspace(0, 1, 41))
    last = None
    for bins in BINS:
        law = _family(base, *_binned(values, probs, bins), error, zero, "quadrature")
        now = law.cdf(places)
        gap = 1.0 if last is None else float(np.abs(now - last).max())
        last = now
        if gap <= tolerance:
            break
    return _family(base, *_binned(values, probs, bins), error + gap + 1e-15, zero, "quadrature")


def _binned(values: Floats, probs: Floats, bins: int) -> tuple[Floats, Floats]:
    """Return two values a bin of sorted values, with the mean and the variance of the bin."""
    width = (values[-1] - values[0]) / bins * (1 + 1e-12)
    index = ((values - values[0]) / width).astype(int)
    weight = np.bincount(index, probs, bins)
    kept = weight > 0
    safe = np.where(kept, weight, 1.0)
    mean = np.bincount(index, probs * values, bins) / safe
    var = np.bincount(index, probs * (values - mean[index]) ** 2, bins) / safe
    sd = np.sqrt(var)
    both = np.concatenate([(mean - sd)[kept], (mean + sd)[kept]])
    return both, np.tile(weight[kept] / 2, 2)


type Shape = tuple[str, float]


def _shape(law: Distribution, *, up: bool) -> Shape | None:
    """Return family and relative spread of a single normal or lognormal, to three digits.

    Rounded up or down: the error of quadrature grows with the spread over whose nodes it sums and
    falls with that of the other factor, so that a bound for rounded spreads holds.
    """
    if isinstance(law, Normals) and len(law.weights) == 1 and law.means[0] > 0:
        kind, spread = "normal", float(law.sds[0] / law.means[0])
    elif isinstance(law, Lognormals) and len(law.weights) == 1:
        kind, spread = "lognormal", float(law.sigmas[0])
    else:
        return None
    digits = 2 - floor(log10(spread))
    rounded = (ceil if up else floor)(spread * 10.0**digits) / 10.0**digits
    return kind, rounded


@lru_cache(maxsize=4096)
def _rule(base: Shape, other: Shape, tolerance: float) -> tuple[int, float] | None:
    """Return how many nodes two shapes need, and twice their distance from twice as many."""
    first, second = (
        Normals.of(1.0, spread) if kind == "normal" else Lognormals.of(1.0, spread)
        for kind, spread in (base, other)
    )
    last = None
    places: Floats | None = None
    for order in ORDERS:
        found = nodes(second, order)
        if found is None:
            return None
        law = _family(first, *found, 0.0, 0.0, "quadrature")
        if places is None:
            ends = np.multiply.outer(first.quantile(PROBES), found[0][found[1] > 1e-3])
            places = np.quantile(ends, np.linspace(0, 1, 41))
        now = law.cdf(places)
        gap = 1.0 if last is None else float(np.abs(now - last).max())
        if gap <= tolerance / 2:
            return order // 2, 2 * gap + 1e-15
        last = now
    return None


def _over_nodes(base: Distribution, other: Distribution, tolerance: float) -> Distribution | None:
    shapes = _shape(base, up=False), _shape(other, up=True)
    rule = _rule(shapes[0], shapes[1], tolerance) if shapes[0] and shapes[1] else None
    found = nodes(other, rule[0]) if rule else None
    if rule is None or found is None or (found[0] == 0).any():
        return _doubled(base, other, tolerance)
    carried = float(getattr(base, "error", 0.0)) + float(getattr(other, "error", 0.0))
    return _family(base, *found, carried + rule[1], 0.0, "quadrature")


def _doubled(base: Distribution, other: Distribution, tolerance: float) -> Distribution | None:
    last, law = None, None
    places: Floats | None = None
    carried = float(getattr(base, "error", 0.0)) + float(getattr(other, "error", 0.0))
    for order in ORDERS:
        found = nodes(other, order)
        if found is None:
            return law
        values = np.where(found[0] == 0, 1e-300, found[0])
        law = _family(base, values, found[1], carried, 0.0, "quadrature")
        if places is None:
            ends = np.multiply.outer(base.quantile(PROBES), values[found[1] > 1e-3])
            places = np.quantile(ends, np.linspace(0, 1, 41))
        now = law.cdf(places)
        if last is not None:
            gap = float(np.abs(now - last).max())
            law = _family(base, values, found[1], carried + gap + 1e-15, 0.0, "quadrature")
            if gap <= tolerance or len(values) > MOST_NODES:
                break
        last = now
    return law


def _single(
    base: Normals | Lognormals, factors: Floats, weights: Floats, error: float, method: str
) -> Distribution:
    """Return the mixture over factors of one normal or lognormal law."""
    if isinstance(base, Normals):
        sds = base.sds[0] * np.abs(factors)
        return Normals(weights, base.means[0] * factors, sds, method, error)
    if not (factors > 0).all():
        return Scaled(base, factors, weights, 0.0, error, method)
    sigmas = np.full(len(factors), base.sigmas[0])
    return Lognormals(weights, base.mus[0] + np.log(factors), sigmas, method, error)


def _family(
    base: Distribution, factors: Floats, weights: Floats, error: float, zero: float, method: str
) -> Distribution:
    """Return the mixture over factors, as one array law where the family allows it."""
    if zero == 0 and isinstance(base, Normals | Lognormals) and len(base.weights) == 1:
        return _single(base, factors, weights, error, method)
    if zero == 0 and isinstance(base, Normals):
        return Normals(
            np.outer(base.weights, weights).ravel(),
            np.outer(base.means, factors).ravel(),
            np.outer(base.sds, np.abs(factors)).ravel(),
            method,
            error,
        )
    if zero == 0 and isinstance(base, Lognormals) and (factors > 0).all():
        return Lognormals(
            np.outer(base.weights, weights).ravel(),
            np.add.outer(base.mus, np.log(factors)).ravel(),
            np.outer(base.sigmas, np.ones(len(factors))).ravel(),
            method,
            error,
        )
    return Scaled(base, factors, weights, zero, error, method)
