"""Sizes, boosted: trees for the whole distribution around the hierarchical regression."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

import numpy as np

from worlds.core.distributions import Floats
from worlds.core.features import FeatureSpec
from worlds.core.forms.forest import MIDDLE, Forest
from worlds.core.forms.log_linear import LogLinear
from worlds.learn import design as designs
from worlds.learn import hierarchy
from worlds.learn.boosting import TREES, boost
from worlds.learn.models.size_learned import record, regression
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Items
from worlds.learn.sizes import latest

LEAST = 150
"""Labelled items below which trees find nothing but chance."""
MOST = 12_000
"""The latest labelled items that are used."""
MEMORY = 3000.0
"""Items after which one counts half."""
DRAWS = 128


@dataclass(frozen=True, slots=True)
class Boosted:
    """Gradient-boosted cumulative probabilities of what the regression leaves unexplained."""

    name: ClassVar[str] = "boosted"
    role: ClassVar[Literal["size"]] = "size"

    def fit(
        self, items: Items, spec: FeatureSpec, *, at: datetime, rng: np.random.Generator
    ) -> Result:
        """Fit the regression, then trees on the log ratios of the labels to it."""
        known = latest(items, self.name, LEAST, MOST)
        if isinstance(known, Declined):
            return known
        started = regression(items, spec, at, known)
        made, fitted = started.made, started.fitted
        base = made.form(fitted.draws(rng, DRAWS), fitted.effects, fitted.sd)
        x = encoded(base, made.design)
        ratio = np.log(made.problem.y + MIDDLE) - made.log_mean(fitted.effects)
        found = boost(x, ratio, hierarchy.fading(len(x), MEMORY), rng)
        form = Forest(base, found.trees, found.steps, found.tails)
        return Fit(form, {**record(fitted, len(x)), "trees": TREES, "method": "boosted CRPS"})


def encoded(base: LogLinear, design: designs.Design) -> Floats:
    """Return what `worlds.core.forms.forest.Encoder` makes of every item of a design."""
    effects = base.draws.astype(float).mean(1)[1:]
    places = [design.columns.index(f"number:{name}") for name in design.numbers]
    numbers = design.matrix[:, places].toarray()
    groups = [design.matrix[:, of] @ effects[of] for of in design.groups.values()]
    total = numbers @ effects[places] + sum(groups, np.zeros(len(numbers)))
    columns = np.column_stack([numbers, *groups, total])
    return np.asarray(columns.astype(np.float32), float)
