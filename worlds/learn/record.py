"""What resolved forecasts say of a pool of models: weights, recalibration, cohesion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from worlds.core.distributions import Floats
from worlds.core.online import map_after, weights_after
from worlds.core.path_forecast import Cohesion
from worlds.core.recalibration import Recalibration
from worlds.learn.placing import Trial
from worlds.learn.residuals import Law, blocks
from worlds.learn.stacking import stack

PULL = 20.0
"""Forecasts that equal weights are worth."""
MEMORY_DAYS = 15.0
"""Age in days at which a forecast counts half for weights and recalibration."""
CORRELATED = 2.0
"""Steps of one origin err together: they count as that many."""
STRENGTH, ENOUGH = 5.0, 40.0
"""Forecasts that the identity is worth in a recalibration, and how many there should be."""


@dataclass(frozen=True, slots=True)
class Record:
    """What resolved forecasts say of the pool: one entry a bucket of steps.

    Parameters
    ----------
    buckets
        Array (H,): the bucket of every step: the next hour (or period), and what comes later.
    weights
        Array (B, M).
    recalibrations
        One a bucket.
    cohesion
        How the steps of a path belong together.
    forecasts
        Resolved forecasts behind it, one number a bucket.
    pace
        Forecasts on trial a period: what one more period counts.
    since
        Periods that have moved it since it was learned.
    """

    buckets: NDArray[np.intp]
    weights: Floats
    recalibrations: tuple[Recalibration, ...]
    cohesion: Cohesion
    forecasts: tuple[int, ...]
    pace: float = 1.0
    since: int = 0

    def after(self, told: tuple[Floats, Floats, Floats], asked: NDArray[np.intp]) -> "Record":
        """Return the record after one more period met what was forecast of it.

        Parameters
        ----------
        told
            Arrays (S, M): log probability, P(Y < y) and P(Y <= y) of its count, forecast so many
            steps before by every model.
        asked
            Array (S,): those steps.
        """
        weights, maps = self.weights.copy(), list(self.recalibrations)
        bucket_of = self.buckets[asked - 1]
        for bucket in range(len(maps)):
            part = np.flatnonzero(bucket_of == bucket)
            worth = self.pace * min(CORRELATED / max(len(part), 1), 1.0)
            for row in part:
                log_prob, below, upto = (table[row] for table in told)
                if not np.isfinite(log_prob).all():
                    continue
                share = weights[bucket]
                maps[bucket] = map_after(maps[bucket], below @ share, upto @ share, worth)
                remembered = maps[bucket].forecasts
                weights[bucket] = weights_after(share, log_prob, worth, remembered)
        return replace(self, weights=weights, recalibrations=tuple(maps), since=self.since + 1)

    def to_json(self, models: Sequence[str]) -> dict[str, Any]:
        """Return what a release keeps of it; the models are named in the order of the weights."""
        return {
            "buckets": self.buckets.tolist(),
            "horizons": [
                {
                    "weights": dict(zip(models, share.tolist(), strict=True)),
                    "recalibration": one.to_json(),
                    "forecasts": number,
                }
                for share, one, number in zip(
                    self.weights, self.recalibrations, self.forecasts, strict=True
                )
            ],
            "cohesion": self.cohesion.to_json(),
        }


def learn_record(trials: Sequence[Trial], laws: Mapping[str, list[Law]]) -> Record:
    """Return weights, recalibration and cohesion from the resolved forecasts of all models."""
    view = trials[0].view
    horizon = view.horizon
    near = max(view.per_hour, 1)
    buckets = (np.arange(horizon) >= near).astype(np.intp)
    asked = asked_steps(horizon, near)
    origins = sorted(set.intersection(*(set(trial.origins.tolist()) for trial in trials)))
    found = [
        _told(trial, laws[trial.model.name], np.array(origins, int), asked) for trial in trials
    ]
    log_prob = np.stack([part[0] for part in found], -1)
    below, upto = (np.stack([part[i] for part in found], -1) for i in (1, 2))
    targets = np.array(origins, int)[:, None] + asked - 1
    age = (len(view) - targets) / view.clock.per_day
    fresh = 0.5 ** (np.maximum(age, 0) / MEMORY_DAYS) * np.isfinite(log_prob).all(-1)
    weights, maps, numbers = [], [], []
    pooled = np.full((2, *fresh.shape), np.nan)
    for bucket in range(int(buckets.max(initial=0)) + 1):
        part = np.flatnonzero(buckets[asked - 1] == bucket)
        mass, kept = fresh[:, part], fresh[:, part] > 0
        worth = mass[kept] * min(CORRELATED / max(len(part), 1), 1.0)
        share = stack_steps(log_prob[:, part][kept], worth)
        for side, table in enumerate((below, upto)):
            pooled[side][:, part] = table[:, part] @ share
        ends = (pooled[side][:, part][kept] for side in (0, 1))
        strength = STRENGTH + max(ENOUGH - float(worth.sum()), 0.0)
        maps.append(Recalibration.fit_between(*ends, weights=worth, strength=strength))
        weights.append(share)
        numbers.append(int(kept.any(1).sum()))
    scores = np.full((len(origins), horizon), np.nan)
    middle = np.clip(pooled.mean(0), 1e-3, 1 - 1e-3)
    scores[:, asked - 1] = np.where(fresh > 0, special.ndtri(middle), np.nan)
    cohesion = Cohesion.fit(scores, fresh.max(1, initial=0.0))
    tried = len(view) - min(origins) if origins else 1
    pace = min(len(origins) / max(tried, 1), 1.0)
    return Record(buckets, np.array(weights), tuple(maps), cohesion, tuple(numbers), pace)


def asked_steps(horizon: int, near: int) -> NDArray[np.intp]:
    """Return the steps that are scored: those of the next hour, then fewer and fewer."""
    later = [near * factor for factor in (1, 2, 4, 8, 16, 24)]
    return np.unique([*range(1, min(near, horizon) + 1), *(s for s in later if s <= horizon)])


def _told(
    trial: Trial, laws: list[Law], origins: NDArray[np.intp], asked: NDArray[np.intp]
) -> tuple[Floats, Floats, Floats]:
    """Return log probability, P(Y < y) and P(Y <= y) of outcomes (n, S), nan where unknown."""
    rows = np.searchsorted(trial.origins, origins)
    outcome = trial.outcomes[0][rows][:, asked - 1]
    place = trial.places[rows][:, asked - 1]
    return told(laws, trial.view.horizon, outcome, place, asked)


def told(
    laws: Sequence[Law], horizon: int, outcome: Floats, place: Floats, asked: NDArray[np.intp]
) -> tuple[Floats, Floats, Floats]:
    """Return log probability, P(Y < y) and P(Y <= y) of outcomes (n, S) at steps (S,)."""
    safe = np.nan_to_num(outcome)
    found = np.full((3, *outcome.shape), np.nan)
    for law, block in zip(laws, blocks(horizon), strict=True):
        part = (asked >= block[0]) & (asked <= block[-1])
        y, mu = safe[:, part], place[:, part]
        found[0][:, part] = law.log_prob(y, mu)
        found[2][:, part] = law.cdf(y, mu)
        found[1][:, part] = found[2][:, part] - np.exp(found[0][:, part])
    found[1] = np.clip(found[1], 0.0, 1.0)
    found[:, ~np.isfinite(outcome)] = np.nan
    return found[0], found[1], found[2]


def stack_steps(log_prob: Floats, worth: Floats) -> Floats:
    """Return stacking weights of forecasts (n, M) that count `worth` each, drawn to equal ones."""
    count = log_prob.shape[1]
    if len(log_prob) == 0:
        return np.full(count, 1 / count)
    return stack(log_prob, worth, PULL)
