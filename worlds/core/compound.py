"""The sum of a random number of random counts, by inverting its generating function.

The generating function of S = X_1 + ... + X_N is G_N(G_X(z)). Parameters shared by all X of one
world (the level everybody's posts have) are nodes: S given the node is a compound sum, and the
nodes are averaged in the transform (see `worlds.core.series` for the inversion).
"""

from dataclasses import replace
from functools import partial

import numpy as np

from worlds.core.distributions import (
    Complexes,
    Count,
    Distribution,
    Floats,
    Mixture,
    PmfTable,
    Point,
    rescaled,
)
from worlds.core.series import SeriesSum, invert_cos, invert_fft
from worlds.core.severity import Severity, compound_moments, upper_end
from worlds.errors import QuestionError

__all__ = ["SeriesSum", "Severity", "compound", "compound_moments", "shortened", "upper_end"]

EXACT_RANGE = 8192
"""Ranges up to this many whole numbers are inverted by the discrete transform."""
SINGLE = 1e-8
"""Probability of exactly one item from which on that case is kept out of the series."""
MANY = 4
"""Components from which on a count may be cheaper as a table."""
WORTH = 100
"""Terms of a polynomial that cost as much as one component."""


def compound(count: Count, severity: Severity, tolerance: float = 1e-5) -> Distribution:
    """Return the distribution of the sum of `count` items of the given severity.

    Parameters
    ----------
    count
        Distribution of the number of items; independent of the severity.
    severity
        Distribution of one item, with nodes for what the items share.
    tolerance
        Error of the cdf at which the series stops growing.

    Returns
    -------
    Distribution
        `Point` for points, `PmfTable` on small ranges, else `SeriesSum` with its error.

    Raises
    ------
    QuestionError
        If the number of items, or the size of an item among uncertain ones, is not whole.
    """
    if isinstance(count, Point) and count.value != np.floor(count.value):
        msg = f"the number of items must be whole; got {count.value!r}"
        raise QuestionError(msg)
    if all(isinstance(part, Point) for part in severity.parts):
        parts = tuple(rescaled(count, part.mean()) for part in severity.parts)
        return parts[0] if len(parts) == 1 else Mixture(severity.weights, parts)
    moments = compound_moments(count, severity)
    if moments[0] == 0:
        return Point(0.0)
    count = shortened(count)
    upper = upper_end(count, severity, moments)
    own = float(getattr(count, "error", 0.0))
    if upper <= EXACT_RANGE:
        table = invert_fft(partial(_rest, count, severity, 0.0, 0.0), upper)
        return replace(table, error=table.error + own)
    start = _start(count, severity, upper, moments)
    rest = partial(_rest, count, severity, start.atom, start.single)
    series = invert_cos(rest, start, tolerance)
    return replace(series, error=series.error + own)


def shortened(count: Count) -> Count:
    """Return a count of many components as a table, where that is less work.

    A polynomial costs less a term than a power, and few things have few terms: a count that was
    thinned by an uncertain share has hundreds of components and a handful of things.
    """
    means = getattr(count, "means", None)
    if means is None or np.size(means) < MANY:
        return count
    spread = float(np.sqrt(count.var()))
    if count.mean() + 12 * spread > WORTH * np.size(means):
        return count
    one = Severity(np.ones(1), (Point(1.0),))
    upper = upper_end(count, one, (count.mean(), count.var()))
    if upper > WORTH * np.size(means):
        return count
    table = getattr(count, "table", None)
    if isinstance(table, PmfTable):
        return table
    return invert_fft(lambda frequency: count.pgf(np.exp(1j * frequency)), upper)


def _start(
    count: Count, severity: Severity, upper: float, moments: tuple[float, float]
) -> SeriesSum:
    """Return what stays outside the series: the mass at zero and the case of one item."""
    single = float(count.pmf(1.0))
    if single < SINGLE or any(isinstance(part, Point) for part in severity.parts):
        single = 0.0
    atom = _mass_at_zero(count, severity)
    if single > 0:
        atom -= single * float(severity.weights @ [float(part.cdf(0.0)) for part in severity.parts])
    return SeriesSum(atom, single, severity, upper, np.zeros(2), moments)


def _mass_at_zero(count: Count, severity: Severity) -> float:
    nothing = severity.pgfs(np.zeros(1)).real
    return float(severity.weights @ count.pgf(nothing).real[:, 0])


def _rest(
    count: Count, severity: Severity, atom: float, single: float, frequency: Floats
) -> Complexes:
    """Return the characteristic function of the sum less the parts kept out of the inversion."""
    inner = severity.pgfs(np.exp(1j * frequency))
    outer = count.pgf(inner)
    return np.asarray(severity.weights @ (outer - single * inner) - atom)
