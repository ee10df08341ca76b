"""Counts, seasonal: a profile of the week times a level that follows the latest counts."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

import numpy as np

from worlds.core.distributions import Floats
from worlds.learn import clock as clocks
from worlds.learn import level as levels
from worlds.learn import negbin, regression
from worlds.learn.paths import count_path
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Counts

LEAST_WEEKS = 1
PROFILE_HALF_LIFE = timedelta(days=56)
MEMORY = timedelta(days=120)
"""Age at which a forecast counts half when level and sizes are chosen."""
FORCE = 2.0
RIDGE = np.array([1e-3, 4.0])
"""Prior precision of the regression of the log ratio: on 1, and on the log level around 1."""


@dataclass(frozen=True, slots=True)
class Seasonal:
    """Slot-of-week profile times a discounted level; one regression a horizon."""

    name: ClassVar[str] = "seasonal"
    role: ClassVar[Literal["count"]] = "count"

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:  # noqa: ARG002
        """Fit profile and level; how far the level carries is learned for every horizon."""
        n = len(history)
        week = round(timedelta(days=7) / history.step)
        if n < LEAST_WEEKS * week or n < 10 or week < 1:
            return Declined(self.name, f"{n} complete periods; needs {LEAST_WEEKS} weeks of them")
        clock = clocks.Clock.of(history.start, history.step, n + horizon)
        age = np.arange(n)[::-1] * (history.step / timedelta(days=1))
        slots, without = _profile(
            clock.part(0, n), history.y, 0.5 ** (age / PROFILE_HALF_LIFE.days)
        )
        expected = slots[clock.week]
        honest = without / expected[:n]
        recency = 0.5 ** (age / MEMORY.days)
        level = levels.best(history.y, expected[:n], recency)
        forecasts = [
            _ahead(history.y, expected, honest, level, recency, step)
            for step in range(1, horizon + 1)
        ]
        log_mean, log_sd, size = (np.array(column) for column in zip(*forecasts, strict=True))
        record = {
            "method": "profile times discounted level",
            "half_life": level.half_life,
            "size": float(size[0]),
        }
        return Fit(count_path(history, log_mean, log_sd, size), record)


def _profile(clock: clocks.Clock, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return slot factors of counts over their own slow mean (a centred week or more)."""
    width = clock.per_week + (1 - clock.per_week % 2)
    kernel = np.ones(min(width, len(y)))
    slow = np.convolve(y, kernel, "same") / np.convolve(np.ones(len(y)), kernel, "same")
    base = weight * np.maximum(slow, 0.05 * max(float(y.mean()), 1e-6))
    typical = float(base.sum()) / float(weight.sum())
    return clocks.profile(clock, weight * y, base, FORCE * typical)


def _ahead(
    y: Floats, expected: Floats, honest: Floats, level: levels.Level, recency: Floats, step: int
) -> tuple[float, float, float]:
    """Return log mean, its sd and the size, `step` periods ahead.

    log(mean / expected) = log(overall) + b log(level / overall), fitted on all past pairs.
    """
    n = len(y)
    known = n - step + 1
    log_level = np.log(np.maximum(level.before, 1e-9))
    centre = float(np.average(log_level[:known], weights=recency[step - 1 :]))
    rows = np.column_stack([np.ones(known), log_level[:known] - centre])
    offset = np.log(expected) + centre
    # b is drawn to 1 (the level holds): the regression is on what departs from that
    start = offset[step - 1 : n] + rows[:, 1]
    found = regression.fit(rows, y[step - 1 :], RIDGE, recency[step - 1 :], start)
    now = np.array([[1.0, log_level[n] - centre]])
    log_mean, log_sd = found.predict(now, offset[n + step - 1] + now[:, 1])
    mean = np.exp(found.predict(rows, start)[0]) * honest[step - 1 :]
    size = negbin.likely_size(y[step - 1 :], mean, recency[step - 1 :])
    return float(log_mean[0]), float(log_sd[0]), size
