"""The tree of a formula. Sums and products are flat: a thousand terms are one node."""

from collections.abc import Iterator
from dataclasses import dataclass, field

type Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written."""

    value: float
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A quantity, a choice, a driver or another formula."""

    name: str
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Add:
    """A sum; every term has the sign +1 or -1."""

    terms: tuple[tuple[int, "Node"], ...]
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Mul:
    """A product; a factor with the power -1 divides."""

    factors: tuple[tuple[int, "Node"], ...]
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison: 1 where it holds, else 0."""

    sign: str
    left: "Node"
    right: "Node"
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function of other formulas."""

    function: str
    args: tuple["Node", ...]
    span: Span = field(default=(0, 0), compare=False)


type Node = Number | Name | Add | Mul | Compare | Call


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly below."""
    match node:
        case Add(terms=pairs) | Mul(factors=pairs):
            return tuple(child for _, child in pairs)
        case Compare(left=left, right=right):
            return (left, right)
        case Call(args=args):
            return args
        case _:
            return ()


def names(node: Node) -> Iterator[Name]:
    """Yield every name in the formula, from left to right, repeated ones too."""
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, Name):
            yield top
        stack.extend(reversed(children(top)))
