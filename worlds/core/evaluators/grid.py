"""Sums of independent terms, and chains of independent positive factors, by Fourier transform.

The characteristic function of every term is computed on a grid: probabilities of cells (whose
transform is that of the law times sin(x)/x, divided out again), or values spread over the four
nearest points so that three moments are kept. Their product, times sin(x)/x once more, is
transformed back to the probabilities of cells of the sum, so that its cumulative probabilities
at the edges of cells have no discretisation error but aliasing. The error stated is twice the
largest difference from the same computation on a grid twice as coarse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import ArrayLike

from worlds.core.conditioned import Stated
from worlds.core.distributions import Complexes, Distribution, Floats, Mixture, check_levels
from worlds.core.evaluators.expect import expect
from worlds.core.formula.ranges import Range
from worlds.core.interpolation import cubic
from worlds.core.laws import Atoms, Lognormals, Normals, moved
from worlds.core.views import atoms, bounds, continuous, nodes

EDGE = 1e-11
"""Probability beyond either end of the range of a term."""
FINEST = 1 << 18
MOST_ATOMS = 1 << 20
FEW = 64
"""Values by each of which a law that no grid fits is shifted."""

type Term = tuple[float, Distribution]


@dataclass(frozen=True, eq=False)
class Grid:
    """A law given by its cumulative probabilities at equal steps (of the logarithm, if `log`).

    Parameters
    ----------
    start, step
        The first place and the distance between places.
    values
        Array (n,): cumulative probability at every place.
    moments
        Mean and variance, from those of the parts.
    bounds
        Range of the values.
    error
        Bound on the error of every cumulative probability.
    """

    start: float
    step: float
    values: Floats
    moments: tuple[float, float]
    bounds: Range
    error: float
    method: str
    log: bool = False
    smooth = True

    def mean(self) -> float:
        """Return the mean (closed form)."""
        return self.moments[0]

    def var(self) -> float:
        """Return the variance (closed form)."""
        return self.moments[1]

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x), within `error`."""
        values = np.asarray(x, float)
        places = values
        if self.log:
            with np.errstate(divide="ignore"):
                places = np.log(np.maximum(values, 0.0))
        place = np.clip((places - self.start) / self.step, 0.0, len(self.values) - 1.0)
        inside = np.clip(cubic(self.values, place), 0.0, 1.0)
        below, above = values < self.bounds.low, values >= self.bounds.high
        return np.asarray(np.where(above, 1.0, np.where(below, 0.0, inside)))

    @cached_property
    def _rising(self) -> Floats:
        return np.maximum.accumulate(self.values)

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the x with P(X <= x) = p, by inverting the cubic inside its cell."""
        levels = check_levels(p)
        right = np.clip(np.searchsorted(self._rising, levels), 1, len(self.values) - 1)
        low, high = right - 1.0, right.astype(float)
        for _ in range(45):
            middle = (low + high) / 2
            enough = cubic(self.values, middle) >= levels
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        place = self.start + high * self.step
        return np.clip(np.exp(place) if self.log else place, self.bounds.low, self.bounds.high)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws by inversion."""
        return self.quantile(np.clip(rng.uniform(size=size), 1e-15, 1 - 1e-15))


@dataclass(frozen=True, slots=True, eq=False)
class Logarithm:
    """The law of the logarithm of a positive quantity, as far as grids need it."""

    base: Distribution

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(log X <= x)."""
        return self.base.cdf(np.exp(np.minimum(np.asarray(x, float), 700.0)))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the quantile of the logarithm."""
        return np.log(np.maximum(self.base.quantile(p), 1e-300))

    def mean(self) -> float:
        """Return the mean of the logarithm."""
        return expect(self.base, lambda x: np.log(np.maximum(x, 1e-300)))

    def var(self) -> float:
        """Return the variance of the logarithm."""
        mean = self.mean()
        return expect(self.base, lambda x: (np.log(np.maximum(x, 1e-300)) - mean) ** 2)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return np.log(self.base.sample(rng, size))


def total(terms: Sequence[Term], shift: float = 0.0, tolerance: float = 1e-7) -> Distribution:
    """Return the law of a sum of independent terms: sum of c_i X_i, plus a constant.

    Parameters
    ----------
    terms
        Pairs of a factor (not zero) and a law.
    shift
        The constant.
    tolerance
        Error of cumulative probabilities at which the grid stops growing finer.
    """
    terms = _closed(terms)
    if len(terms) == 1:
        return moved(terms[0][1], terms[0][0], shift)
    discrete = _convolved(terms)
    if discrete is not None:
        return moved(discrete, 1.0, shift)
    rough = _shifted(terms, shift)
    if rough is not None:
        return rough
    mean = sum(c * law.mean() for c, law in terms)
    var = sum(c * c * law.var() for c, law in terms)
    span = Range.of(0, 0)
    for c, law in terms:
        span = span.plus(bounds(law).times(Range.of(c, c)))
    found = _refined([_Part.of(c, law) for c, law in terms], tolerance, var)
    carried = sum(float(getattr(law, "error", 0.0)) for _, law in terms)
    grid = Grid(
        found.start,
        found.step,
        found.values,
        (mean, var),
        span,
        min(found.error + carried, 1.0),
        "characteristic function (FFT)",
    )
    return moved(grid, 1.0, shift)


def chain(factors: Sequence[tuple[int, Distribution]], tolerance: float = 1e-7) -> Distribution:
    """Return the law of a product of independent positive factors, to the power +1 or -1."""
    logs = [law for _, law in factors if isinstance(law, Lognormals)]
    if len(logs) == len(factors) and np.prod([len(law.weights) for law in logs]) <= 256:
        closed = total([(float(p), law.log) for (p, _), law in zip(factors, logs, strict=True)])
        if isinstance(closed, Normals):
            return Lognormals(closed.weights, closed.means, closed.sds)
    means = [expect(law, lambda x, p=p: x ** float(p)) for p, law in factors]  # type: ignore[misc]
    squares = [expect(law, lambda x, p=p: x ** float(2 * p)) for p, law in factors]  # type: ignore[misc]
    mean = float(np.prod(means))
    terms = [(float(p), Logarithm(law)) for p, law in factors]
    var = sum(law.var() for _, law in terms)
    found = _refined([_Part.of(c, law) for c, law in terms], tolerance, var)
    span = Range.of(1, 1)
    for p, law in factors:
        mine = bounds(law)
        span = span.times(mine if p > 0 else mine.inverse())
    carried = sum(float(getattr(law, "error", 0.0)) for _, law in factors)
    return Grid(
        found.start,
        found.step,
        found.values,
        (mean, float(np.prod(squares)) - mean**2),
        span,
        min(found.error + carried, 1.0),
        "log-grid FFT",
        log=True,
    )


def _closed(terms: Sequence[Term]) -> list[Term]:
    """Add up the normal terms in closed form (as long as the mixture stays small)."""
    rest = [(c, law) for c, law in terms if not isinstance(law, Normals)]
    merged: Normals | None = None
    for c, law in terms:
        if isinstance(law, Normals):
            one = law.moved(c, 0.0)
            if merged is None:
                merged = one
            elif len(merged.weights) * len(one.weights) <= 256:
                merged = _sum_of_normals(merged, one)
            else:
                rest.append((c, law))
    return rest if merged is None else [*rest, (1.0, merged)]


def _shifted(terms: Sequence[Term], shift: float) -> Distribution | None:
    """Return the law of one term that is neither smooth nor discrete plus a few values."""
    values = [(c, law) for c, law in terms if atoms(law, FEW) is not None]
    others = [(c, law) for c, law in terms if atoms(law, FEW) is None]
    if len(others) != 1 or continuous(others[0][1]):
        return None
    listed = _convolved(values)
    if not isinstance(listed, Atoms) or len(listed.values) > FEW:
        return None
    (c, law), places = others[0], (listed.values + shift).tolist()
    found = Mixture(listed.probs, tuple(moved(law, c, place) for place in places))
    error = min(listed.error + float(getattr(law, "error", 0.0)), 1.0)
    return Stated(found, error, str(getattr(law, "method", "exact")))


def _sum_of_normals(one: Normals, other: Normals) -> Normals:
    return Normals(
        np.outer(one.weights, other.weights).ravel(),
        np.add.outer(one.means, other.means).ravel(),
        np.sqrt(np.add.outer(one.sds**2, other.sds**2)).ravel(),
    )


def _convolved(terms: Sequence[Term]) -> Distribution | None:
    """Return the exact law of a sum of discrete terms, or None."""
    lists = []
    for c, law in terms:
        found = atoms(law)
        if found is None:
            return None
        lists.append((c, found))
    error = sum(law.error for _, law in lists)
    on_lattice = _lattice_sum(lists)
    if on_lattice is not None:
        return Atoms(on_lattice.values, on_lattice.probs, "convolution (FFT)", error + 1e-13)
    whole = Atoms(np.zeros(1), np.ones(1))
    for c, law in lists:
        if len(whole.values) * len(law.values) > MOST_ATOMS:
            return None
        values = np.add.outer(whole.values, c * law.values)
        whole = Atoms.of(values, np.outer(whole.probs, law.probs), "enumeration", error)
    return whole


def _lattice_sum(lists: Sequence[tuple[float, Atoms]]) -> Atoms | None:
    """Return the sum of discrete laws that share a lattice, by one transform."""
    gaps = np.concatenate([np.abs(c) * np.diff(law.values) for c, law in lists])
    gaps = gaps[gaps > 0]
    if gaps.size == 0 or np.prod([float(len(law.values)) for _, law in lists]) <= 4096:
        return None
    step = gaps.min()
    starts = [c * (law.values[0] if c > 0 else law.values[-1]) for c, law in lists]
    reach = sum(abs(c) * float(np.ptp(law.values)) for c, law in lists)
    size = round(reach / step) + 1
    if np.abs(gaps / step - np.round(gaps / step)).max() > 1e-9 or size > MOST_ATOMS:
        return None
    length = scipy.fft.next_fast_len(size, real=True)
    transform = np.ones(length // 2 + 1, complex)
    for (c, law), start in zip(lists, starts, strict=True):
        index = np.round((c * law.values - start) / step).astype(int)
        transform *= scipy.fft.rfft(np.bincount(index, law.probs, length))
    probs = np.clip(scipy.fft.irfft(transform, length)[:size], 0.0, None)
    return Atoms(sum(starts) + step * np.arange(size), probs / probs.sum())


@dataclass(frozen=True, slots=True)
class _Part:
    """One term, with the ends of its range."""

    factor: float
    law: Distribution
    atoms: Atoms | None
    low: float
    high: float
    mean: float
    sd: float

    @classmethod
    def of(cls, factor: float, law: Distribution) -> "_Part":
        if isinstance(law, Logarithm):
            inner = atoms(law.base, 4096)
            listed = inner and Atoms(np.log(inner.values), inner.probs)
        else:
            listed = atoms(law, 4096)
        ends = factor * law.quantile([EDGE, 1 - EDGE])
        sd = abs(factor) * float(np.sqrt(law.var()))
        return cls(
            factor, law, listed, float(ends.min()), float(ends.max()), factor * law.mean(), sd
        )

    def transform(self, step: float, size: int) -> Complexes:
        """Return the characteristic function at 2 pi k / (size step), k = 0..size/2."""
        if self.atoms is not None:
            return _spread(self.factor * self.atoms.values, self.atoms.probs, step, size)
        if self.sd < 8 * step:
            base = self.law.base if isinstance(self.law, Logarithm) else self.law
            found = nodes(base, 24)
            if found is not None:
                values = np.log(found[0]) if isinstance(self.law, Logarithm) else found[0]
                return _spread(self.factor * values, found[1], step, size)
        first = int(np.floor(self.low / step)) - 1
        last = int(np.ceil(self.high / step)) + 1
        edges = (np.arange(first, last + 2) - 0.5) * step / self.factor
        cells = np.abs(np.diff(self.law.cdf(edges)))
        masses = np.bincount(np.arange(first, last + 1) % size, cells, size)
        half = np.arange(size // 2 + 1) / size
        return np.asarray(scipy.fft.rfft(masses / cells.sum()) / np.sinc(half))


def _spread(values: Floats, probs: Floats, step: float, size: int) -> Complexes:
    """Spread values over the four nearest grid points, keeping three moments."""
    place = values / step
    left = np.floor(place).astype(int)
    t = place - left
    shares = (
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    )
    masses = np.zeros(size)
    for offset, share in zip((-1, 0, 1, 2), shares, strict=True):
        masses += np.bincount((left + offset) % size, share * probs, size)
    return np.asarray(scipy.fft.rfft(masses))


@dataclass(frozen=True, slots=True)
class _Table:
    start: float
    step: float
    values: Floats
    error: float


def _refined(parts: Sequence[_Part], tolerance: float, var: float) -> _Table:
    low, high = _ends(parts, float(np.sqrt(var)))
    size = 1 << 12
    wanted = 60 * (high - low) / np.sqrt(var) if var > 0 else 0
    while size < min(wanted, FINEST // 4):
        size *= 2
    coarse = _inverted(parts, low, high, size)
    while True:
        size *= 2
        fine = _inverted(parts, low, high, size)
        error = 2 * _difference(coarse, fine) + 2 * EDGE * len(parts)
        if error <= tolerance or size >= FINEST:
            return _Table(fine.start, fine.step, fine.values, error)
        coarse = fine


def _ends(parts: Sequence[_Part], sd: float) -> tuple[float, float]:
    """Return ends of the sum: those of the terms added up, or a narrower bound for many."""
    low, high = sum(part.low for part in parts), sum(part.high for part in parts)
    if len(parts) > 3:
        mean = sum(part.mean for part in parts)
        high = min(high, mean + 9 * sd + max(part.high - part.mean for part in parts))
        low = max(low, mean - 9 * sd - max(part.mean - part.low for part in parts))
    return low, high


def _inverted(parts: Sequence[_Part], low: float, high: float, size: int) -> _Table:
    step = (high - low) / (size - 8)
    first = int(np.floor(low / step)) - 3
    spectrum = np.ones(size // 2 + 1, complex)
    for part in parts:
        spectrum *= part.transform(step, size)
    spectrum *= np.sinc(np.arange(size // 2 + 1) / size)
    cells = np.roll(scipy.fft.irfft(spectrum, size), -(first % size))
    values = np.concatenate([[0.0], np.cumsum(cells)])
    return _Table((first - 0.5) * step, step, np.clip(values, 0.0, 1.0), 1.0)


def _difference(coarse: _Table, fine: _Table) -> float:
    places = fine.start + fine.step * np.arange(len(fine.values))
    place = np.clip((places - coarse.start) / coarse.step, 0, len(coarse.values) - 1.0)
    return float(np.abs(cubic(coarse.values, place) - fine.values).max())
