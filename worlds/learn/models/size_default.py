"""Sizes, default: the usual range of the quantity. Never declines."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import ClassVar, Literal

import numpy as np

from worlds.core.features import FeatureSpec
from worlds.core.forms import LogLinear
from worlds.core.forms.default import default_size
from worlds.core.questions import Quantity
from worlds.learn.clock import MONDAY
from worlds.learn.protocol import Fit, Result
from worlds.learn.series import POPULATION, Items


@dataclass(frozen=True, slots=True)
class Default:
    """What is believed when nothing is known."""

    name: ClassVar[str] = "default"
    role: ClassVar[Literal["size"]] = "size"

    def fit(
        self,
        items: Items,
        spec: FeatureSpec,  # noqa: ARG002 - one protocol
        *,
        at: datetime,
        rng: np.random.Generator,  # noqa: ARG002 - one protocol
    ) -> Result:
        """Return the default belief with the recent population."""
        recent = tuple(items.features[-POPULATION:])
        form = replace(_belief(items.quantity), reference=at, population=recent)
        return Fit(form, {"method": "usual range"})


@cache
def _belief(quantity: Quantity) -> LogLinear:
    return default_size(quantity, MONDAY)
