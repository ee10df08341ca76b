"""Sizes with a log-linear mean: posterior draws of effects, a negative-binomial around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import product
from math import sqrt
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from worlds.core.compound import Severity
from worlds.core.distributions import CountMixture, Floats
from worlds.core.features import Alternatives, Features, from_json, to_json
from worlds.core.forms.base import Arrays, Meta, register
from worlds.core.forms.population import shared_nodes, stratified
from worlds.core.lattice import LARGEST_SIZE, CdfTable, LogMean, NegBinLattice, mixture_over
from worlds.core.noise import Noise, NoisyLattice
from worlds.errors import SnapshotError

MAX_ALTERNATIVES = 32
DRIFT_DAYS = 365.0
"""Days after which the level is taken to have drifted as far as it will."""
OWN = ((-sqrt(3.0), 1 / 6), (0.0, 2 / 3), (sqrt(3.0), 1 / 6))
"""Gauss-Hermite nodes and weights of a thing's own normal deviation (exact to fifth order)."""
UNKNOWN = ""
"""Label of a category that nobody stated: no effect has this name, so it counts as unseen."""


type Terms = list[tuple[int, float]]
"""Columns of the effects that apply, each with the value it is multiplied by."""


@dataclass(frozen=True, slots=True)
class NumberRange:
    """How a number enters: centred, scaled, and held inside the range seen in training."""

    centre: float
    scale: float
    low: float
    high: float

    def standard(self, value: float) -> float:
        """Return the standardised value."""
        return (min(max(value, self.low), self.high) - self.centre) / self.scale


@dataclass(frozen=True, slots=True)
class Group:
    """A category, or a group of tags: the column of every label, the variance of an unseen one."""

    name: str
    is_tag: bool
    columns: Mapping[str, int]
    variance: float


@register
@dataclass(frozen=True, eq=False)
class LogLinear:
    """A count whose log mean is an intercept plus effects of categories, tags and numbers.

    Parameters
    ----------
    columns
        Names of the p effects: ``intercept``, ``breed=pug``, ``hashtag=#dogs``,
        ``number:rating``.
    draws
        Array (p, S): S posterior draws of every effect.
    size
        Size r of the negative binomial.
    group_sd
        For every category and group of tags, the standard deviation of the effect of a label
        never seen.
    tags
        Which of these groups are tags: any number of them hold, and none is no surprise.
    numbers
        How every number enters.
    drift_sd
        Standard deviation by which the log level moves in a day, beyond `reference`.
    reference
        Time up to which the level is known.
    population
        Recent things: the next ones are taken to be like them.
    noise
        How things differ beyond all this, as a factor on the mean; none: the negative binomial
        says it all.
    """

    form: ClassVar[str] = "log_linear"
    columns: tuple[str, ...]
    draws: NDArray[np.float32]
    size: float
    group_sd: Mapping[str, float]
    tags: tuple[str, ...]
    numbers: Mapping[str, NumberRange]
    drift_sd: float
    reference: datetime
    population: tuple[Features, ...] = field(default=())
    noise: Noise | None = None

    def __post_init__(self) -> None:
        if self.draws.shape[0] != len(self.columns) or self.draws.ndim != 2:
            msg = f"draws must have shape ({len(self.columns)}, S); got {self.draws.shape}"
            raise SnapshotError(msg)
        if not (np.isfinite(self.draws).all() and self.size > 0):
            msg = "draws must be finite and the size positive"
            raise SnapshotError(msg)

    @cached_property
    def groups(self) -> tuple["Group", ...]:
        """The categories and groups of tags."""
        found: dict[str, dict[str, int]] = {name: {} for name in self.group_sd}
        for index, column in enumerate(self.columns):
            group, stated, label = column.partition("=")
            if stated and group in found:
                found[group][label] = index
        return tuple(
            Group(name, name in self.tags, found[name], sd**2) for name, sd in self.group_sd.items()
        )

    @cached_property
    def _by_name(self) -> dict[str, "Group"]:
        return {group.name: group for group in self.groups}

    @cached_property
    def entries(self) -> tuple[tuple[str, int, NumberRange, float], ...]:
        """For every number its column, its range, and the variance if it is unknown."""
        means, covariance = self.moments
        index = {name: i for i, name in enumerate(self.columns)}
        found = []
        for name, entry in self.numbers.items():
            column = index[f"number:{name}"]
            unknown = means[column] ** 2 + covariance[column][column]
            found.append((name, column, entry, unknown))
        return tuple(found)

    @cached_property
    def lattice(self) -> NegBinLattice:
        """The table that `quick` reads."""
        return NoisyLattice(self.noise, self.size) if self.noise else NegBinLattice(self.size)

    def prepare(self) -> None:
        """Compute the lattice now instead of at the first prediction."""
        self.quick(Features())

    def predict(self, features: Features, at: datetime | None = None) -> CountMixture:
        """Return the predictive distribution, by quadrature over the log mean."""
        parts = self.log_mean(features, at)
        return (
            self.noise.mixture(parts, self.size) if self.noise else mixture_over(parts, self.size)
        )

    def quick(self, features: Features, at: datetime | None = None) -> CdfTable | CountMixture:
        """Return the predictive distribution on the lattice (see `worlds.core.lattice`)."""
        if self.size > LARGEST_SIZE:
            return self.predict(features, at)
        return self.lattice.mix(self.log_mean(features, at))

    def log_mean(self, features: Features, at: datetime | None = None) -> list[LogMean]:
        """Return the log mean: one normal for every combination of uncertain labels.

        Labels never seen, missing features and time beyond the reference widen it. Of very many
        combinations the most probable ones are kept.
        """
        terms, variance, unsettled = self._terms(features)
        parts = [(1.0, terms, variance + self.drift_variance(at))]
        for category, alternatives in unsettled:
            parts = [
                (weight * prob, *self._with(more, extra, category, label))
                for weight, more, extra in parts
                for label, prob in alternatives
            ]
            parts = sorted(parts, key=_weight, reverse=True)[:MAX_ALTERNATIVES]
        total = sum(weight for weight, _, _ in parts)
        return [self._normal(weight / total, more, extra) for weight, more, extra in parts]

    def _normal(self, weight: float, terms: Terms, variance: float) -> LogMean:
        columns, values = zip(*terms, strict=True)
        row = np.array(values) @ self.factor.take(columns, 0)
        spread = row[1:]
        return LogMean(weight, float(row[0]), sqrt(variance + float(spread @ spread)))

    @cached_property
    def factor(self) -> Floats:
        """Posterior mean of every effect, then a square root of their covariance: (p, 1 + k)."""
        means, covariance = self.moments
        values, vectors = np.linalg.eigh(np.array(covariance))
        kept = values > values[-1] * 1e-12
        root = vectors[:, kept] * np.sqrt(values[kept])
        return np.ascontiguousarray(np.column_stack([means, root]))

    @cached_property
    def moments(self) -> tuple[list[float], list[list[float]]]:
        """Posterior means and covariances of the effects, as lists: a few are read at a time."""
        draws = self.draws.astype(float)
        covariance = np.atleast_2d(np.cov(draws, ddof=0))
        return draws.mean(1).tolist(), covariance.tolist()

    @cached_property
    def _since(self) -> float:
        return self.reference.timestamp()

    def drift_variance(self, at: datetime | None) -> float:
        """Return the variance by which the log level has moved since the reference."""
        if at is None:
            return 0.0
        days = (at.timestamp() - self._since) / 86400
        return self.drift_sd**2 * min(max(days, 0.0), DRIFT_DAYS)

    def _with(
        self, terms: Terms, variance: float, category: str, label: str
    ) -> tuple[Terms, float]:
        """Return terms and variance with one more label: a known effect, or an unseen one."""
        group = self._by_name[category]
        column = group.columns.get(label)
        if column is None:
            return terms, variance + group.variance
        return [*terms, (column, 1.0)], variance

    def _terms(self, features: Features) -> tuple[Terms, float, list[tuple[str, Alternatives]]]:
        """Return the effects that apply, the variance beyond them, the unsettled categories."""
        terms: Terms = [(0, 1.0)]
        variance = 0.0
        unsettled = []
        for group in self.groups:
            if group.is_tag:
                labels = features.tags.get(group.name, ())
            else:
                alternatives = features.categories.get(group.name, ())
                if len(alternatives) > 1:
                    unsettled.append((group.name, alternatives))
                    continue
                labels = (alternatives[0][0],) if alternatives else (UNKNOWN,)
            for label in labels:
                column = group.columns.get(label)
                if column is None:
                    variance += group.variance
                else:
                    terms.append((column, 1.0))
        for name, column, entry, unknown in self.entries:
            value = features.numbers.get(name)
            if value is None:
                variance += unknown
            else:
                terms.append((column, entry.standard(value)))
        return terms, variance, unsettled

    def surprises(self, features: Features) -> list[str]:
        """Return the labels never seen and the numbers outside the range of training.

        Only of what the model uses: what it ignores is no surprise to it.
        """
        found = []
        for group in self.groups:
            name, known = group.name, group.columns
            labels = [label for label, _ in features.categories.get(name, ())]
            labels += features.tags.get(name, ())
            found += [f"{name}={label}" for label in labels if label not in known]
        for name, value in features.numbers.items():
            entry = self.numbers.get(name)
            if entry is not None and not entry.low <= value <= entry.high:
                found.append(f"{name}={value:g}")
        return found

    def severity(self, where: Mapping[str, str] | None = None, days: float = 0.0) -> Severity:
        """Return the size of one of the next things.

        What all of them share (the posterior of the level, the effect of a label never seen,
        the drift over `days`) is split into equally likely nodes; what differs from thing to
        thing stays inside a node.

        Parameters
        ----------
        where
            Category to label: things like the recent ones, but with this label.
        days
            How far ahead of the reference the things come.
        """
        where = where or {}
        rows = [settle(item, where) for item in self.population] or [Features()]
        unseen = self.unseen_variance(where)
        etas, weights = self._population_draws(rows, unseen)
        shared = unseen + self.drift_sd**2 * max(days, 0.0)
        etas = etas + np.sqrt(shared) * stratified(self.draws.shape[1])
        return shared_nodes(np.exp(etas), weights, self.size, self.noise)

    def unseen_variance(self, where: Mapping[str, str]) -> float:
        """Return the variance of the effects of labels that nobody has seen."""
        return sum(
            self.group_sd.get(category, 0.0) ** 2
            for category, label in where.items()
            if category in self._by_name and label not in self._by_name[category].columns
        )

    def shared_sd(self, rows: list[Features], where: Mapping[str, str], days: float) -> float:
        """Return the sd of the log level that things share: posterior, unseen labels, drift."""
        unseen = self.unseen_variance(where)
        etas, weights = self._population_draws(rows, unseen)
        levels = weights @ np.exp(etas - etas.max())
        known = float(np.log(levels / levels.mean()).var())
        return sqrt(known + unseen + self.drift_sd**2 * max(days, 0.0))

    def _population_draws(self, rows: list[Features], shared: float) -> tuple[Floats, Floats]:
        """Return draws (rows, S) of the log means of the population and the row weights.

        Variance of a thing's own, beyond its effects and beyond what is `shared`, enters as three
        rows (Gauss-Hermite).
        """
        etas, weights = [], []
        for row in rows:
            terms, variance, unsettled = self._terms(row)
            for combination in product(*(alternatives for _, alternatives in unsettled)):
                more, extra, weight = terms, variance, 1.0
                for (category, _), (label, prob) in zip(unsettled, combination, strict=True):
                    more, extra = self._with(more, extra, category, label)
                    weight *= prob
                columns, values = zip(*more, strict=True)
                eta = np.array(values) @ self.draws[list(columns)].astype(float)
                own = np.sqrt(max(extra - shared, 0.0))
                etas += [eta + node * own for node, _ in OWN]
                weights += [weight * share for _, share in OWN]
        total = np.array(weights)
        return np.array(etas), total / total.sum()

    def to_parts(self) -> tuple[Meta, Arrays]:
        """Return meta data and arrays."""
        meta: Meta = {
            "columns": list(self.columns),
            "size": self.size,
            "group_sd": dict(self.group_sd),
            "tags": list(self.tags),
            "numbers": {
                name: [entry.centre, entry.scale, entry.low, entry.high]
                for name, entry in self.numbers.items()
            },
            "drift_sd": self.drift_sd,
            "reference": self.reference.isoformat(),
            "population": [to_json(item) for item in self.population],
        }
        if self.noise is None:
            return meta, {"draws": self.draws}
        meta["noise"] = self.noise.first
        return meta, {"draws": self.draws, "noise": self.noise.weights}

    @classmethod
    def from_parts(cls, meta: Meta, arrays: Arrays) -> Self:
        """Read back what `to_parts` returned."""
        return cls(
            tuple(meta["columns"]),
            np.asarray(arrays["draws"], np.float32),
            float(meta["size"]),
            meta["group_sd"],
            tuple(meta["tags"]),
            {name: NumberRange(*entry) for name, entry in meta["numbers"].items()},
            float(meta["drift_sd"]),
            datetime.fromisoformat(meta["reference"]),
            tuple(from_json(item) for item in meta["population"]),
            Noise(int(meta["noise"]), np.asarray(arrays["noise"], float))
            if "noise" in meta
            else None,
        )


def settle(features: Features, where: Mapping[str, str]) -> Features:
    """Return the features with the labels of `where` taken as true."""
    fixed = {category: ((label, 1.0),) for category, label in where.items()}
    return Features({**features.categories, **fixed}, features.tags, features.numbers)


def _weight(part: tuple[float, Terms, float]) -> float:
    return part[0]
