"""Counts, default: the usual range of the quantity. Never declines."""

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import ClassVar, Literal

import numpy as np

from worlds.core.forms import CountPath
from worlds.core.forms.default import default_count
from worlds.core.questions import Quantity
from worlds.learn.clock import MONDAY
from worlds.learn.paths import recent_shares
from worlds.learn.protocol import Fit, Result
from worlds.learn.series import Counts


@dataclass(frozen=True, slots=True)
class Default:
    """What is believed when nothing is known; only the shares of labels are learned."""

    name: ClassVar[str] = "default"
    role: ClassVar[Literal["count"]] = "count"

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:  # noqa: ARG002
        """Return the default belief, the same for every step."""
        form = replace(_belief(history.quantity, history.step), start=history.end)
        again = [1] * (form.means.ndim - 1)
        return Fit(
            replace(
                form,
                weights=np.tile(form.weights, (horizon, *again)),
                means=np.tile(form.means, (horizon, *again)),
                sizes=np.tile(form.sizes, (horizon, *again)),
                shares=recent_shares(history.shares, history.y),
            ),
            {"method": "usual range"},
        )


@cache
def _belief(quantity: Quantity, step: timedelta) -> CountPath:
    return default_count(quantity, MONDAY, step)
