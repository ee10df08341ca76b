"""Log-linear models side by side: what a pool of them says of one thing, in one pass.

Evaluated one after the other, models repeat each other's work: every one looks up the same labels
and calls the same dozen of array functions on a handful of numbers. A `Stack` looks up every label
once, in a table of the effects in all models, and computes with arrays whose axis 1 is the model.
It says what `LogLinear.quick` says.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.core.features import Alternatives, Features
from worlds.core.forms.log_linear import (
    DRIFT_DAYS,
    MAX_ALTERNATIVES,
    LogLinear,
    NumberRange,
)
from worlds.core.lattice import GRID, LARGEST_SIZE, CdfTable, LogMean, Weights, weigh

MEAN, UNSEEN, ROOT = 0, 1, 2
"""What the table holds of an effect: its mean, the variance it adds if it was never seen, and a
square root of its covariance with all others."""
LARGEST_LOG = 300.0


@dataclass(frozen=True, slots=True)
class _Labels:
    """A category or a group of tags: the row of every label, and that of one never seen."""

    name: str
    is_tag: bool
    rows: Mapping[str, int]
    unseen: int
    strange: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A number: the rows of its effect, and the row that stands for it where it is unknown.

    Models standardise it in ways of their own, which are linear: where the number lies in the
    range of all (`low` to `high`), `slope` takes it as it is. Elsewhere every model holds it
    inside its own range: `slopes` are rows of one model each.
    """

    name: str
    slope: int
    offset: int
    unknown: int
    low: float
    high: float
    slopes: tuple[tuple[int, NumberRange], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """What the models of a stack say of one thing: the log mean is a mixture of P normals.

    Parameters
    ----------
    stack
        The M models.
    weights
        P weights; they sum to 1.
    means, variances
        P x M numbers: for every part the normals of all models.
    mass
        Array (M, W): the weights that every model puts on the nodes; each row sums to 1.
    nodes
        Which nodes these are.
    carried
        The log mean of every form that is carried along.
    """

    stack: "Stack"
    weights: Sequence[float]
    means: Sequence[float]
    variances: Sequence[float]
    mass: NDArray[np.float32]
    nodes: Weights | None
    carried: list[list[LogMean]]

    def means_of(self) -> list[float]:
        """Return the mean of every model."""
        found = []
        for m, factor in enumerate(self.stack.factors):
            rows = slice(m, None, len(self.stack.factors))
            total = 0.0
            for weight, mean, variance in zip(
                self.weights, self.means[rows], self.variances[rows], strict=True
            ):
                log = mean + variance / 2
                total += weight * exp(log if log < LARGEST_LOG else LARGEST_LOG)
            found.append(factor * total)
        return found

    def tables(self) -> list[CdfTable]:
        """Return the distribution of every model."""
        if not self.stack.factors:
            return []
        stack, shape = self.stack, (len(self.weights), len(self.stack.factors))
        firsts = np.array(self.means_of())
        logs = 2 * (np.array(self.means) + np.array(self.variances)).reshape(shape)
        squares = np.array(self.weights) @ np.exp(np.minimum(logs, 2 * LARGEST_LOG))
        variances = squares * stack.inflations + firsts - firsts**2
        rows = stack.tables[:, self._rows()]
        values = np.clip(np.matmul(self.mass[:, None, :], rows)[:, 0, :], 0.0, 1.0)
        moments = zip(firsts.tolist(), variances.tolist(), strict=True)
        return [CdfTable(row, pair) for row, pair in zip(values, moments, strict=True)]

    def mixed(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cumulative probabilities of the models together, on the grid.

        Parameters
        ----------
        weights
            Array (M, 1): of the models.
        """
        mass = (weights * self.mass)[:, None, :]
        rows = self.stack.tables[:, self._rows()]
        return np.asarray(np.add.reduce(np.matmul(mass, rows), (0, 1)))

    def _rows(self) -> slice:
        return self.nodes.rows() if self.nodes is not None else slice(0, 0)


NOTHING = np.zeros((0, 0), np.float32)


class Stack:
    """Log-linear models that are evaluated together.

    Parameters
    ----------
    forms
        The models; `together` says which go together.
    carried
        More of them, of which only the log mean is wanted.
    """

    def __init__(self, forms: Sequence[LogLinear], carried: Sequence[LogLinear] = ()) -> None:
        every = [*forms, *carried]
        tables = [form.lattice.table for form in forms] or [np.zeros((0, len(GRID)), np.float32)]
        self.tables = np.stack(tables)[: len(forms)]
        self.factors = [form.lattice.factor_moments[0] for form in forms]
        self.inflations = np.array(
            [form.lattice.factor_moments[1] * (1 + 1 / form.size) for form in forms]
        )
        self._step = forms[0].lattice.step if forms else 1.0
        self._smooth = min((form.lattice.smooth for form in forms), default=1.0)
        self._drift = [(form.drift_sd**2, form.reference.timestamp()) for form in every]
        table = _Table(every)
        table.add(table.columns["intercept"])
        self._labels = tuple(table.labels(name) for name in table.groups)
        self._entries = tuple(table.entry(name) for name in table.numbers)
        self._shape = (len(every), table.width)
        self._rows = np.ascontiguousarray(np.stack(table.rows).reshape(len(table.rows), -1))

    def of(self, features: Features, at: datetime | None, surprises: set[str]) -> Stacked:
        """Return what the models say of a thing.

        Parameters
        ----------
        features
            Of the thing.
        at
            When it begins: the level may have drifted since the models were fitted.
        surprises
            Gets the labels never seen and the numbers outside the range of training.
        """
        rows, values, unsettled = self._look_up(features, surprises)
        effects = self._rows.take(rows, 0)
        weights, parts = [1.0], (np.array(values) @ effects).reshape(1, *self._shape)
        for group, alternatives in unsettled:
            weights, parts = self._spread(weights, parts, group, alternatives)
        roots = parts[..., ROOT:]
        means = parts[..., MEAN].ravel().tolist()
        variances = (parts[..., UNSEEN] + (roots * roots).sum(-1)).ravel().tolist()
        if at is not None:
            seconds = at.timestamp()
            drifts = [
                drift * min(max((seconds - since) / 86400, 0.0), DRIFT_DAYS)
                for drift, since in self._drift
            ]
            variances = [v + drifts[i % len(drifts)] for i, v in enumerate(variances)]
        carried = []
        own, every = len(self.factors), self._shape[0]
        if own < every:
            for m in range(own, every):
                each = zip(weights, means[m::every], variances[m::every], strict=True)
                carried.append([LogMean(w, mean, sqrt(v)) for w, mean, v in each])
            means = [mean for i, mean in enumerate(means) if i % every < own]
            variances = [v for i, v in enumerate(variances) if i % every < own]
        if not own:
            return Stacked(self, weights, means, variances, NOTHING, None, carried)
        nodes = weigh(means, [sqrt(v) for v in variances], self._step, self._smooth)
        mass = nodes.mass
        if len(weights) > 1:
            each_part = mass.reshape(len(weights), -1)
            mass = (np.array(weights, np.float32) @ each_part).reshape(own, -1)
        return Stacked(self, weights, means, variances, mass, nodes, carried)

    def _spread(
        self, weights: list[float], parts: Floats, group: _Labels, alternatives: Alternatives
    ) -> tuple[list[float], Floats]:
        """Return weights and sums of effects (P, M, D), one for every label that may be true.

        Of very many combinations the most probable ones are kept.
        """
        rows = [group.rows.get(label, group.unseen) for label, _ in alternatives]
        each = self._rows.take(rows, 0).reshape(-1, *self._shape)
        parts = (parts[:, None] + each).reshape(-1, *self._shape)
        weights = [weight * prob for weight in weights for _, prob in alternatives]
        if len(weights) > MAX_ALTERNATIVES:
            order = sorted(range(len(weights)), key=weights.__getitem__, reverse=True)
            kept = order[:MAX_ALTERNATIVES]
            whole = sum(weights[i] for i in kept)
            parts, weights = parts[kept], [weights[i] / whole for i in kept]
        return weights, parts

    def _look_up(
        self, features: Features, surprises: set[str]
    ) -> tuple[list[int], list[float], list[tuple[_Labels, Alternatives]]]:
        """Return rows with their values, and the categories with several labels."""
        rows, values = [0], [1.0]
        unsettled = []
        for group in self._labels:
            known = group.rows
            if group.is_tag:
                for label in features.tags.get(group.name, ()):
                    row = known.get(label)
                    if row is None or label in group.strange:
                        surprises.add(f"{group.name}={label}")
                    rows.append(group.unseen if row is None else row)
                    values.append(1.0)
                continue
            alternatives = features.categories.get(group.name)
            if not alternatives:
                rows.append(group.unseen)
                values.append(1.0)
                continue
            for label, _ in alternatives:
                if label not in known or label in group.strange:
                    surprises.add(f"{group.name}={label}")
            if len(alternatives) > 1:
                unsettled.append((group, alternatives))
            else:
                rows.append(known.get(alternatives[0][0], group.unseen))
                values.append(1.0)
        self._add_numbers(features, rows, values, surprises)
        return rows, values, unsettled

    def _add_numbers(
        self, features: Features, rows: list[int], values: list[float], surprises: set[str]
    ) -> None:
        for entry in self._entries:
            value = features.numbers.get(entry.name)
            if value is None:
                rows.append(entry.unknown)
                values.append(1.0)
                continue
            rows.append(entry.offset)
            values.append(1.0)
            if entry.low <= value <= entry.high:
                rows.append(entry.slope)
                values.append(value)
                continue
            surprises.add(f"{entry.name}={value:g}")
            for row, held in entry.slopes:
                rows.append(row)
                values.append(min(max(value, held.low), held.high))


class _Table:
    """Builds the table of effects, row by row: arrays (M, D)."""

    def __init__(self, forms: Sequence[LogLinear]) -> None:
        self.forms = forms
        self.rows: list[Floats] = []
        self.width = ROOT + max(form.factor.shape[1] - 1 for form in forms)
        self.columns: dict[str, list[int | None]] = {}
        for m, form in enumerate(forms):
            for index, name in enumerate(form.columns):
                self.columns.setdefault(name, [None] * len(forms))[m] = index
        self.groups = tuple(dict.fromkeys(g.name for form in forms for g in form.groups))
        self.numbers = tuple(dict.fromkeys(name for form in forms for name in form.numbers))

    def add(
        self,
        columns: Sequence[int | None],
        otherwise: Sequence[float] | None = None,
        times: Sequence[float] | None = None,
    ) -> int:
        """Add a row; return its number.

        Parameters
        ----------
        columns
            Of the effect in every model; None where it has none.
        otherwise
            The variance that stands for it there.
        times
            What the effect is multiplied by, by model.
        """
        row = np.zeros((len(self.forms), self.width))
        for m, (form, column) in enumerate(zip(self.forms, columns, strict=True)):
            if column is None:
                row[m, UNSEEN] = otherwise[m] if otherwise else 0.0
                continue
            roots = form.factor[column, 1:]
            row[m, MEAN] = form.factor[column, 0]
            row[m, ROOT : ROOT + len(roots)] = roots
            if times is not None:
                row[m] *= times[m]
        self.rows.append(row)
        return len(self.rows) - 1

    def labels(self, name: str) -> _Labels:
        """Add the rows of a category or a group of tags."""
        found = [{group.name: group for group in form.groups}.get(name) for form in self.forms]
        variances = [group.variance if group else 0.0 for group in found]
        there = [group for group in found if group]
        every = tuple(dict.fromkeys(label for group in there for label in group.columns))
        rows = {
            label: self.add(
                [group.columns.get(label) if group else None for group in found], variances
            )
            for label in every
        }
        strange = frozenset(
            label for label in every if any(label not in group.columns for group in there)
        )
        unseen = self.add([None] * len(self.forms), variances)
        return _Labels(name, any(group.is_tag for group in there), rows, unseen, strange)

    def entry(self, name: str) -> _Entry:
        """Add the rows of a number."""
        found = [{entry[0]: entry for entry in form.entries}.get(name) for form in self.forms]
        columns = [entry[1] if entry else None for entry in found]
        ranges = [entry[2] for entry in found if entry]
        slopes = [1 / entry[2].scale if entry else 0.0 for entry in found]
        offsets = [-entry[2].centre / entry[2].scale if entry else 0.0 for entry in found]
        slope = self.add(columns, None, slopes)
        offset = self.add(columns, None, offsets)
        unknown = [entry[3] if entry else 0.0 for entry in found]
        without = self.add([None] * len(self.forms), unknown)
        single = tuple(
            (
                self.add([c if k == m else None for k, c in enumerate(columns)], None, slopes),
                entry[2],
            )
            for m, entry in enumerate(found)
            if entry
        )
        low, high = max(one.low for one in ranges), min(one.high for one in ranges)
        return _Entry(name, slope, offset, without, low, high, single)


def together(forms: Sequence[LogLinear]) -> Iterator[list[int]]:
    """Yield groups of forms that can be evaluated together, as places in `forms`.

    Those of a group share the step of the lattice; models with too little noise for a lattice are
    in none.
    """
    groups: dict[float, list[int]] = {}
    for k, form in enumerate(forms):
        if form.size <= LARGEST_SIZE:
            groups.setdefault(form.lattice.step, []).append(k)
    yield from groups.values()
