"""Sums of whole numbers from their transform: a cosine series or a discrete Fourier transform.

On small ranges the discrete Fourier transform inverts exactly up to aliasing; on large ones the
COS series (Fang & Oosterlee 2008, doi:10.1137/080718061) does, in its form for whole numbers:
summing cos(w n) over n = 0..k gives sin(w (k + 1/2)) / (2 sin(w / 2)) + 1/2, so that only the
truncation of the series is left as error.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy
from numpy.typing import ArrayLike

from worlds.core.distributions import Complexes, Floats, PmfTable, check_levels, whole_quantile
from worlds.core.interpolation import cubic
from worlds.core.severity import TAIL, Severity

_UNIT: Floats = np.arange(64) / 64
_LINE: Floats = np.arange(192) / 192
FEW: Floats = np.linspace(0.0, 1.0, 32)
ROUNDING = 1e-17
"""Amplitude below which a wave adds nothing."""
LOOSE = 5e-5
"""Tolerances from here on are tried with the fewest terms first."""
TERMS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


@dataclass(frozen=True, slots=True, eq=False)
class SeriesSum:
    """A non-negative whole-valued sum, inverted by a cosine series and tabulated.

    P(S <= k) = atom + single F(k) + A_0 / 2 x + sum_j A_j sin(w_j x) / (2 sin(w_j / 2))
    at x = k + 1/2 and w_j = j pi / upper: nothing at all, exactly one item (whose density may be
    infinite at zero, where a series would converge slowly), and the series for two or more.

    Parameters
    ----------
    atom, single
        The mass at zero that is not in `single`, and the probability of exactly one item.
    item
        What one item brings.
    upper
        End of the range.
    series
        Values of the series at equal steps over [0, upper].
    moments
        Mean and variance in closed form.
    error
        Bound on the error of every cumulative probability.
    terms
        Number of terms of the series.
    """

    atom: float
    single: float
    item: Severity
    upper: float
    series: Floats
    moments: tuple[float, float]
    error: float = 1.0
    terms: int = 0
    method: str = "pgf inversion (COS)"
    whole: ClassVar[bool] = True

    def mean(self) -> float:
        """Return the mean (closed form)."""
        return self.moments[0]

    def var(self) -> float:
        """Return the variance (closed form)."""
        return self.moments[1]

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(S <= x), within `error`."""
        k = np.floor(np.asarray(x, float))
        one = self.single * self.item.cdf(k) if self.single > 0 else np.zeros_like(k)
        place = np.clip(k + 0.5, 0.0, self.upper) * ((len(self.series) - 1) / self.upper)
        rest = np.maximum(cubic(self.series, place), 0.0)
        total = np.where(k + 0.5 >= self.upper, 1.0, np.minimum(self.atom + one + rest, 1.0))
        return np.asarray(np.where(k < 0, 0.0, total))

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest whole k with P(S <= k) >= p."""
        if self.single > 0:
            return whole_quantile(self.cdf, p, *self.moments)
        rising = np.maximum.accumulate(self.series)
        levels = check_levels(p)
        step = self.upper / (len(self.series) - 1)
        near = np.searchsorted(rising, levels - self.atom) * step
        around = np.floor(near - 2 * step), np.ceil(near + 2 * step)
        return whole_quantile(self.cdf, levels, *self.moments, around=around)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws by inversion."""
        return self.quantile(np.clip(rng.uniform(size=size), 1e-12, 1 - 1e-12))


def invert_fft(transform: Callable[[Floats], Complexes], upper: float) -> PmfTable:
    """Return the probabilities of 0, 1, ... up to about `upper` of a characteristic function."""
    size = 1 << int(np.ceil(np.log2(upper + 2)))
    half = transform(2 * np.pi * np.arange(size // 2 + 1) / size)
    probs: Floats = np.clip(scipy.fft.irfft(np.conj(half), size), 0.0, None)
    return PmfTable(0, probs / probs.sum(), error=TAIL, method="pgf inversion (FFT)")


def checked(upper: float) -> Floats:
    """Return the places at which the terms of a series are compared with fewer."""
    return np.concatenate([upper**_UNIT, upper * _LINE])


def invert_cos(
    rest: Callable[[Floats], Complexes], start: SeriesSum, tolerance: float
) -> SeriesSum:
    """Return the sum whose characteristic function is `rest` beside the parts of `start`.

    The number of terms is doubled until the cumulative probabilities change by less than the
    tolerance.
    """
    points = checked(start.upper)
    last: Floats | None = None
    current, coefficients = start, np.zeros(0)
    for limit in TERMS if tolerance >= LOOSE else TERMS[1:]:
        known, terms = len(coefficients), min(limit, int(start.upper))
        if terms <= known:
            break
        omega = np.arange(known, terms, dtype=float) * (np.pi / start.upper)
        coefficients = np.concatenate([coefficients, 2 / start.upper * rest(omega).real])
        current = replace(current, series=sum_series(coefficients, start.upper), terms=terms)
        values = current.cdf(points)
        if last is not None:
            error = 2 * float(np.abs(values - last).max()) + TAIL
            error += start.single * start.item.table_error if start.single > 0 else 0.0
            current = replace(current, error=error)
            if error <= tolerance:
                current = replace(
                    current,
                    error=error + table_error(current.series, coefficients, current.upper),
                )
                if current.error <= tolerance:
                    return current
        last = values
    return replace(
        current,
        error=current.error + table_error(current.series, coefficients, current.upper),
    )


def sum_series(coefficients: Floats, upper: float) -> Floats:
    """Return series at equal steps over [0, upper], by sine transforms along the last axis."""
    size = max(4 * coefficients.shape[-1], 4096)
    inner = np.zeros((*coefficients.shape[:-1], size - 1))
    inner[..., : coefficients.shape[-1] - 1] = amplitudes(coefficients, upper)
    table: Floats = np.arange(size + 1.0) * (coefficients[..., :1] / 2 * upper / size)
    table[..., 1:-1] += scipy.fft.dst(inner, type=1) / 2
    return table


def amplitudes(coefficients: Floats, upper: float) -> Floats:
    """Return the factors of the sine waves of cumulative probabilities."""
    omega = np.arange(1.0, coefficients.shape[-1]) * (np.pi / upper)
    return np.asarray(coefficients[..., 1:] / (2 * np.sin(omega / 2)))


def table_error(series: Floats, coefficients: Floats, upper: float) -> float:
    """Return how far interpolation in a table is from the series itself, at 32 points."""
    points = np.floor((upper - 1) ** FEW) + 0.5
    size = amplitudes(coefficients, upper)
    heard = np.flatnonzero(np.abs(size) > ROUNDING)
    last = int(heard[-1]) + 1 if len(heard) else 1
    omega = np.arange(1.0, last + 1) * (np.pi / upper)
    waves = size[:last] @ np.sin(omega[:, None] * points)
    exact = coefficients[0] / 2 * points + waves
    place = points * ((len(series) - 1) / upper)
    return float(np.abs(cubic(series, place) - exact).max())
