"""Scores of the next period that models on trial forecast, each with the law known at its time."""

from dataclasses import dataclass

import numpy as np

from worlds.core.distributions import CountMixture
from worlds.learn.placing import Trial
from worlds.learn.residuals import Law
from worlds.learn.scoring import Scores, collect, score
from worlds.learn.series import utc64


@dataclass(frozen=True, slots=True)
class TrialScores(Scores):
    """Scores that remember the paths they are the first steps of.

    Parameters
    ----------
    trial
        What was forecast at all steps.
    """

    trial: Trial


def trial_scores(trial: Trial, rng: np.random.Generator) -> TrialScores:
    """Return the scores of the first steps; nan where the model was not yet able to forecast."""
    view = trial.view
    rows: list[tuple[float, float, float, float]] = []
    laws: dict[int, Law] = {}
    for i in trial.scored:
        origin, begun = int(trial.origins[i]), int(trial.begun[i])
        place = trial.places[i, :1]
        if not (np.isfinite(place[0]) and view.known[origin]):
            rows.append((np.nan, np.nan, np.nan, np.nan))
            continue
        law = laws.setdefault(begun, trial.laws(begun, first=True)[0])
        means, sizes = law.components(place)
        forecast = CountMixture.of(means[0], sizes[0], law.weights)
        rows.append(score(forecast, float(view.y[origin]), rng))
    chosen = trial.origins[trial.scored]
    at = utc64(view.history.start) + chosen * np.timedelta64(view.history.step)
    plain = collect(at, view.y[chosen], rows)
    return TrialScores(
        plain.at, plain.outcome, plain.log_score, plain.crps, plain.below, plain.upto, trial
    )
