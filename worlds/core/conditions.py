"""Given and do, applied to what is declared, before anything is evaluated."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worlds.core.compound import Severity
from worlds.core.conditioned import condition
from worlds.core.counting import condition_count
from worlds.core.distributions import Count, Distribution, Point
from worlds.core.laws import Atoms, moved
from worlds.core.model import Choice, Content, Driver, Model, Unknown
from worlds.core.questions import Comparison, Do
from worlds.core.views import atoms
from worlds.errors import ImpossibleError, QuestionError, UnknownNameError

type Table = Mapping[tuple[str, ...], float]
type Raw = Mapping[str, object]


@dataclass(frozen=True)
class Told:
    """A model with conditions and interventions applied.

    Parameters
    ----------
    model
        Laws and weights after Bayes.
    likelihoods
        Factors of the probabilities of worlds that depend on several choices at once: the
        choices, and a number for every tuple of their options.
    formulas
        Conditions that are formulas: they are applied world by world.
    """

    model: Model
    likelihoods: tuple[tuple[tuple[str, ...], Table], ...] = ()
    formulas: tuple[str, ...] = ()


def tell(model: Model, given: Raw, do: Raw, conditions: Sequence[str]) -> Told:
    """Intervene, then condition.

    Raises
    ------
    UnknownNameError
        If a name is not declared.
    QuestionError
        If a condition or an intervention has no meaning.
    ImpossibleError
        If nothing fulfils a condition.
    """
    for name, raw in do.items():
        model = _intervene(model, name, raw)
    told = Told(model, (), tuple(conditions))
    for name, raw in given.items():
        several = raw if isinstance(raw, list | tuple) else [raw]
        for one in several:
            told = tell_one(told, name, one)
    return told


def _intervene(model: Model, name: str, raw: object) -> Model:
    if name in model.choices:
        option = _option(model.choices[name], raw)
        return model.with_choice(Choice(name, {option: 1.0}))
    change = Do.parse(raw)
    if name in model.drivers:
        driver = model.drivers[name]
        return model.with_driver(replace(driver, law=_changed(driver.law, change)))
    if name not in model.quantities:
        raise UnknownNameError("name", name, [*model.choices, *model.drivers, *model.quantities])
    unknown = model.quantities[name]
    if change.fix is not None:
        fixed = _changed(next(iter(unknown.table.values())), change)
        return model.with_quantity(
            replace(unknown, cases=fixed, by=(), drivers=(), role=unknown.kind)
        )
    table = {key: _changed(content, change) for key, content in unknown.table.items()}
    cases = table if unknown.choices else table[()]
    return model.with_quantity(replace(unknown, cases=cases, by=unknown.choices, role=unknown.kind))


def _changed[C: Content](content: C, change: Do) -> Content:
    if change.fix is not None:
        point = Point(change.fix)
        return Severity(np.ones(1), (point,)) if isinstance(content, Severity) else point
    factor = 1.0 if change.times is None else change.times
    if isinstance(content, Severity | Count):
        return content.scaled(factor)
    return moved(content, factor)


def _option(choice: Choice, raw: object) -> str:
    found = (
        re.fullmatch(r"\s*(?:model\b)?\s*={0,2}\s*(.+?)\s*", raw) if isinstance(raw, str) else None
    )
    if found is None:
        msg = f"{choice.name!r} is a choice: name one of its options, not {raw!r}"
        raise QuestionError(msg)
    option = found.group(1)
    if option not in choice.weights:
        raise UnknownNameError(f"option of {choice.name}", option, choice.weights)
    return option


def tell_one(told: Told, name: str, raw: object) -> Told:
    """Apply one condition on a choice, a driver or a quantity (see `tell`)."""
    model = told.model
    compares = isinstance(raw, str) and raw.lstrip()[:1] in {"<", ">"}
    if name in model.choices and not (compares and name in model.quantities):
        option = _option(model.choices[name], raw)
        if model.choices[name].weights[option] <= 0:
            raise ImpossibleError(f"{name} = {option}")
        return replace(told, model=model.with_choice(Choice(name, {option: 1.0})))
    wanted = Comparison.parse(raw) if isinstance(raw, str) else None
    if wanted is None:
        msg = f"given takes an option or a comparison such as '>= 3'; got {raw!r}"
        raise QuestionError(msg)
    if name in model.drivers:
        return replace(told, model=model.with_driver(_driver(model.drivers[name], wanted)))
    if name not in model.quantities:
        raise UnknownNameError("name", name, [*model.choices, *model.drivers, *model.quantities])
    unknown = model.quantities[name]
    if unknown.kind == "size":
        msg = f"{name!r} differs from item to item: condition on a choice, or on the count"
        raise QuestionError(msg)
    if unknown.drivers:
        return replace(told, formulas=(*told.formulas, f"{name} {wanted.sign} {wanted.value!r}"))
    return _quantity(told, unknown, wanted)


def _driver(driver: Driver, wanted: Comparison) -> Driver:
    law, prob = conditioned(driver.law, wanted)
    if law is None or prob <= 0:
        raise ImpossibleError(f"{driver.name} {wanted}")
    return replace(driver, law=law)


def conditioned(law: Content, wanted: Comparison) -> tuple[Distribution | None, float]:
    """Return a law given a comparison, and its probability; counts stay counts."""
    if isinstance(law, Count):
        return condition_count(law, wanted)
    listed = atoms(law) if isinstance(law, Atoms) else None
    return condition(listed or law, wanted.sign, wanted.value)


def _quantity(told: Told, unknown: Unknown, wanted: Comparison) -> Told:
    """Condition every case; how probable each made the condition weighs its choices."""
    model, found, likely = told.model, dict(unknown.table), {}
    for key, content in unknown.table.items():
        law, prob = conditioned(content, wanted)
        likely[key] = prob
        if law is not None and prob > 0:
            found[key] = law
    if not any(likely.values()):
        raise ImpossibleError(f"{unknown.name} {wanted}")
    alive = {key: found[key] for key in found if likely[key] > 0}
    spare = next(iter(alive.values()))
    cases = {key: alive.get(key, spare) for key in found}
    model = model.with_quantity(
        replace(
            unknown,
            cases=cases if unknown.choices else cases[()],
            by=unknown.choices,
            role=unknown.kind,
        )
    )
    if len(unknown.choices) == 1:
        choice = model.choices[unknown.choices[0]]
        weights = {o: w * likely[(o,)] for o, w in choice.weights.items() if (o,) in likely}
        total = sum(weights.values())
        if total <= 0:
            raise ImpossibleError(f"{unknown.name} {wanted}")
        scaled = {option: weight / total for option, weight in weights.items()}
        return replace(told, model=model.with_choice(Choice(choice.name, scaled)))
    more = ((unknown.choices, likely),) if unknown.choices else ()
    return replace(told, model=model, likelihoods=(*told.likelihoods, *more))
