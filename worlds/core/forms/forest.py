"""Sizes by boosted trees: a log-linear base, and trees that give the law of what it leaves.

The base says where a thing lies (with everything that widens it: unseen labels, missing numbers,
drift). The trees say how it scatters around there: every leaf adds to the cumulative probability
at fixed steps of the log ratio, so that location, width and shape may all depend on the features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from math import sqrt
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from worlds.core.compound import Severity
from worlds.core.distributions import Floats
from worlds.core.features import Alternatives, Features
from worlds.core.forms.base import Arrays, Meta, register
from worlds.core.forms.log_linear import UNKNOWN, Group, LogLinear, settle
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
DEEPEST = 4
"""Most decisions on the way to a leaf: the decisions of a tree make a number below 2**15."""
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
    def _flat(self) -> "_Flat":
        """The arrays as `sum` reads them."""
        trees, inner = self.inputs.shape
        return _Flat(
            self.inputs.astype(np.intp).ravel(),
            self.limits.ravel(),
            np.exp2(np.arange(inner, dtype=np.float32)),
            leaf_of(self.depth),
            np.arange(trees) * (inner + 1),
            self.leaves.astype(np.float32).reshape(-1, self.leaves.shape[2]),
            np.ones(trees, np.float32),
        )

    def sum(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return start plus one leaf of every tree, array (K,), for one row of inputs.

        All decisions of all trees are made at once; those of a tree are the bits of a number,
        which says the leaf.
        """
        flat = self._flat
        right = np.empty(len(flat.limits), np.float32)
        np.greater(x.take(flat.inputs), flat.limits, out=right)
        codes = right.reshape(-1, len(flat.powers)) @ flat.powers
        rows = flat.begins + flat.leaf_of.take(codes.astype(np.intp))
        return np.asarray(self.start + flat.ones @ flat.leaves.take(rows, 0))

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
        fits = fits and inner + 1 == 1 << int(inner).bit_length() <= 1 << DEEPEST
        inside = fits and bool(((self.inputs >= 0) & (self.inputs < inputs)).all())
        if not (inside and np.isfinite(self.leaves).all() and not np.isnan(self.limits).any()):
            msg = (
                f"{trees} trees over {inputs} inputs and {steps} steps do not fit together, or"
                f" are deeper than {DEEPEST}"
            )
            raise SnapshotError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class _Flat:
    """What `Trees.sum` looks up: decisions as lines, leaves as rows."""

    inputs: NDArray[np.intp]
    limits: NDArray[np.float32]
    powers: NDArray[np.float32]
    leaf_of: NDArray[np.intp]
    begins: NDArray[np.intp]
    leaves: NDArray[np.float32]
    ones: NDArray[np.float32]


@lru_cache(maxsize=DEEPEST + 1)
def leaf_of(depth: int) -> NDArray[np.intp]:
    """Return the leaf that every combination of decisions leads to; bit k is that of node k."""
    inner = (1 << depth) - 1
    codes = np.arange(1 << inner)
    node = np.zeros(len(codes), np.intp)
    for _ in range(depth):
        node = 2 * node + 1 + ((codes >> node) & 1)
    return node - inner


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
    def _encoder(self) -> "Encoder":
        return Encoder.of(self.base)

    def prepare(self) -> None:
        """Compute what the first prediction would wait for."""
        self.quick(Features())

    def law(self, features: Features) -> Floats:
        """Return the cumulative probabilities of the log ratio along the line."""
        return self._law(self._encoder.encode(features))

    def _law(self, x: NDArray[np.float32]) -> Floats:
        # what trees give need not rise: sorted it does, and is nearer to the truth (Chernozhukov,
        # Fernandez-Val & Galichon 2010, doi:10.3982/ECTA7880)
        middle = np.sort(self.trees.sum(x))
        np.minimum(np.maximum(middle, 0.0, out=middle), 1.0, out=middle)
        law = np.empty(len(middle) + 2 * len(TAIL_STEPS))
        law[: len(TAIL_STEPS)] = float(middle[0]) * _RISING
        law[len(TAIL_STEPS) : -len(TAIL_STEPS)] = middle
        law[-len(TAIL_STEPS) :] = 1 - (1 - float(middle[-1])) * _FALLING
        return law

    def predict(self, features: Features, at: datetime | None = None) -> CdfTable:
        """Return the predictive distribution as a table."""
        inputs, placed = self._encoder.place(features)
        if placed is None:
            parts = self.base.log_mean(features, at)
        else:
            sd = sqrt(placed.sd**2 + self.base.drift_variance(at))
            parts = [LogMean(1.0, placed.mean, sd)]
        return tabulated(self._values(self._law(inputs), parts))

    def around(self, features: Features, parts: list[LogMean]) -> CdfTable:
        """Return the same when the log mean of the base is known already."""
        return tabulated(self._values(self._law(self._encoder.encode(features)), parts))

    def quick(self, features: Features, at: datetime | None = None) -> CdfTable:
        """Return the same: there is no slower way."""
        return self.predict(features, at)

    def _values(self, law: Floats, parts: list[LogMean]) -> Floats:
        """Return the cumulative probabilities on the grid when the law lies around log means."""
        centres = np.array([part.mean for part in parts])
        weights = np.array([part.weight for part in parts])
        spread = np.array([part.sd for part in parts])
        if float(spread.max()) > SURE:
            centres = (centres[:, None] + spread[:, None] * NODES).ravel()
            weights = (weights[:, None] * SHARES).ravel()
        line = self._line
        begin = int(_EDGES.searchsorted(float(centres.min()) + line[0]))
        end = int(_EDGES.searchsorted(float(centres.max()) + line[-1]))
        each = np.interp(_EDGES[begin:end] - centres[:, None], line, law, left=0.0, right=1.0)
        values = np.empty(len(GRID))
        values[:begin], values[end:] = 0.0, 1.0
        values[begin:end] = weights @ each
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


@dataclass(frozen=True, eq=False)
class Encoder:
    """Features as the inputs of trees: standardised numbers, the effect of every group, their sum.

    A label never seen has the effect zero, a number not known its middle; uncertain labels have
    the effect that is expected of them. What the base says of the log mean comes with it, from
    the same look-ups.

    Parameters
    ----------
    names, ranges
        Of the numbers; rows of `ranges` are low, high, centre and one over the scale.
    start, slopes
        Posterior mean of an effect, then a square root of its covariance with the others: arrays
        (1 + k,) of the intercept and (n, 1 + k) of the numbers.
    unknown
        Array (n,): the variance that a number adds which is not known.
    groups
        Of labels, and whether several of them hold.
    factor
        Array (p, 1 + k): as `slopes`, of every column of the base.
    """

    names: tuple[str, ...]
    ranges: Floats
    start: Floats
    slopes: Floats
    unknown: Floats
    groups: tuple[Group, ...]
    factor: Floats

    @classmethod
    def of(cls, base: LogLinear) -> "Encoder":
        """Read the effects of a base."""
        ranges = [(e.low, e.high, e.centre, 1 / e.scale) for _, _, e, _ in base.entries]
        return cls(
            tuple(name for name, _, _, _ in base.entries),
            np.array(ranges, float).reshape(-1, 4).T.copy(),
            base.factor[0],
            base.factor[[column for _, column, _, _ in base.entries]],
            np.array([variance for _, _, _, variance in base.entries]),
            base.groups,
            base.factor,
        )

    def encode(self, features: Features) -> NDArray[np.float32]:
        """Return the inputs, in the order of `input_names`."""
        found: list[float] = []
        total = 0.0
        for name, low, high, centre, inverse, effect in self._numbers:
            value = features.numbers.get(name)
            held = centre if value is None else min(max(value, low), high)
            found.append((held - centre) * inverse)
            total += effect * found[-1]
        for group, effects in zip(self.groups, self._effects, strict=True):
            labels = _labels(features, group)
            found.append(sum([share * effects.get(label, 0.0) for label, share in labels]))
            total += found[-1]
        found.append(total)
        return np.array(found, np.float32)

    @cached_property
    def _numbers(self) -> list[tuple[str, float, float, float, float, float]]:
        """Name, low, high, centre, one over the scale, and mean effect of every number."""
        rows = zip(self.names, self.ranges.T.tolist(), self.slopes[:, 0].tolist(), strict=True)
        return [(name, *ranges, effect) for name, ranges, effect in rows]

    @cached_property
    def _effects(self) -> list[dict[str, float]]:
        """The mean effect of every label, by group."""
        means = self.factor[:, 0].tolist()
        return [{label: means[at] for label, at in group.columns.items()} for group in self.groups]

    def place(self, features: Features) -> tuple[NDArray[np.float32], LogMean | None]:
        """Return the inputs and the log mean, None where a label is not certain."""
        count = len(self.names)
        found = np.empty(count + len(self.groups) + 1, np.float32)
        stated = features.numbers.get
        low, high, centre, inverse = self.ranges
        values = np.array([stated(name, np.nan) for name in self.names])
        standard = (np.minimum(np.maximum(values, low), high) - centre) * inverse
        variance = 0.0
        missing = np.isnan(standard)
        if missing.any():
            variance = float(self.unknown @ missing)
            standard[missing] = 0.0
        found[:count] = standard
        row = self.start + standard @ self.slopes
        certain = True
        for place, group in enumerate(self.groups):
            labels = _labels(features, group)
            certain = certain and (group.is_tag or len(labels) < 2)
            before = float(row[0])
            for label, share in labels:
                column = group.columns.get(label)
                if column is None:
                    variance += group.variance
                else:
                    row = row + share * self.factor[column]
            found[count + place] = float(row[0]) - before
        mean = float(row[0])
        found[-1] = mean - float(self.start[0])
        roots = row[1:]
        sd = sqrt(variance + float(roots @ roots))
        return found, LogMean(1.0, mean, sd) if certain else None


def _labels(features: Features, group: Group) -> Alternatives:
    """Return the labels of a group with their probabilities; tags hold once."""
    if group.is_tag:
        return tuple((label, 1.0) for label in dict.fromkeys(features.tags.get(group.name, ())))
    return features.categories.get(group.name, ()) or ((UNKNOWN, 1.0),)


def input_names(base: LogLinear) -> tuple[str, ...]:
    """Return the names of what the trees look at."""
    return (*base.numbers, *base.group_sd, "sum of effects")


_MIDDLES: Floats = np.concatenate([[0.0], np.where(
    np.diff(GRID) > 1.5, (GRID[1:] + GRID[:-1] + 1) / 2, GRID[1:]
)])  # fmt: skip
_RISES: Floats = np.column_stack([np.diff(_MIDDLES), np.diff(_MIDDLES**2)])
"""How much mean and mean square grow from one cell of the grid to the next."""
_FALLING: Floats = np.exp(-TAIL_STEPS)
_RISING: Floats = _FALLING[::-1].copy()


def tabulated(values: Floats) -> CdfTable:
    """Return a table of cumulative probabilities with the moments of its cells."""
    first, second = ((1 - values[:-1]) @ _RISES).tolist()
    return CdfTable(values, (first, max(second - first**2, 0.0)), error=0.0, method="forest")
