"""Cubic interpolation in tables with equal steps."""

import numpy as np

from worlds.core.distributions import Floats


def cubic(table: Floats, position: Floats) -> Floats:
    """Return the table at fractional positions, by the cubic through the four nearest entries.

    Parameters
    ----------
    table
        Array (..., n) with n >= 4, values at positions 0, 1, ..., n - 1 along the last axis.
    position
        Positions; beyond the ends the end cubic is used.
    """
    left = np.minimum(np.maximum(position.astype(np.int64), 1), table.shape[-1] - 3)
    t = position - left
    below, above = t + 1, t - 1
    far = t - 2
    inner, outer = above * far / 2, below * t / 2
    return np.asarray(
        table.take(left, -1) * (below * inner)
        - table.take(left + 1, -1) * (outer * far)
        + (table.take(left + 2, -1) * (outer * above) - table.take(left - 1, -1) * (t * inner)) / 3
    )
