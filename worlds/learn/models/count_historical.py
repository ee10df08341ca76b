"""Counts, historical: what was usual at the same time of earlier weeks and days."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from worlds.core.distributions import Floats
from worlds.learn import placing
from worlds.learn.protocol import Result
from worlds.learn.series import Counts
from worlds.learn.usual import Index, View


@dataclass(frozen=True, slots=True)
class Usual:
    """The weighted median of the same time before: nothing is to be trained."""

    def places(self, view: View, origins: Index) -> Floats:
        """Return the usual counts."""
        targets = origins[:, None] + np.arange(view.horizon)
        return np.asarray(np.maximum(view.usual[targets], 1e-3))


@dataclass(frozen=True, slots=True)
class Historical:
    """Weighted medians over weeks and days, the latest counting most; bursts move them little."""

    name: ClassVar[str] = "historical"
    role: ClassVar[Literal["count"]] = "count"
    least: ClassVar[int] = 3

    def train(self, view: View, until: int) -> Usual:  # noqa: ARG002 - one protocol
        """Return the usual counts."""
        return Usual()

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:  # noqa: ARG002
        """Every step has what was usual at its time."""
        return placing.fit(self, history, horizon)
