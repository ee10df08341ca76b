"""Counts, learned: a robust regression on the calendar and on departures from what is usual."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from worlds.core.distributions import Floats
from worlds.learn import placing
from worlds.learn.protocol import Result
from worlds.learn.series import Counts
from worlds.learn.usual import Index, View

RIDGE = 15.0
WARM_WEEKS = 2


def columns(view: View, origins: Index, steps: Index) -> tuple[Floats, Floats]:
    """Return departures and calendar; the log of a level times the profile to start from."""
    targets = origins + steps - 1
    rhythm = view.rhythm(origins, steps)
    start = rhythm[:, 1]
    rows = [
        view.departures(origins, steps),
        view.calendar(targets),
        (view.log_usual(targets) - start)[:, None],
        rhythm[:, ::2] - start[:, None],
        start[:, None],
    ]
    return np.hstack(rows), start


@dataclass(frozen=True, slots=True)
class Learned:
    """Levels, the same time of the latest day and week, calendar waves: a fit a block of steps."""

    name: ClassVar[str] = "learned"
    role: ClassVar[Literal["count"]] = "count"
    least: ClassVar[int] = 21

    def train(self, view: View, until: int) -> placing.Regressions:
        """Regress the log ratio to a level times the profile."""
        ridge = placing.careful(view, until, RIDGE)
        return placing.regress(view, until, columns, ridge, WARM_WEEKS * view.clock.per_week)

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:  # noqa: ARG002
        """Fit by robust regression; as wide as its own past errors."""
        return placing.fit(self, history, horizon)
