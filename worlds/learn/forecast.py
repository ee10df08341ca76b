"""Forecast counts: every model tried on its past, stacked, recalibrated, as joint paths.

    forecaster = Forecaster.fit(history, horizon=24)
    ahead = forecaster.forecast()
    ahead.quantiles([0.05, 0.5, 0.95])      # (24, 3)
    ahead.totals([0.05, 0.95])              # of the whole path
    forecaster = forecaster.update([17, 23])  # two more counts: no refit

The same models, weights, maps and cohesion are what a release publishes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from worlds.core.distributions import Floats
from worlds.core.path_forecast import Cohesion, PathForecast
from worlds.core.recalibration import Recalibration
from worlds.errors import QuestionError
from worlds.learn import placing, registry
from worlds.learn.placing import Placing, Trial
from worlds.learn.protocol import Declined
from worlds.learn.residuals import Law
from worlds.learn.series import Counts
from worlds.learn.usual import View
from worlds.learn.weights import stack

LINE_UP = ("historical", "seasonal", "streaming", "learned", "waves")
"""The models that take part unless others are named."""
PULL = 20.0
"""Forecasts that equal weights are worth."""
MEMORY_DAYS = 30.0
"""Age in days at which a forecast counts half for weights and recalibration."""
CORRELATED = 2.0
"""Steps of one origin err together: they count as that many."""
STRENGTH = 40.0


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
    """

    buckets: NDArray[np.intp]
    weights: Floats
    recalibrations: tuple[Recalibration, ...]
    cohesion: Cohesion
    forecasts: tuple[int, ...]


@dataclass(frozen=True)
class Forecaster:
    """Fitted models of one series of counts, ready to forecast and to take in more counts.

    Parameters
    ----------
    view
        The counts so far.
    trials
        What every model forecast of its past, and its training.
    laws
        Model to the law of its errors, one a block of steps.
    record
        What resolved forecasts say of the pool.
    declined
        Models that have no belief, and why.
    """

    view: View
    trials: Mapping[str, Trial]
    laws: Mapping[str, list[Law]]
    record: Record
    declined: Mapping[str, str]

    @classmethod
    def fit(
        cls,
        history: Counts,
        *,
        horizon: int = 24,
        models: Sequence[str | Placing] = LINE_UP,
    ) -> "Forecaster":
        """Fit on everything in a history: a pure function of it.

        Parameters
        ----------
        history
            Counts as of now; nan where nobody counted.
        horizon
            Periods ahead.
        models
            Names, or models of places.

        Raises
        ------
        QuestionError
            If no model can forecast from this history.
        """
        view = View.of(placing.latest(history), horizon)
        trials, declined = {}, {}
        for entry in models:
            model = registry.find("count", entry) if isinstance(entry, str) else entry
            found = placing.try_out(model, view)  # type: ignore[arg-type]  # it trains
            if isinstance(found, Declined):
                declined[found.model] = found.reason
            else:
                trials[model.name] = found
        if not trials:
            msg = f"no model can forecast from {len(history)} periods: {declined}"
            raise QuestionError(msg)
        laws = {name: trial.laws(len(view)) for name, trial in trials.items()}
        return cls(view, trials, laws, learn_record(list(trials.values()), laws), declined)

    def forecast(self) -> PathForecast:
        """Return the pooled joint forecast of what comes after the counts so far."""
        paths = {
            name: trial.path(self.view, self.laws[name]) for name, trial in self.trials.items()
        }
        record = self.record
        return PathForecast(
            paths,
            record.weights[record.buckets],
            [record.recalibrations[bucket] for bucket in record.buckets],
            record.cohesion,
        )

    def update(self, counts: ArrayLike) -> "Forecaster":
        """Return the forecaster after more counts: levels move on, nothing is trained again."""
        return replace(self, view=self.view.extended(np.atleast_1d(np.asarray(counts, float))))

    @cached_property
    def age(self) -> int:
        """Counts taken in since the fit."""
        return len(self.view) - len(next(iter(self.trials.values())).view)


def learn_record(trials: Sequence[Trial], laws: Mapping[str, list[Law]]) -> Record:
    """Return weights, recalibration and cohesion from the resolved forecasts of all models."""
    view = trials[0].view
    horizon = view.horizon
    near = max(view.per_hour, 1)
    buckets = (np.arange(horizon) >= near).astype(np.intp)
    asked = asked_steps(horizon, near)
    origins = sorted(set.intersection(*(set(trial.origins.tolist()) for trial in trials)))
    told = [_told(trial, laws[trial.model.name], np.array(origins, int), asked) for trial in trials]
    log_prob = np.stack([part[0] for part in told], -1)
    below, upto = (np.stack([part[i] for part in told], -1) for i in (1, 2))
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
        maps.append(Recalibration.fit_between(*ends, weights=worth, strength=STRENGTH))
        weights.append(share)
        numbers.append(int(kept.any(1).sum()))
    scores = np.full((len(origins), horizon), np.nan)
    middle = np.clip(pooled.mean(0), 1e-3, 1 - 1e-3)
    scores[:, asked - 1] = np.where(fresh > 0, special.ndtri(middle), np.nan)
    cohesion = Cohesion.fit(scores, fresh.max(1, initial=0.0))
    return Record(buckets, np.array(weights), tuple(maps), cohesion, tuple(numbers))


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
    safe = np.nan_to_num(outcome)
    found = np.full((3, *outcome.shape), np.nan)
    for law, block in zip(laws, placing.blocks(trial.view.horizon), strict=True):
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
