"""Counts, learned: negative-binomial regression on the calendar and on the latest counts."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.learn import clock as clocks
from worlds.learn import regression
from worlds.learn.paths import count_path
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Counts

LEAST = 21
"""Periods below which lags and calendar cannot be told apart."""
MOST_WEEKS_SHORT, MOST_PERIODS = 16, 1500
"""The latest history used: weeks for periods under a day, periods otherwise."""
MEMORY = timedelta(days=90)
"""Age at which a period counts half."""
RIDGE = 4.0
"""Prior precision of every coefficient of a standardised column (its effect is 0 +- 0.5)."""
BLOCKS = (1, 3, 6, 12, 24, 48, 96)
"""Last horizon of the blocks that share one regression."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Calendar waves and log lags, one regression for every block of horizons."""

    name: ClassVar[str] = "learned"
    role: ClassVar[Literal["count"]] = "count"

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:  # noqa: ARG002
        """Fit by penalised likelihood; parameter uncertainty widens the log mean."""
        if len(history) < LEAST:
            return Declined(self.name, f"{len(history)} complete periods; needs {LEAST}")
        past = _latest(history)
        n = len(past)
        clock = clocks.Clock.of(past.start, past.step, n + horizon)
        calendar = calendar_columns(clock)
        age = np.arange(n)[::-1] * (past.step / timedelta(days=1))
        weight = 0.5 ** (age / MEMORY.days)
        log_mean, log_sd, size = np.zeros(horizon), np.zeros(horizon), np.zeros(horizon)
        record: dict[str, object] = {"method": "ridge negative-binomial regression", "periods": n}
        done = 0
        for last in (*[block for block in BLOCKS if block < horizon], horizon):
            steps = range(done + 1, last + 1)
            done = last
            found, rows = _block(past.y, calendar, clock.per_day, weight, steps)
            place = slice(steps[0] - 1, steps[-1])
            log_mean[place], log_sd[place] = found.predict(rows)
            size[place] = found.size
            if steps[0] == 1:
                record |= {"rounds": found.rounds, "gradient": found.gradient, "size": found.size}
        return Fit(count_path(history, log_mean, log_sd, size), record)


def _latest(history: Counts) -> Counts:
    """Return the latest part of the history."""
    short = history.step < timedelta(days=1)
    most = round(timedelta(weeks=MOST_WEEKS_SHORT) / history.step) if short else MOST_PERIODS
    return history.after(max(len(history) - most, 0))


def calendar_columns(clock: clocks.Clock) -> Floats:
    """Return waves of the day, of the week, and of the day at weekends."""
    daily = clocks.harmonics(clock.day, clock.per_day, range(1, 5))
    weekly = clocks.harmonics(clock.week, clock.per_week, range(1, 4))
    weekend = clock.weekend[:, None].astype(float)
    return np.hstack([daily, weekly, weekend, weekend * daily[:, :4]])


def lag_columns(y: Floats, per_day: int, step: int, targets: NDArray[np.intp]) -> Floats:
    """Return logs of counts known `step` periods before every target.

    The last one, means of the last few, and the same slot of the latest known day and week.
    A window that reaches before the first period is cut short.
    """
    total = np.concatenate([[0.0], np.cumsum(y)])
    last = targets - step
    windows = (1, 3, per_day, 7 * per_day) if per_day > 3 else (1, 3, 7, 28)
    columns = []
    for window in windows:
        first = np.maximum(last - window + 1, 0)
        columns.append((total[last + 1] - total[first]) / (last + 1 - first))
    for period in {per_day, 7 * per_day} - {1}:
        back = targets - period * -(-step // period)
        columns.append(np.where(back >= 0, y[np.maximum(back, 0)], columns[2]))
    return np.log(np.column_stack(columns) + 0.5)


def _block(
    y: Floats, calendar: Floats, per_day: int, weight: Floats, steps: range
) -> tuple[regression.Regression, Floats]:
    """Fit one block of horizons; return the regression and the rows of its forecasts."""
    n = len(y)
    warm = min(7 * per_day if per_day > 1 else 7, n // 3)
    rows, ahead, counts, weights = [], [], [], []
    for step in steps:
        targets = np.arange(warm + step - 1, n)
        rows.append(np.hstack([calendar[targets], lag_columns(y, per_day, step, targets)]))
        target = np.array([n + step - 1])
        ahead.append(np.hstack([calendar[target], lag_columns(y, per_day, step, target)]))
        counts.append(y[targets])
        weights.append(weight[targets] / len(steps))
    design, future = np.vstack(rows), np.vstack(ahead)
    centre, scale = design.mean(0), np.maximum(design.std(0), 1e-6)
    inside = np.clip(future, design.min(0), design.max(0))
    ridge = np.concatenate([[1e-3], np.full(design.shape[1], RIDGE)])
    found = regression.fit(
        _with_ones((design - centre) / scale), np.concatenate(counts), ridge,
        np.concatenate(weights),
    )  # fmt: skip
    return found, _with_ones((inside - centre) / scale)


def _with_ones(rows: Floats) -> Floats:
    return np.hstack([np.ones((len(rows), 1)), rows])
