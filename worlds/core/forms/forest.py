"""Sizes by boosted trees: a log-linear base, and trees that give the law of what it leaves.

The base says where a thing lies (with everything that widens it: unseen labels, missing numbers,
drift). The trees say how it scatters around there: every leaf adds to the cumulative probability
at fixed steps of the log ratio, so that location, width and shape may all depend on the features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import sqrt
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from worlds.core.compound import Severity
from worlds.core.distributions import Floats
from worlds.core.features import Features
from worlds.core.forms.base import Arrays, Meta, register
from worlds.core.forms.log_linear import LogLinear, NumberRange, settle
from worlds.core.forms.population import SHARED_NODES, binned, stratified
from worlds.core.lattice import GRID, CdfTable, LogMean
from worlds.errors import SnapshotError

TAIL_STEPS: Floats = np.linspace(0.25, 9.0, 24)
"""Where the exponential tails beyond the outer steps are tabulated, in scales."""
MIDDLE = 0.5
"""What is added to a count before its log is taken."""
_EDGES: Floats = np.log(GRID + MIDDLE + 0.25)
"""A count of k or less has a log below the middle between k and k + 1."""
SURE = 0.02
"""Standard deviation of the log mean that makes no difference."""
NODES: Floats = np.array([-sqrt(3.0), 0.0, sqrt(3.0)])
SHARES: Floats = np.array([1 / 6, 2 / 3, 1 / 6])
SEVERITY_ROWS = 100
"""Things of the population that the size of a next one is averaged over."""


@dataclass(frozen=True, eq=False)
class Trees:
    """Perfect binary trees of one depth whose leaves are vectors.

    Parameters
    ----------
    inputs
        Array (T, 2**D - 1): which input every inner node looks at.
    limits
        Array of the same shape: inputs above it go right; infinite where a node does not split.
    leaves
        Array (T, 2**D, K): what every leaf adds.
    start
        Array (K,): what the leaves are added to.
    """

    inputs: NDArray[np.int16]
    limits: NDArray[np.float32]
    leaves: NDArray[np.float16]
    start: NDArray[np.float32]

    @property
    def depth(self) -> int:
        """Number of decisions on the way to a leaf."""
        return int(self.leaves.shape[1]).bit_length() - 1

    @cached_property
    def _flat(self) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
        """Inputs and limits as lines, leaves as rows: what a walk looks up."""
        leaves = self.leaves.astype(np.float32).reshape(-1, self.leaves.shape[2])
        return self.inputs.astype(np.intp).ravel(), self.limits.ravel(), leaves

    def sum(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return start plus one leaf of every tree, array (K,), for one row of inputs."""
        inputs, limits, leaves = self._flat
        trees, inner = self.inputs.shape
        first = np.arange(trees) * inner
        node = np.zeros(trees, np.intp)
        for _ in range(self.depth):
            place = first + node
            node = 2 * node + 1 + (x.take(inputs.take(place)) > limits.take(place))
        rows = np.arange(trees) * (inner + 1) + node - inner
        return np.asarray(self.start + np.add.reduce(leaves.take(rows, axis=0), axis=0))

    def check(self, inputs: int, steps: int) -> None:
        """Refuse arrays that do not fit together.

        Raises
        ------
        SnapshotError
            With what is wrong.
        """
        trees, inner = self.inputs.shape if self.inputs.ndim == 2 else (0, 0)
        fits = self.limits.shape == (trees, inner) and self.start.shape == (steps,)
        fits = fits and self.leaves.shape == (trees, inner + 1, steps)
        fits = fits and inner + 1 == 1 << int(inner).bit_length()
        inside = fits and bool(((self.inputs >= 0) & (self.inputs < inputs)).all())
        if not (inside and np.isfinite(self.leaves).all() and not np.isnan(self.limits).any()):
            msg = f"{trees} trees over {inputs} inputs and {steps} steps do not fit together"
            raise SnapshotError(msg)


@register
@dataclass(frozen=True, eq=False)
class Forest:
    """A log-linear base, and trees that give the law of the log ratio around it.

    Parameters
    ----------
    base
        Where things lie; its size is not used.
    trees
        Cumulative probabilities of the log ratio at `steps`, from the inputs of `inputs_of`.
    steps
        Array (K,): log ratios, increasing.
    tails
        Scales of the exponential tails below the first and above the last step.
    """

    form: ClassVar[str] = "forest"
    base: LogLinear
    trees: Trees
    steps: Floats
    tails: tuple[float, float]

    def __post_init__(self) -> None:
        self.trees.check(len(input_names(self.base)), len(self.steps))
        if not ((np.diff(self.steps) > 0).all() and min(self.tails) > 0):
            msg = f"steps must increase and tails be positive; got {self.steps}, {self.tails}"
            raise SnapshotError(msg)

    @property
    def group_sd(self) -> Mapping[str, float]:
        """For every category and group of tags, the sd of the effect of a label never seen."""
        return self.base.group_sd

    @property
    def reference(self) -> datetime:
        """Time up to which the level is known."""
        return self.base.reference

    @cached_property
    def _line(self) -> Floats:
        """The log ratios at which the law is tabulated, tails included."""
        low, high = self.tails
        below, above = self.steps[0] - low * TAIL_STEPS[::-1], self.steps[-1] + high * TAIL_STEPS
        return np.concatenate([below, self.steps, above])

    @cached_property
    def _decay(self) -> Floats:
        return np.asarray(np.exp(-TAIL_STEPS))

    @cached_property
    def _encoder(self) -> "Encoder":
        return Encoder.of(self.base)

    def prepare(self) -> None:
        """Compute what the first prediction would wait for."""
        self.quick(Features())

    def law(self, features: Features) -> Floats:
        """Return the cumulative probabilities of the log ratio along the line."""
        inside = self.trees.sum(self._encoder.encode(features))
        np.minimum(np.maximum(inside, 0.0, out=inside), 1.0, out=inside)
        rising = np.maximum.accumulate(inside)
        falling = np.minimum.accumulate(inside[::-1])[::-1]
        middle = (rising + falling) * 0.5
        low, high = middle[0] * self._decay[::-1], 1 - (1 - middle[-1]) * self._decay
        return np.concatenate([low, middle, high])

    def predict(self, features: Features, at: datetime | None = None) -> CdfTable:
        """Return the predictive distribution as a table."""
        parts = self.base.log_mean(features, at)
        return tabulated(self._values(self.law(features), parts))

    def quick(self, features: Features, at: datetime | None = None) -> CdfTable:
        """Return the same: there is no slower way."""
        return self.predict(features, at)

    def _values(self, law: Floats, parts: list[LogMean]) -> Floats:
        centres = np.array([part.mean for part in parts])
        weights = np.array([part.weight for part in parts])
        spread = np.array([part.sd for part in parts])
        if float(spread.max()) > SURE:
            centres = (centres[:, None] + spread[:, None] * NODES).ravel()
            weights = (weights[:, None] * SHARES).ravel()
        line = self._line
        begins = _EDGES.searchsorted(centres + line[0]).tolist()
        ends = _EDGES.searchsorted(centres + line[-1]).tolist()
        values = np.zeros(len(GRID))
        shares = zip(centres.tolist(), weights.tolist(), begins, ends, strict=True)
        for centre, weight, begin, end in shares:
            values[begin:end] += weight * np.interp(_EDGES[begin:end] - centre, line, law)
            values[end:] += weight
        return values

    def surprises(self, features: Features) -> list[str]:
        """Return the labels never seen and the numbers outside the range of training."""
        return self.base.surprises(features)

    def severity(self, where: Mapping[str, str] | None = None, days: float = 0.0) -> Severity:
        """Return the size of one of the next things (see `LogLinear.severity`).

        What all share enters as equally likely shifts of the log mean.
        """
        where = where or {}
        rows = [settle(item, where) for item in self.base.population] or [Features()]
        rows = rows[:: max(len(rows) // SEVERITY_ROWS, 1)]
        shared = self.base.shared_sd(rows, where, days)
        unseen = self.base.unseen_variance(where)
        scores = np.sort(stratified(SHARED_NODES))
        totals = np.zeros((SHARED_NODES, len(GRID)))
        for row in rows:
            law = self.law(row)
            # certain labels of `where` that nobody has seen are shared, not a thing's own
            parts = [
                LogMean(part.weight, part.mean, sqrt(max(part.sd**2 - unseen, 0.0)))
                for part in self.base.log_mean(row)
            ]
            for node, score in enumerate(scores / scores.std()):
                shifted = [LogMean(p.weight, p.mean + score * shared, p.sd) for p in parts]
                totals[node] += self._values(law, shifted) / len(rows)
        weights = np.full(SHARED_NODES, 1 / SHARED_NODES)
        return Severity(weights, tuple(binned(GRID, total) for total in totals))

    def to_parts(self) -> tuple[Meta, Arrays]:
        """Return meta data and arrays."""
        meta, arrays = self.base.to_parts()
        trees = self.trees
        return {"base": meta, "tails": list(self.tails)}, {
            **{f"base_{name}": array for name, array in arrays.items()},
            "inputs": trees.inputs,
            "limits": trees.limits,
            "leaves": trees.leaves,
            "start": trees.start,
            "steps": self.steps,
        }

    @classmethod
    def from_parts(cls, meta: Meta, arrays: Arrays) -> Self:
        """Read back what `to_parts` returned."""
        prefix = "base_"
        base = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        trees = Trees(
            np.asarray(arrays["inputs"], np.int16),
            np.asarray(arrays["limits"], np.float32),
            np.asarray(arrays["leaves"], np.float16),
            np.asarray(arrays["start"], np.float32),
        )
        low, high = meta["tails"]
        form = LogLinear.from_parts(meta["base"], base)
        return cls(form, trees, np.asarray(arrays["steps"], float), (float(low), float(high)))


@dataclass(frozen=True, slots=True)
class Encoder:
    """Features as the inputs of trees: standardised numbers, the effect of every group, their sum.

    A label never seen has the effect zero, a number not known its middle; uncertain labels have
    the effect that is expected of them.
    """

    numbers: tuple[tuple[str, NumberRange, float], ...]
    groups: tuple[tuple[str, bool, Mapping[str, float]], ...]

    @classmethod
    def of(cls, base: LogLinear) -> "Encoder":
        """Read the effects of a base."""
        means = base.draws.astype(float).mean(1).tolist()
        index = {name: i for i, name in enumerate(base.columns)}
        numbers = tuple(
            (name, entry, means[index[f"number:{name}"]]) for name, entry in base.numbers.items()
        )
        groups = []
        for group in base.group_sd:
            prefix = f"{group}="
            effects = {
                column.removeprefix(prefix): means[i]
                for column, i in index.items()
                if column.startswith(prefix)
            }
            groups.append((group, group in base.tags, effects))
        return cls(numbers, tuple(groups))

    def encode(self, features: Features) -> NDArray[np.float32]:
        """Return the inputs, in the order of `input_names`."""
        found: list[float] = []
        total = 0.0
        for name, entry, effect in self.numbers:
            value = features.numbers.get(name)
            standard = 0.0 if value is None else entry.standard(value)
            total += effect * standard
            found.append(standard)
        for group, is_tag, effects in self.groups:
            if is_tag:
                value = sum(
                    effects.get(label, 0.0) for label in dict.fromkeys(features.tags.get(group, ()))
                )
            else:
                alternatives = features.categories.get(group, ())
                value = sum(effects.get(label, 0.0) * prob for label, prob in alternatives)
            total += value
            found.append(value)
        found.append(total)
        return np.array(found, np.float32)


def input_names(base: LogLinear) -> tuple[str, ...]:
    """Return the names of what the trees look at."""
    return (*base.numbers, *base.group_sd, "sum of effects")


_MIDDLES: Floats = np.concatenate([[0.0], np.where(
    np.diff(GRID) > 1.5, (GRID[1:] + GRID[:-1] + 1) / 2, GRID[1:]
)])  # fmt: skip
_SQUARES: Floats = _MIDDLES**2


def tabulated(values: Floats) -> CdfTable:
    """Return a table of cumulative probabilities with the moments of its cells."""
    mass = np.diff(values, prepend=0.0)
    first = float(mass @ _MIDDLES)
    second = float(mass @ _SQUARES)
    return CdfTable(values, (first, max(second - first**2, 0.0)), error=0.0, method="forest")
