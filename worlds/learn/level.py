"""A level that follows the counts: an exponentially discounted ratio of counts to expectation."""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from worlds.core.distributions import Floats
from worlds.learn import negbin

HALF_LIVES: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Half-lives of the level that are tried, in periods."""
BLOCK = 64
"""Periods that are summed at once."""
PRIOR_PERIODS = 1.0
"""Periods worth of evidence that the overall mean is given."""


@dataclass(frozen=True, slots=True)
class Level:
    """Levels before every period and after the last, and how fast they forget.

    Parameters
    ----------
    before
        Array (n + 1,): entry t uses counts 0 .. t - 1 only; entry n is the present level.
    half_life
        In periods.
    effective
        Periods worth of evidence in the present level.
    """

    before: Floats
    half_life: float
    effective: float


def follow(y: Floats, expected: Floats, half_life: float) -> Level:
    """Return the discounted ratio of counts to what the calendar expects.

    Parameters
    ----------
    y, expected
        Arrays (n,): counts, and the counts expected at level 1.
    half_life
        Periods after which a count weighs half.
    """
    keep = 0.5 ** (1 / half_life)
    overall = (float(y.sum()) + 0.5) / (float(expected.sum()) + 1e-12)
    prior = PRIOR_PERIODS * float(expected.mean())
    ahead, base = _discounted(y, keep), _discounted(expected, keep)
    rest = keep ** len(y)
    effective = (1 - rest) * (1 + keep) / ((1 - keep) * (1 + rest))
    return Level((ahead + prior * overall) / (base + prior), half_life, effective)


def _discounted(values: Floats, keep: float) -> Floats:
    """Return 0, v_0, keep v_0 + v_1, ...: the discounted sum before every entry and after all.

    Block by block with one matrix; what a block hands on to the next is summed one by one.
    """
    count, rows = len(values), -(-len(values) // BLOCK)
    padded = np.zeros(rows * BLOCK)
    padded[:count] = values
    steps = np.arange(BLOCK)
    inside = padded.reshape(rows, BLOCK) @ np.triu(keep ** np.abs(steps - steps[:, None]))
    handed = accumulate(
        inside[:, -1].tolist(), lambda total, value: keep**BLOCK * total + value, initial=0.0
    )
    before = np.fromiter(handed, float, rows + 1)[:-1, None]
    sums = inside + before * keep ** (steps + 1)
    return np.concatenate([[0.0], sums.ravel()[:count]])


def best(
    y: Floats, expected: Floats, recency: Floats, half_lives: tuple[float, ...] = HALF_LIVES
) -> Level:
    """Return the level whose one-step forecasts would have been the most probable.

    Parameters
    ----------
    y, expected
        Arrays (n,).
    recency
        Array (n,): weight of every forecast in the comparison.
    half_lives
        Those that are tried, ascending.
    """
    if len(half_lives) == 1:
        return follow(y, expected, half_lives[0])
    found: list[tuple[float, Level]] = []
    for half_life in half_lives:
        if half_life > max(len(y), 2):
            break
        level = follow(y, expected, half_life)
        mean = np.maximum(level.before[:-1] * expected, 1e-9)
        size = negbin.moment_size(y, mean, recency)
        found.append((negbin.loglik(y, mean, size, recency), level))
    return max(found, key=lambda pair: pair[0])[1]
