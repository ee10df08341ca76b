"""From declarations and a formula to an outcome: plan the worlds, evaluate, weigh.

Worlds are enumerated when there are few enough. When every quantity has one value in every world,
up to a million worlds are evaluated as one array. Otherwise independent terms of the formula are
solved one by one and added up; what is left draws choices along with everything else, at
quasi-random points. Nothing is sampled that has an exact route, and no name is ever two values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from worlds.core.compound import Severity
from worlds.core.conditioned import LEAST, Stated, condition
from worlds.core.conditions import Raw, Told, tell, tell_one
from worlds.core.distributions import Distribution, Floats, Mixture
from worlds.core.evaluators.algebra import leaves, linear, parts_of
from worlds.core.evaluators.effort import Effort
from worlds.core.evaluators.following import followed, used
from worlds.core.evaluators.grid import total
from worlds.core.evaluators.inside import error_of, inside
from worlds.core.evaluators.many import by_drawing_choices
from worlds.core.evaluators.scene import Scene
from worlds.core.evaluators.worlds import Listed, count, listed, per_world
from worlds.core.formula.checks import Checked, check
from worlds.core.formula.tree import Add, Compare, Mul, Name, Node, Number
from worlds.core.formula.values import value
from worlds.core.laws import Atoms, mixed
from worlds.core.model import Content, Model, single
from worlds.core.outcome import Outcome, World
from worlds.core.questions import Comparison
from worlds.errors import ImpossibleError, QuestionError

MANY = 1024
"""Most worlds that are evaluated one by one."""
ROUNDING = 1e-9
"""A condition no more probable than this, and than its error, cannot be told from impossible."""
SHOWN = 256
"""Most worlds that an answer lists when it did not evaluate them one by one."""


def solve(
    model: Model,
    formula: str,
    *,
    unit: str | None = None,
    given: Raw | None = None,
    do: Raw | None = None,
    conditions: Sequence[str] = (),
    effort: Effort | None = None,
) -> Outcome:
    """Answer a formula over everything that is declared.

    Parameters
    ----------
    formula
        For example ``sum(likes_per_post, posts) * 0.02``.
    unit
        Unit of the answer; found from those of the quantities where left out.
    given, do
        Conditions (an option of a choice, ranges of a quantity or driver) and interventions
        (an option, a number, ``{"times": factor}``), by name.
    conditions
        Conditions that are formulas themselves, such as ``"visits / posts > 3"``.
    effort
        The error wanted, and until when.

    Raises
    ------
    FormulaError
        If the formula or a condition has no meaning; with the place.
    ImpossibleError
        If nothing fulfils the conditions.
    """
    told = tell(model, given or {}, do or {}, conditions)
    told = _simple_conditions(told)
    symbols = told.model.symbols()
    checked = check(formula, symbols, told.model.formulas)
    wanted = [check(one, symbols, told.model.formulas) for one in told.formulas]
    for one, text in zip(wanted, told.formulas, strict=True):
        if not isinstance(one.tree, Compare):
            msg = f"a condition is a comparison such as 'posts > 3'; got {text!r}"
            raise QuestionError(msg)
    effort = effort or Effort()
    found = _Solver(told, checked, _joined(wanted), effort).run()
    shown = unit if unit is not None else checked.units.shown(_words(told.model))
    return Outcome(found.worlds, shown, found.missing, found.whole)


def _words(model: Model) -> list[str]:
    """Return the words of the units as they were declared."""
    units = [one.unit for one in model.quantities.values()]
    units += [one.unit for one in model.drivers.values()]
    return [word for unit in units for word in unit.replace("/", " ").split()]


def _simple_conditions(told: Told) -> Told:
    """Apply conditions such as ``posts >= 2`` to the quantity itself, which is exact."""
    symbols, left = told.model.symbols(), []
    for text in told.formulas:
        tree = check(text, symbols, told.model.formulas).tree
        match tree:
            case Compare(sign=sign, left=Name(name=name), right=Number(value=number)):
                unknown = told.model.quantities.get(name)
                if unknown and not unknown.drivers and unknown.kind != "size":
                    told = tell_one(told, name, f"{sign} {number!r}")
                    continue
        left.append(text)
    return replace(told, formulas=tuple(left))


def _joined(wanted: Sequence[Checked]) -> Node | None:
    if not wanted:
        return None
    if len(wanted) == 1:
        return wanted[0].tree
    return Mul(tuple((1, one.tree) for one in wanted))


@dataclass(frozen=True)
class _Found:
    worlds: tuple[World, ...]
    missing: float = 0.0
    whole: Distribution | None = None


@dataclass
class _Solver:
    told: Told
    checked: Checked
    condition: Node | None
    effort: Effort
    tables: dict[str, dict[tuple[str, ...], Content]] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        return self.told.model

    def run(self) -> _Found:
        tree = followed(self.checked.tree, self.model)
        wanted = None if self.condition is None else followed(self.condition, self.model)
        names = used([tree, *([] if wanted is None else [wanted])], self.model)
        self.tables = {name: self.model.quantities[name].table for name in names}
        choices = self._choices(names)
        worlds = count(choices)
        if self._settled(tree, wanted):
            return self._as_array(tree, wanted, choices)
        if worlds <= MANY:
            return self._one_by_one(tree, wanted, listed(choices))
        if wanted is None and not self.told.likelihoods:
            found = self._apart(tree) or by_drawing_choices(
                tree, self.model, self.tables, self.checked.bounds, self.effort
            )
            if found is not None:
                return self._with_examples(found, tree, choices)
        return self._one_by_one(tree, wanted, listed(choices, MANY))

    def _choices(self, names: Sequence[str]) -> dict[str, Mapping[str, float]]:
        """Return the choices that matter: those of used quantities and of joint conditions."""
        needed = {choice for name in names for choice in self.model.quantities[name].choices}
        for by, _ in self.told.likelihoods:
            if needed & set(by) or not needed:
                needed |= set(by)
        return {name: self.model.choices[name].weights for name in sorted(needed)}

    def _settled(self, tree: Node, wanted: Node | None) -> bool:
        """Return whether every quantity has one value in every world."""
        both = [tree] if wanted is None else [tree, wanted]
        drivers = any(
            name in self.model.drivers
            for node in both
            for leaf in leaves(node)
            for name in parts_of(leaf)
        )
        follows = any(
            self.model.quantities[name].kind != "amount" and self.model.quantities[name].drivers
            for name in self.tables
        )
        if drivers or follows:
            return False
        contents = [content for table in self.tables.values() for content in table.values()]
        return all(single(content) is not None for content in contents)

    def _as_array(
        self, tree: Node, wanted: Node | None, choices: Mapping[str, Mapping[str, float]]
    ) -> _Found:
        worlds = listed(choices)
        weights = self._reweighted(worlds, worlds.weights)
        known: dict[Node, Floats] = {}
        for name, table in self.tables.items():
            fixed = {key: single(content) or 0.0 for key, content in table.items()}
            by = self.model.quantities[name].choices
            known[Name(name)] = (
                per_world(worlds, by, fixed) if by else np.full(len(weights), fixed[()])
            )
        numbers = np.broadcast_to(value(tree, known), weights.shape)
        if not np.isfinite(numbers).all():
            msg = "the formula leaves the range of numbers (overflow or division by zero)"
            raise QuestionError(msg)
        if wanted is not None:
            weights = np.where(
                np.broadcast_to(value(wanted, known), weights.shape) != 0, weights, 0
            )
        mass = float(weights.sum())
        if mass <= 0:
            raise ImpossibleError("; ".join(self.told.formulas) or "the conditions")
        missing = worlds.missing / (worlds.missing + mass)
        law = Atoms.of(numbers, weights / mass, "exact", missing)
        order = np.flatnonzero(weights)[: SHOWN if len(weights) > MANY else MANY]
        order = order[np.argsort(-weights[order], kind="stable")]
        examples = tuple(
            self._world(
                worlds.chosen(int(i)),
                float(weights[i] / mass),
                Atoms(numbers[i : i + 1], np.ones(1)),
            )
            for i in order
        )
        if len(examples) == int((weights > 0).sum()) and missing == 0:
            return _Found(examples)
        return _Found(examples, 1 - sum(world.weight for world in examples), law)

    def _reweighted(self, worlds: Listed, weights: Floats) -> Floats:
        for by, table in self.told.likelihoods:
            if all(name in worlds.names for name in by):
                weights = weights * per_world(worlds, by, table)
        return weights

    def _world(self, chosen: Mapping[str, str], weight: float, law: Distribution) -> World:
        parts = {
            name: _marginal(table[self._key(name, chosen)]) for name, table in self.tables.items()
        }
        return World(dict(chosen), weight, law, {} if self.condition is not None else parts)

    def _key(self, name: str, chosen: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(chosen[choice] for choice in self.model.quantities[name].choices)

    def scene(self, chosen: Mapping[str, str], shared: dict[object, Distribution]) -> Scene:
        """Return what one world says of every name."""
        laws: dict[str, Distribution | Severity] = {
            name: driver.law for name, driver in self.model.drivers.items()
        }
        for name, table in self.tables.items():
            laws[name] = table[self._key(name, chosen)]
        follows = {
            name: self.model.quantities[name].drivers
            for name in self.tables
            if self.model.quantities[name].kind != "amount" and self.model.quantities[name].drivers
        }
        return Scene(laws, follows, shared)

    def _one_by_one(self, tree: Node, wanted: Node | None, worlds: Listed) -> _Found:
        weights = self._reweighted(worlds, worlds.weights)
        shared: dict[object, Distribution] = {}
        found: list[tuple[dict[str, str], float, Distribution]] = []
        open_mass = worlds.missing
        slack = 0.0
        alive = [int(place) for place in np.argsort(-weights, kind="stable") if weights[place] > 0]
        for turn, place in enumerate(alive):
            weight = float(weights[place])
            if found and self.effort.over:
                open_mass += weight
                continue
            chosen = worlds.chosen(place)
            effort = self.effort.share(len(alive) - turn)
            law, prob, error = self._inside(tree, wanted, self.scene(chosen, shared), effort)
            slack += weight * error
            if prob > 0:
                found.append((chosen, weight * prob, law))
        mass = sum(weight for _, weight, _ in found)
        if mass <= (0.0 if wanted is None else max(LEAST, min(slack, ROUNDING))):
            raise ImpossibleError("; ".join(self.told.formulas) or "the conditions")
        missing = min((open_mass + 2 * slack) / (open_mass + mass), 1.0)
        made = [self._world(chosen, weight / mass, law) for chosen, weight, law in found]
        return _Found(tuple(sorted(made, key=lambda world: -world.weight)), missing)

    def _inside(
        self, tree: Node, wanted: Node | None, scene: Scene, effort: Effort
    ) -> tuple[Distribution, float, float]:
        """Return the law in one world, the probability of the condition, and its error."""
        span = self.checked.bounds
        if wanted is None:
            return (*inside(tree, scene, span, effort), 0.0)
        crossed = _crossed(tree, wanted)
        if crossed is not None:
            law, _ = inside(tree, scene, span, effort)
            kept, prob = condition(law, crossed.sign, crossed.value)
            return kept or law, prob, error_of(law)
        if not scene.names(tree) & scene.names(wanted):
            law, _ = inside(tree, scene, span, effort)
            truth, _ = inside(wanted, scene, span, effort)
            return law, 1 - float(truth.cdf(0.5)), error_of(truth)
        law, prob = inside(tree, scene, span, effort, wanted)
        return law, prob, float(getattr(law, "mass_error", 0.0))

    def _apart(self, tree: Node) -> Distribution | None:
        """Solve terms that share nothing one by one, and add them up."""
        shift, terms = linear(tree)
        groups: list[tuple[set[str], list[Node]]] = []
        for term in terms:
            mine = self._everything(term)
            joined = [group for group in groups if group[0] & mine]
            groups = [group for group in groups if not group[0] & mine]
            members = [one for group in joined for one in group[1]]
            groups.append((mine.union(*(group[0] for group in joined)), [*members, term]))
        if len(groups) < 2:
            return None
        laws = []
        for _, members in groups:
            part = Add(tuple((1, Mul(((1, Number(terms[one])), (1, one)))) for one in members))
            solver = _Solver(self.told, Checked(part, self.checked.units, self.checked.bounds),
                             None, self.effort)  # fmt: skip
            solver.tables = self.tables
            laws.append(solver.part(part))
        if any(law is None for law in laws):
            return None
        return total([(1.0, law) for law in laws if law is not None], shift, 1e-7)

    def part(self, tree: Node) -> Distribution | None:
        """Return the law of one group of terms over its own worlds."""
        names = used([tree], self.model)
        self.tables = {name: self.model.quantities[name].table for name in names}
        choices = self._choices(names)
        if count(choices) > MANY:
            return None
        worlds = self._one_by_one(tree, None, listed(choices)).worlds
        weights = np.array([world.weight for world in worlds])
        laws = tuple(world.outcome for world in worlds)
        law = mixed(weights.tolist(), laws)
        if law is None:
            inner = Mixture(weights, laws)
            law = Stated(inner, error_of(inner), "exact")
        return law

    def _everything(self, node: Node) -> set[str]:
        """Return all names, choices and drivers that a part depends on."""
        names = {name for leaf in leaves(node) for name in parts_of(leaf)}
        for name in list(names):
            unknown = self.model.quantities.get(name)
            if unknown is not None:
                names |= {f"choice {choice}" for choice in unknown.choices}
                names |= set(unknown.drivers)
        return names

    def _with_examples(
        self, law: Distribution, tree: Node, choices: Mapping[str, Mapping[str, float]]
    ) -> _Found:
        """List the most probable worlds beside a law that was not computed world by world."""
        worlds = listed(choices, SHOWN)
        shared: dict[object, Distribution] = {}
        shown = []
        for place, weight in enumerate(worlds.weights.tolist()):
            if place >= 16 or self.effort.over:
                break
            chosen = worlds.chosen(place)
            inner, _ = inside(tree, self.scene(chosen, shared), self.checked.bounds, self.effort)
            shown.append(self._world(chosen, weight, inner))
        return _Found(tuple(shown), 1 - sum(world.weight for world in shown), law)


def _crossed(tree: Node, wanted: Node) -> Comparison | None:
    """Return the threshold, where the condition compares the formula itself with a number."""
    if isinstance(wanted, Compare) and wanted.left == tree and isinstance(wanted.right, Number):
        return Comparison(wanted.sign, wanted.right.value)
    return None


def _marginal(content: Content) -> Distribution:
    if isinstance(content, Severity) and len(content.parts) == 1:
        return content.parts[0]
    return content
