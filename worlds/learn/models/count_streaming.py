"""Counts, streaming: a level that forgets, without a calendar. One pass, constant memory."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from worlds.learn import level as levels
from worlds.learn import negbin
from worlds.learn.paths import count_path
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Counts

LEAST = 3
MEMORY = 1000.0
"""Periods after which a forecast counts half when the half-life and the size are chosen."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """An exponentially discounted level whose half-life is the best of its past forecasts."""

    name: ClassVar[str] = "streaming"
    role: ClassVar[Literal["count"]] = "count"

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:  # noqa: ARG002
        """Fit the half-life on one-step forecasts; the level holds for all steps."""
        n = len(history)
        if n < LEAST:
            return Declined(self.name, f"{n} complete periods; needs {LEAST}")
        recency = 0.5 ** (np.arange(n)[::-1] / MEMORY)
        level = levels.best(history.y, np.ones(n), recency)
        mean = level.before[:-1]
        size = negbin.moment_size(history.y, mean, recency)
        now = float(level.before[-1])
        # the level moves between forecasts as much as it takes in from one count
        gain = 1 - 0.5 ** (1 / level.half_life)
        walk = gain**2 * (1 / now + 1 / size)
        log_sd = np.sqrt(walk * np.arange(horizon))
        path = count_path(history, np.full(horizon, np.log(now)), log_sd, np.full(horizon, size))
        record = {"method": "discounted level", "half_life": level.half_life, "size": size}
        return Fit(path, record)
