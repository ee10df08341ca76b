"""Ends of intervals of small counts: mid-quantiles.

Of a count with much probability on single values the quantile at p, the smallest k with
P(X <= k) >= p, leaves less than p below it, so that intervals between quantiles hold more than they
say: a post that gets nothing in four cases of ten lies inside every one of them. The mid-quantile
inverts the mid-distribution P(X < k) + P(X = k) / 2, linearly between whole numbers (Ma, Genton &
Parzen 2011, Ann. Inst. Stat. Math. 63, 227), and intervals between mid-quantiles hold what they say
on average over many things. Of large counts the two are the same.
"""

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.core.lattice import GRID
from worlds.core.recalibration import Recalibration

_SINGLE = int(np.argmax(np.diff(GRID) > 1))
"""Number of the grid's first values with every whole number on the grid up to the next."""
_PLACES: Floats = np.concatenate([GRID[:_SINGLE], GRID[_SINGLE:] + 0.5])


def mid_quantiles(values: NDArray[np.floating], levels: Floats) -> Floats:
    """Return the mid-quantiles of a count given by P(X <= grid), not rounded.

    Parameters
    ----------
    values
        Array (G,): cumulative probabilities on `worlds.core.lattice.GRID`.
    levels
        Probabilities in (0, 1).
    """
    middle = values.astype(float)
    middle[:_SINGLE] -= np.diff(middle[:_SINGLE], prepend=0.0) / 2
    return np.asarray(np.interp(levels, middle, _PLACES))


def whole_ends(
    plain: list[float],
    levels: Floats,
    values: NDArray[np.floating],
    recalibration: Recalibration | None,
) -> list[float]:
    """Return the median and the ends of intervals: the whole numbers between mid-quantiles.

    Parameters
    ----------
    plain
        Quantiles at the levels, the median first.
    levels
        One half, and the lower and the upper level of every interval.
    values
        Array (G,): cumulative probabilities on the grid, before recalibration.
    recalibration
        What they become.
    """
    if min(plain) >= _SINGLE:
        return plain
    small = [i for i, end in enumerate(plain) if end < _SINGLE]
    places = [int(plain[i]) for i in small]
    around = [float(values[k]) for k in places]
    around += [float(values[k - 1]) if k else 0.0 for k in places]
    if recalibration is not None:
        around = recalibration.apply(around).tolist()
    ends = list(plain)
    for i, upto, below in zip(small, around[: len(small)], around[len(small) :], strict=True):
        level, middle = float(levels[i]), (upto + below) / 2
        if level > 0.5:
            ends[i] -= level < middle
        else:
            ends[i] += level > middle
    middle = ends[0] = plain[0]
    ends[1::2] = [min(end, middle) for end in ends[1::2]]
    ends[2::2] = [max(end, middle) for end in ends[2::2]]
    return ends
