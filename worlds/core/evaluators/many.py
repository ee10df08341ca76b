"""Very many worlds: choices are drawn together with everything else, at quasi-random points."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from worlds.core.compound import Severity
from worlds.core.distributions import Distribution, Floats
from worlds.core.evaluators.algebra import leaves, parts_of
from worlds.core.evaluators.effort import Effort
from worlds.core.evaluators.replicates import component, inverse, replicated
from worlds.core.evaluators.scene import Scene, law_of_sum
from worlds.core.formula.ranges import Range
from worlds.core.formula.tree import Call, Name, Node
from worlds.core.formula.values import value
from worlds.core.model import Content, Model
from worlds.errors import QuestionError

MOST_LAWS = 512
"""Most laws of one leaf that are prepared."""

type Tables = Mapping[str, Mapping[tuple[str, ...], Content]]
type Chosen = Mapping[str, NDArray[np.int64]]


def by_drawing_choices(
    tree: Node, model: Model, tables: Tables, span: Range, effort: Effort
) -> Distribution | None:
    """Return the law over all worlds, or None where counts are shared or follow drivers.

    Every choice, driver, quantity and sum over things has a column of its own.
    """
    found = sorted(set(leaves(tree)), key=repr)
    if not _independent(found, model):
        return None
    choices = sorted({c for name in tables for c in model.quantities[name].choices})
    cases = {leaf: _cases(leaf, model, tables) for leaf in found}
    if any(len(table) > MOST_LAWS for _, table in cases.values()):
        return None
    columns: dict[object, int] = {name: place for place, name in enumerate([*choices, *found])}

    def values(points: Floats, _: np.random.Generator) -> tuple[Floats, None]:
        chosen = {}
        for name in choices:
            weights = np.array(list(model.choices[name].weights.values()))
            chosen[name], _rest = component(weights, points[:, columns[name]])
        known = {
            leaf: _draw(points[:, columns[leaf]], by, table, chosen, model)
            for leaf, (by, table) in cases.items()
        }
        numbers = value(tree, known)
        if not np.isfinite(numbers).all():
            msg = "the formula leaves the range of numbers (overflow or division by zero)"
            raise QuestionError(msg)
        return numbers, None

    return replicated(values, len(columns), span, effort)


def _independent(found: list[Node], model: Model) -> bool:
    used = [name for leaf in found for name in parts_of(leaf)]
    follows = any(
        model.quantities[name].kind != "amount" and model.quantities[name].drivers
        for name in used
        if name in model.quantities
    )
    return len(used) == len(set(used)) and not follows


def _cases(
    leaf: Node, model: Model, tables: Tables
) -> tuple[tuple[str, ...], dict[tuple[str, ...], Distribution]]:
    """Return the choices of a leaf and its law for every tuple of their options."""
    if isinstance(leaf, Name) and leaf.name in model.drivers:
        return (), {(): model.drivers[leaf.name].law}
    names = parts_of(leaf)
    laws: dict[tuple[str, ...], Distribution] = {}
    if not isinstance(leaf, Call):
        for key, content in tables[names[0]].items():
            laws[key] = Scene({names[0]: content}).law(names[0])
        return model.quantities[names[0]].choices, laws
    first, second = (model.quantities[name].choices for name in names)
    by = tuple(dict.fromkeys([*first, *second]))
    for one, size in tables[names[0]].items():
        for two, number in tables[names[1]].items():
            chosen = {**dict(zip(first, one, strict=True)), **dict(zip(second, two, strict=True))}
            key = tuple(chosen[choice] for choice in by)
            agrees = all(chosen[c] == o for c, o in zip(first, one, strict=True))
            if agrees and isinstance(size, Severity):
                laws[key] = law_of_sum(leaf, Scene({names[0]: size, names[1]: number}), 1e-5)
    return by, laws


def _draw(
    u: Floats,
    by: tuple[str, ...],
    table: Mapping[tuple[str, ...], Distribution],
    chosen: Chosen,
    model: Model,
) -> Floats:
    """Draw a leaf: points whose choices agree are drawn from the same law."""
    if not by:
        return inverse(table[()], u)
    options = [list(model.choices[name].weights) for name in by]
    shape = tuple(len(one) for one in options)
    code = np.ravel_multi_index(tuple(chosen[name] for name in by), shape)
    numbers = np.zeros(len(u))
    for one in np.unique(code):
        places = np.unravel_index(int(one), shape)
        key = tuple(options[i][int(place)] for i, place in enumerate(places))
        mine = code == one
        numbers[mine] = inverse(table[key], u[mine])
    return numbers
