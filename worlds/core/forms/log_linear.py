"""Sizes with a log-linear mean: posterior draws of effects, a negative-binomial around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import product
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from worlds.core.compound import Severity
from worlds.core.distributions import CountMixture, Floats
from worlds.core.features import Alternatives, Features, from_json, to_json
from worlds.core.forms.base import Arrays, Meta, register
from worlds.core.lattice import LARGEST_SIZE, CdfTable, LogMean, NegBinLattice, mixture_over
from worlds.errors import SnapshotError

MAX_ALTERNATIVES = 32
SHARED_NODES = 8
INNER_NODES = 8
UNKNOWN = ""
"""Label of a category that nobody stated: no effect has this name, so it counts as unseen."""


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

    def __post_init__(self) -> None:
        if self.draws.shape[0] != len(self.columns) or self.draws.ndim != 2:
            msg = f"draws must have shape ({len(self.columns)}, S); got {self.draws.shape}"
            raise SnapshotError(msg)
        if not (np.isfinite(self.draws).all() and self.size > 0):
            msg = "draws must be finite and the size positive"
            raise SnapshotError(msg)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.columns)}

    @cached_property
    def _lattice(self) -> NegBinLattice:
        return NegBinLattice(self.size)

    def prepare(self) -> None:
        """Compute the lattice now instead of at the first prediction."""
        if self.size <= LARGEST_SIZE:
            self._lattice  # noqa: B018 - the cached property is the point

    def predict(self, features: Features, at: datetime | None = None) -> CountMixture:
        """Return the predictive distribution, by quadrature over the log mean."""
        return mixture_over(self.log_mean(features, at), self.size)

    def quick(self, features: Features, at: datetime | None = None) -> CdfTable | CountMixture:
        """Return the predictive distribution on the lattice (see `worlds.core.lattice`)."""
        if self.size > LARGEST_SIZE:
            return self.predict(features, at)
        return self._lattice.mix(self.log_mean(features, at))

    def log_mean(self, features: Features, at: datetime | None = None) -> list[LogMean]:
        """Return the log mean: one normal for every combination of uncertain labels.

        Labels never seen, missing features and time beyond the reference widen it.
        """
        base, variance, open_categories = self._common(features)
        variance += self._drift_variance(at)
        if not open_categories:
            return [_normal(1.0, base, variance)]
        parts = []
        for combination in product(*(alternatives for _, alternatives in open_categories)):
            draws, extra, weight = base, variance, 1.0
            for (category, _), (label, prob) in zip(open_categories, combination, strict=True):
                weight *= prob
                column = self._index.get(f"{category}={label}")
                if column is None:
                    extra += self.group_sd.get(category, 0.0) ** 2
                else:
                    draws = draws + self.draws[column]
            parts.append(_normal(weight, draws, extra))
        parts = sorted(parts, key=lambda part: -part.weight)[:MAX_ALTERNATIVES]
        total = sum(part.weight for part in parts)
        return [LogMean(part.weight / total, part.mean, part.sd) for part in parts]

    def _drift_variance(self, at: datetime | None) -> float:
        if at is None:
            return 0.0
        days = (at - self.reference).total_seconds() / 86400
        return self.drift_sd**2 * max(days, 0.0)

    def _common(
        self, features: Features
    ) -> tuple[NDArray[np.float32], float, list[tuple[str, Alternatives]]]:
        """Return draws and extra variance of what is settled, and the unsettled categories."""
        base = self.draws[0]
        variance = 0.0
        unsettled = []
        for category, sd in self.group_sd.items():
            alternatives = features.categories.get(category, ())
            if category in self.tags:
                labels = features.tags.get(category, ())
            elif len(alternatives) > 1:
                unsettled.append((category, alternatives))
                continue
            else:
                labels = tuple(label for label, _ in alternatives) or (UNKNOWN,)
            for label in labels:
                column = self._index.get(f"{category}={label}")
                if column is None:
                    variance += sd**2
                else:
                    base = base + self.draws[column]
        for name, entry in self.numbers.items():
            effect = self.draws[self._index[f"number:{name}"]]
            value = features.numbers.get(name)
            if value is None:
                variance += float(np.mean(effect**2))
            else:
                base = base + effect * np.float32(entry.standard(value))
        return base, variance, unsettled

    def surprises(self, features: Features) -> list[str]:
        """Return the labels never seen and the numbers outside the range of training."""
        found = []
        for category, alternatives in features.categories.items():
            labels = [label for label, _ in alternatives]
            found += [f"{category}={x}" for x in labels if f"{category}={x}" not in self._index]
        for group, tags in features.tags.items():
            found += [f"{group}={x}" for x in tags if f"{group}={x}" not in self._index]
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
        rows = [settle(item, where or {}) for item in self.population] or [Features()]
        shared = self.drift_sd**2 * max(days, 0.0)
        for category, label in (where or {}).items():
            if f"{category}={label}" not in self._index:
                shared += self.group_sd.get(category, 0.0) ** 2
        etas, weights = self._population_draws(rows, set(where or {}))
        etas = etas + np.sqrt(shared) * self._stratified()
        return _shared_nodes(np.exp(etas), weights, self.size)

    def _stratified(self) -> Floats:
        """Return S normal scores in a fixed shuffled order (independent of the draws)."""
        count = self.draws.shape[1]
        scores = special.ndtri((np.arange(count) + 0.5) / count)
        return np.asarray(np.random.default_rng(20150131).permutation(scores))

    def _population_draws(self, rows: list[Features], shared: set[str]) -> tuple[Floats, Floats]:
        """Return draws (rows, S) of the log means of the population and the row weights."""
        etas, weights = [], []
        for row in rows:
            base, variance, unsettled = self._common(row)
            for name in shared:
                if (
                    row.categories.get(name)
                    and f"{name}={row.categories[name][0][0]}" not in self._index
                ):
                    variance -= self.group_sd.get(name, 0.0) ** 2
            for combination in product(*(alternatives for _, alternatives in unsettled)):
                eta, extra, weight = base.astype(float), max(variance, 0.0), 1.0
                for (category, _), (label, prob) in zip(unsettled, combination, strict=True):
                    weight *= prob
                    column = self._index.get(f"{category}={label}")
                    extra += self.group_sd.get(category, 0.0) ** 2 if column is None else 0.0
                    eta = eta if column is None else eta + self.draws[column]
                for sign in (-1.0, 1.0) if extra > 0 else (0.0,):
                    etas.append(eta + sign * np.sqrt(extra))
                    weights.append(weight * (0.5 if extra > 0 else 1.0))
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
        return meta, {"draws": self.draws}

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
        )


def settle(features: Features, where: Mapping[str, str]) -> Features:
    """Return the features with the labels of `where` taken as true."""
    fixed = {category: ((label, 1.0),) for category, label in where.items()}
    return Features({**features.categories, **fixed}, features.tags, features.numbers)


def _normal(weight: float, draws: NDArray[np.float32], variance: float) -> LogMean:
    return LogMean(weight, float(draws.mean()), float(np.sqrt(draws.var() + variance)))


def _shared_nodes(means: Floats, weights: Floats, size: float) -> Severity:
    """Split posterior draws into equally likely nodes by the level they give to all things.

    Parameters
    ----------
    means
        Array (R, S): mean of every thing of the population under every draw.
    weights
        Array (R,): weight of every thing.
    size
        Size of the negative binomial.
    """
    order = np.argsort(weights @ means, kind="stable")
    parts = []
    for chunk in np.array_split(order, min(SHARED_NODES, len(order))):
        values = means[:, chunk].ravel()
        probs = np.repeat(weights / len(chunk), len(chunk))
        parts.append(_compress(values, probs, size))
    return Severity(np.full(len(parts), 1 / len(parts)), tuple(parts))


def _compress(values: Floats, probs: Floats, size: float) -> CountMixture:
    """Return a mixture of few components with the same mean: bins of equal probability."""
    order = np.argsort(values, kind="stable")
    values, probs = values[order], probs[order]
    middle = np.cumsum(probs) - probs / 2
    bins = np.minimum((middle * INNER_NODES).astype(int), INNER_NODES - 1)
    weight = np.bincount(bins, probs, INNER_NODES)
    total = np.bincount(bins, probs * values, INNER_NODES)
    kept = weight > 0
    return CountMixture.of(total[kept] / weight[kept], size, weight[kept])
