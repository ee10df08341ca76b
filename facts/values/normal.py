"""Normal values: a mean with its standard uncertainty, as the GUM states measurements."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from facts.errors import ValueKindError
from facts.values.base import Cells, Forms, OneOf, Range, Region, Value, finite, take, wrong_region


def normal_between(lo: float, hi: float) -> float:
    """Return the probability of a standard normal between two numbers, accurate in both tails."""
    if lo > 0:
        lo, hi = -hi, -lo
    if hi > 0:
        return 1.0 - 0.5 * (math.erfc(-lo / math.sqrt(2)) + math.erfc(hi / math.sqrt(2)))
    return 0.5 * (math.erfc(-hi / math.sqrt(2)) - math.erfc(-lo / math.sqrt(2)))


@dataclass(frozen=True)
class Normal(Value):
    """A number with a mean and a standard uncertainty.

    The JSON form also takes an expanded uncertainty ``expanded`` with its coverage factor ``k``
    (JCGM 100:2008, 6.2.1: ``U = k u``); the standard uncertainty ``U / k`` is kept, and the form
    it came in beside it. ``sd == 0`` is a certain number.
    """

    kind: ClassVar[str] = "normal"
    forms: ClassVar[Forms] = (("mean", "sd"), ("mean", "expanded", "k"))
    mean: float
    sd: float
    came_as: Mapping[str, Any] | None = field(default=None, compare=False, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        mean = finite("normal", "mean", self.mean)
        sd = finite("normal", "sd", self.sd)
        if sd < 0:
            msg = f"normal: sd must not be negative; got {self.sd!r}"
            raise ValueKindError(msg)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "sd", sd)

    @property
    def form(self) -> Mapping[str, Any] | None:
        """The expanded uncertainty and coverage factor, where it came like that."""
        return self.came_as

    def to_json(self) -> dict[str, Any]:
        """Return ``{"kind": "normal", "mean": ..., "sd": ...}``."""
        return {"kind": "normal", "mean": self.mean, "sd": self.sd}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Build from ``mean`` and ``sd``, or from ``mean``, ``expanded`` and ``k``."""
        if "expanded" in obj:
            mean, expanded, k = take("normal", obj, "mean", "expanded", "k")
            expanded = finite("normal", "expanded", expanded)
            k = finite("normal", "k", k)
            if expanded < 0 or k <= 0:
                msg = (
                    "normal: expanded must not be negative and k must be above 0;"
                    f" got expanded={expanded!r}, k={k!r}"
                )
                raise ValueKindError(msg)
            return cls(mean, expanded / k, came_as=dict(obj))
        return cls(*take("normal", obj, "mean", "sd"))

    def cells(self) -> Cells:
        """Return the mean in ``num`` and the standard uncertainty in ``num2``."""
        return Cells(num=self.mean, num2=self.sd)

    @classmethod
    def from_cells(cls, cells: Cells) -> Self:
        """Read back the column form."""
        return cls(cells.num, cells.num2)  # type: ignore[arg-type]  # checked at construction

    def prob(self, region: Region) -> float:
        """Return the probability of a range; a set of numbers has none unless sd is 0."""
        if isinstance(region, Range):
            if self.sd == 0:
                return float(region.holds(self.mean))
            low, high = (region.lo - self.mean) / self.sd, (region.hi - self.mean) / self.sd
            return min(1.0, max(0.0, normal_between(low, high)))
        if isinstance(region, OneOf):
            return float(self.sd == 0 and self.mean in region.members)
        raise wrong_region("normal", region, "a Range")

    def sample(self, rng: np.random.Generator, size: int) -> NDArray[Any]:
        """Draw from the normal distribution."""
        return rng.normal(self.mean, self.sd, size)

    def expectation(self) -> float:
        """Return the mean."""
        return self.mean

    def variance(self) -> float:
        """Return the square of the standard uncertainty."""
        return self.sd**2

    @classmethod
    def examples(cls) -> Sequence[Value]:
        """Return ordinary, certain, negative and widely spread values."""
        return [cls(0, 1), cls(23.5, 0), cls(-7, 1e-6), cls(1e9, 1e4)]
