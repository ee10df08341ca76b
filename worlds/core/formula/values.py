"""The value of a formula for arrays of values of its names."""

from collections.abc import Callable, Mapping

import numpy as np

from worlds.core.distributions import Floats
from worlds.core.formula.functions import FUNCTIONS
from worlds.core.formula.tree import Add, Call, Compare, Mul, Name, Node, Number

COMPARE: dict[str, Callable[[Floats, Floats], Floats]] = {
    ">": lambda a, b: np.asarray(a > b, float),
    ">=": lambda a, b: np.asarray(a >= b, float),
    "<": lambda a, b: np.asarray(a < b, float),
    "<=": lambda a, b: np.asarray(a <= b, float),
}


def value(node: Node, known: Mapping[Node, Floats]) -> Floats:
    """Evaluate a formula, elementwise; a part that occurs twice is computed once.

    Parameters
    ----------
    node
        The formula.
    known
        Arrays of one shape for its names, and for other parts (such as sums over things) that
        have been drawn already.
    """
    memo: dict[Node, Floats] = dict(known)

    def run(top: Node) -> Floats:
        if top not in memo:
            memo[top] = np.asarray(compute(top), float)
        return memo[top]

    def compute(top: Node) -> Floats:
        match top:
            case Number(value=number):
                return np.asarray(number)
            case Add(terms=pairs):
                total = np.zeros(())
                for sign, child in pairs:
                    total = total + run(child) if sign > 0 else total - run(child)
                return np.asarray(total)
            case Mul(factors=pairs):
                total = np.ones(())
                for power, child in pairs:
                    factor = run(child) if abs(power) == 1 else run(child) ** abs(power)
                    total = total * factor if power > 0 else total / factor
                return np.asarray(total)
            case Compare(sign=sign, left=left, right=right):
                return COMPARE[sign](run(left), run(right))
            case Call(function=function, args=args):
                return np.asarray(FUNCTIONS[function].values(*[run(arg) for arg in args]))
            case Name(name=name):
                raise KeyError(name)

    return run(node)
