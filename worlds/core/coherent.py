"""Paths of counts as a release serves them: recalibrated together, their periods coherent.

A release keeps what resolved forecasts said of the pool of its models (`horizons`, `cohesion` in
its evidence). Here that becomes the worlds: every model with the weights of its components, and
its own weight, such that the mixture of the worlds is the recalibrated pool.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy

from worlds.core.distributions import CountMixture
from worlds.core.forms.count_path import CountPath
from worlds.core.path_forecast import Cohesion, PathForecast
from worlds.core.path_total import PathTotal
from worlds.core.recalibration import Recalibration
from worlds.errors import SnapshotError

LEVELS, NOISES = 9, 15
"""Nodes of the level that periods share, and of what is their own."""


@dataclass(frozen=True, slots=True, eq=False)
class CoherentPath(CountPath):
    """A path whose periods belong together as past ones did.

    Parameters
    ----------
    cohesion
        Correlations of the periods.
    """

    cohesion: Cohesion = field(default_factory=Cohesion)

    def total(self, where: Mapping[str, str], over: int) -> PathTotal:
        """Return the total over the next periods: one level they share, noise of their own.

        The part of the level is the mean correlation of the periods, so that the variance of the
        total is that of the path; given the level every period keeps its mean and variance.
        """
        alone = PathForecast(
            {"": self}, np.ones((self.horizon, 1)), [Recalibration.identity()] * self.horizon
        )
        shared = np.clip(self.cohesion.mean_correlation(over), 0.0, 0.999)
        z, weights = scipy.special.roots_hermitenorm(LEVELS)
        noise, masses = scipy.special.roots_hermitenorm(NOISES)
        weights, masses = weights / weights.sum(), masses / masses.sum()
        levels = scipy.special.ndtr(np.sqrt(shared) * z[:, None] + np.sqrt(1 - shared) * noise)
        levels = np.clip(levels, 1e-12, 1 - 1e-12)
        counts = alone.quantiles(levels.ravel())[:over].reshape(over, LEVELS, NOISES)
        means = np.maximum(counts @ masses, 1e-9)
        excess = np.maximum(counts**2 @ masses - means**2 - means, 0.0)
        with np.errstate(divide="ignore"):
            sizes = np.where(excess > 1e-12 * means**2, means**2 / excess, np.inf)
        periods = [CountMixture.of(means[h], sizes[h], weights) for h in range(over)]
        for category, label in where.items():
            factors, shares = self.share(category, label)
            periods = [period.spread(factors, shares) for period in periods]
        return PathTotal.of(periods)


def total_of(path: CountPath, where: Mapping[str, str], over: int) -> PathTotal:
    """Return the total over the next periods of any path.

    Components that are the same at every step are levels that the periods share; where they
    differ and nothing is known of how periods cohere, they cohere as is usual.
    """
    if isinstance(path, CoherentPath):
        return path.total(where, over)
    first = path.weights[:over]
    if np.allclose(first, first[0]):
        return PathTotal.of([path.count(where, step) for step in range(over)])
    coherent = CoherentPath(
        path.start, path.step, path.weights, path.means, path.sizes, path.shares
    )
    return coherent.total(where, over)


def recalibrated(
    forms: Mapping[str, object], weights: Mapping[str, float], evidence: Mapping[str, Any]
) -> tuple[dict[str, CoherentPath], dict[str, float]] | None:
    """Return forms and weights whose mixture is the recalibrated pool; None without a record.

    Parameters
    ----------
    forms, weights
        Model to its form and to its weight at the next period.
    evidence
        What a release keeps of a quantity: `buckets`, `horizons` and `cohesion`.

    Raises
    ------
    SnapshotError
        If the record is no such thing.
    """
    paths = {name: form for name, form in forms.items() if isinstance(form, CountPath)}
    if not evidence.get("horizons") or len(paths) < len(forms) or not paths:
        return None
    cohesion = Cohesion.from_json(evidence["cohesion"])
    maps, shares = _horizons(evidence["horizons"], weights)
    buckets = [min(int(bucket), len(maps) - 1) for bucket in evidence.get("buckets", ())]
    horizon = min(len(buckets), *(path.horizon for path in paths.values()))
    if horizon < 1:
        return None
    table = np.array([[shares[bucket][name] for name in paths] for bucket in buckets[:horizon]])
    cut = {name: _first(path, horizon) for name, path in paths.items()}
    pool = PathForecast(cut, table, [maps[bucket] for bucket in buckets[:horizon]], cohesion)
    worlds = [pool.worlds(step) for step in range(horizon)]
    found = {
        name: CoherentPath(
            path.start,
            path.step,
            np.array([told[name][1].weights for told in worlds]),
            path.means,
            path.sizes,
            path.shares,
            cohesion,
        )
        for name, path in cut.items()
    }
    return found, {name: mass for name, (mass, _) in worlds[0].items()}


def _horizons(
    horizons: Sequence[Mapping[str, Any]], weights: Mapping[str, float]
) -> tuple[list[Recalibration], list[dict[str, float]]]:
    """Return map and weights of every bucket; the first has the weights in force."""
    maps, shares = [], []
    for number, entry in enumerate(horizons):
        try:
            kept = {name: float(entry["weights"].get(name, 0.0)) for name in weights}
            maps.append(Recalibration.from_json(entry["recalibration"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"a horizon needs weights and a recalibration; got {entry!r}"
            raise SnapshotError(msg) from error
        total = sum(kept.values())
        used = dict(weights) if number == 0 or total <= 0 else kept
        total = sum(used.values())
        shares.append({name: weight / total for name, weight in used.items()})
    return maps, shares


def _first(path: CountPath, horizon: int) -> CountPath:
    if path.horizon == horizon:
        return path
    return replace(
        path,
        weights=path.weights[:horizon],
        means=path.means[:horizon],
        sizes=path.sizes[:horizon],
    )
