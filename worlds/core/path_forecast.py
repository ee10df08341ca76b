"""The pooled forecast of the next periods: models, weights, recalibration, and how steps cohere.

Every step is a linear pool of the models, recalibrated by what earlier pools were like. The steps
belong together: normal scores of the periods of one path have the correlations of `Cohesion`, so
that totals over several periods are as wide as they should be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy
from numpy.typing import ArrayLike

from worlds.core.distributions import CountMixture, Floats, check_levels
from worlds.core.forms.count_path import CountPath
from worlds.core.recalibration import Recalibration
from worlds.errors import QuestionError, SnapshotError

POINTS = 80
"""Points of the grid on which one model of a step is tabulated; the pool has those of all."""
TAIL = 1e-5
"""Probability beyond either end of the grid."""
PATHS = 1024
"""Paths from which totals are made."""
GROUPS = 64
"""Components of a total."""
TURNS = 40
"""Steps of EM from the components of models to those of recalibrated worlds."""


@dataclass(frozen=True, slots=True)
class Cohesion:
    """Correlations of the normal scores of the steps of one path.

    Parameters
    ----------
    shared
        Part of the variance that all steps have in common (the level).
    drifting
        Part that is passed on from step to step.
    keeps
        How much of it is passed on.
    """

    shared: float = 0.2
    drifting: float = 0.3
    keeps: float = 0.8

    @classmethod
    def fit(cls, scores: Floats, weight: Floats | None = None) -> Self:
        """Return the cohesion of past paths by least squares on their correlations.

        Parameters
        ----------
        scores
            Array (n, H): normal scores of the outcomes of every path, nan where not known.
        weight
            Array (n,): what every path counts.
        """
        n, horizon = scores.shape
        count = np.ones(n) if weight is None else weight
        if horizon < 2 or n < FEW_PATHS:
            return cls()
        lags = np.unique(np.geomspace(1, horizon - 1, 12).astype(int))
        found, worth = [], []
        for lag in lags:
            pairs = scores[:, :-lag] * scores[:, lag:]
            there = np.isfinite(pairs)
            many = float((count[:, None] * there).sum())
            both = np.where(there, scores[:, :-lag] ** 2 + scores[:, lag:] ** 2, 0.0)
            square = float((count[:, None] * both).sum()) / 2
            total = float((count[:, None] * np.where(there, pairs, 0.0)).sum())
            found.append(total / max(square, 1e-12))
            worth.append(many * (horizon - lag) / horizon)
        target, mass = np.array(found), np.array(worth)
        best = (np.inf, cls())
        for keeps in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
            rows = np.column_stack([np.ones(len(lags)), keeps**lags])
            gram = (rows * mass[:, None]).T @ rows + 1e-9 * np.eye(2)
            parts = np.linalg.solve(gram, rows.T @ (mass * target))
            shared = float(np.clip(parts[0], 0.0, 0.95))
            drifting = float(np.clip(parts[1], 0.0, 0.98 - shared))
            left = target - shared - drifting * keeps**lags
            best = min(best, (float(mass @ left**2), cls(shared, drifting, keeps)), key=_first)
        trust = n / (n + FEW_PATHS)
        own, usual = best[1], cls()
        return cls(
            trust * own.shared + (1 - trust) * usual.shared,
            trust * own.drifting + (1 - trust) * usual.drifting,
            own.keeps,
        )

    def normals(self, horizon: int, paths: int = PATHS) -> Floats:
        """Return normal scores (paths, horizon), always the same: stratified, then antithetic."""
        rng = np.random.default_rng(PATHS + horizon)
        half = paths // 2
        level = scipy.special.ndtri((rng.permutation(half) + 0.5) / half)
        noise = rng.standard_normal((half, horizon))
        steps = rng.standard_normal((half, horizon))
        drift = np.empty((half, horizon))
        drift[:, 0] = steps[:, 0]
        fresh = np.sqrt(1 - self.keeps**2)
        for step in range(1, horizon):
            drift[:, step] = self.keeps * drift[:, step - 1] + fresh * steps[:, step]
        own = max(1 - self.shared - self.drifting, 0.0)
        mixed = (
            np.sqrt(self.shared) * level[:, None]
            + np.sqrt(self.drifting) * drift
            + np.sqrt(own) * noise
        )
        return np.vstack([mixed, -mixed])

    def mean_correlation(self, steps: int) -> float:
        """Return the mean correlation of two different ones of so many consecutive steps."""
        if steps < 2:
            return 0.0
        lags = np.arange(1, steps)
        pairs = (steps - lags) / (steps * (steps - 1) / 2)
        return float(self.shared + self.drifting * (pairs @ self.keeps**lags))

    def to_json(self) -> dict[str, float]:
        """Return plain numbers."""
        return {"shared": self.shared, "drifting": self.drifting, "keeps": self.keeps}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Read back what `to_json` returned."""
        try:
            found = cls(float(obj["shared"]), float(obj["drifting"]), float(obj["keeps"]))
        except (KeyError, TypeError, ValueError) as error:
            msg = f"a cohesion needs shared, drifting and keeps; got {obj!r}"
            raise SnapshotError(msg) from error
        sound = min(found.shared, found.drifting) >= 0 and found.shared + found.drifting <= 1
        if not (sound and 0 <= found.keeps < 1):
            msg = f"shared + drifting must lie in [0, 1] and keeps in [0, 1); got {obj!r}"
            raise SnapshotError(msg)
        return found


FEW_PATHS = 20


def _first(pair: tuple[float, Cohesion]) -> float:
    return pair[0]


@dataclass(frozen=True, eq=False)
class PathForecast:
    """The pooled, recalibrated joint forecast of H periods.

    Parameters
    ----------
    paths
        Model to its form; all of the same periods.
    weights
        Array (H, M): weights of the models (in the order of `paths`) at every step.
    recalibrations
        One map a step.
    cohesion
        How the steps belong together.
    """

    paths: Mapping[str, CountPath]
    weights: Floats
    recalibrations: Sequence[Recalibration]
    cohesion: Cohesion = Cohesion()

    @property
    def horizon(self) -> int:
        """Number of periods."""
        return len(self.weights)

    @cached_property
    def _grid(self) -> tuple[Floats, Floats]:
        """Values (H, G) and the recalibrated P(Y <= value) there."""
        own = [_values(path) for path in self.paths.values()]
        values = np.sort(np.concatenate(own, axis=1), axis=1)
        plain = np.zeros(values.shape)
        for column, (path, grid) in enumerate(zip(self.paths.values(), own, strict=True)):
            told = _cumulative(path, grid)
            for step, weight in enumerate(self.weights[:, column]):
                plain[step] += weight * np.interp(values[step], grid[step], told[step], 0.0, 1.0)
        maps = self.recalibrations
        # neighbouring steps share a map: apply each to its run of steps at once
        told = np.empty(plain.shape)
        begin = 0
        for step in range(1, len(plain) + 1):
            if step == len(plain) or maps[step] is not maps[begin]:
                told[begin:step] = maps[begin].apply(plain[begin:step])
                begin = step
        return values, np.maximum.accumulate(told, axis=1)

    def quantiles(self, levels: ArrayLike) -> Floats:
        """Return the quantiles (H, L) of every period, whole counts."""
        asked = check_levels(levels)
        return np.ceil(self._quantiles(np.tile(asked, (self.horizon, 1))) - 1e-9)

    def _quantiles(self, levels: Floats) -> Floats:
        """Return quantiles (H, L) of levels (H, L), not rounded."""
        values, upto = self._grid
        found = np.empty(levels.shape)
        for step in range(self.horizon):
            found[step] = _inverse(values[step], upto[step], levels[step])
        return found

    def cdf(self, counts: ArrayLike) -> Floats:
        """Return P(Y <= count) of every period (H, ...) for counts (...)."""
        asked = np.floor(np.asarray(counts, float))
        values, upto = self._grid
        return np.array(
            [np.interp(asked, values[step], upto[step], 0.0, 1.0) for step in range(self.horizon)]
        )

    def mean(self) -> Floats:
        """Return the expected counts (H,)."""
        values, upto = self._grid
        mass = np.diff(upto, axis=1, prepend=0.0)
        gap = np.diff(values, axis=1, prepend=values[:, :1] - 1)
        middle = values - (np.maximum(gap, 1.0) - 1) / 2
        return np.asarray((mass * middle).sum(1) / mass.sum(1))

    def samples(self) -> Floats:
        """Return paths (n, H) of counts, always the same ones: what may happen together."""
        scores = scipy.special.ndtr(self.cohesion.normals(self.horizon)).T
        return np.ceil(self._quantiles(scores) - 1e-9).T

    def total(self, first: int = 0, last: int | None = None) -> CountMixture:
        """Return the distribution of the total over steps first .. last - 1 (all by default)."""
        end = self.horizon if last is None else last
        if not 0 <= first < end <= self.horizon:
            msg = f"steps must lie in 0 <= first < last <= {self.horizon}; got {first}, {last}"
            raise QuestionError(msg)
        return as_mixture(self.samples()[:, first:end].sum(1))

    def totals(self, levels: ArrayLike, first: int = 0, last: int | None = None) -> Floats:
        """Return quantiles of the total over some steps."""
        return self.total(first, last).quantile(levels)

    def worlds(self, step: int = 0) -> dict[str, tuple[float, CountMixture]]:
        """Return model to weight and distribution, whose mixture is the recalibrated pool.

        The map multiplies the probability of every value by its slope there. The weights of the
        components, of all models together, are moved towards that by the steps of EM: the first
        gives every component the mean of the factor over it, the others make up for components
        that are wide against the pieces of the map. So the worlds remain mixtures whose
        generating function is known, and a model whose values become rarer loses weight.
        """
        grid = np.unique(self._grid[0][step])
        paths = list(self.paths.values())
        parts = np.vstack([_masses(path, step, grid) for path in paths])
        shares = zip(self.weights[step], paths, strict=True)
        start = np.concatenate([weight * path.weights[step] for weight, path in shares])
        found = reweighted(start, parts, self.recalibrations[step])
        ends = np.cumsum([len(path.weights[step]) for path in paths])[:-1]
        told: dict[str, tuple[float, CountMixture]] = {}
        for (name, path), mine in zip(self.paths.items(), np.split(found, ends), strict=True):
            mass = float(mine.sum())
            own = mine / mass if mass > 0 else path.weights[step]  # a model that has no say here
            law = CountMixture.of(path.means[step], path.sizes[step], own)
            told[name] = (mass, law)
        return told


def reweighted(weights: Floats, parts: Floats, recalibration: Recalibration) -> Floats:
    """Return weights of components whose mixture is the recalibrated one.

    Parameters
    ----------
    weights
        Array (K,) that sums to 1.
    parts
        Array (K, G): probability of every cell of a grid under every component.
    recalibration
        The map of the cumulative distribution of the mixture.
    """
    if not recalibration.changes:
        return weights
    parts = parts / np.maximum(parts.sum(1, keepdims=True), 1e-300)
    pool = weights @ parts
    upto = np.clip(np.cumsum(pool), 0.0, 1.0)
    wanted = pool * recalibration.slope(np.r_[0.0, upto[:-1]], upto)
    found = weights
    for _ in range(TURNS):
        found = found * (parts @ (wanted / np.maximum(found @ parts, 1e-300)))
        found = found / found.sum()
    return np.asarray(found)


def as_mixture(draws: Floats) -> CountMixture:
    """Return the mixture of negative binomials that stands for draws of a count.

    Sorted draws are taken in groups of equal number; each becomes a component with the mean and,
    where it is wider than chance, the spread of its group.
    """
    groups = np.sort(draws)[: len(draws) // GROUPS * GROUPS].reshape(GROUPS, -1)
    means = np.maximum(groups.mean(1), 1e-6)
    # the parts of a smooth distribution are spread over their interval: overlap them a little
    gaps = np.gradient(means)
    spread = np.maximum(groups.var(1), gaps**2 / 4)
    excess = np.maximum(spread - means, 0.0)
    sizes = np.where(excess > 0, means**2 / np.maximum(excess, 1e-12), np.inf)
    means *= draws.mean() / means.mean() if means.mean() > 0 else 1.0
    return CountMixture.of(means, sizes)


def _values(path: CountPath) -> Floats:
    """Return increasing whole values (H, G) that hold all but a tail of every step."""
    spread = np.sqrt(path.means + path.means**2 / path.sizes)
    row = np.arange(path.horizon)
    order = np.argsort(path.means, axis=1, kind="stable")
    upto = np.cumsum(np.take_along_axis(path.weights, order, 1), axis=1)
    last = order[row, np.minimum((upto < 1 - TAIL).sum(1), order.shape[1] - 1)]
    first = order[row, np.minimum((upto < TAIL).sum(1), order.shape[1] - 1)]
    begin = np.floor(np.maximum(path.means[row, first] - 4 * spread[row, first], 0.0))
    end = np.ceil(path.means[row, last] + 5 * spread[row, last] + 3)
    numbers = np.arange(POINTS)
    start, stop = np.log(begin + 3.0)[:, None], np.log(end + 3.0)[:, None]
    curved = np.round(np.exp(start + (stop - start) * numbers / (POINTS - 1)) - 3.0)
    # at least one apart: near the lower end the curve is too slow for whole numbers
    curved = np.maximum.accumulate(curved - numbers, axis=1) + numbers
    return np.asarray(np.where((end - begin < POINTS)[:, None], begin[:, None] + numbers, curved))


def _density(path: CountPath, values: Floats, steps: slice) -> Floats:
    """Return the probability of values (h, G) under every component (h, K, G)."""
    means, sizes = path.means[steps, :, None], path.sizes[steps, :, None]
    finite = np.isfinite(sizes)
    shape = np.where(finite, sizes, 1.0)
    x = values[:, None, :]
    same = bool((path.sizes[steps] == path.sizes[steps][:, :1]).all())
    inner = shape[:, :1] if same else shape
    base = (
        scipy.special.gammaln(x + inner)
        - scipy.special.gammaln(inner)
        - scipy.special.gammaln(x + 1)
    )
    ratio = np.log1p(means / shape)
    negbin = x * (np.log(means / shape) - ratio)
    negbin -= shape * ratio
    negbin = negbin + base
    if finite.all():
        return np.asarray(np.exp(negbin, out=negbin))
    poisson = x * np.log(means) - means - scipy.special.gammaln(x + 1)
    return np.asarray(np.exp(np.where(finite, negbin, poisson)))


def _widths(values: Floats) -> Floats:
    """Return how many whole numbers every grid value stands for: up to half-way to the next."""
    edges = (values[..., 1:] + values[..., :-1]) / 2
    ends = np.concatenate([values[..., :1] - 0.5, edges, values[..., -1:] + 0.5], -1)
    return np.diff(ends, axis=-1)


def _masses(path: CountPath, step: int, grid: Floats) -> Floats:
    """Return the probability (K, G) of what every grid value stands for."""
    one = slice(step, step + 1)
    return np.asarray(_density(path, grid[None], one)[0] * _widths(grid))


def _cumulative(path: CountPath, values: Floats) -> Floats:
    """Return P(Y <= value) (H, G): sums on whole numbers, and between them the trapezium."""
    parts = _density(path, values, slice(None))
    mass = (path.weights[:, None, :] @ parts)[:, 0]
    gap = np.diff(values, axis=1)
    # the numbers after one value up to the next: their densities run straight between the two
    between = mass[:, 1:] * (gap + 1) / 2 + mass[:, :-1] * (gap - 1) / 2
    upto = np.cumsum(np.concatenate([mass[:, :1], between], 1), axis=1)
    # what is below a first value above 0 and beyond the last is below TAIL: scaled away
    return np.asarray(upto / upto[:, -1:])


def _inverse(values: Floats, upto: Floats, levels: Floats) -> Floats:
    """Return where a cumulative table reaches levels, straight between its values."""
    place = np.minimum(np.searchsorted(upto, levels - 1e-12), len(values) - 1)
    before = np.maximum(place - 1, 0)
    rise = np.maximum(upto[place] - upto[before], 1e-300)
    part = np.clip((levels - upto[before]) / rise, 0.0, 1.0)
    between = values[before] + part * (values[place] - values[before])
    return np.asarray(np.where(place == 0, values[0], between))
