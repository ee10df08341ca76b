"""Cubic interpolation in tables with equal steps."""

import numpy as np

from worlds.core.distributions import Floats


def cubic(table: Floats, position: Floats) -> Floats:
    """Return the table at fractional positions, by the cubic through the four nearest entries.

    Parameters
    ----------
    table
        Array (n,) with n >= 4, values at positions 0, 1, ..., n - 1.
    position
        Positions; beyond the ends the end cubic is used.
    """
    left = np.clip(np.floor(position), 1, len(table) - 3).astype(int)
    t = position - left
    below, above = t + 1, t - 1
    far = t - 2
    return np.asarray(
        -t * above * far / 6 * table[left - 1]
        + below * above * far / 2 * table[left]
        - below * t * far / 2 * table[left + 1]
        + below * t * above / 6 * table[left + 2]
    )
