"""The rhythm of the day without its level, and levels that follow counts over that rhythm alone.

What is usual at a time mixes the rhythm with the level of the days it is taken from. Here counts
are compared with the mean of the day before them (the week, where a period is a day), so that a
level that wanders does not look like a rhythm. With a short history a slot is drawn to its
neighbours and to other days: what little is known of it is not taken for more.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.learn.clock import Clock

FADE = 0.5 ** (1 / 21)
"""What a day counts against the day after it."""
WIDE = 3
"""Hours to either side that a slot is drawn to."""
ALIKE, OWN = 5.0, 30.0
"""Things that "no rhythm" is worth, and that the neighbours on all days are worth."""
CHANCE = 10.0
"""Mean beyond which what is not chance makes more noise than chance: there counts weigh alike."""
BURST = 4.0
"""Counts beyond that many times the mean (and one) are cut."""


def profile(y: Floats, known: NDArray[np.bool_], clock: Clock, horizon: int) -> Floats:
    """Return the log factor of every period, from what any origin that forecasts it has seen.

    Parameters
    ----------
    y, known, clock
        Counts (n,), whether each is known, and the slots of n + horizon periods.
    horizon
        Periods ahead that are forecast.
    """
    n, total = len(y), len(clock.day)
    daily = clock.per_day > 1
    cycle = clock.per_day if daily else 7
    slot = clock.day if daily else clock.week
    if n == 0 or (np.diff(slot) % cycle != 1).any():  # a period is longer than a day
        return np.zeros(total)
    first, hour = int(slot[0]), clock.per_day // 24
    turns = (first + total - 1) // cycle + 1
    kind = np.zeros(turns, int)
    if daily:
        kind[(first + np.arange(total)) // cycle] = clock.weekend
    table = np.zeros((2, turns * cycle))
    table[:, first : first + n] = _against_the_mean(y, known, cycle)
    table = _smooth(table.reshape(2, turns, cycle), hour)
    away = -(-horizon // cycle) + 1  # no origin that forecasts a period has seen less
    keep = FADE if daily else FADE**cycle
    found, gathered = np.zeros((turns, cycle)), np.zeros((2, 2, cycle))
    for turn in range(away, turns):
        gathered *= keep
        gathered[:, kind[turn - away]] += table[:, turn - away]
        seen, due = _smooth(gathered.sum(1), WIDE * hour)
        alike = (seen + ALIKE) / (due + ALIKE)
        seen, due = gathered[:, kind[turn]]
        found[turn] = np.log((seen + OWN * alike) / (due + OWN))
    return found.ravel()[first : first + total]


def levels(y: Floats, rhythm: Floats, half_lives: Sequence[float]) -> Floats:
    """Return logs (n + 1, L) of levels before every count and after all of them.

    Each is the sum of discounted counts over that of the factors; one that forgets faster starts
    from the one that forgets more slowly, the slowest from the mean of all.

    Parameters
    ----------
    y, rhythm
        Arrays (n,): counts and the logs of their factors.
    half_lives
        In periods, increasing.
    """
    due = np.exp(rhythm)
    level = (np.r_[0.0, np.cumsum(y)] + 0.5) / (np.r_[0.0, np.cumsum(due)] + 0.5)
    found = []
    for half_life in reversed(half_lives):
        level = (faded(y, half_life) + 0.5) / (faded(due, half_life) + 0.5 / level)
        found.append(np.log(level))
    return np.column_stack(found[::-1])


def faded(values: Floats, half_life: float) -> Floats:
    """Return 0, v0, keep v0 + v1, ...: the discounted sum before every entry and after all."""
    keep = 0.5 ** (1 / half_life)
    sums = accumulate(values.tolist(), lambda total, value: keep * total + value, initial=0.0)
    return np.fromiter(sums, float, len(values) + 1)


def _against_the_mean(y: Floats, known: NDArray[np.bool_], cycle: int) -> Floats:
    """Return counts and the mean of the cycle up to each (2, n), weighted by how sure they are."""
    sums, last = np.r_[0.0, np.cumsum(y)], np.arange(1, len(y) + 1)
    mean = (sums[last] - sums[np.maximum(last - cycle, 0)]) / np.minimum(last, cycle)
    worth = known / (1 + mean / CHANCE)
    return np.vstack([worth * np.minimum(y, BURST * (mean + 1)), worth * mean])


def _smooth(table: Floats, width: int) -> Floats:
    """Return an array (..., slots) averaged with neighbours, those nearby counting most."""
    shares = {shift: width + 1 - abs(shift) for shift in range(-width, width + 1)}
    return np.asarray(
        sum(share * np.roll(table, shift, -1) for shift, share in shares.items()) / (width + 1) ** 2
    )
