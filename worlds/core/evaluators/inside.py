"""The law of a formula inside one world: the planner of exact routes.

A formula is taken apart into terms and factors. Parts that share no quantity are independent, and
each has its own law; sums of them, products, functions of one of them, comparisons and branches
are put together by the evaluators beside this file. What shares quantities in other ways is
`Entangled`: it goes to quasi-random points as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from worlds.core.compound import Severity
from worlds.core.conditioned import with_error
from worlds.core.distributions import CountMixture, Distribution, Floats, Mixture, Point
from worlds.core.evaluators.algebra import (
    leaves,
    linear,
    names_in,
    parts_of,
    power_of,
    span,
    times,
)
from worlds.core.evaluators.effort import Effort
from worlds.core.evaluators.grid import chain, total
from worlds.core.evaluators.product import product
from worlds.core.evaluators.push import direction, extreme, pushed
from worlds.core.evaluators.scene import Scene, by_points, law_of_sum
from worlds.core.formula.functions import FUNCTIONS
from worlds.core.formula.ranges import Range
from worlds.core.formula.tree import Add, Call, Compare, Mul, Name, Node, Number
from worlds.core.formula.values import value
from worlds.core.laws import Atoms, mixed
from worlds.core.views import bounds, continuous, nodes
from worlds.errors import QuestionError

ZERO, ONE = Number(0.0), Number(1.0)
ORDERS = (8, 16, 32)
COARSE = 5e-4
"""Error of quadrature from which on quasi-random points are tried instead."""
HERE = Name("x")


class EntangledError(Exception):
    """Parts of a formula share quantities in a way that no exact route follows."""


def inside(
    tree: Node, scene: Scene, span: Range, effort: Effort, condition: Node | None = None
) -> tuple[Distribution, float]:
    """Return the law of a formula, and the probability of the condition (1 without one).

    Raises
    ------
    QuestionError
        If the numbers leave every bound, or nothing drawn fulfils the condition.
    """
    scene = _fold(tree, scene, condition)
    closed = _closed(tree, scene, effort) if condition is None else None
    if closed is not None:
        return closed, 1.0
    law = by_points(tree, scene, span, effort, condition)
    if law is None:
        return Atoms(np.zeros(1), np.ones(1)), 0.0
    return law, law.mass


def _closed(tree: Node, scene: Scene, effort: Effort) -> Distribution | None:
    """Return the law by an exact route, or None where no such route follows the formula."""
    try:
        return _Planner(scene, effort).given_drivers(tree)
    except EntangledError:
        return None


def _fold(tree: Node, scene: Scene, condition: Node | None) -> Scene:
    """Put drivers that only one quantity follows into the law of that quantity."""
    used: dict[str, int] = {}
    everything = [tree] if condition is None else [tree, condition]
    present = {name for node in everything for leaf in leaves(node) for name in parts_of(leaf)}
    for name in present:
        for driver in scene.follows.get(name, ()):
            used[driver] = used.get(driver, 0) + 1
    if not scene.follows:
        return scene
    laws, follows = dict(scene.laws), {}
    for name, drivers in scene.follows.items():
        kept = []
        for driver in drivers:
            alone = used.get(driver, 0) <= 1 and driver not in present
            content = laws[name]
            if alone and isinstance(content, CountMixture | Severity):
                order = 8 if isinstance(content, Severity) else 24
                factors = nodes(scene.law(driver), order) or _values(scene.law(driver))
                laws[name] = _spread(content, *factors)
            else:
                kept.append(driver)
        follows[name] = tuple(kept)
    return Scene(laws, {name: kept for name, kept in follows.items() if kept})


def _values(law: Distribution) -> tuple[Floats, Floats]:
    if isinstance(law, Point):
        return np.array([law.value]), np.ones(1)
    if isinstance(law, Atoms):
        return law.values, law.probs
    msg = f"a driver must be continuous or take a few values; got {law!r}"
    raise QuestionError(msg)


def _spread(
    content: CountMixture | Severity, factors: Floats, weights: Floats
) -> CountMixture | Severity:
    if isinstance(content, CountMixture):
        return content.spread(factors, weights)
    parts = tuple(part.scaled(float(f)) for part in content.parts for f in factors)
    return Severity(np.outer(content.weights, weights).ravel(), parts)


@dataclass
class _Planner:
    scene: Scene
    effort: Effort
    memo: dict[Node, Distribution] = field(default_factory=dict)

    def given_drivers(self, tree: Node) -> Distribution:
        """Return the law, averaged over the nodes of a driver that several quantities follow."""
        present = self.scene.names(tree)
        shared = sorted(
            {d for name in present for d in self.scene.follows.get(name, ()) if name in present}
        )
        if not shared:
            return self.law(tree)
        if len(shared) > 1:
            raise EntangledError
        last: Floats | None = None
        places: Floats | None = None
        for order in ORDERS:
            law = self._over_driver(tree, shared[0], order)
            if places is None:
                places = law.quantile(np.linspace(0.02, 0.98, 25))
            now = law.cdf(places)
            gap = 1.0 if last is None else float(np.abs(now - last).max())
            last = now
            if gap <= self.effort.tolerance or self.effort.over:
                break
        if gap > COARSE:
            raise EntangledError
        return with_error(law, gap + error_of(law), "quadrature over a driver")

    def _over_driver(self, tree: Node, driver: str, order: int) -> Distribution:
        law = self.scene.law(driver)
        values, weights = nodes(law, order) or _values(law)
        laws = []
        for factor in values:
            scaled = {
                name: self.scene.laws[name].scaled(float(factor))  # type: ignore[union-attr]
                for name, drivers in self.scene.follows.items()
                if driver in drivers
            }
            fixed = Atoms(np.array([float(factor)]), np.ones(1))
            scene = Scene({**self.scene.laws, **scaled, driver: fixed})
            laws.append(_Planner(scene, self.effort).law(tree))
        return mixed(list(weights), laws) or Mixture(weights, tuple(laws))

    def law(self, node: Node) -> Distribution:
        """Return the law of a part, or raise `EntangledError`."""
        if node not in self.memo:
            self.memo[node] = self._common(node)
        return self.memo[node]

    def _common(self, node: Node) -> Distribution:
        """Return the law of a part, from another world where its quantities are the same."""
        if isinstance(node, Number | Name):
            return self._law(node)
        laws = self.scene.laws
        key = (node, tuple(id(laws[name]) for name in sorted(self.scene.names(node))))
        if key not in self.scene.shared:
            self.scene.shared[key] = self._law(node)
        return self.scene.shared[key]

    def _law(self, node: Node) -> Distribution:
        match node:
            case Number(value=number):
                return Atoms(np.array([number]), np.ones(1))
            case Name(name=name):
                return self.scene.law(name)
            case Call(function="sum"):
                return self._compound(node)
            case Add() | Mul():
                return self._linear(node)
            case Compare():
                return self._compare(node)
            case Call():
                return self._call(node)

    def _compound(self, node: Call) -> Distribution:
        return law_of_sum(node, self.scene, self.effort.tolerance)

    def _linear(self, node: Node) -> Distribution:
        """Add up independent terms; terms that share quantities must be functions of one."""
        shift, terms = linear(node)
        if not terms:
            return Atoms(np.array([shift]), np.ones(1))
        laws = []
        for group in self._groups(list(terms)):
            if len(group) == 1:
                laws.append((terms[group[0]], self._monomial(group[0])))
            else:
                together = Add(tuple((1, times(terms[one], one)) for one in group))
                laws.append((1.0, self._of_one(together)))
        found = total(laws, shift, min(self.effort.tolerance, 1e-6))
        if error_of(found) > max(COARSE, self.effort.tolerance) and len(laws) > 1:
            raise EntangledError
        return found

    def _groups(self, parts: Sequence[Node]) -> list[list[Node]]:
        """Group parts that share an uncertain name."""
        groups: list[tuple[set[str], list[Node]]] = []
        for part in parts:
            names = set(self.scene.names(part))
            joined = [group for group in groups if group[0] & names]
            for group in joined:
                groups.remove(group)
                names |= group[0]
            groups.append((names, [*(one for group in joined for one in group[1]), part]))
        return [members for _, members in groups]

    def _monomial(self, node: Node) -> Distribution:
        if not isinstance(node, Mul):
            return self.law(node)
        powers = {child: power for power, child in node.factors}
        laws = []
        for group in self._groups(list(powers)):
            if len(group) > 1:
                laws.append((1, self._of_one(Mul(tuple((powers[one], one) for one in group)))))
                continue
            base, power = self.law(group[0]), powers[group[0]]
            if abs(power) != 1:
                base = self._of_one(power_of(group[0], power))
            laws.append((power if abs(power) == 1 else 1, base))
        return self._product(laws)

    def _product(self, laws: Sequence[tuple[int, Distribution]]) -> Distribution:
        positive = all(
            continuous(law) and bounds(law).low >= 0 and not bounds(law).zero for _, law in laws
        )
        if len(laws) > 2 and positive:
            return chain(laws, min(self.effort.tolerance, 1e-6))
        settled = [law if power == 1 else _reciprocal(law) for power, law in laws]
        found = settled[0]
        for law in settled[1:]:
            step = product(found, law, min(self.effort.tolerance, 1e-8))
            if step is None or float(getattr(step, "error", 0.0)) > COARSE:
                raise EntangledError
            found = step
        return found

    def _of_one(self, node: Node) -> Distribution:
        """Return the law of a formula of one leaf."""
        found = set(leaves(node))
        if len(found) != 1:
            raise EntangledError
        return self._push(node, found.pop())

    def _push(self, node: Node, leaf: Node) -> Distribution:
        base = self.law(leaf)
        inner = bounds(base)

        def spans(part: Node) -> Range:
            return span(part, {leaf: inner})

        def function(x: Floats) -> Floats:
            return value(node, {leaf: x}) + np.zeros(np.shape(x))

        return pushed(base, function, direction(node, leaf, spans), spans(node))

    def _compare(self, node: Compare) -> Distribution:
        law = self.law(Add(((1, node.left), (-1, node.right))))
        hair = 1e-13 * max(abs(law.mean()), float(np.sqrt(law.var())), 1e-300)
        at = -hair if node.sign in {"<", ">="} else hair
        below = float(law.cdf(at))
        prob = 1 - below if node.sign in {">", ">="} else below
        prob = min(max(prob, 0.0), 1.0)
        error = error_of(law)
        how = str(getattr(law, "method", "exact"))
        kept = [(x, p) for x, p in ((0.0, 1 - prob), (1.0, prob)) if p > 0]
        return Atoms(np.array([x for x, _ in kept]), np.array([p for _, p in kept]), how, error)

    def _call(self, node: Call) -> Distribution:
        open_args = [arg for arg in node.args if any(True for _ in leaves(arg))]
        if not open_args:
            return Atoms(np.atleast_1d(value(node, {})), np.ones(1))
        if len(set(leaves(node))) == 1 and node.function != "if":
            return self._of_one(node)
        if len(open_args) == 1 and node.function != "if":
            return self._outside(node, open_args[0])
        match node.function:
            case "min" | "max":
                return self._extreme(node)
            case "over" | "under":
                gap = Add(((1, node.args[0]), (-1, node.args[1])))
                return self._outside(Call(node.function, (gap, ZERO)), gap)
            case "steps":
                ratio = Mul(((1, node.args[0]), (-1, node.args[1])))
                return self._outside(Call("steps", (ratio, ONE)), ratio)
            case "if":
                return self._branches(node)
        raise EntangledError

    def _outside(self, node: Call, inner: Node) -> Distribution:
        """Return the law of a function of one part, from the law of that part."""
        law = self.law(inner)
        args = tuple(HERE if arg == inner else arg for arg in node.args)
        outer = Call(node.function, args)
        scene = Scene({HERE.name: law})
        return _Planner(scene, self.effort)._push(outer, HERE)

    def _extreme(self, node: Call) -> Distribution:
        if any(len(group) > 1 for group in self._groups([a for a in node.args if names_in(a)])):
            return self._of_one(node)
        laws = tuple(self.law(arg) for arg in node.args)
        ends = FUNCTIONS[node.function].bounds([bounds(law) for law in laws])
        return extreme(laws, node.function == "max", ends)

    def _branches(self, node: Call) -> Distribution:
        condition, then, otherwise = node.args
        if self.scene.names(condition) & (self.scene.names(then) | self.scene.names(otherwise)):
            return self._of_one(node)
        law = self.law(condition)
        prob = 1 - float(law.cdf(0.0) - law.cdf(np.nextafter(0.0, -1.0)))
        weights = np.array([prob, 1 - prob])
        laws = (self.law(then), self.law(otherwise))
        found = mixed(list(weights), laws) or Mixture(weights, laws)
        return with_error(found, error_of(law) + error_of(found))


def _reciprocal(law: Distribution) -> Distribution:
    inner = bounds(law)
    return pushed(law, partial(np.divide, 1.0), -1, inner.inverse())


def error_of(law: Distribution) -> float:
    """Return the bound on the error of cumulative probabilities that a law states."""
    if isinstance(law, Mixture):
        return float(law.weights @ [error_of(part) for part in law.parts])
    return float(getattr(law, "error", 0.0))
