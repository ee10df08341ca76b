"""From beliefs about quantities to the worlds of a question. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from worlds.core.compound import Severity
from worlds.core.counting import condition_count
from worlds.core.distributions import Count, Distribution, Point
from worlds.core.evaluators.effort import Effort
from worlds.core.model import Choice, Model, Unknown
from worlds.core.outcome import Outcome, World
from worlds.core.questions import (
    Amount,
    Assumptions,
    Comparison,
    Do,
    Expression,
    Given,
    Question,
    SumOver,
)
from worlds.core.solve import solve
from worlds.core.together import compounds
from worlds.errors import ImpossibleError, QuestionError, UnknownNameError, WeightError

HURRIED = 1e-2
"""Error of cumulative probabilities that will do when the time is up."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What one model of a quantity believes.

    Parameters
    ----------
    weight
        How probable the model is.
    content
        A `Count` for counts, a `Severity` for sizes.
    """

    weight: float
    content: Count | Severity


type Beliefs = Mapping[str, Mapping[str, Belief]]
"""Quantity name to model name to belief."""


def evaluate(
    question: Question,
    beliefs: Beliefs,
    assume: Assumptions | None = None,
    tolerance: float = 1e-5,
    effort: Effort | None = None,
) -> Outcome:
    """Enumerate the worlds of a question and evaluate each.

    Parameters
    ----------
    question
        What is asked.
    beliefs
        For every quantity of the question its models with weights.
    assume
        Interventions (weights unchanged) and conditions (weights and distributions updated).
    tolerance
        Error of cumulative probabilities at which series stop growing.
    effort
        The error wanted, and until when; without a limit and with `tolerance` where left out.

    Raises
    ------
    UnknownNameError
        If a quantity or a model is not there.
    ImpossibleError
        If no world fulfils a condition.
    WeightError
        If the weights of a quantity are not a probability distribution.
    """
    formula = question.formula
    options = assumed(formula.names(), beliefs, assume or Assumptions())
    effort = effort or Effort(tolerance)
    match formula:
        case Expression():
            return _solved(formula, question.unit, options, effort)
        case SumOver(size=size, count=count):
            return _sums(question, (count, options[count]), (size, options[size]), effort)
        case Amount(name=name):
            worlds = [
                World({name: model}, belief.weight, law, {name: law})
                for model, belief in options[name].items()
                if belief.weight > 0
                for law in [_marginal(belief.content)]
            ]
    return Outcome(_ordered(worlds), question.unit)


type Named = tuple[str, Mapping[str, Belief]]


def _sums(question: Question, counts: Named, sizes: Named, effort: Effort) -> Outcome:
    """Sum the sizes of every model over the counts of every model, the likeliest sizes first.

    When the time is up, the worlds that are left are missing; the error says so.
    """
    (count, numbers), (size, items) = counts, sizes
    alive = {model: belief for model, belief in numbers.items() if belief.weight > 0}
    worlds: list[World] = []
    missing = 0.0
    for model, belief in sorted(items.items(), key=lambda one: -one[1].weight):
        if belief.weight == 0:
            continue
        if worlds and effort.over:
            missing += belief.weight
            continue
        laws = sums([one.content for one in alive.values()], belief.content, question, effort)
        for (number, one), law in zip(alive.items(), laws, strict=True):
            parts = {count: _marginal(one.content), size: _marginal(belief.content)}
            choices = {count: number, size: model}
            worlds.append(World(choices, belief.weight * one.weight, law, parts))
    total = sum(world.weight for world in worlds)
    if missing:
        worlds = [replace(world, weight=world.weight / total) for world in worlds]
    return Outcome(_ordered(worlds), question.unit, missing)


def sums(
    counts: Sequence[Count | Severity], items: Count | Severity, question: Question, effort: Effort
) -> list[Distribution]:
    """Return the sum of one size over every one of several counts.

    Raises
    ------
    QuestionError
        If they are not counts and a size.
    """
    numbers = [one for one in counts if not isinstance(one, Severity)]
    if not isinstance(items, Severity) or len(numbers) < len(counts):
        msg = f"question {question.name!r} must sum a size over a count"
        raise QuestionError(msg)
    tolerance = HURRIED if effort.over else effort.tolerance
    return compounds(numbers, items, tolerance)


def _ordered(worlds: Iterable[World]) -> tuple[World, ...]:
    return tuple(sorted(worlds, key=lambda world: -world.weight))


def assumed(
    names: Iterable[str], beliefs: Beliefs, assume: Assumptions
) -> dict[str, dict[str, Belief]]:
    """Return the beliefs of some quantities after interventions and conditions."""
    return {name: _options(name, beliefs, assume) for name in names}


def _solved(
    formula: Expression, unit: str, options: Mapping[str, dict[str, Belief]], effort: Effort
) -> Outcome:
    """Answer a formula: the choice behind every quantity is which of its models is right."""
    units = dict(formula.units)
    model = Model(
        {name: Choice(name, _weights(table)) for name, table in options.items()},
        {},
        {
            name: Unknown(
                name,
                {option: belief.content for option, belief in table.items()},
                units.get(name, ""),
                by=name,
                role=_role(table),
            )
            for name, table in options.items()
        },
    )
    return solve(
        model, formula.text, unit=unit or None, conditions=formula.conditions, effort=effort
    )


def _weights(table: Mapping[str, Belief]) -> dict[str, float]:
    total = sum(belief.weight for belief in table.values())
    return {name: belief.weight / total for name, belief in table.items()}


def _role(table: Mapping[str, Belief]) -> Literal["count", "size"]:
    sized = all(isinstance(belief.content, Severity) for belief in table.values())
    return "size" if sized else "count"


def _options(name: str, beliefs: Beliefs, assume: Assumptions) -> dict[str, Belief]:
    if name not in beliefs:
        raise UnknownNameError("quantity", name, beliefs)
    options = dict(beliefs[name])
    total = sum(belief.weight for belief in options.values())
    if any(belief.weight < 0 for belief in options.values()) or abs(total - 1) > 1e-9:
        raise WeightError(name, total)
    if name in assume.do:
        options = _intervene(options, assume.do[name])
    if name in assume.given:
        options = _condition(name, options, assume.given[name])
    return options


def _intervene(options: dict[str, Belief], do: Do) -> dict[str, Belief]:
    if do.fix is not None:
        point = Point(do.fix)
        sized = isinstance(next(iter(options.values())).content, Severity)
        content = Severity(np.ones(1), (point,)) if sized else point
        return {"do": Belief(1.0, content)}
    factor = do.times if do.times is not None else 1.0
    return {
        model: Belief(belief.weight, belief.content.scaled(factor))
        for model, belief in options.items()
    }


def _condition(name: str, options: dict[str, Belief], given: Given) -> dict[str, Belief]:
    if given.model is not None:
        if given.model not in options:
            raise UnknownNameError(f"model of {name}", given.model, options)
        if options[given.model].weight == 0:
            raise ImpossibleError(f"{name} model = {given.model}")
        options = {given.model: Belief(1.0, options[given.model].content)}
    if not given.ranges:
        return options
    updated = {}
    for model, belief in options.items():
        if isinstance(belief.content, Severity):
            msg = f"{name!r} differs from item to item: condition on its model, or on the count"
            raise QuestionError(msg)
        table, prob = _within(belief.content, given.ranges)
        if belief.weight * prob > 0:
            updated[model] = Belief(belief.weight * prob, table)
    total = sum(belief.weight for belief in updated.values())
    if total <= 0:
        raise ImpossibleError(f"{name} {' and '.join(map(str, given.ranges))}")
    return {
        model: Belief(belief.weight / total, belief.content) for model, belief in updated.items()
    }


def _within(count: Count, ranges: Iterable[Comparison]) -> tuple[Count, float]:
    """Return the count given several comparisons, and the probability of all of them."""
    prob = 1.0
    for one in ranges:
        count, part = condition_count(count, one)
        prob *= part
        if prob == 0:
            break
    return count, prob


def _marginal(content: Count | Severity) -> Distribution:
    if isinstance(content, Severity) and len(content.parts) == 1:
        return content.parts[0]
    return content


def elicited(
    models: Mapping[str, float], weights: Mapping[str, float] | None, size: bool
) -> dict[str, Belief]:
    """Return point beliefs, one a model; equal weights where none are given."""
    shares = weights or dict.fromkeys(models, 1 / len(models))
    return {
        model: Belief(
            shares[model], Severity(np.ones(1), (Point(value),)) if size else Point(value)
        )
        for model, value in models.items()
    }
