"""Counts, historical: the mean of the same slot of the week, the latest weeks counting most."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

import numpy as np

from worlds.learn import negbin
from worlds.learn.clock import Clock
from worlds.learn.paths import count_path
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Counts

LEAST = 3
"""Periods below which there is no history to speak of."""
HALF_LIFE = {True: timedelta(days=14), False: timedelta(days=28)}
"""Age at which a period counts half: for periods shorter than a day, and for longer ones."""
FORCE = 1.0
"""Periods whose evidence the mean of the coarser group is worth."""


@dataclass(frozen=True, slots=True)
class Historical:
    """Slot-of-week means, shrunk to the time of day by weekday and weekend."""

    name: ClassVar[str] = "historical"
    role: ClassVar[Literal["count"]] = "count"

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:  # noqa: ARG002
        """Fit on decayed counts; every step has the mean of its slot."""
        n = len(history)
        if n < LEAST:
            return Declined(self.name, f"{n} complete periods; needs {LEAST}")
        clock = Clock.of(history.start, history.step, n + horizon)
        past, ahead = clock.part(0, n), clock.part(n, n + horizon)
        half_life = HALF_LIFE[history.step < timedelta(days=1)] / history.step
        weight = 0.5 ** (np.arange(n)[::-1] / half_life)
        prior = max(float(weight @ history.y), 0.5) / float(weight.sum())
        coarse, coarse_n = _shrunk(past.coarse, history.y, weight, 2 * past.per_day, prior)
        where = np.zeros(past.per_week, np.intp)
        slots = Clock.of(history.start, history.step, past.per_week)
        where[slots.week] = slots.coarse
        mean, seen = _shrunk(past.week, history.y, weight, past.per_week, coarse[where])
        used = float((np.bincount(past.week, weight, past.per_week) > 0).sum())
        size = negbin.moment_size(history.y, mean[past.week], weight, used=min(used, n / 2))
        log_mean = np.log(mean[ahead.week])
        certainty = seen[ahead.week] + np.minimum(coarse_n[ahead.coarse], 7 * FORCE)
        log_sd = np.sqrt((1 / mean[ahead.week] + 1 / size) / certainty)
        path = count_path(history, log_mean, log_sd, np.full(horizon, size))
        return Fit(path, {"method": "shrunken decayed means", "periods": n, "size": size})


def _shrunk(
    group: np.ndarray, y: np.ndarray, weight: np.ndarray, count: int, goal: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of every group drawn to its goal, and its effective periods."""
    total = np.bincount(group, weight, count)
    mean = (np.bincount(group, weight * y, count) + FORCE * goal) / (total + FORCE)
    squares = np.bincount(group, weight**2, count)
    effective = np.divide(total**2, squares, out=np.zeros(count), where=squares > 0)
    return mean, effective + FORCE
