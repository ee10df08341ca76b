"""Counts, streaming: levels that forget, without a calendar."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from worlds.core.distributions import Floats
from worlds.learn import placing
from worlds.learn.protocol import Result
from worlds.learn.series import Counts
from worlds.learn.usual import Index, View

RIDGE = 8.0
WIDTHS = (3, 10, 30, 100)
"""Periods of the means of the latest counts."""


def columns(view: View, origins: Index, steps: Index) -> tuple[Floats, Floats]:  # noqa: ARG001
    """Return how the latest counts differ from a longer mean, which is where it starts."""
    start = view.latest(origins, 10)
    rows = [view.latest(origins, 1), *(view.latest(origins, width) for width in WIDTHS)]
    return np.column_stack(rows) - start[:, None], start


@dataclass(frozen=True, slots=True)
class Streaming:
    """Means over the latest 1 to 100 counts; what each is worth is learned for every horizon."""

    name: ClassVar[str] = "streaming"
    role: ClassVar[Literal["count"]] = "count"
    least: ClassVar[int] = 3

    def train(self, view: View, until: int) -> placing.Regressions:
        """Regress the log count on means of the latest."""
        return placing.regress(view, until, columns, RIDGE, 10)

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:  # noqa: ARG002
        """Fit by robust regression; as wide as its own past errors."""
        return placing.fit(self, history, horizon)
