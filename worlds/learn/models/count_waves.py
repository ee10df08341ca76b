"""Counts, waves: a robust autoregression of log counts with waves of the day and the week."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from worlds.core.distributions import Floats
from worlds.learn import placing
from worlds.learn.protocol import Result
from worlds.learn.series import Counts
from worlds.learn.usual import Index, View

RIDGE = 4.0


def columns(view: View, origins: Index, steps: Index) -> tuple[Floats, Floats]:
    """Return log lags, waves, and how the time of day changes what the last count says."""
    start = view.latest(origins, view.clock.per_week)
    lags = view.lags(origins, steps) - start[:, None]
    waves = view.calendar(origins + steps - 1)
    return np.hstack([lags, start[:, None], waves, lags[:, :1] * waves[:, :4]]), start


@dataclass(frozen=True, slots=True)
class Waves:
    """No profile: the smooth calendar makes it err where the other models do not."""

    name: ClassVar[str] = "waves"
    role: ClassVar[Literal["count"]] = "count"
    least: ClassVar[int] = 21

    def train(self, view: View, until: int) -> placing.Regressions:
        """Regress the log count on its lags and on the calendar."""
        return placing.regress(view, until, columns, RIDGE, view.clock.per_week)

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:  # noqa: ARG002
        """Fit by robust regression; as wide as its own past errors."""
        return placing.fit(self, history, horizon)
