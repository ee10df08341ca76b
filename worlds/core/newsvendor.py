"""Free choice of a capacity: the newsvendor's quantile, and a service level.

With cost c of a unit, cu of a unit short and co of a unit idle the expected cost is least at the
quantile (cu - c) / (cu + co) (Arrow, Harris & Marschak 1951). The mean cost in the worst 1 - a of
cases is least at (co Q(pa) + cu Q(1 - pb)) / (cu + co) with pa = (1 - a)(cu - c) / (cu + co) and
pb = (1 - a)(co + c) / (cu + co): the two tails that cost most balance (Gotoh & Takano 2007,
doi:10.1016/j.ejor.2006.03.022).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from worlds.core.costs import Amounts, Costs, Option, expected_costs
from worlds.core.decide import (
    LISTED,
    Decision,
    best_in_worlds,
    cost_matrix,
    gain,
    option_results,
    resolving,
)
from worlds.core.distributions import Floats, check_levels
from worlds.core.estimate import Estimate
from worlds.core.outcome import Outcome
from worlds.core.partial import expected_excess
from worlds.core.questions import Comparison
from worlds.core.resolved import Resolution, group_quantile, missing, note
from worlds.core.tables import amount, named, percent, table
from worlds.errors import QuestionError

GRID = 129
PASSES = 4


def newsvendor(outcome: Outcome, costs: Costs, *, risk: float = 0.95) -> Decision:
    """Choose a capacity freely.

    Parameters
    ----------
    outcome
        The distribution of what is needed.
    costs
        Per unit of capacity, of shortfall, of idle capacity.
    risk
        Level of the cost at risk and of the tail beyond it.

    Returns
    -------
    Decision
        Its options are the cheapest capacity, that of least regret and the cheapest at risk.

    Raises
    ------
    QuestionError
        If nothing limits the capacity: idle capacity must cost something.
    """
    check_levels(risk)
    ratio = _ratio(costs)
    found = Resolution.of(outcome)
    here = _Free(found, costs, ratio)
    single = [here.choose(weights) for weights in np.eye(len(found.worlds))]
    best = np.array([choice.cost for choice in single])
    now = here.choose(found.weights)
    options = (
        Option("cheapest", now.capacity),
        Option("least regret", _least_regret(found, costs, [c.capacity for c in single], best)),
        Option("cheapest at risk", _at_risk(found, costs, risk)),
    )
    matrix, error = cost_matrix(found, Amounts.of(options, costs), costs)
    means = np.array([world.outcome.mean() for world in found.worlds])
    known = min(costs.unit, costs.short) * float(found.weights @ means)
    return Decision(
        kind="quantity",
        unit=outcome.unit,
        costs=costs,
        risk=risk,
        options=option_results(found, options, costs, risk, best),
        cheapest="cheapest",
        least_regret="least regret",
        cheapest_at_risk="cheapest at risk",
        worlds=best_in_worlds(found, here.named),
        resolving=resolving(found, matrix[:, 0], amount(now.capacity), here.named, error),
        value_of_choices=gain(now.cost - float(found.weights @ best), error),
        value_of_answer=gain(now.cost - known, error),
        error=error,
        method=outcome.method,
        ratio=ratio,
        missing=missing(outcome),
        note=note(outcome),
    )


def _ratio(costs: Costs) -> float:
    """Return the critical ratio, 0 where a unit short costs no more than a unit."""
    if costs.unit + costs.over <= 0:
        msg = "nothing limits the capacity: a unit, or an idle unit, must cost more than 0"
        raise QuestionError(msg)
    return max(0.0, (costs.short - costs.unit) / (costs.short + costs.over))


@dataclass(frozen=True, slots=True)
class _Choice:
    capacity: float
    cost: float


@dataclass(frozen=True, slots=True)
class _Free:
    """The best capacity under any weights of the worlds."""

    found: Resolution
    costs: Costs
    ratio: float

    def choose(self, weights: Floats) -> _Choice:
        """Return the best capacity and its expected cost."""
        q = group_quantile(self.found, weights, self.ratio) if self.ratio > 0 else 0.0
        amounts = Amounts.of([Option("q", q)], self.costs)
        cost = sum(
            float(w) * float(expected_costs(world.outcome, amounts, self.costs)[0][0])
            for w, world in zip(weights, self.found.worlds, strict=True)
            if w > 0
        )
        return _Choice(q, cost)

    def named(self, weights: Floats) -> tuple[str, float]:
        """Return the best capacity as text, and its expected cost."""
        choice = self.choose(weights)
        return amount(choice.capacity), choice.cost


def _least_regret(
    found: Resolution, costs: Costs, capacities: Sequence[float], best: Floats
) -> float:
    """Return the capacity whose largest regret over the worlds is least.

    Regret is convex in the capacity: grids close in on its minimum.
    """
    low, high = min(capacities), max(capacities)
    for _ in range(PASSES):
        if high - low <= 1e-9 * high:
            break
        grid = np.linspace(low, high, GRID)
        amounts = Amounts(grid, costs.unit * grid)
        worst = (cost_matrix(found, amounts, costs)[0] - best[:, None]).max(0)
        place = int(worst.argmin())
        low, high = float(grid[max(place - 1, 0)]), float(grid[min(place + 1, GRID - 1)])
    return (low + high) / 2


def _at_risk(found: Resolution, costs: Costs, risk: float) -> float:
    """Return the capacity whose mean cost in the worst cases is least (closed form)."""
    both = costs.short + costs.over
    if costs.short <= costs.unit:
        return 0.0
    top = 1 - (1 - risk) * (costs.over + costs.unit) / both
    capacity = costs.short * group_quantile(found, found.weights, top)
    if costs.over > 0:
        bottom = (1 - risk) * (costs.short - costs.unit) / both
        capacity += costs.over * group_quantile(found, found.weights, bottom)
    return capacity / both


@dataclass(frozen=True, slots=True)
class Need:
    """What one world, or one option of a choice, would need for the service level."""

    name: str
    weight: float
    capacity: float
    shortfall_chance: float


@dataclass(frozen=True, slots=True)
class Provision:
    """The capacity that suffices with a given probability.

    `capacity` knows its error; `shortfall_chance` is what remains, at most ``1 - level``;
    `worlds` and `options` are what would be needed if a world, or one option of one choice,
    were known to be right, and how often `capacity` would fall short there.
    """

    unit: str
    level: float
    capacity: Estimate
    shortfall_chance: Estimate
    expected_shortfall: Estimate
    worlds: tuple[Need, ...]
    options: tuple[Need, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "kind": "service level",
            "unit": self.unit,
            "level": self.level,
            "capacity": float(self.capacity),
            "capacity_error_bound": self.capacity.error,
            "shortfall_chance": float(self.shortfall_chance),
            "expected_shortfall": float(self.expected_shortfall),
            "expected_shortfall_error_bound": self.expected_shortfall.error,
            "worlds": [asdict(need) for need in self.worlds[:LISTED]],
            "options": [asdict(need) for need in self.options],
            "error_bound": self.shortfall_chance.error,
            "method": self.capacity.method,
        }

    def text(self) -> str:
        """Return a sentence and a table for a terminal."""
        head = (
            f"{amount(self.capacity)} {self.unit} suffice with {percent(self.level)} "
            f"(error {self.capacity.error:.2g}); "
            f"short by {amount(self.expected_shortfall)} on average"
        )
        rows = [
            (need.name, percent(need.weight), amount(need.capacity), percent(need.shortfall_chance))
            for need in (*self.options, *self.worlds[:20])
        ]
        return f"{head}\n\n{table(('if known', 'weight', 'would need', 'P(short)'), rows)}"


def provision(outcome: Outcome, level: float) -> Provision:
    """Return the capacity that suffices with probability `level`.

    Raises
    ------
    QuestionError
        If the level does not lie strictly between 0 and 1.
    """
    check_levels(level)
    found = Resolution.of(outcome)
    capacity = outcome.quantile(level)
    short, error = expected_excess(outcome.mixture, float(capacity))
    eye = np.eye(len(found.worlds))
    worlds = [
        _need(found, named(world.choices), eye[i], float(found.weights[i]), level, float(capacity))
        for i, world in enumerate(found.worlds[:LISTED])
    ]
    options = []
    for name in found.open:
        for option in found.options(name):
            here = np.where(found.mask(name, option), found.weights, 0.0)
            weight = min(float(here.sum()), 1.0)
            label = f"{name} = {option}"
            options.append(_need(found, label, here / here.sum(), weight, level, float(capacity)))
    return Provision(
        outcome.unit,
        float(level),
        capacity,
        outcome.prob(Comparison(">", float(capacity))),
        Estimate(float(short[0]), method=outcome.method, error=float(error[0])),
        tuple(worlds),
        tuple(options),
    )


def _need(
    found: Resolution, name: str, weights: Floats, weight: float, level: float, capacity: float
) -> Need:
    inside = [
        w * (1 - float(world.outcome.cdf(capacity)))
        for w, world in zip(weights.tolist(), found.worlds, strict=True)
        if w > 0
    ]
    chance = min(max(float(sum(inside)), 0.0), 1.0)
    return Need(name, weight, group_quantile(found, weights, level), chance)
