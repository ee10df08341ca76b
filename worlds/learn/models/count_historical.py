"""Counts, historical: the mean of the same slot of the week, the latest weeks counting most."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

import numpy as np

from worlds.learn import negbin
from worlds.learn.clock import Clock, profile
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
        typical = max(float(weight @ history.y), 0.5) / float(weight.sum())
        slots, without = profile(past, weight * history.y, weight * typical, FORCE * typical)
        size = negbin.moment_size(history.y, typical * without, weight)
        mean = typical * slots
        seen = np.bincount(past.week, weight, past.per_week) + FORCE
        borrowed = np.bincount(past.coarse, weight, 2 * past.per_day)
        log_mean = np.log(mean[ahead.week])
        certainty = seen[ahead.week] + np.minimum(borrowed[ahead.coarse], FORCE)
        log_sd = np.sqrt((1 / mean[ahead.week] + 1 / size) / certainty)
        path = count_path(history, log_mean, log_sd, np.full(horizon, size))
        return Fit(path, {"method": "shrunken decayed means", "periods": n, "size": size})
