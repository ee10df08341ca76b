"""Sizes, learned: a hierarchical negative-binomial regression whose level drifts."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from worlds.core.features import FeatureSpec
from worlds.core.forms.log_linear import LogLinear
from worlds.learn import design as designs
from worlds.learn import hierarchy
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import POPULATION, Items, aware

LEAST = 20
"""Labelled items below which the effects are not worth telling apart."""
MOST = 50_000
"""The latest labelled items that are used."""
STEPS = 120
"""Most steps of the level; with fewer than five items a step the steps grow longer."""
DRAWS = 256


@dataclass(frozen=True, slots=True)
class Learned:
    """Effects of categories, tags and numbers around a drifting level."""

    name: ClassVar[str] = "learned"
    role: ClassVar[Literal["size"]] = "size"

    def fit(
        self, items: Items, spec: FeatureSpec, *, at: datetime, rng: np.random.Generator
    ) -> Result:
        """Fit on the labelled items; the level is known up to the last of them."""
        known = items.labelled()
        if len(known) < LEAST:
            return Declined(self.name, f"{len(known)} items with a known label; needs {LEAST}")
        known = known.take(np.arange(max(0, len(known) - MOST), len(known)))
        design = designs.build(known.features, spec)
        steps = level_steps(known.days(at))
        problem = hierarchy.Problem.of(
            known.label, design.matrix, variance_groups(design), steps.index, steps.count
        )
        fitted = hierarchy.fit(problem)
        form = LogLinear(
            columns=("intercept", *design.columns),
            draws=level_first(fitted.draws(rng, DRAWS), len(design.columns)),
            size=fitted.size,
            group_sd={name: fitted.sd[name] for name in design.groups},
            tags=spec.tags,
            numbers=design.numbers,
            drift_sd=fitted.sd["level"] / np.sqrt(steps.days),
            reference=aware(known.at[-1]),
            population=tuple(items.features[-POPULATION:]),
        )
        return Fit(form, record(fitted, len(known)))


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of the level: the step of every item, their number and their length in days."""

    index: NDArray[np.intp]
    count: int
    days: float


def level_steps(days: NDArray[np.float64]) -> Steps:
    """Cut the time of items (ascending, in days) into equal steps."""
    span = float(days[-1] - days[0])
    count = int(np.clip(len(days) // 5, 1, STEPS))
    if span <= 0:
        return Steps(np.zeros(len(days), np.intp), 1, 1.0)
    length = span / count
    index = np.minimum(((days - days[0]) / length).astype(np.intp), count - 1)
    return Steps(index, count, length)


def variance_groups(design: designs.Design) -> dict[str, NDArray[np.intp]]:
    """Return the columns that share a variance: those of a category; every number by itself."""
    single = {
        f"number:{name}": np.array([design.columns.index(f"number:{name}")])
        for name in design.numbers
    }
    return {**design.groups, **single}


def level_first(draws: NDArray[np.float64], columns: int) -> NDArray[np.float32]:
    """Return draws (1 + p, S): the last level as the intercept, then the effects."""
    return np.vstack([draws[-1:], draws[:columns]]).astype(np.float32)


def record(fitted: hierarchy.Fitted, used: int) -> dict[str, object]:
    """Return what the inference says of itself."""
    return {
        "method": "empirical Bayes, Laplace",
        "items": used,
        "rounds": fitted.rounds,
        "gradient": fitted.gradient,
        "sd": {name: round(value, 6) for name, value in fitted.sd.items()},
    }
