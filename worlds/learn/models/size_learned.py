"""Sizes, learned: a hierarchical negative-binomial regression whose level drifts."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from worlds.core.features import Features, FeatureSpec
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
        known = int(np.isfinite(items.label).sum())
        if known < LEAST:
            return Declined(self.name, f"{known} items with a known label; needs {LEAST}")
        made = prepare(items, spec, at, MOST)
        fitted = hierarchy.fit(made.problem)
        form = LogLinear(
            columns=("intercept", *made.design.columns),
            draws=level_first(fitted.draws(rng, DRAWS), len(made.design.columns)),
            size=fitted.size,
            group_sd={name: fitted.sd[name] for name in made.design.groups},
            tags=spec.tags,
            numbers=made.design.numbers,
            drift_sd=made.drift(fitted.sd["level"]),
            reference=made.reference,
            population=made.population,
        )
        return Fit(form, record(fitted, len(made.problem.y)))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A problem of `hierarchy` and what its solution needs to be served.

    Parameters
    ----------
    design, problem
        Columns and data of the regression.
    step_days
        Length of a step of the level.
    reference
        When the last labelled item began: the level is known up to there.
    population
        Recent things, label known or not.
    """

    design: designs.Design
    problem: hierarchy.Problem
    step_days: float
    reference: datetime
    population: tuple[Features, ...]

    def drift(self, step_sd: float) -> float:
        """Return the sd of the log level a day from that a step."""
        return float(step_sd / np.sqrt(self.step_days))


def prepare(items: Items, spec: FeatureSpec, at: datetime, most: int) -> Prepared:
    """Return the regression on the latest labelled items."""
    known = items.labelled()
    known = known.take(np.arange(max(0, len(known) - most), len(known)))
    design = designs.build(known.features, spec)
    steps = level_steps(known.days(at))
    problem = hierarchy.Problem.of(
        known.label, design.matrix, variance_groups(design), steps.index, steps.count
    )
    population = tuple(items.features[-POPULATION:])
    return Prepared(design, problem, steps.days, aware(known.at[-1]), population)


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
