"""In which range a formula lies, and whether it can be zero: interval arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, isinf


@dataclass(frozen=True, slots=True)
class Range:
    """All values lie in [low, high]; `zero` says whether 0 itself may be among them."""

    low: float
    high: float
    zero: bool = True

    @classmethod
    def of(cls, low: float, high: float, zero: bool | None = None) -> "Range":
        """Return a range; 0 is possible where it lies inside, unless stated otherwise."""
        inside = low <= 0 <= high
        return cls(low, high, inside if zero is None else inside and zero)

    @property
    def point(self) -> bool:
        """Whether there is one value only."""
        return self.low == self.high

    @property
    def straddles(self) -> bool:
        """Whether there are values on both sides of zero."""
        return self.low < 0 < self.high

    def negated(self) -> "Range":
        """Return the range of the negative."""
        return Range(-self.high, -self.low, self.zero)

    def plus(self, other: "Range") -> "Range":
        """Return the range of the sum."""
        low, high = self.low + other.low, self.high + other.high
        same = (self.low >= 0 and other.low >= 0) or (self.high <= 0 and other.high <= 0)
        return Range.of(low, high, (self.zero and other.zero) if same else None)

    def times(self, other: "Range") -> "Range":
        """Return the range of the product."""
        ends = [_product(a, b) for a in (self.low, self.high) for b in (other.low, other.high)]
        return Range.of(min(ends), max(ends), self.zero or other.zero)

    def inverse(self) -> "Range":
        """Return the range of the reciprocal of a range that neither is nor straddles zero."""
        ends = sorted((_reciprocal(self.low, self.high), _reciprocal(self.high, self.low)))
        return Range.of(ends[0], ends[1], isinf(self.low) or isinf(self.high))

    def union(self, other: "Range") -> "Range":
        """Return the smallest range that holds both."""
        return Range.of(
            min(self.low, other.low), max(self.high, other.high), self.zero or other.zero
        )


def _product(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def _reciprocal(x: float, other: float) -> float:
    if x == 0:
        return inf if other > 0 else -inf
    return 1 / x


def least(parts: Sequence[Range]) -> Range:
    """Return the range of the minimum."""
    return Range.of(
        min(p.low for p in parts), min(p.high for p in parts), any(p.zero for p in parts)
    )


def greatest(parts: Sequence[Range]) -> Range:
    """Return the range of the maximum."""
    return Range.of(
        max(p.low for p in parts), max(p.high for p in parts), any(p.zero for p in parts)
    )


def rounded(part: Range, *, up: bool) -> Range:
    """Return the range of the value rounded to a whole number."""
    step = ceil if up else floor
    low = part.low if isinf(part.low) else float(step(part.low))
    high = part.high if isinf(part.high) else float(step(part.high))
    return Range.of(low, high)


def magnitude(part: Range) -> Range:
    """Return the range of the absolute value."""
    top = max(abs(part.low), abs(part.high))
    bottom = 0.0 if part.low <= 0 <= part.high else min(abs(part.low), abs(part.high))
    return Range.of(bottom, top, part.zero)
