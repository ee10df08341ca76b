"""Sizes, recent: what the latest things have brought, whatever they were."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

import numpy as np

from worlds.core.features import FeatureSpec
from worlds.learn import noise as noises
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Items
from worlds.learn.sizes import latest, served

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
        known = latest(items, self.name, LEAST, noises.MOST)
        if isinstance(known, Declined):
            return known
        middle = float(np.median(np.log(known.label + 0.5)))
        noise = noises.fit(known.label, np.full(len(known), middle), half_life=MEMORY)
        effective = min(len(known), MEMORY / np.log(2))
        doubt = noise.log_sd / np.sqrt(effective) * rng.standard_normal(DRAWS // 2)
        draws = np.concatenate([middle + doubt, middle - doubt])[None, :]
        form = served(items, spec, known, draws=draws, noise=noise)
        return Fit(form, {"method": "recent labels", "items": len(known), "half_life": MEMORY})
