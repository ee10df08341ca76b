"""Quantiles: a number known by some of its quantiles."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from facts.errors import ValueKindError
from facts.values.base import Cells, Range, Region, Value, finite, take, wrong_region


@dataclass(frozen=True)
class Quantiles(Value):
    """A number given by quantiles: ``P(X <= values[i]) = levels[i]``.

    Between two quantiles the number is spread evenly; beyond the outermost ones the outer stretch
    goes on with the same density until the levels 0 and 1 are reached. Levels must grow strictly
    within [0, 1], values must not fall; equal values put probability on a single number.
    """

    kind: ClassVar[str] = "quantiles"
    levels: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        levels = tuple(finite("quantiles", "a level", x) for x in self.levels)
        values = tuple(finite("quantiles", "a value", x) for x in self.values)
        if len(levels) != len(values) or len(levels) < 2:
            msg = (
                "quantiles: needs two or more levels with a value each;"
                f" got {len(levels)} levels and {len(values)} values"
            )
            raise ValueKindError(msg)
        if levels[0] < 0 or levels[-1] > 1 or any(np.diff(levels) <= 0):
            msg = f"quantiles: levels must grow strictly within [0, 1]; got {levels}"
            raise ValueKindError(msg)
        if any(b < a for a, b in itertools.pairwise(values)):
            msg = f"quantiles: values must not fall; got {values}"
            raise ValueKindError(msg)
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "values", values)
        if not np.isfinite(self._knots()[1]).all():
            msg = f"quantiles: the outer stretches go beyond the doubles; got {values}"
            raise ValueKindError(msg)

    def _knots(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return levels from 0 to 1 and their values, the outer stretches prolonged."""
        level, value = np.array(self.levels), np.array(self.values)
        with np.errstate(over="ignore"):
            slope = np.diff(value) / np.diff(level)
            low = value[0] - slope[0] * level[0]
            high = value[-1] + slope[-1] * (1 - level[-1])
        return np.concatenate([[0.0], level, [1.0]]), np.concatenate([[low], value, [high]])

    def to_json(self) -> dict[str, Any]:
        """Return ``{"kind": "quantiles", "levels": [...], "values": [...]}``."""
        return {"kind": "quantiles", "levels": list(self.levels), "values": list(self.values)}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Build from ``levels`` and ``values``."""
        levels, values = take("quantiles", obj, "levels", "values")
        for name, found in (("levels", levels), ("values", values)):
            if not isinstance(found, (list, tuple)):
                msg = f"quantiles: {name} must be a list of numbers; got {found!r}"
                raise ValueKindError(msg)
        return cls(tuple(levels), tuple(values))

    def cells(self) -> Cells:
        """Return the levels in ``probs`` and the values in ``nums``."""
        return Cells(probs=self.levels, nums=self.values)

    @classmethod
    def from_cells(cls, cells: Cells) -> Self:
        """Read back the column form."""
        return cls(tuple(cells.probs or ()), tuple(cells.nums or ()))

    def _below(self, x: float, *, included: bool) -> float:
        """Return ``P(X < x)``, or ``P(X <= x)`` where ``x`` is included."""
        level, value = self._knots()
        at = int(np.searchsorted(value, x, side="right" if included else "left"))
        if at == 0:
            return 0.0
        if at == len(value):
            return 1.0
        part = (x - value[at - 1]) / (value[at] - value[at - 1])
        return float(level[at - 1] + part * (level[at] - level[at - 1]))

    def prob(self, region: Region) -> float:
        """Return the probability of a range."""
        if not isinstance(region, Range):
            raise wrong_region("quantiles", region, "a Range")
        high = self._below(region.hi, included=region.closed)
        return min(1.0, max(0.0, high - self._below(region.lo, included=False)))

    def sample(self, rng: np.random.Generator, size: int) -> NDArray[Any]:
        """Draw by inverting the distribution function."""
        level, value = self._knots()
        return np.interp(rng.random(size), level, value)

    def expectation(self) -> float:
        """Return the mean."""
        level, value = self._knots()
        return float(np.sum(np.diff(level) * (value[1:] + value[:-1]) / 2))

    def variance(self) -> float:
        """Return the variance."""
        level, value = self._knots()
        a, b = value[:-1] - self.expectation(), value[1:] - self.expectation()
        return float(np.sum(np.diff(level) * (a * a + a * b + b * b) / 3))

    @classmethod
    def examples(cls) -> Sequence[Value]:
        """Return inner, complete and partly certain quantiles."""
        return [
            cls((0.05, 0.5, 0.95), (10, 23, 80)),
            cls((0, 0.25, 1), (-5, 0, 1)),
            cls((0, 0.4, 0.6, 1), (0, 3, 3, 9)),
        ]
