"""What a world says of every name, and how its leaves are drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from worlds.core.compound import Severity
from worlds.core.distributions import Count, Distribution, Floats
from worlds.core.evaluators.algebra import leaves, parts_of
from worlds.core.evaluators.effort import Effort
from worlds.core.evaluators.replicates import (
    Replicated,
    component,
    draw_count,
    draw_sum,
    inverse,
    replicated,
)
from worlds.core.formula.ranges import Range
from worlds.core.formula.tree import Call, Node
from worlds.core.formula.values import value
from worlds.core.together import compounds
from worlds.errors import QuestionError


@dataclass(frozen=True, eq=False)
class Scene:
    """What a world says of every name.

    Parameters
    ----------
    laws
        Name to law; to a `Severity` for sizes.
    follows
        Names of counts and sizes to the drivers that multiply their intensity. (Amounts that
        follow a driver are products in the formula already.)
    shared
        Laws of parts that worlds have in common, kept between them.
    """

    laws: Mapping[str, Distribution | Severity]
    follows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shared: dict[object, Distribution] = field(default_factory=dict)

    def names(self, node: Node) -> frozenset[str]:
        """Return everything uncertain that a formula depends on, drivers included."""
        found = {name for leaf in leaves(node) for name in parts_of(leaf)}
        return frozenset(found | {d for name in found for d in self.follows.get(name, ())})

    def law(self, name: str) -> Distribution:
        """Return the law of a name by itself."""
        found = self.laws[name]
        if isinstance(found, Severity) and len(found.parts) == 1:
            return found.parts[0]
        return found


def law_of_sum(leaf: Node, scene: Scene, tolerance: float) -> Distribution:
    """Return the law of a sum over things."""
    size, count = (scene.laws[name] for name in parts_of(leaf))
    if not isinstance(size, Severity) or not isinstance(count, Count):
        msg = f"sum takes a size and a count; got {parts_of(leaf)}"
        raise QuestionError(msg)
    return compounds([count], size, tolerance)[0]


def by_points(
    tree: Node, scene: Scene, reach: Range, effort: Effort, condition: Node | None
) -> Replicated | None:
    """Return the law by quasi-random points; None where no point fulfils the condition."""
    draw, dimensions = drawing(tree, scene, condition)

    def values(points: Floats, rng: np.random.Generator) -> tuple[Floats, Floats | None]:
        known = draw(points, rng)
        numbers = value(tree, known)
        if not np.isfinite(numbers).all():
            msg = "the formula leaves the range of numbers (overflow or division by zero)"
            raise QuestionError(msg)
        return numbers, None if condition is None else value(condition, known)

    return replicated(values, dimensions, reach, effort)


type Draw = Callable[[Floats, np.random.Generator], dict[Node, Floats]]


def drawing(tree: Node, scene: Scene, condition: Node | None) -> tuple[Draw, int]:
    """Return how to draw every leaf of a formula, and from how many columns.

    A sum whose size and count occur nowhere else is drawn from its own law; otherwise it is
    drawn given the count that was drawn, and the level that all things share.
    """
    everything = list(leaves(tree)) + ([] if condition is None else list(leaves(condition)))
    found = sorted(set(everything), key=repr)
    uses: dict[str, int] = {}
    for leaf in found:
        for name in parts_of(leaf):
            uses[name] = uses.get(name, 0) + 1
    alone = [
        leaf
        for leaf in found
        if isinstance(leaf, Call)
        and all(uses[name] == 1 and name not in scene.follows for name in parts_of(leaf))
    ]
    wholes = {leaf: law_of_sum(leaf, scene, 1e-5) for leaf in alone}
    hidden = {name for leaf in alone for name in parts_of(leaf)}
    basic = sorted({name for leaf in found for name in parts_of(leaf)} - hidden)
    drivers = sorted({d for name in basic for d in scene.follows.get(name, ())} - set(basic))
    columns = {name: place for place, name in enumerate([*drivers, *basic])}
    first = len(columns)

    def draw(points: Floats, rng: np.random.Generator) -> dict[Node, Floats]:
        known: dict[Node, Floats] = {}
        for place, (whole, law) in enumerate(wholes.items()):
            known[whole] = inverse(law, points[:, first + place])
        values: dict[str, Floats] = {}
        for name in [*drivers, *(n for n in basic if n not in scene.follows), *basic]:
            content = scene.laws[name]
            if name not in values and not isinstance(content, Severity):
                values[name] = _draw_one(name, content, scene, values, points, columns, rng)
        for leaf in found:
            if leaf not in known:
                known[leaf] = _draw_leaf(leaf, scene, values, points, columns, rng)
        return known

    return draw, first + len(wholes)


def _intensity(name: str, scene: Scene, values: Mapping[str, Floats], size: int) -> Floats:
    factor = np.ones(size)
    for driver in scene.follows.get(name, ()):
        factor = factor * values[driver]
    return factor


def _draw_one(
    name: str,
    content: Distribution,
    scene: Scene,
    values: Mapping[str, Floats],
    points: Floats,
    columns: Mapping[str, int],
    rng: np.random.Generator,
) -> Floats:
    if name not in scene.follows:
        return inverse(content, points[:, columns[name]])
    factor = _intensity(name, scene, values, len(points))
    if not isinstance(content, Count):
        msg = f"{name!r} follows a driver, so it must be a count; got {content!r}"
        raise QuestionError(msg)
    return draw_count(content, factor, rng)


def _draw_leaf(
    leaf: Node,
    scene: Scene,
    values: Mapping[str, Floats],
    points: Floats,
    columns: Mapping[str, int],
    rng: np.random.Generator,
) -> Floats:
    names = parts_of(leaf)
    content = scene.laws[names[0]]
    if not isinstance(content, Severity):
        return values[names[0]]
    level, _ = component(content.weights, points[:, columns[names[0]]])
    counts = values[names[1]] if len(names) > 1 else np.ones(len(points))
    if (counts != np.floor(counts)).any():
        msg = f"the number of items must be whole; {names[1]!r} is not"
        raise QuestionError(msg)
    factor = _intensity(names[0], scene, values, len(points))
    return draw_sum([content.parts[k] for k in level], counts, factor, rng)
