"""Counts, seasonal: a profile of the day times levels that follow the latest counts."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from worlds.core.distributions import Floats
from worlds.learn import placing
from worlds.learn.protocol import Result
from worlds.learn.series import Counts
from worlds.learn.usual import HOURS, Index, View

RIDGE = 8.0
WARM_WEEKS = 2


def columns(view: View, origins: Index, steps: Index) -> tuple[Floats, Floats]:
    """Return departures of levels and of what is usual from a level times the profile."""
    rhythm = view.rhythm(origins, steps)
    start = rhythm[:, 1]
    rows = [
        view.levels[origins][:, : len(HOURS)],
        (view.log_usual(origins + steps - 1) - start)[:, None],
        rhythm[:, ::2] - start[:, None],
        start[:, None],
    ]
    return np.hstack(rows), start


@dataclass(frozen=True, slots=True)
class Seasonal:
    """How far levels that forget at different speeds carry is learned for every horizon."""

    name: ClassVar[str] = "seasonal"
    role: ClassVar[Literal["count"]] = "count"
    least: ClassVar[int] = 10

    def train(self, view: View, until: int) -> placing.Regressions:
        """Regress the log ratio to level times profile on how other levels depart from it."""
        ridge = placing.careful(view, until, RIDGE)
        return placing.regress(view, until, columns, ridge, WARM_WEEKS * view.clock.per_week)

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:  # noqa: ARG002
        """Fit by robust regression; as wide as its own past errors."""
        return placing.fit(self, history, horizon)
