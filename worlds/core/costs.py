"""What a capacity costs when the answer turns out: its mean, its quantile and its bad tail.

With capacity q and answer S the cost is ``fixed + unit q + short max(S - q, 0) + over max(q - S,
0)``: least at S = q and rising on both sides. Its quantile is found by bisection over the range of
S that costs at most so much; the mean beyond the quantile (CVaR, Rockafellar & Uryasev 2000,
doi:10.21314/JOR.2000.038) follows from the expected excess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from worlds.core.distributions import LARGEST, Distribution, Floats
from worlds.core.partial import expected_excess
from worlds.core.resolved import check_amount
from worlds.errors import QuestionError

STEPS = 64
SMALLEST = 1e-9
"""Costs of a unit below this, but above 0, are refused: ratios of costs must stay finite."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one unit.

    Parameters
    ----------
    unit
        Of capacity, used or not.
    short
        Of what the answer exceeds the capacity.
    over
        Of capacity that stays idle, beside `unit`.

    Raises
    ------
    QuestionError
        If one is negative, not finite, or above 0 and below `SMALLEST`.
    """

    unit: float = 0.0
    short: float = 0.0
    over: float = 0.0

    def __post_init__(self) -> None:
        for name in ("unit", "short", "over"):
            cost = check_amount(f"the {name} cost", getattr(self, name), highest=LARGEST)
            if 0 < cost < SMALLEST:
                msg = f"the {name} cost must be 0 or at least {SMALLEST:g}; got {cost!r}"
                raise QuestionError(msg)


@dataclass(frozen=True, slots=True)
class Option:
    """A capacity that can be had, and what having it costs beside its units.

    Raises
    ------
    QuestionError
        If the name is empty, or the capacity or the cost is negative or not finite.
    """

    name: str
    capacity: float
    fixed: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            msg = f"an option needs a name; got {self.name!r}"
            raise QuestionError(msg)
        check_amount(f"the capacity of {self.name!r}", self.capacity, highest=LARGEST)
        check_amount(f"the fixed cost of {self.name!r}", self.fixed, highest=LARGEST)


@dataclass(frozen=True, slots=True)
class Amounts:
    """Arrays over options: capacity and the cost that is certain."""

    capacity: Floats
    base: Floats

    @classmethod
    def of(cls, options: Sequence[Option], costs: Costs) -> "Amounts":
        """Return the arrays of a list of options."""
        capacity = np.array([option.capacity for option in options], float)
        fixed = np.array([option.fixed for option in options], float)
        return cls(capacity, fixed + costs.unit * capacity)


def expected_costs(
    distribution: Distribution, amounts: Amounts, costs: Costs
) -> tuple[Floats, Floats, Floats]:
    """Return expected cost and expected shortfall of every option, and bounds of the errors."""
    short, errors = expected_excess(distribution, amounts.capacity)
    idle = np.maximum(amounts.capacity - distribution.mean() + short, 0.0)
    return (
        amounts.base + costs.short * short + costs.over * idle,
        short,
        errors * (costs.short + costs.over),
    )


def cost_when(amounts: Amounts, costs: Costs, answer: Floats) -> Floats:
    """Return the cost of every option (columns) for every answer (rows)."""
    gap = answer[:, None] - amounts.capacity
    return np.asarray(
        amounts.base + costs.short * np.maximum(gap, 0) + costs.over * np.maximum(-gap, 0)
    )


def cost_quantile(
    distribution: Distribution, amounts: Amounts, costs: Costs, level: float
) -> Floats:
    """Return, for every option, the cost that is not exceeded with probability `level`."""
    q = amounts.capacity
    if costs.over == 0:
        return amounts.base + costs.short * np.maximum(distribution.quantile(level) - q, 0.0)
    if costs.short == 0:
        return amounts.base + costs.over * np.maximum(q - distribution.quantile(1 - level), 0.0)
    ends = distribution.quantile([(1 - level) / 2, (1 + level) / 2])
    high = np.maximum(cost_when(Amounts(q, 0 * q), costs, ends).max(0), 0.0) * (1 + 1e-12)
    low = np.full_like(high, -1.0)
    for _ in range(STEPS):
        middle = np.maximum((low + high) / 2, 0.0)
        enough = _within(distribution, q, costs, middle) >= level
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    return amounts.base + high


def _within(distribution: Distribution, q: Floats, costs: Costs, extra: Floats) -> Floats:
    """Return the probability that the uncertain part of the cost is at most `extra`."""
    top = distribution.cdf((q + extra / costs.short) * (1 + 1e-13))
    lowest = q - extra / costs.over
    below = distribution.cdf(np.nextafter(lowest - 1e-13 * np.abs(lowest), -np.inf))
    return np.asarray(top - below)


def cost_tail(
    distribution: Distribution, amounts: Amounts, costs: Costs, level: float, quantile: Floats
) -> tuple[Floats, Floats]:
    """Return the mean cost in the worst ``1 - level`` of cases, and bounds of the errors.

    Parameters
    ----------
    quantile
        The `cost_quantile` of the same level.
    """
    extra = quantile - amounts.base
    low, high = distribution.quantile([1e-12, 1 - 1e-12]).tolist()
    total = np.zeros_like(extra)
    errors = np.zeros_like(extra)
    if costs.short > 0:
        edge = np.minimum(amounts.capacity + extra / costs.short, high + 1)
        beyond, error = expected_excess(distribution, edge)
        total, errors = total + costs.short * beyond, errors + costs.short * error
    if costs.over > 0:
        edge = np.maximum(amounts.capacity - extra / costs.over, low - 1)
        above, error = expected_excess(distribution, edge)
        below = np.maximum(edge - distribution.mean() + above, 0.0)
        total, errors = total + costs.over * below, errors + costs.over * error
    return quantile + total / (1 - level), errors / (1 - level)


def cost_of_knowing(
    distribution: Distribution, amounts: Amounts, costs: Costs
) -> tuple[float, float]:
    """Return the expected cost if the answer were known before choosing, and its error.

    The cheapest option as a function of the answer is linear between capacities and crossings.
    """
    points = _breaks(amounts, costs)
    lowest = cost_when(amounts, costs, points).min(1)
    slopes = np.concatenate([[-costs.over], np.diff(lowest) / np.diff(points), [costs.short]])
    excess, errors = expected_excess(distribution, points)
    bends = np.diff(slopes)
    start = float(lowest[0]) - costs.over * (distribution.mean() - float(points[0]))
    return start + float(bends @ excess), float(np.abs(bends) @ errors)


def _breaks(amounts: Amounts, costs: Costs) -> Floats:
    caps = np.unique(amounts.capacity)
    points = list(caps)
    for left, right in pairwise(caps.tolist()):
        at = cost_when(amounts, costs, np.array([left]))[0]
        rising = at[amounts.capacity <= left].min()
        falling = at[amounts.capacity >= right].min()
        if costs.short + costs.over > 0 and rising < falling:
            cross = left + (falling - rising) / (costs.short + costs.over)
            if left < cross < right:
                points.append(cross)
    return np.unique(np.array(points))
