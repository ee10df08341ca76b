"""Choose among capacities: on average, at risk, with least regret; what knowing more is worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from worlds.core.costs import (
    Amounts,
    Costs,
    Option,
    cost_of_knowing,
    cost_quantile,
    cost_tail,
    expected_costs,
)
from worlds.core.distributions import Floats, Mixture, check_levels
from worlds.core.outcome import Outcome
from worlds.core.resolved import Resolution, missing, note
from worlds.core.tables import amount, named, percent, table
from worlds.errors import QuestionError

MOST_OPTIONS = 1000
ROUNDING = 1e-13
"""Relative error of sums of costs."""
LISTED = 1000
"""Most worlds that are listed one by one in JSON."""


@dataclass(frozen=True, slots=True)
class OptionResult:
    """What one option costs.

    `cost_at_risk` is the cost not exceeded with the level of risk, `tail_cost` the mean cost
    beyond it (CVaR), `regrets` the expected cost in every world above that of its best option.
    """

    name: str
    capacity: float
    expected_cost: float
    error: float
    shortfall_chance: float
    expected_shortfall: float
    cost_at_risk: float
    tail_cost: float
    tail_error: float
    regrets: tuple[float, ...]

    @property
    def max_regret(self) -> float:
        """The regret in the world where it is largest."""
        return max(self.regrets)


@dataclass(frozen=True, slots=True)
class BestIf:
    """What would be best if a choice were resolved to one option."""

    option: str
    weight: float
    best: str
    cost: float
    saving: float


@dataclass(frozen=True, slots=True)
class Resolved:
    """What resolving one choice before deciding is worth (expected value of perfect information).

    `changes` is the probability that the decision would be another one.
    """

    choice: str
    value: float
    changes: float
    options: tuple[BestIf, ...]


@dataclass(frozen=True, slots=True)
class BestInWorld:
    """What would be best if one world were known to be right."""

    choices: Mapping[str, str]
    weight: float
    best: str
    cost: float


@dataclass(frozen=True, slots=True)
class Decision:
    """Options compared, and what knowing more would be worth.

    `value_of_choices` is what resolving all choices together is worth, `value_of_answer` what
    knowing the answer itself is. Costs that differ by less than their errors count as equal.
    """

    kind: str
    unit: str
    costs: Costs
    risk: float
    options: tuple[OptionResult, ...]
    cheapest: str
    least_regret: str
    cheapest_at_risk: str
    worlds: tuple[BestInWorld, ...]
    resolving: tuple[Resolved, ...]
    value_of_choices: float
    value_of_answer: float
    error: float
    method: str
    ratio: float | None = None
    missing: float = 0.0
    note: str = ""

    def option(self, name: str) -> OptionResult:
        """Return the result of one option."""
        return {option.name: option for option in self.options}[name]

    @property
    def resolve_first(self) -> str | None:
        """The single choice whose resolution is worth most, if any would change the decision."""
        best = max(self.resolving, key=lambda row: row.value, default=None)
        return best.choice if best is not None and best.value > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; regrets are in the order of `worlds`, of at most 1,000 worlds."""
        return {
            "kind": self.kind,
            "unit": self.unit,
            "costs": asdict(self.costs),
            "risk": self.risk,
            "ratio": self.ratio,
            "options": [
                {
                    **asdict(option),
                    "regrets": list(option.regrets[:LISTED]),
                    "max_regret": option.max_regret,
                }
                for option in self.options
            ],
            "cheapest": self.cheapest,
            "least_regret": self.least_regret,
            "cheapest_at_risk": self.cheapest_at_risk,
            "worlds": [
                {"choices": dict(w.choices), "weight": w.weight, "best": w.best, "cost": w.cost}
                for w in self.worlds[:LISTED]
            ],
            "resolving": [
                {**asdict(row), "options": [asdict(option) for option in row.options]}
                for row in self.resolving
            ],
            "resolve_first": self.resolve_first,
            "value_of_choices": self.value_of_choices,
            "value_of_answer": self.value_of_answer,
            "error_bound": self.error,
            "method": self.method,
            "missing_probability": self.missing,
            "note": self.note,
        }

    def text(self) -> str:
        """Return tables for a terminal."""
        blocks = [_options_text(self), _resolving_text(self)]
        if len(self.worlds) > 1:
            rows = [(named(w.choices), percent(w.weight), w.best) for w in self.worlds[:20]]
            if len(self.worlds) > 20:
                rows.append((f"{len(self.worlds) - 20} other worlds", "", ""))
            blocks.append(table(("world", "weight", "best there"), rows))
        blocks += [self.note] if self.note else []
        return "\n\n".join(blocks)


def decide(
    outcome: Outcome, options: Sequence[Option], costs: Costs, *, risk: float = 0.95
) -> Decision:
    """Compare a list of capacities.

    Parameters
    ----------
    outcome
        The distribution of what is needed.
    options
        What can be had; the first of equals wins.
    costs
        Per unit of capacity, of shortfall, of idle capacity.
    risk
        Level of the cost at risk and of the tail beyond it.

    Raises
    ------
    QuestionError
        If there is no option, two have one name, or the level is not between 0 and 1.
    """
    check_options(options)
    check_levels(risk)
    found = Resolution.of(outcome)
    amounts = Amounts.of(options, costs)
    matrix, error = cost_matrix(found, amounts, costs)
    expected = found.weights @ matrix
    best = first_least(expected, error)

    def choose(weights: Floats) -> tuple[str, float]:
        group = weights @ matrix
        place = first_least(group, error)
        return options[place].name, float(group[place])

    results = option_results(found, options, costs, risk, matrix.min(1))
    knowing, doubt = cost_of_knowing(outcome.mixture, amounts, costs)
    resolved = resolving(found, matrix[:, best], options[best].name, choose, error)
    return Decision(
        kind="options",
        unit=outcome.unit,
        costs=costs,
        risk=risk,
        options=results,
        cheapest=options[best].name,
        least_regret=_least(results, [r.max_regret for r in results], error),
        cheapest_at_risk=_least(
            results, [r.tail_cost for r in results], max(r.tail_error for r in results)
        ),
        worlds=best_in_worlds(found, choose),
        resolving=resolved,
        value_of_choices=gain(float(found.weights @ (matrix[:, best] - matrix.min(1))), error),
        value_of_answer=gain(float(expected[best]) - knowing, error + doubt),
        error=error,
        method=outcome.method,
        missing=missing(outcome),
        note=note(outcome),
    )


def check_options(options: Sequence[Option]) -> None:
    """Refuse an empty list, a very long one, and names that stand twice."""
    if not 1 <= len(options) <= MOST_OPTIONS:
        msg = f"decide takes 1 to {MOST_OPTIONS} options; got {len(options)}"
        raise QuestionError(msg)
    names = [option.name for option in options]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"every option needs a name of its own; twice: {', '.join(twice)}"
        raise QuestionError(msg)


def cost_matrix(found: Resolution, amounts: Amounts, costs: Costs) -> tuple[Floats, float]:
    """Return expected costs, array (worlds, options), and a bound of their errors."""
    rows = [expected_costs(world.outcome, amounts, costs) for world in found.worlds]
    errors = np.array([error for _, _, error in rows])
    matrix = np.array([row for row, _, _ in rows])
    return matrix, float(errors.max()) + ROUNDING * float(np.abs(matrix).max())


def option_results(
    found: Resolution,
    options: Sequence[Option],
    costs: Costs,
    risk: float,
    best: Floats,
) -> tuple[OptionResult, ...]:
    """Return what every option costs.

    Parameters
    ----------
    best
        Array (W,): the least expected cost in every world, what regret is measured from.
    """
    amounts = Amounts.of(options, costs)
    matrix, _ = cost_matrix(found, amounts, costs)
    mixture = Mixture(found.weights, tuple(world.outcome for world in found.worlds))
    expected, short, errors = expected_costs(mixture, amounts, costs)
    at_risk = cost_quantile(mixture, amounts, costs, risk)
    tail, tail_errors = cost_tail(mixture, amounts, costs, risk, at_risk)
    chance = np.clip(1 - mixture.cdf(amounts.capacity), 0.0, 1.0)
    regrets = np.maximum(matrix - best[:, None], 0.0)
    return tuple(
        OptionResult(
            option.name,
            option.capacity,
            float(expected[i]),
            float(errors[i]),
            float(chance[i]),
            float(short[i]),
            float(at_risk[i]),
            float(tail[i]),
            float(tail_errors[i]),
            tuple(regrets[:, i].tolist()),
        )
        for i, option in enumerate(options)
    )


def resolving(
    found: Resolution,
    current: Floats,
    now: str,
    choose: Callable[[Floats], tuple[str, float]],
    error: float,
) -> tuple[Resolved, ...]:
    """Return what resolving every open choice is worth, most valuable first.

    Parameters
    ----------
    current, now
        Array (W,): expected cost in every world of what would be decided now, and its name.
    choose
        From weights of the worlds to the best decision and its expected cost.
    error
        Savings up to twice this are none: the costs cannot tell the options apart.
    """
    rows = []
    for name in found.open:
        options = []
        for option in found.options(name):
            here = np.where(found.mask(name, option), found.weights, 0.0)
            weight = min(float(here.sum()), 1.0)
            inside = here / here.sum()
            best, cost = choose(inside)
            kept = float(inside @ current)
            saving = gain(kept - cost, error)
            chosen = (best, cost) if saving > 0 else (now, kept)
            options.append(BestIf(option, weight, *chosen, saving))
        value = float(sum(row.weight * row.saving for row in options))
        changes = min(float(sum(row.weight for row in options if row.saving > 0)), 1.0)
        rows.append(Resolved(name, value, changes, tuple(options)))
    return tuple(sorted(rows, key=lambda row: -row.value))


def best_in_worlds(
    found: Resolution, choose: Callable[[Floats], tuple[str, float]]
) -> tuple[BestInWorld, ...]:
    """Return the best decision of every world."""
    rows = []
    for i, world in enumerate(found.worlds):
        best, cost = choose(np.eye(1, len(found.worlds), i)[0])
        rows.append(BestInWorld(world.choices, float(found.weights[i]), best, cost))
    return tuple(rows)


def first_least(values: Floats, error: float) -> int:
    """Return the place of the least value, the first of those that errors cannot tell apart."""
    return int(np.argmax(values <= values.min() + _blur(values, error)))


def _blur(values: Floats | float, error: float) -> float:
    return 2 * error + ROUNDING * float(np.abs(values).max())


def gain(value: float, error: float) -> float:
    """Return a value of information, 0 where it does not exceed the error of costs."""
    return value if value > 2 * error else 0.0


def _least(results: Sequence[OptionResult], values: Sequence[float], error: float) -> str:
    return results[first_least(np.array(values), error)].name


def _options_text(decision: Decision) -> str:
    marks: dict[str, list[str]] = {}
    for label, name in (
        ("cheapest", decision.cheapest),
        ("least regret", decision.least_regret),
        ("at risk", decision.cheapest_at_risk),
    ):
        marks.setdefault(name, []).append(label)
    rows = [
        (
            option.name,
            amount(option.capacity),
            amount(option.expected_cost),
            percent(option.shortfall_chance),
            amount(option.expected_shortfall),
            amount(option.tail_cost),
            amount(option.max_regret),
            ", ".join(marks.get(option.name, [])),
        )
        for option in decision.options
    ]
    worst = f"mean cost in worst {100 * (1 - decision.risk):.3g}%"
    heads = ("option", "capacity", "expected cost", "P(short)", "mean shortfall", worst)
    return table((*heads, "max regret", "best by"), rows)


def _resolving_text(decision: Decision) -> str:
    rows = [
        (
            row.choice,
            amount(row.value),
            percent(row.changes),
            ", ".join(f"{option.option}: {option.best}" for option in row.options),
        )
        for row in decision.resolving
    ]
    rows.append(("all choices", amount(decision.value_of_choices), "", ""))
    rows.append(("the answer itself", amount(decision.value_of_answer), "", ""))
    return table(("to know first", "is worth", "changes decision", "then best"), rows)
