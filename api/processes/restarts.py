"""When a part that ended may start again: soon at first, seldom in a crash loop. Pure."""

from collections.abc import Sequence

FIRST = 0.1
"""Seconds before the first restart."""
MOST = 5.0
"""Most seconds between restarts of a part that ends again and again."""
CALM = 10.0
"""A part that ran this long had a good start: the next wait is short again."""
LOOP = 6
"""So many ends within `WINDOW` seconds are a crash loop."""
WINDOW = 30.0
REST = 30.0
"""Seconds that a part in a crash loop is left alone."""


def delay(started: float, ends: Sequence[float]) -> float:
    """Return the seconds to wait before the next start.

    Parameters
    ----------
    started
        When the part that just ended was started.
    ends
        When its predecessors and it ended, oldest first, in the same clock.
    """
    if looping(ends):
        return REST
    if ends[-1] - started >= CALM:
        return FIRST
    recent = sum(end > ends[-1] - WINDOW for end in ends)
    return float(min(FIRST * 2 ** (recent - 1), MOST))


def looping(ends: Sequence[float]) -> bool:
    """Return whether a part ends so often that something must be broken."""
    return len(ends) >= LOOP and ends[-1] - ends[-LOOP] <= WINDOW
