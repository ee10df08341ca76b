"""Answers at the nodes of something continuous, mixed into one: nodes become options of choices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.distributions import Distribution, Floats, whole
from worlds.core.outcome import Outcome
from worlds.core.partial import expected_excess
from worlds.core.resolved import Resolution
from worlds.errors import QuestionError

MOST_DRIVERS = 3
NODES = {1: 24, 2: 12, 3: 6}
"""Nodes of every driver, by the number of drivers."""


@dataclass(frozen=True, slots=True, eq=False)
class Approximate:
    """A distribution with an error of its own added: that of the grid over a range."""

    base: Distribution
    error: float
    method: str

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers."""
        return whole(self.base)

    def mean(self) -> float:
        """Return the mean."""
        return self.base.mean()

    def var(self) -> float:
        """Return the variance."""
        return self.base.var()

    def cdf(self, x: ArrayLike) -> Floats:
        """Return P(X <= x)."""
        return self.base.cdf(x)

    def quantile(self, p: ArrayLike) -> Floats:
        """Return the smallest x with P(X <= x) >= p."""
        return self.base.quantile(p)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return self.base.sample(rng, size)

    def expected_excess(self, points: ArrayLike) -> tuple[Floats, Floats]:
        """Return E[max(X - c, 0)] for every c, and bounds of the errors at this node."""
        return expected_excess(self.base, points)


def mix(parts: Sequence[tuple[Mapping[str, str], float, Outcome]], error: float = 0.0) -> Outcome:
    """Return one outcome over the worlds of all nodes.

    Parameters
    ----------
    parts
        For every node the options it stands for, its probability and the outcome there.
    error
        What taking nodes may do to cumulative probabilities.
    """
    worlds = []
    for options, weight, outcome in parts:
        found = Resolution.of(outcome)
        doubt = error + float(getattr(outcome, "missing", 0.0))
        for world, inside in zip(found.worlds, found.weights.tolist(), strict=True):
            law = world.outcome
            if doubt > 0:
                law = Approximate(law, world.error + doubt, f"{world.method}, at nodes")
            choices = {**world.choices, **options}
            worlds.append(replace(world, choices=choices, weight=inside * weight, outcome=law))
    return Outcome(tuple(sorted(worlds, key=lambda world: -world.weight)), parts[0][2].unit)


def at_drivers(
    ask: Callable[[Mapping[str, float]], Outcome], drivers: Mapping[str, Distribution]
) -> Outcome:
    """Return an outcome in which drivers are choices, so that explanations show their part.

    Parameters
    ----------
    ask
        From values of the drivers to the outcome when they are fixed at these (`do`).
    drivers
        Name to law, continuous (one of a few values is better declared as a choice). They must
        not depend on one another, nor on conditions of the question.

    Raises
    ------
    QuestionError
        If there is none, or more than `MOST_DRIVERS`.
    """
    if not 1 <= len(drivers) <= MOST_DRIVERS:
        msg = f"1 to {MOST_DRIVERS} drivers can be resolved at once; got {len(drivers)}"
        raise QuestionError(msg)
    level, weights = np.polynomial.legendre.leggauss(NODES[len(drivers)])
    levels, weights = (level + 1) / 2, weights / 2
    values = [law.quantile(levels).tolist() for law in drivers.values()]
    parts = []
    for place in product(range(len(levels)), repeat=len(drivers)):
        fixed = {name: values[i][k] for i, (name, k) in enumerate(zip(drivers, place, strict=True))}
        options = {name: f"{value:.6g}" for name, value in fixed.items()}
        parts.append((options, float(np.prod(weights[list(place)])), ask(fixed)))
    return mix(parts)
