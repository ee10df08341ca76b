"""The functions of formulas: one entry each. Units, ranges and values are told apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from worlds.core.distributions import Floats
from worlds.core.formula import ranges
from worlds.core.formula.ranges import Range
from worlds.core.formula.units import ANY, NONE, Units, alike

type Values = Callable[..., Floats]


@dataclass(frozen=True, slots=True)
class Function:
    """A function that formulas may call.

    Parameters
    ----------
    usage
        How it is written, for messages.
    least, most
        Number of arguments.
    values
        From arrays to an array.
    units
        From the units of the arguments to that of the result; None where they do not match.
    bounds
        From the ranges of the arguments to that of the result.
    rises
        For every argument +1 where the function never falls in it, -1 where it never rises,
        0 where neither is known. The last entry serves all further arguments.
    """

    usage: str
    least: int
    most: int
    values: Values
    units: Callable[[Sequence[Units]], Units | None]
    bounds: Callable[[Sequence[Range]], Range]
    rises: tuple[int, ...]

    def rise(self, place: int) -> int:
        """Return the entry of `rises` of one argument."""
        return self.rises[min(place, len(self.rises) - 1)]


def steps(x: Floats, size: Floats) -> Floats:
    """Return how many units of a capacity are needed: the smallest whole k with k size >= x.

    A ratio that rounding puts a hair above a whole number still counts as that number.
    """
    return np.ceil(np.maximum(x, 0.0) / size * (1 - 1e-14))


def _over(x: Floats, limit: Floats) -> Floats:
    return np.maximum(x - limit, 0.0)


def _under(x: Floats, limit: Floats) -> Floats:
    return np.maximum(limit - x, 0.0)


def _choose(condition: Floats, then: Floats, otherwise: Floats) -> Floats:
    return np.where(condition != 0, then, otherwise)


def _least(*args: Floats) -> Floats:
    return np.asarray(reduce(np.minimum, args))


def _greatest(*args: Floats) -> Floats:
    return np.asarray(reduce(np.maximum, args))


def _one(args: Sequence[Units]) -> Units:
    return args[0]


def _branches(args: Sequence[Units]) -> Units | None:
    return alike(args[1:]) if alike([args[0], NONE]) is not None else None


def _ratio(args: Sequence[Units]) -> Units | None:
    return NONE if alike(args) is not None else None


def _difference(args: Sequence[Range]) -> Range:
    return args[0].plus(args[1].negated())


def _over_range(args: Sequence[Range]) -> Range:
    return ranges.greatest([_difference(args), Range(0, 0)])


def _under_range(args: Sequence[Range]) -> Range:
    return ranges.greatest([_difference(args).negated(), Range(0, 0)])


def _steps_range(args: Sequence[Range]) -> Range:
    positive = ranges.greatest([args[0], Range(0, 0)])
    return ranges.rounded(positive.times(args[1].inverse()), up=True)


MANY = 2000
"""Most arguments of min and max."""

FUNCTIONS: dict[str, Function] = {
    "min": Function("min(a, b, ...)", 2, MANY, _least, alike, ranges.least, (1,)),
    "max": Function("max(a, b, ...)", 2, MANY, _greatest, alike, ranges.greatest, (1,)),
    "abs": Function("abs(x)", 1, 1, np.abs, _one, lambda a: ranges.magnitude(a[0]), (0,)),
    "ceil": Function(
        "ceil(x)", 1, 1, np.ceil, _one, lambda a: ranges.rounded(a[0], up=True), (1,)
    ),
    "floor": Function(
        "floor(x)", 1, 1, np.floor, _one, lambda a: ranges.rounded(a[0], up=False), (1,)
    ),
    "if": Function(
        "if(condition, then, otherwise)", 3, 3, _choose, _branches,
        lambda a: a[1].union(a[2]), (0, 1, 1),
    ),
    "steps": Function("steps(x, capacity of one)", 2, 2, steps, _ratio, _steps_range, (1, -1)),
    "over": Function("over(x, limit)", 2, 2, _over, alike, _over_range, (1, -1)),
    "under": Function("under(x, limit)", 2, 2, _under, alike, _under_range, (-1, 1)),
    "sum": Function(
        "sum(size of one, how many)", 2, 2, np.multiply, lambda _: ANY,
        lambda a: a[0].times(a[1]), (1, 1),
    ),
}  # fmt: skip
"""All functions by name. `sum` is special: it adds up a size over a random number of things."""
