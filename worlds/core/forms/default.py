"""What is believed when nothing is known: wide, from the usual range of a quantity. Never fails."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import numpy as np
import scipy

from worlds.core.distributions import Floats
from worlds.core.forms.count_path import CountPath
from worlds.core.forms.log_linear import LogLinear
from worlds.core.lattice import HIGH, LARGEST_SIZE, LOW, LogMean, NegBinLattice
from worlds.core.questions import Quantity

SIZE = 2.0
"""Size of the negative binomial of the default belief, where its range leaves room for it."""
DRAWS = 256


def default_count(quantity: Quantity, start: datetime, step: timedelta) -> CountPath:
    """Return a count that lies in the usual range nine times out of ten (nearly)."""
    log_mean, sd, size = match_range(*quantity.usual)
    nodes = np.exp(log_mean + sd * _scores(31))
    shape = (1, len(nodes))
    return CountPath(
        start, step, np.full(shape, 1 / 31), nodes[None, :], np.full(shape, size), shares={}
    )


def default_size(quantity: Quantity, reference: datetime) -> LogLinear:
    """Return a size that lies in the usual range nine times out of ten (nearly)."""
    log_mean, sd, size = match_range(*quantity.usual)
    draws = (log_mean + sd * _scores(DRAWS)).astype(np.float32)[None, :]
    return LogLinear(("intercept",), draws, size, {}, (), {}, 0.0, reference)


def match_range(low: float, high: float) -> tuple[float, float, float]:
    """Return log mean, its sd and the size of a count with 5% below `low` and 5% above `high`.

    The 5% and 95% quantiles of the mixture are moved onto the ends of the range by a fixed-point
    iteration in log(1 + count). Where counting noise alone is wider than the range, the log
    mean is (nearly) certain and the range is covered more often.
    """
    goal = np.log1p(np.array([low, high]))
    for size in (SIZE, 10.0, LARGEST_SIZE):
        table = NegBinLattice(size)
        log_mean, sd = _fixed_point(goal, partial(_ends, table))
        ends = _ends(table, log_mean, sd)
        if np.diff(ends)[0] <= np.diff(goal)[0] * 1.02 + 1e-9:
            break
    return log_mean, sd, size


def _ends(table: NegBinLattice, log_mean: float, sd: float) -> Floats:
    return np.log1p(table.mix([LogMean(1.0, log_mean, sd)]).quantile([0.05, 0.95]))


def _fixed_point(goal: Floats, ends: Callable[[float, float], Floats]) -> tuple[float, float]:
    log_mean = float(np.log(np.expm1(goal).mean() + 0.5))
    sd = max(float(np.diff(goal)[0]) / 3.3, 0.05)
    for _ in range(40):
        found = ends(log_mean, sd)
        log_mean = float(np.clip(log_mean + 0.7 * (goal.mean() - found.mean()), LOW + 3, HIGH - 3))
        ratio = float(np.diff(goal)[0] / max(np.diff(found)[0], 1e-3))
        sd = float(np.clip(sd * ratio**0.7, 1e-3, 3.0))
    return log_mean, sd


def _scores(count: int) -> Floats:
    """Return equally likely normal scores with variance 1."""
    scores: Floats = scipy.special.ndtri((np.arange(count) + 0.5) / count)
    return scores / scores.std()
