"""Sizes, default: the usual range of the quantity. Never declines."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Literal

import numpy as np

from worlds.core.features import FeatureSpec
from worlds.core.forms.default import default_size
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
        form = default_size(items.quantity, at)
        recent = tuple(items.features[-POPULATION:])
        return Fit(replace(form, population=recent), {"method": "usual range"})
