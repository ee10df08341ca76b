"""Sizes, learned: a hierarchical regression whose level drifts, with noise of any shape.

Effects and level come from `hierarchy`; every step of the level also has a shock of its own, which
passes: without it each burst would look like a lasting change, and forecasts further ahead would
be far too wide. What is left is fitted as a law of its own (`noise`), because one negative
binomial cannot be narrow in the middle and heavy in the tail.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from worlds.core.distributions import Floats
from worlds.core.features import FeatureSpec
from worlds.core.forms.log_linear import LogLinear
from worlds.core.noise import Noise
from worlds.learn import design as designs
from worlds.learn import hierarchy
from worlds.learn import noise as noises
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Items
from worlds.learn.sizes import latest, served

LEAST = 20
"""Labelled items below which the effects are not worth telling apart."""
MOST = 50_000
"""The latest labelled items that are used."""
STEPS = 120
"""Most steps of the level; with fewer than five items a step the steps grow longer."""
DRAWS = 256
SHOCK = "shock"
"""Group of the effects that belong to one step of the level and pass with it."""
LAG = 0.1
"""Share of the steps over which it is looked how far the level has really gone."""
LEAST_PATH = 20
"""Steps of the level from which on that can be told."""
LEAST_DRIFT = 0.1
"""Least share of its variance a step that the level is taken to keep over many steps."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Effects of categories, tags and numbers around a drifting level."""

    name: ClassVar[str] = "learned"
    role: ClassVar[Literal["size"]] = "size"

    def fit(
        self, items: Items, spec: FeatureSpec, *, at: datetime, rng: np.random.Generator
    ) -> Result:
        """Fit on the labelled items; the level is known up to the last of them."""
        known = latest(items, self.name, LEAST, MOST)
        if isinstance(known, Declined):
            return known
        found = regression(items, spec, at, known)
        made, fitted = found.made, found.fitted
        noise = made.noise(fitted.effects, spent(made.problem, fitted))
        form = made.form(fitted.draws(rng, DRAWS), fitted.effects, fitted.sd, noise)
        return Fit(form, record(fitted, len(made.problem.y)))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A problem of `hierarchy` and what its solution needs to be served.

    Parameters
    ----------
    items, spec, at
        What was to be fitted, and when.
    known
        The items it is fitted on.
    design, problem
        Columns and data of the regression.
    step_days
        Length of a step of the level.
    """

    items: Items
    spec: FeatureSpec
    at: datetime
    known: Items
    design: designs.Design
    problem: hierarchy.Problem
    step_days: float

    def form(
        self,
        draws: Floats,
        effects: Floats,
        sd: Mapping[str, float],
        noise: Noise | None = None,
    ) -> LogLinear:
        """Return what is served: draws (p + K, S) around effects, sds by group, and the noise."""
        return served(
            self.items,
            self.spec,
            self.known,
            # the last level is the intercept
            draws=np.vstack([draws[-1:], draws[: len(self.design.columns)]]),
            noise=noise,
            design=self.design,
            group_sd={name: sd[name] for name in self.design.groups},
            drift_sd=self.drift(effects, sd["level"]),
        )

    def noise(self, effects: Floats, used: float) -> Noise:
        """Return the law of what effects that have used up so many parameters leave."""
        own = effects[: len(self.design.columns)]
        return noises.fit(
            self.problem.y,
            self.log_mean(effects),
            used=used,
            unsettled=self.design.unsettled(own, self.spec.categories),
        )

    def drift(self, effects: Floats, step_sd: float) -> float:
        """Return the sd of the log level a day.

        That of one step, less where the level has come back from its ways over many of them.
        """
        path = effects[-self.problem.levels :]
        lag = max(int(LAG * len(path)), 1)
        share = 1.0
        if len(path) >= LEAST_PATH:
            recent = hierarchy.fading(len(path) - lag, hierarchy.WALK_HALF_LIFE)
            gone = float(recent @ (path[lag:] - path[:-lag]) ** 2 / recent.sum())
            share = float(np.clip(gone / (lag * step_sd**2), LEAST_DRIFT, 1.0))
        return float(step_sd * np.sqrt(share / self.step_days))

    def log_mean(self, effects: Floats) -> Floats:
        """Return the log mean of every labelled item, without what passed with its step."""
        lasting = effects.copy()
        lasting[self.problem.groups.get(SHOCK, np.zeros(0, np.intp))] = 0.0
        return np.asarray(self.problem.matrix @ lasting)


def prepare(items: Items, spec: FeatureSpec, at: datetime, known: Items) -> Prepared:
    """Return the regression on items with known labels."""
    design = designs.build(known.features, spec)
    steps = level_steps(known.days(at))
    matrix, groups = shocked(design.matrix, variance_groups(design), steps)
    problem = hierarchy.Problem.of(known.label, matrix, groups, steps.index, steps.count)
    return Prepared(items, spec, at, known, design, problem, steps.days)


@dataclass(frozen=True, slots=True)
class Regression:
    """A fitted regression, and what it was fitted on."""

    made: Prepared
    fitted: hierarchy.Fitted

    def is_of(self, items: Items, spec: FeatureSpec, at: datetime, used: int) -> bool:
        """Return whether it was fitted on just this."""
        mine, made = self.made.items, self.made
        return (
            (len(made.known), made.at, made.spec, len(mine)) == (used, at, spec, len(items))
            and np.array_equal(mine.label, items.label, equal_nan=True)
            and np.array_equal(mine.at, items.at)
            and mine.features == items.features
        )


REMEMBERED: deque[Regression] = deque(maxlen=8)
"""The latest regressions: `boosted` starts from the one that `learned` has found."""


def regression(items: Items, spec: FeatureSpec, at: datetime, known: Items) -> Regression:
    """Return the fitted regression on the latest labelled items, from memory if it is there."""
    for one in REMEMBERED:
        if one.is_of(items, spec, at, len(known)):
            return one
    made = prepare(items, spec, at, known)
    found = Regression(made, hierarchy.fit(made.problem))
    REMEMBERED.append(found)
    return found


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


def shocked(
    matrix: sparse.csr_array, groups: dict[str, NDArray[np.intp]], steps: Steps
) -> tuple[sparse.csr_array, dict[str, NDArray[np.intp]]]:
    """Append a column for every step of the level; the last one passes like the others."""
    if steps.count < 2:
        return matrix, groups
    n, columns = matrix.shape
    ones = np.ones(n)
    own = sparse.csr_array((ones, (np.arange(n), steps.index)), shape=(n, steps.count))
    joined = sparse.csr_array(sparse.hstack([matrix, own]))
    return joined, {**groups, SHOCK: np.arange(columns, columns + steps.count)}


def spent(problem: hierarchy.Problem, fitted: hierarchy.Fitted) -> float:
    """Return how many parameters the residuals have paid for."""
    inverse = linalg.solve_triangular(fitted.root, np.eye(len(fitted.effects)), lower=True)
    variance = (inverse**2).sum(0)
    return float(
        sum(
            np.maximum(1 - variance[places] / fitted.sd[name] ** 2, 0.0).sum()
            for name, places in problem.groups.items()
            if name != SHOCK
        )
    )


def variance_groups(design: designs.Design) -> dict[str, NDArray[np.intp]]:
    """Return the columns that share a variance: those of a category; every number by itself."""
    single = {
        f"number:{name}": np.array([design.columns.index(f"number:{name}")])
        for name in design.numbers
    }
    return {**design.groups, **single}


def record(fitted: hierarchy.Fitted, used: int) -> dict[str, object]:
    """Return what the inference says of itself."""
    return {
        "method": "empirical Bayes, Laplace",
        "items": used,
        "rounds": fitted.rounds,
        "gradient": fitted.gradient,
        "size": round(fitted.size, 6),
        "sd": {name: round(value, 6) for name, value in fitted.sd.items()},
    }
