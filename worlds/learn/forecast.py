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
from numpy.typing import ArrayLike

from worlds.core.path_forecast import PathForecast
from worlds.errors import QuestionError
from worlds.learn import placing, registry
from worlds.learn.placing import Placing, Trial
from worlds.learn.protocol import Declined
from worlds.learn.record import Record, asked_steps, learn_record, told
from worlds.learn.residuals import Law
from worlds.learn.series import Counts
from worlds.learn.usual import View

LINE_UP = ("historical", "seasonal", "streaming", "learned", "waves")
"""The models that take part unless others are named."""


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
        """Return the forecaster after more counts: levels move on, nothing is trained again.

        Every count also meets what would have been forecast of it, and moves weights and
        recalibration by that (see `worlds.core.online`).
        """
        before = len(self.view)
        view = self.view.extended(np.atleast_1d(np.asarray(counts, float)))
        return replace(self, view=view, record=self._met(view, before))

    def _met(self, view: View, before: int) -> Record:
        """Return the record after the periods of a view from `before` on."""
        asked = asked_steps(view.horizon, max(view.per_hour, 1))
        periods = np.arange(before, len(view))
        origins = periods[:, None] - asked + 1
        wanted, inverse = np.unique(np.maximum(origins, 1), return_inverse=True)
        rows = inverse.reshape(origins.shape)
        outcome = np.where(view.known[periods, None] & (origins > 0), view.y[periods, None], np.nan)
        found = []
        for name, trial in self.trials.items():
            place = trial.trainings[-1][1].places(view, wanted)[rows, asked - 1]
            found.append(told(self.laws[name], view.horizon, outcome, place, asked))
        tables = [np.stack([one[side] for one in found], -1) for side in range(3)]
        record = self.record
        for number in range(len(periods)):
            record = record.after((tables[0][number], tables[1][number], tables[2][number]), asked)
        return record

    @cached_property
    def age(self) -> int:
        """Counts taken in since the fit."""
        return len(self.view) - len(next(iter(self.trials.values())).view)
