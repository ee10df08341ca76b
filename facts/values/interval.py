"""Intervals: a number known only to lie between two bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from facts.errors import ValueKindError
from facts.values.base import Cells, Forms, OneOf, Range, Region, Value, finite, take, wrong_region


@dataclass(frozen=True)
class Interval(Value):
    """A number in ``[lo, hi]``, every part of it equally probable.

    With nothing known but bounds, the rectangular distribution is what the GUM (JCGM 100:2008,
    4.3.7) assigns: variance ``(hi - lo)**2 / 12``. ``lo == hi`` is a certain number.
    """

    kind: ClassVar[str] = "interval"
    forms: ClassVar[Forms] = (("lo", "hi"), ("centre", "half_width"))
    lo: float
    hi: float
    came_as: Mapping[str, Any] | None = field(default=None, compare=False, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        lo = finite("interval", "lo", self.lo)
        hi = finite("interval", "hi", self.hi)
        if hi < lo:
            msg = f"interval: lo must not be above hi; got lo={self.lo!r}, hi={self.hi!r}"
            raise ValueKindError(msg)
        object.__setattr__(self, "lo", lo)
        object.__setattr__(self, "hi", hi)

    @property
    def form(self) -> Mapping[str, Any] | None:
        """The centre and half-width, where it came like that."""
        return self.came_as

    def to_json(self) -> dict[str, Any]:
        """Return ``{"kind": "interval", "lo": ..., "hi": ...}``."""
        return {"kind": "interval", "lo": self.lo, "hi": self.hi}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Build from ``lo`` and ``hi``, or from ``centre`` and ``half_width``."""
        if "half_width" in obj:
            centre, half = take("interval", obj, "centre", "half_width")
            centre = finite("interval", "centre", centre)
            half = finite("interval", "half_width", half)
            if half < 0:
                msg = f"interval: half_width must not be negative; got {half!r}"
                raise ValueKindError(msg)
            return cls(centre - half, centre + half, came_as=dict(obj))
        return cls(*take("interval", obj, "lo", "hi"))

    def cells(self) -> Cells:
        """Return the bounds in ``num`` and ``num2``."""
        return Cells(num=self.lo, num2=self.hi)

    @classmethod
    def from_cells(cls, cells: Cells) -> Self:
        """Read back the column form."""
        return cls(cells.num, cells.num2)  # type: ignore[arg-type]  # checked at construction

    def prob(self, region: Region) -> float:
        """Return the part of the interval that lies in a range; a set of numbers has none."""
        if isinstance(region, Range):
            if self.lo == self.hi:
                return float(region.holds(self.lo))
            inside = min(self.hi, region.hi) / 2 - max(self.lo, region.lo) / 2
            return min(1.0, max(0.0, inside / (self.hi / 2 - self.lo / 2)))
        if isinstance(region, OneOf):
            return float(self.lo == self.hi and self.lo in region.members)
        raise wrong_region("interval", region, "a Range")

    def sample(self, rng: np.random.Generator, size: int) -> NDArray[Any]:
        """Draw evenly between the bounds."""
        u = rng.random(size)
        return self.lo * (1.0 - u) + self.hi * u

    def expectation(self) -> float:
        """Return the centre."""
        return self.lo / 2 + self.hi / 2

    def variance(self) -> float:
        """Return ``(hi - lo)**2 / 12``."""
        return (self.hi - self.lo) ** 2 / 12

    @classmethod
    def examples(cls) -> Sequence[Value]:
        """Return ordinary, one-point, negative and wide intervals."""
        return [cls(0, 1), cls(5, 5), cls(-3, -1), cls(-1e-9, 1e12)]
