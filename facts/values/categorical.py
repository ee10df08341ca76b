"""Categorical values: alternatives with probabilities that sum to 1."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from facts.errors import ValueKindError
from facts.values.base import Cells, OneOf, Region, Value, finite, take, text, wrong_region

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Categorical(Value):
    """One of several alternatives, each with its probability.

    Probabilities must sum to 1 within 1e-6 and are divided by their sum. The JSON form may name a
    ``rest`` label, which takes what is missing to 1. The order of the alternatives is kept and does
    not matter for equality.
    """

    kind: ClassVar[str] = "categorical"
    labels: tuple[str, ...]
    probs: tuple[float, ...]
    came_as: Mapping[str, Any] | None = field(default=None, compare=False, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        labels = tuple(text("categorical", "a label", label) for label in self.labels)
        probs = tuple(finite("categorical", "a probability", p) for p in self.probs)
        if not labels or len(labels) != len(probs) or len(set(labels)) != len(labels):
            msg = (
                "categorical: needs one probability for each of one or more different labels;"
                f" got {labels!r} with {len(probs)} probabilities"
            )
            raise ValueKindError(msg)
        total = math.fsum(probs)
        if min(probs) < 0 or abs(total - 1) > TOLERANCE:
            msg = (
                f"categorical: probabilities must not be negative and must sum to 1; got {probs!r},"
                f" sum {total:.9g} (name a rest label to take what is missing)"
            )
            raise ValueKindError(msg)
        if abs(total - 1) > 1e-12:
            probs = tuple(p / total for p in probs)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "probs", probs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Categorical):
            return NotImplemented
        return self.alternatives == other.alternatives

    def __hash__(self) -> int:
        return hash(frozenset(self.alternatives.items()))

    @property
    def alternatives(self) -> dict[str, float]:
        """The probability of each label."""
        return dict(zip(self.labels, self.probs, strict=True))

    @property
    def form(self) -> Mapping[str, Any] | None:
        """The alternatives before the rest was filled in, where it came like that."""
        return self.came_as

    @classmethod
    def from_weights(cls, weights: Mapping[str, float], rest: str) -> Self:
        """Return the categorical in which ``rest`` takes what the weights lack to 1.

        Raises
        ------
        ValueKindError
            A weight is negative, or they sum to more than 1 by over 1e-6.
        """
        found = {k: finite("categorical", "a probability", p) for k, p in weights.items()}
        total = math.fsum(found.values())
        if total > 1 + TOLERANCE:
            msg = f"categorical: probabilities must not sum to more than 1; got {total:.9g}"
            raise ValueKindError(msg)
        missing = 1 - total
        if missing > 1e-12 or (rest not in found and not found):
            found[rest] = found.get(rest, 0.0) + max(0.0, missing)
        return cls(tuple(found), tuple(found.values()))

    def to_json(self) -> dict[str, Any]:
        """Return ``{"kind": "categorical", "alternatives": {label: probability}}``."""
        return {"kind": "categorical", "alternatives": self.alternatives}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Build from ``alternatives`` and, where some probability is left, a ``rest`` label."""
        (alternatives,) = take("categorical", obj, "alternatives", optional=["rest"])
        if not isinstance(alternatives, Mapping):
            msg = (
                f"categorical: alternatives must map labels to probabilities; got {alternatives!r}"
            )
            raise ValueKindError(msg)
        if "rest" in obj:
            rest = text("categorical", "rest", obj["rest"])
            made = cls.from_weights(alternatives, rest)
            return cls(made.labels, made.probs, came_as=dict(obj))
        return cls(tuple(alternatives), tuple(alternatives.values()))

    def cells(self) -> Cells:
        """Return the labels and their probabilities as two lists."""
        return Cells(labels=self.labels, probs=self.probs)

    @classmethod
    def from_cells(cls, cells: Cells) -> Self:
        """Read back the column form."""
        return cls(tuple(cells.labels or ()), tuple(cells.probs or ()))

    def prob(self, region: Region) -> float:
        """Return the probability of a set of labels."""
        if not isinstance(region, OneOf):
            raise wrong_region("categorical", region, "a OneOf")
        chosen = (p for x, p in zip(self.labels, self.probs, strict=True) if x in region.members)
        return min(1.0, math.fsum(chosen))

    def sample(self, rng: np.random.Generator, size: int) -> NDArray[Any]:
        """Draw labels."""
        edges = np.cumsum(self.probs)
        drawn = np.searchsorted(edges / edges[-1], rng.random(size), side="right")
        return np.asarray(self.labels)[drawn]

    @classmethod
    def examples(cls) -> Sequence[Value]:
        """Return certain, even, lopsided and many alternatives."""
        many = tuple(f"breed{i}" for i in range(50))
        return [
            cls(("pug",), (1.0,)),
            cls(("pug", "beagle", "other"), (0.7, 0.2, 0.1)),
            cls(("a", "b", "c"), (0.0, 1e-9, 1 - 1e-9)),
            cls(many, (0.02,) * 50),
        ]
