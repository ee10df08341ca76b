"""Which quantities formulas need, and amounts multiplied by the drivers they follow."""

from collections.abc import Sequence

from worlds.core.evaluators.algebra import leaves, parts_of
from worlds.core.formula.tree import Add, Call, Compare, Mul, Name, Node
from worlds.core.model import Model


def used(nodes: Sequence[Node], model: Model) -> list[str]:
    """Return the quantities of formulas, after what cancels is gone."""
    found = {
        name
        for node in nodes
        for leaf in leaves(node)
        for name in parts_of(leaf)
        if name in model.quantities
    }
    return sorted(found)


def followed(node: Node, model: Model) -> Node:
    """Return the formula with every amount multiplied by its drivers."""
    match node:
        case Name(name=name) if name in model.quantities:
            unknown = model.quantities[name]
            if unknown.kind != "amount" or not unknown.drivers:
                return node
            return Mul(((1, node), *((1, Name(driver)) for driver in unknown.drivers)))
        case Add(terms=pairs):
            return Add(tuple((sign, followed(part, model)) for sign, part in pairs))
        case Mul(factors=pairs):
            return Mul(tuple((power, followed(part, model)) for power, part in pairs))
        case Compare(sign=sign, left=left, right=right):
            return Compare(sign, followed(left, model), followed(right, model))
        case Call(function=function, args=args):
            return Call(function, tuple(followed(arg, model) for arg in args))
        case _:
            return node
