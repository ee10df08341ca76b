"""Whether a formula has a meaning: names, sums, units, division by zero. Inlines named formulas."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from worlds.core.formula.functions import FUNCTIONS
from worlds.core.formula.parser import MAX_NODES, parse
from worlds.core.formula.ranges import Range
from worlds.core.formula.tree import (
    Add,
    Call,
    Compare,
    Mul,
    Name,
    Node,
    Number,
    Span,
    children,
    names,
)
from worlds.core.formula.units import ANY, NONE, Units, alike
from worlds.errors import FormulaError

MAX_LEVELS = 120
"""Most levels of a formula, those of the formulas it refers to included."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """What a name in a formula stands for.

    Parameters
    ----------
    role
        ``amount``: a number; ``count``: how many things; ``size``: how much one thing brings
        (it differs from thing to thing).
    units
        Its unit.
    bounds
        Range of its values in every possible world.
    """

    role: Literal["amount", "count", "size"]
    units: Units = ANY
    bounds: Range = field(default_factory=lambda: Range(0.0, float("inf")))


@dataclass(frozen=True, slots=True)
class Checked:
    """A formula that has a meaning.

    Parameters
    ----------
    tree
        The formula with the named ones put in their places.
    units, bounds
        Unit and range of its value.
    """

    tree: Node
    units: Units
    bounds: Range


def check(
    source: str, symbols: Mapping[str, Symbol], formulas: Mapping[str, str] | None = None
) -> Checked:
    """Read a formula and make sure that it has a meaning.

    Parameters
    ----------
    source
        The formula.
    symbols
        What names stand for.
    formulas
        Named formulas it may refer to, which may refer to each other.

    Raises
    ------
    FormulaError
        With the place: unknown names, cycles, units that do not match, a size that is not
        summed over its things, division by something that can be zero.
    """
    return _Checker(symbols, formulas or {}).run(source)


def check_names(source: str, known: Iterable[str]) -> None:
    """Make sure that a formula can be read and has known names only.

    Raises
    ------
    FormulaError
        With the place.
    """
    listed = sorted(known)
    for name in names(parse(source)):
        if name.name not in listed:
            reason = f"unknown name {name.name!r}; known: {', '.join(listed) or 'none declared'}"
            raise FormulaError(reason, source, name.span)


@dataclass
class _Checker:
    symbols: Mapping[str, Symbol]
    formulas: Mapping[str, str]
    done: dict[str, Node] = field(default_factory=dict)
    source: str = ""

    def fail(self, reason: str, node: Node | Span) -> NoReturn:
        raise FormulaError(reason, self.source, node if isinstance(node, tuple) else node.span)

    def run(self, source: str) -> Checked:
        for name in self.order(source):
            self.done[name] = self.one(self.formulas[name]).tree
        return self.one(source)

    def one(self, source: str) -> Checked:
        """Check a formula whose named ones are done."""
        self.source = source
        tree = self.inline(parse(source))
        if size(tree) > MAX_NODES:
            self.fail(f"written out, the formula has more than {MAX_NODES:,} parts", (0, 1))
        if depth(tree) > MAX_LEVELS:
            self.fail(f"the formula has more than {MAX_LEVELS} levels; simplify it", (0, 1))
        units, bounds = self.visit(tree)
        return Checked(tree, units, bounds)

    def order(self, source: str) -> list[str]:
        """Return the named formulas that are needed, every one after those it refers to."""
        done: list[str] = []
        trail: list[str] = []
        stack = [iter(self.referred(source))]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
                if trail:
                    done.append(trail.pop())
            elif found.name in trail:
                self.source = self.formulas[trail[-1]]
                cycle = " -> ".join([*trail[trail.index(found.name) :], found.name])
                self.fail(f"formulas refer to each other in a circle: {cycle}", found)
            elif found.name not in done:
                trail.append(found.name)
                stack.append(iter(self.referred(self.formulas[found.name])))
        return done

    def referred(self, source: str) -> list[Name]:
        """Return the names of other formulas in a formula."""
        found = [name for name in names(parse(source)) if name.name not in self.symbols]
        for name in found:
            if name.name not in self.formulas:
                self.source = source
                known = ", ".join(sorted([*self.symbols, *self.formulas])) or "none declared"
                self.fail(f"unknown name {name.name!r}; known: {known}", name)
        return found

    def inline(self, node: Node) -> Node:
        """Put named formulas in the place of their names."""
        match node:
            case Name(name=name):
                return node if name in self.symbols else _at(self.done[name], node.span)
            case Add(terms=pairs):
                return Add(tuple((s, self.inline(n)) for s, n in pairs), node.span)
            case Mul(factors=pairs):
                return Mul(tuple((p, self.inline(n)) for p, n in pairs), node.span)
            case Compare(sign=sign, left=left, right=right):
                return Compare(sign, self.inline(left), self.inline(right), node.span)
            case Call(function=function, args=args):
                return Call(function, tuple(self.inline(a) for a in args), node.span)
            case _:
                return node

    def visit(self, node: Node) -> tuple[Units, Range]:
        """Return unit and range of a node."""
        match node:
            case Number(value=value):
                return ANY, Range.of(value, value)
            case Name(name=name):
                symbol = self.symbols[name]
                return symbol.units, symbol.bounds
            case Add(terms=pairs):
                return self._add(pairs)
            case Mul(factors=pairs):
                return self._mul(pairs)
            case Compare(left=left, right=right):
                return self._compare(node, left, right)
            case Call():
                return self._call(node)

    def _add(self, pairs: tuple[tuple[int, Node], ...]) -> tuple[Units, Range]:
        units, bounds = ANY, Range(0, 0)
        for sign, child in pairs:
            mine, part = self.visit(child)
            common = alike([units, mine])
            if common is None:
                verb = "add" if sign > 0 else "subtract"
                self.fail(f"cannot {verb} {mine} and {units}; both must have one unit", child)
            units = common
            bounds = bounds.plus(part if sign > 0 else part.negated())
        return units, bounds

    def _mul(self, pairs: tuple[tuple[int, Node], ...]) -> tuple[Units, Range]:
        units, bounds = ANY, Range(1, 1, zero=False)
        for power, child in pairs:
            mine, part = self.visit(child)
            units = units.times(mine, power)
            if power < 0:
                if part.zero or part.straddles:
                    self._divides_by_zero(child, part)
                part = part.inverse()
            bounds = bounds.times(part)
        self._not_multiplied(pairs)
        return units, bounds

    def _divides_by_zero(self, node: Node, part: Range) -> NoReturn:
        text = self.source[slice(*node.span)]
        if part.point:
            self.fail("this divides by 0", node)
        self.fail(
            f"this divides by {text!r}, which can be zero; make sure it is not: "
            f"given {text!r} > 0, or max({text}, 1)",
            node,
        )

    def _not_multiplied(self, pairs: tuple[tuple[int, Node], ...]) -> None:
        """Refuse the trap of multiplying the size of one thing by the number of things."""
        roles = {
            child.name: self.symbols[child.name].role
            for _, child in pairs
            if isinstance(child, Name)
        }
        counts = [name for name, role in roles.items() if role == "count"]
        for _, child in pairs:
            if isinstance(child, Name) and roles[child.name] == "size" and counts:
                self.fail(
                    f"{child.name!r} differs from one thing to the next, so it cannot be "
                    f"multiplied by {counts[0]!r}; write sum({child.name}, {counts[0]})",
                    child,
                )

    def _compare(self, node: Compare, left: Node, right: Node) -> tuple[Units, Range]:
        (first, _), (second, _) = self.visit(left), self.visit(right)
        if alike([first, second]) is None:
            self.fail(f"cannot compare {first} with {second}; both must have one unit", node)
        return NONE, Range(0, 1)

    def _call(self, node: Call) -> tuple[Units, Range]:
        if node.function == "sum":
            return self._sum(node)
        function = FUNCTIONS[node.function]
        found = [self.visit(arg) for arg in node.args]
        units = function.units([unit for unit, _ in found])
        if units is None:
            listed = ", ".join(str(unit) for unit, _ in found)
            self.fail(f"{node.function} needs matching units; here they are {listed}", node)
        bounds = [part for _, part in found]
        if node.function == "steps" and not bounds[1].low > 0:
            self.fail("the capacity of one step must be above zero", node.args[1])
        return units, function.bounds(bounds)

    def _sum(self, node: Call) -> tuple[Units, Range]:
        size, count = node.args
        for arg, role, text in (
            (size, "size", "the size of one thing"),
            (count, "count", "a number of things"),
        ):
            named = isinstance(arg, Name) and self.symbols[arg.name].role == role
            if not named:
                good = [name for name, symbol in self.symbols.items() if symbol.role == role]
                known = ", ".join(sorted(good)) or "none declared"
                self.fail(f"sum needs {text} here ({known}); it adds up sizes over things", arg)
        (first, part), (second, number) = self.visit(size), self.visit(count)
        below = Units.of({name: -power for name, power in first.powers if power < 0})
        if below.powers and not second.open and below != second:
            self.fail(f"sum of {first} must go over a number of {below}, not of {second}", count)
        whole = first.times(second) if below.powers else first
        return whole, part.times(number)


def size(node: Node) -> int:
    """Return how many parts a formula has, written out."""
    known: dict[int, int] = {}

    def count(top: Node) -> int:
        if id(top) not in known:
            known[id(top)] = 1 + sum(count(child) for child in children(top))
        return known[id(top)]

    return count(node)


def depth(node: Node) -> int:
    """Return how many levels a formula has."""
    known: dict[int, int] = {}

    def measure(top: Node) -> int:
        if id(top) not in known:
            known[id(top)] = 1 + max((measure(child) for child in children(top)), default=0)
        return known[id(top)]

    return measure(node)


def _at(node: Node, span: Span) -> Node:
    """Return the node with another place: that of the name it stands for."""
    match node:
        case Number(value=value):
            return Number(value, span)
        case Name(name=name):
            return Name(name, span)
        case Add(terms=terms):
            return Add(terms, span)
        case Mul(factors=factors):
            return Mul(factors, span)
        case Compare(sign=sign, left=left, right=right):
            return Compare(sign, left, right, span)
        case Call(function=function, args=args):
            return Call(function, args, span)
