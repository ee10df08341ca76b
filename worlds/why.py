"""Why two answers differ: what was learned, how models are weighted, what is assumed.

Every cause is switched from the first answer to the second in all orders; what the switch changes
on average is its part (Shapley). The parts sum to the difference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from worlds.adhoc import NAME, Adhoc
from worlds.answer import Answer
from worlds.ask import Answerer
from worlds.core.estimate import Estimate
from worlds.core.questions import Comparison
from worlds.core.shapley import shapley
from worlds.core.tables import amount, percent, signed, table
from worlds.errors import QuestionError
from worlds.loading import Loaded
from worlds.scenario_runs import BASELINE, run
from worlds.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that differs, and what of the difference it explains."""

    name: str
    change: float
    error: float


@dataclass(frozen=True, slots=True)
class Why:
    """The difference of one number of two answers, split over its causes."""

    statistic: str
    unit: str
    first: float
    second: float
    causes: tuple[Cause, ...]
    method: str
    error: float

    @property
    def difference(self) -> float:
        """The second less the first."""
        return self.second - self.first

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "statistic": self.statistic,
            "unit": self.unit,
            "first": self.first,
            "second": self.second,
            "difference": self.difference,
            "causes": [
                {"name": cause.name, "change": cause.change, "error_bound": cause.error}
                for cause in self.causes
            ],
            "method": self.method,
            "error_bound": self.error,
        }

    def text(self) -> str:
        """Return a table for a terminal."""
        show: Callable[[float], str] = amount
        if self.statistic.startswith("P("):
            show = percent
            rows = [(c.name, f"{100 * c.change:+.2f} points") for c in self.causes]
        else:
            rows = [(c.name, signed(c.change)) for c in self.causes]
        head = f"{self.statistic}: {show(self.first)} before, {show(self.second)} after"
        return f"{head}\n\n{table(('because of', 'change'), rows)}" if rows else head


def why(
    first: Answerer,
    second: Answerer,
    question: str | Adhoc,
    scenarios: tuple[Scenario, Scenario] = (BASELINE, BASELINE),
    *,
    statistic: str = "mean",
    threshold: float | str | None = None,
    level: float = 0.5,
    over: int = 1,
) -> Why:
    """Split the difference of two answers over what differs between them.

    Parameters
    ----------
    first, second
        What answered; of another as-of, or with other models or weights.
    question
        Name of the question, or a formula.
    scenarios
        What was assumed by the first and by the second.
    statistic
        ``mean``, ``prob`` of the threshold, or ``quantile`` of the level.
    threshold
        As a question takes it; its own where left out.
    level
        Level of the quantile.
    over
        Number of periods whose total is asked.

    Raises
    ------
    QuestionError
        If the statistic is unknown, or the question has no threshold to take the probability of.
    """
    if statistic not in {"mean", "prob", "quantile"}:
        msg = f"statistic must be mean, prob or quantile; got {statistic!r}"
        raise QuestionError(msg)
    named = isinstance(question, str)
    names = (
        first.domain.question(question).formula.names()
        if isinstance(question, str)
        else question.names(first.domain)
    )
    label = question if isinstance(question, str) else NAME
    units: list[str] = []
    causes = _causes(first, second, names, *scenarios)

    @cache
    def number(members: frozenset[int]) -> Estimate:
        taken = {causes[i] for i in members}
        answerer = _hybrid(first, second, names, taken)
        scenario = _assumed(*scenarios, taken)
        asks = answerer if isinstance(question, str) else question.on(answerer)
        answer = run(asks, label, scenario, threshold=threshold, over=over).answer
        units.append(answer.question.unit)
        return _read(answer, statistic, level)

    split = shapley(len(causes), number)
    before, after = number(frozenset()), number(frozenset(range(len(causes))))
    rows = [
        Cause(name, change, error)
        for name, change, error in zip(causes, split.values, split.errors, strict=True)
    ]
    own = first.domain.question(label).threshold if named and threshold is None else threshold
    return Why(
        _label(own, statistic, level),
        units[0],
        float(before),
        float(after),
        tuple(sorted(rows, key=lambda row: -abs(row.change))),
        split.method,
        before.error + after.error,
    )


def _causes(
    first: Answerer, second: Answerer, names: tuple[str, ...], a: Scenario, b: Scenario
) -> list[str]:
    """Return the names of everything that differs."""
    found = []
    for name in names:
        mine, theirs = first.models[name], second.models[name]
        if any(theirs[m].snapshot != mine[m].snapshot for m in mine if m in theirs):
            found.append(f"what the models of {name} learned")
        if {m: x.weight for m, x in mine.items()} != {m: x.weight for m, x in theirs.items()}:
            found.append(f"weights of the models of {name}")
    found += [
        f"assumption on {quantity}"
        for quantity in dict.fromkeys([*a.given, *a.do, *b.given, *b.do])
        if _of(a, quantity) != _of(b, quantity)
    ]
    found += [
        f"where {group}"
        for group in dict.fromkeys([*a.where, *b.where])
        if a.where.get(group) != b.where.get(group)
    ]
    return found


def _of(scenario: Scenario, quantity: str) -> tuple[object, object]:
    return scenario.given.get(quantity), scenario.do.get(quantity)


def _hybrid(first: Answerer, second: Answerer, names: tuple[str, ...], taken: set[str]) -> Answerer:
    """Return what answers with the models or weights of the second where they are taken."""
    models: dict[str, Mapping[str, Loaded]] = dict(first.models)
    for name in names:
        learned = f"what the models of {name} learned" in taken
        weighed = f"weights of the models of {name}" in taken
        forms = second.models[name] if learned else first.models[name]
        others = first.models[name] if learned else second.models[name]
        weights = second.models[name] if weighed else first.models[name]
        models[name] = {
            model: replace(forms.get(model) or others[model], weight=loaded.weight)
            for model, loaded in weights.items()
        }
    return replace(first, models=models)


def _assumed(a: Scenario, b: Scenario, taken: set[str]) -> Scenario:
    """Return the assumptions of the second where they are taken, else of the first."""
    given: dict[str, object] = {}
    do: dict[str, object] = {}
    for quantity in dict.fromkeys([*a.given, *a.do, *b.given, *b.do]):
        source = b if f"assumption on {quantity}" in taken else a
        if quantity in source.given:
            given[quantity] = source.given[quantity]
        if quantity in source.do:
            do[quantity] = source.do[quantity]
    where: dict[str, str] = {}
    for group in dict.fromkeys([*a.where, *b.where]):
        source = b if f"where {group}" in taken else a
        if group in source.where:
            where[group] = source.where[group]
    return Scenario("in between", given, do, where)


def _read(answer: Answer, statistic: str, level: float) -> Estimate:
    if statistic == "mean":
        return answer.outcome.mean()
    if statistic == "quantile":
        return answer.outcome.quantile(level)
    return answer.outcome.prob(_limit(answer.threshold, answer.question.name))


def _limit(threshold: Comparison | None, question: str) -> Comparison:
    if threshold is None:
        msg = f"question {question!r} has no threshold: say one"
        raise QuestionError(msg)
    return threshold


def _label(threshold: float | str | None, statistic: str, level: float) -> str:
    if statistic == "mean":
        return "mean"
    if statistic == "quantile":
        return f"{100 * level:g}% quantile"
    return f"P({Comparison.parse(threshold, '>')})" if threshold is not None else "P"
