"""Weights of models from forecasts that have met their outcome: stacking with a floor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from worlds.core.distributions import Floats
from worlds.learn.record import Record, learn_record
from worlds.learn.scoring import LEVELS, Scores
from worlds.learn.series import aware
from worlds.learn.size_pool import SizeScores, pool_sizes
from worlds.learn.stacking import FLOOR, stack
from worlds.learn.trial_scores import TrialScores

__all__ = ["FLOOR", "Weights", "complete", "learn_weights", "pooled", "stack", "summary"]

FEW = 10
"""Forecasts below which the weights are drawn to equal ones, in proportion."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights and what they were learned from."""

    weights: Mapping[str, float]
    evidence: Mapping[str, Any]


def learn_weights(scores: Mapping[str, Scores]) -> Weights:
    """Return weights and evidence of the models of one quantity.

    Parameters
    ----------
    scores
        Model to its scores, all on the same outcomes. Models without any (they had no past to
        forecast from) take part with the floor.
    """
    names = sorted(scores)
    scored = [name for name in names if len(scores[name].made)]
    n = max((len(scores[name].made) for name in scored), default=0)
    weights = dict.fromkeys(names, 1 / len(names))
    more: Mapping[str, Any] = {}
    if scored:
        found, more = _stacked(scores, scored)
        free = 1 - FLOOR * (len(names) - len(scored))
        stacked = dict(zip(scored, free * found, strict=True))
        trust = min(n / FEW, 1.0)
        weights = {
            name: trust * stacked.get(name, FLOOR) + (1 - trust) / len(names) for name in names
        }
    total = sum(weights.values())
    weights = {name: float(weight / total) for name, weight in weights.items()}
    return Weights(weights, {**_evidence(scores, scored, weights, n), **more})


def _stacked(scores: Mapping[str, Scores], scored: list[str]) -> tuple[Floats, Mapping[str, Any]]:
    """Return stacking weights, and what a release keeps of how its pool did on trial."""
    record = _record(scores, scored)
    if record is not None:
        method = {"method": "log-score stacking by horizon, recalibrated"}
        return record.weights[0], {**method, **record.to_json(scored)}
    sized = {name: score for name in scored if isinstance(score := scores[name], SizeScores)}
    if len(sized) == len(scored):
        pool = pool_sizes(sized)
        return np.array([pool.weights[name] for name in scored]), {
            "method": "CRPS stacking, recalibrated",
            "recalibration": pool.recalibration.to_json(),
        }
    table = complete(np.column_stack([scores[name].log_score for name in scored]))
    return stack(table), {}


def _record(scores: Mapping[str, Scores], scored: list[str]) -> Record | None:
    """Return what the paths on trial say, where every model has made some."""
    found = [scores[name] for name in scored]
    trials = [score.trial for score in found if isinstance(score, TrialScores)]
    if len(trials) < len(found):
        return None
    laws = {trial.model.name: trial.laws(len(trial.view)) for trial in trials}
    return learn_record(trials, laws)


def complete(log_scores: Floats) -> Floats:
    """Fill in forecasts that were not made by the equal pool of those that were.

    So a model neither gains nor loses where it declined. Outcomes nobody forecast are left out.
    """
    made = np.isfinite(log_scores)
    kept = made.any(1)
    log_scores, made = log_scores[kept], made[kept]
    known = np.where(made, log_scores, -np.inf)
    pool = special.logsumexp(known, axis=1) - np.log(made.sum(1))
    return np.asarray(np.where(made, log_scores, pool[:, None]))


def _evidence(
    scores: Mapping[str, Scores],
    scored: list[str],
    weights: Mapping[str, float],
    n: int,
) -> dict[str, Any]:
    method = "log-score stacking"
    if n < FEW:
        method += f", drawn to equal weights: {n} forecasts are fewer than {FEW}"
    evidence: dict[str, Any] = {
        "method": method,
        "floor": FLOOR,
        "forecasts": n,
        "period": _period([scores[name].made for name in scored]),
        "models": {name: summary(scores[name]) for name in sorted(scores)},
    }
    if scored:
        evidence["pool"] = pooled([scores[name] for name in scored], [weights[m] for m in scored])
    return evidence


def _period(scores: list[Scores]) -> list[str] | None:
    """Return when the first and the last forecast thing or period began."""
    if not scores:
        return None
    begin = min(score.at.min() for score in scores), max(score.at.max() for score in scores)
    return [aware(moment).isoformat() for moment in begin]


def summary(scores: Scores) -> dict[str, Any]:
    """Return number of forecasts, mean scores and coverage of one model."""
    scores = scores.made
    if len(scores) == 0:
        return {"forecasts": 0}
    return {
        "forecasts": len(scores),
        "log_score": float(scores.log_score.mean()),
        "crps": float(scores.crps.mean()),
        **{f"coverage_{round(100 * level)}": scores.coverage(level) for level in LEVELS},
    }


def pooled(scores: list[Scores], weights: list[float]) -> dict[str, Any]:
    """Return log score and coverage of the pool of models with these weights."""
    share = np.array(weights) / sum(weights)
    made = np.column_stack([score.log_score for score in scores])
    log_score = special.logsumexp(complete(made) + np.log(share), axis=1)
    kept = np.isfinite(made).any(1)
    present = np.where(np.isfinite(made), share, 0.0)[kept]
    present /= present.sum(1, keepdims=True)
    below, upto = (
        (present * np.nan_to_num(np.column_stack([getattr(s, side) for s in scores])[kept])).sum(1)
        for side in ("below", "upto")
    )
    at, outcome = scores[0].at[kept], scores[0].outcome[kept]
    pool = Scores(at, outcome, log_score, np.full(len(below), np.nan), below, upto)
    return {
        "log_score": float(log_score.mean()),
        **{f"coverage_{round(100 * level)}": pool.coverage(level) for level in LEVELS},
    }
