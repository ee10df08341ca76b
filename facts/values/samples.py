"""Samples: a number known by equally probable draws."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from facts.errors import ValueKindError
from facts.values.base import Cells, OneOf, Range, Region, Value, finite, take, wrong_region


@dataclass(frozen=True)
class Samples(Value):
    """A number which is one of the given draws, each as probable as the others.

    The draws are kept in the order they came in, so that draws of several values made together stay
    together.
    """

    kind: ClassVar[str] = "samples"
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        values = tuple(finite("samples", "a value", x) for x in self.values)
        if not values:
            msg = "samples: needs at least one value; got none"
            raise ValueKindError(msg)
        object.__setattr__(self, "values", values)

    def to_json(self) -> dict[str, Any]:
        """Return ``{"kind": "samples", "values": [...]}``."""
        return {"kind": "samples", "values": list(self.values)}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Build from ``values``."""
        (values,) = take("samples", obj, "values")
        if not isinstance(values, (list, tuple)):
            msg = f"samples: values must be a list of numbers; got {values!r}"
            raise ValueKindError(msg)
        return cls(tuple(values))

    def cells(self) -> Cells:
        """Return the draws in ``nums``."""
        return Cells(nums=self.values)

    @classmethod
    def from_cells(cls, cells: Cells) -> Self:
        """Read back the column form."""
        return cls(tuple(cells.nums or ()))

    def prob(self, region: Region) -> float:
        """Return the part of the draws in a range or set."""
        if isinstance(region, Range):
            inside = sum(region.holds(x) for x in self.values)
        elif isinstance(region, OneOf):
            inside = sum(x in region.members for x in self.values)
        else:
            raise wrong_region("samples", region, "a Range or a OneOf")
        return inside / len(self.values)

    def sample(self, rng: np.random.Generator, size: int) -> NDArray[Any]:
        """Draw from the draws, with replacement."""
        return np.array(self.values)[rng.integers(0, len(self.values), size)]

    def expectation(self) -> float:
        """Return the mean of the draws."""
        return math.fsum(self.values) / len(self.values)

    def variance(self) -> float:
        """Return the variance of the draws, divided by their number."""
        centre = self.expectation()
        return math.fsum((x - centre) ** 2 for x in self.values) / len(self.values)

    @classmethod
    def examples(cls) -> Sequence[Value]:
        """Return one, several and repeated draws."""
        return [cls((7.5,)), cls((3, 1, 2, 10)), cls((0, 0, 1))]
