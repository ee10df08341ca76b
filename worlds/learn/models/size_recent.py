"""Sizes, recent: what the latest things have brought, whatever they were."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

import numpy as np

from worlds.core.features import FeatureSpec
from worlds.core.forms.log_linear import LogLinear
from worlds.core.noise import SMOOTH_SIZE
from worlds.learn import noise as noises
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import POPULATION, Items, aware

LEAST = 5
MEMORY = 150.0
"""Items after which one counts half: about two hundred recent ones decide."""
DRAWS = 32


@dataclass(frozen=True, slots=True)
class Recent:
    """The labels of the latest items, with forgetting: hard to beat where levels jump."""

    name: ClassVar[str] = "recent"
    role: ClassVar[Literal["size"]] = "size"

    def fit(
        self,
        items: Items,
        spec: FeatureSpec,
        *,
        at: datetime,  # noqa: ARG002 - one protocol
        rng: np.random.Generator,
    ) -> Result:
        """Fit the law of the labels, the latest counting most."""
        known = items.labelled()
        if len(known) < LEAST:
            return Declined(self.name, f"{len(known)} items with a known label; needs {LEAST}")
        middle = float(np.median(np.log(known.label[-noises.MOST :] + 0.5)))
        noise = noises.fit(known.label, np.full(len(known), middle), half_life=MEMORY)
        effective = min(len(known), MEMORY / np.log(2))
        doubt = noise.log_sd / np.sqrt(effective) * rng.standard_normal(DRAWS // 2)
        form = LogLinear(
            columns=("intercept",),
            draws=np.concatenate([middle + doubt, middle - doubt]).astype(np.float32)[None, :],
            size=SMOOTH_SIZE,
            group_sd={},
            tags=spec.tags,
            numbers={},
            drift_sd=0.0,
            reference=aware(known.at[-1]),
            population=tuple(items.features[-POPULATION:]),
            noise=noise,
        )
        return Fit(form, {"method": "recent labels", "items": len(known), "half_life": MEMORY})
