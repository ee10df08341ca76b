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
