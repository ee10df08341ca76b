"""Formulas taken apart: leaves, constants plus factors times monomials, ranges."""

from collections.abc import Iterator, Mapping

from worlds.core.formula.functions import FUNCTIONS
from worlds.core.formula.ranges import Range
from worlds.core.formula.tree import Add, Call, Compare, Mul, Name, Node, Number, children
from worlds.core.formula.values import value


def leaves(node: Node) -> Iterator[Node]:
    """Yield names, and sums over things as one each."""
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, Name) or (isinstance(top, Call) and top.function == "sum"):
            yield top
        else:
            stack.extend(children(top))


def parts_of(leaf: Node) -> tuple[str, ...]:
    """Return the names of a leaf."""
    if isinstance(leaf, Name):
        return (leaf.name,)
    return tuple(child.name for child in children(leaf) if isinstance(child, Name))


def names_in(node: Node) -> bool:
    """Return whether a part depends on anything uncertain."""
    return any(True for _ in leaves(node))


def linear(node: Node) -> tuple[float, dict[Node, float]]:
    """Return a formula as a constant plus factors times monomials; equal monomials are added.

    So x - x is exactly 0, and 2 x + x is 3 x.
    """
    terms: dict[Node, float] = {}
    shift = 0.0
    stack: list[tuple[float, Node]] = [(1.0, node)]
    while stack:
        factor, top = stack.pop()
        if isinstance(top, Number):
            shift += factor * top.value
        elif isinstance(top, Add):
            stack.extend((factor * sign, child) for sign, child in top.terms)
        elif isinstance(top, Mul):
            constant, monomial = _factors(top)
            if monomial is None:
                shift += factor * constant
            elif isinstance(monomial, Add):
                stack.append((factor * constant, monomial))
            else:
                terms[monomial] = terms.get(monomial, 0.0) + factor * constant
        elif not names_in(top):
            shift += factor * float(value(top, {}))
        else:
            terms[top] = terms.get(top, 0.0) + factor
    return shift, {monomial: factor for monomial, factor in terms.items() if factor != 0}


def _factors(node: Mul) -> tuple[float, Node | None]:
    """Return the constant of a product and the rest of it, powers of equal factors added."""
    constant = 1.0
    powers: dict[Node, int] = {}
    stack: list[tuple[int, Node]] = [(1, node)]
    while stack:
        power, top = stack.pop()
        if isinstance(top, Mul):
            stack.extend((power * p, child) for p, child in top.factors)
            continue
        shift, terms = linear(top) if isinstance(top, Add) else (0.0, {top: 1.0})
        if isinstance(top, Number) or not terms:
            constant *= (top.value if isinstance(top, Number) else shift) ** power
        elif shift == 0 and len(terms) == 1 and isinstance(top, Add):
            monomial, factor = next(iter(terms.items()))
            constant *= factor**power
            stack.append((power, monomial))
        else:
            powers[top] = powers.get(top, 0) + power
    left = sorted(((p, n) for n, p in powers.items() if p), key=repr)
    if not left:
        return constant, None
    if len(left) == 1 and left[0][0] == 1:
        return constant, left[0][1]
    return constant, Mul(tuple(left))


def times(factor: float, node: Node) -> Node:
    """Return a part times a number."""
    return Mul(((1, Number(factor)), (1, node)))


def power_of(node: Node, power: int) -> Node:
    """Return a whole power of a part, as a product."""
    sign = 1 if power > 0 else -1
    return Mul(tuple((sign, node) for _ in range(abs(power))))


def raised(span: Range, power: int) -> Range:
    """Return the range of a whole power, 1 or more."""
    found = span
    for _ in range(power - 1):
        found = found.times(span)
    if power % 2 == 0 and span.low < 0:
        return Range.of(0.0 if span.high >= 0 else found.low, found.high, span.zero)
    return found


def span(node: Node, known: Mapping[Node, Range]) -> Range:
    """Return the range of a formula from the ranges of its leaves."""
    if node in known:
        return known[node]
    match node:
        case Number(value=number):
            return Range.of(number, number)
        case Add(terms=pairs):
            found = Range(0, 0)
            for sign, part in pairs:
                one = span(part, known)
                found = found.plus(one if sign > 0 else one.negated())
            return found
        case Mul(factors=pairs):
            found = Range(1, 1, zero=False)
            for power, part in pairs:
                one = raised(span(part, known), abs(power))
                found = found.times(one if power > 0 else one.inverse())
            return found
        case Compare():
            return Range(0, 1)
        case Call(function=function, args=args):
            return FUNCTIONS[function].bounds([span(arg, known) for arg in args])
        case Name(name=name):
            raise KeyError(name)
