"""A forecast kept as a few quantiles: enough for its PIT, its score and its coverage.

The cumulative probabilities of counts are linear in log(1 + x) between the quantiles kept, as in
the lattice they come from. What is kept are places where the distribution reaches a level, not
rounded to counts: P(Y <= y) and P(Y < y) can be read back for every y.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Distribution, Floats
from worlds.core.lattice import GRID, CdfTable
from worlds.errors import ModelFaultError

TAIL = 1e-4
LEVELS: tuple[float, ...] = (
    *(TAIL, 0.005, 0.01, 0.025, 0.05),
    *(round(0.05 * k, 2) for k in range(2, 19)),
    *(0.95, 0.975, 0.99, 0.995, 1 - TAIL),
)
_LEVELS: Floats = np.array(LEVELS)
_LOG_GRID: Floats = np.log1p(GRID)
_FINE: Floats = (np.arange(200) + 0.5) / 200
DIGITS = 5

type Sketch = tuple[float, ...]
"""The places at which a forecast reaches `LEVELS`."""


def sketch(forecast: Distribution) -> Sketch:
    """Return the places of a forecast.

    Raises
    ------
    ModelFaultError
        If its cumulative probabilities are no distribution of counts.
    """
    values = forecast.values if isinstance(forecast, CdfTable) else forecast.cdf(GRID)
    if (wrong := unsound(values)) is not None:
        raise ModelFaultError("", "", "invalid", wrong)
    rising = np.maximum.accumulate(np.asarray(values, float))
    # P(X <= k) is reached at k; below 0 there is nothing, so 0 itself spans (-1, 0]
    places = np.interp(_LEVELS, np.concatenate([[0.0], rising]), _PLACES)
    return tuple(float(f"{x:.{DIGITS}g}") for x in places)


_PLACES: Floats = np.concatenate([[-1.0], _LOG_GRID])
"""Where the cumulative probabilities stand: log(1 + k), and -1 for nothing at all."""
TOLERANCE = 1e-4
LEAST_TOTAL = 0.99


def unsound(values: NDArray[np.floating]) -> str | None:
    """Say what is wrong with cumulative probabilities on the grid, if anything is."""
    if values.shape != GRID.shape:
        return f"{values.shape} cumulative probabilities where {GRID.shape} are expected"
    if sound(values):
        return None
    if not np.isfinite(values).all():
        return "cumulative probabilities are not finite"
    if values[0] < -TOLERANCE or values[-1] > 1 + TOLERANCE:
        return f"cumulative probabilities outside [0, 1]: {values.min():.4g} to {values.max():.4g}"
    if values[-1] < LEAST_TOTAL:
        return f"cumulative probabilities end at {values[-1]:.4g}, not at 1"
    return "cumulative probabilities fall"


def sound(values: NDArray[np.floating]) -> bool:
    """Return whether a row of cumulative probabilities is one. NaN makes every comparison false."""
    return bool(
        values[0] >= -TOLERANCE
        and LEAST_TOTAL <= values[-1] <= 1 + TOLERANCE
        and (values[1:] - values[:-1]).min() >= -TOLERANCE
    )


def pit(places: Sequence[float], outcome: float) -> tuple[float, float]:
    """Return P(Y < y) and P(Y <= y): the randomised PIT lies between them."""
    y = max(np.floor(outcome), 0.0)
    low, high = np.interp(
        [np.log1p(y - 1) if y >= 1 else -1.0, np.log1p(y)], places, _LEVELS, left=0.0, right=1.0
    )
    return float(low), float(high)


def inside(span: tuple[float, float], low: float, high: float) -> float:
    """Return the probability that the randomised PIT of a span lies in [low, high]."""
    below, upto = span
    width = upto - below
    if width <= 0:
        return float(low <= below < high or (below == high == 1.0))
    return float(min(max(min(upto, high) - max(below, low), 0.0) / width, 1.0))


def crps(places: Sequence[float], outcome: float) -> float:
    """Return the continuous ranked probability score, as the mean of quantile scores.

    CRPS = 2 E[(1[y < q(U)] - U) (q(U) - y)] with U uniform (Laio & Tamea 2007,
    doi:10.5194/hess-11-1267-2007), on 200 levels; the tails beyond the outermost are level.
    """
    q = quantiles(places, _FINE)
    return float(2 * np.mean(((outcome < q) - _FINE) * (q - outcome)))


def quantiles(places: Sequence[float], levels: Floats) -> Floats:
    """Return the smallest counts that reach the levels."""
    spots = np.interp(levels, _LEVELS, places)
    return np.asarray(np.ceil(np.expm1(np.maximum(spots, 0.0)) - 1e-6))


def mixed(parts: Sequence[tuple[float, Sequence[float]]]) -> Sketch:
    """Return the sketch of a mixture of sketches, by weight."""
    total = sum(weight for weight, _ in parts)
    knots = np.unique(np.concatenate([np.asarray(places, float) for _, places in parts]))
    values = np.zeros(len(knots))
    for weight, places in parts:
        values += weight / total * np.interp(knots, places, _LEVELS, left=0.0, right=1.0)
    places = np.interp(_LEVELS, values, knots)
    return tuple(float(f"{x:.{DIGITS}g}") for x in places)
