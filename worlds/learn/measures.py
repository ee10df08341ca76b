"""Measures of forecasts: CRPS, log score, pinball, coverage, PIT, differences with their error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from scipy import special

from worlds.core.distributions import Distribution, Floats
from worlds.learn.scoring import SMALLEST, crps

LEVELS = (0.5, 0.8, 0.9, 0.95)
QUANTILES = np.arange(1, 20) / 20
"""Levels of the quantiles that pinball loss is averaged over."""
BINS = 10
EXACT = 4096
"""Values up to which a forecast is tabulated whole; beyond, CRPS is estimated from draws."""
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Score:
    """How one forecast did."""

    log_score: float
    crps: float
    pinball: float
    below: float
    upto: float


MISSING = Score(*(float("nan"),) * 5)


@dataclass(frozen=True, slots=True)
class Row:
    """What was forecast at one origin of one period or thing, by every model.

    Parameters
    ----------
    origin, step
        Number of the origin, and how many periods ahead (1 is the next).
    begin, known
        When it began, and when its outcome was known.
    outcome
        What happened.
    group
        Label of the group this row belongs to; None counts for everything.
    total
        Number of periods that are added up, or None.
    scores
        Model to score.
    """

    origin: int
    step: int
    begin: datetime
    known: datetime
    outcome: float
    group: str | None = None
    total: int | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)

    def of(self, model: str) -> Score:
        """Return the score of a model; nan where it made no forecast."""
        return self.scores.get(model, MISSING)


type Table = tuple[Floats, Floats, Floats] | None
"""Values, P(X <= value) and probability of the outcome, its neighbour below; None if too wide."""


def measured(
    made: Mapping[str, Distribution], outcome: float, rng: np.random.Generator
) -> dict[str, tuple[Score, Any]]:
    """Return score and table of every forecast of one outcome, on one range of values."""
    top = max((one.mean() + 12 * np.sqrt(max(one.var(), 0.0)) for one in made.values()), default=0)
    top = max(top, outcome) + 2
    values = np.arange(np.ceil(top) + 1) if top <= EXACT else None
    found = {}
    for name, one in made.items():
        cdf = one.cdf(values) if values is not None else None
        found[name] = _score(one, cdf, outcome, rng), (one, cdf)
    return found


def _score(
    one: Distribution, cdf: Floats | None, outcome: float, rng: np.random.Generator
) -> Score:
    upto, below = (float(x) for x in one.cdf(np.array([outcome, outcome - 1])))
    pmf = getattr(one, "pmf", None)
    prob = float(pmf(np.array(outcome))) if pmf is not None else upto - below
    log_score = float(np.log(max(prob, SMALLEST)))
    if cdf is None:
        quantiles = np.asarray(one.quantile(QUANTILES))
        return Score(log_score, crps(one, outcome, rng), pinball(quantiles, outcome), below, upto)
    return Score(log_score, *_tabulated(cdf, outcome), below, upto)


def _tabulated(cdf: Floats, outcome: float) -> tuple[float, float]:
    """Return CRPS and pinball loss of a tabulated distribution of whole numbers from 0."""
    after = np.arange(len(cdf)) >= outcome
    quantiles = np.minimum(np.searchsorted(cdf, QUANTILES * (1 - 1e-14)), len(cdf) - 1)
    return float(((cdf - after) ** 2).sum()), pinball(quantiles.astype(float), outcome)


def pinball(quantiles: Floats, outcome: float) -> float:
    """Return the mean pinball loss over `QUANTILES` (twice its sum over levels tends to CRPS)."""
    gap = outcome - quantiles
    return float(np.maximum(QUANTILES * gap, (QUANTILES - 1) * gap).mean())


def pooled(
    found: Mapping[str, tuple[Score, Any]], weights: Mapping[str, float], outcome: float
) -> Score:
    """Return the score of the linear pool of forecasts."""
    if not found:
        return MISSING
    share = np.array([weights[name] for name in found])
    scores = [score for score, _ in found.values()]
    logs = np.array([score.log_score for score in scores])
    top = float(logs.max())
    log_score = top + float(np.log(share @ np.exp(logs - top)))
    below = float(share @ [score.below for score in scores])
    upto = float(share @ [score.upto for score in scores])
    tables = [cdf for _, (_, cdf) in found.values()]
    if any(cdf is None for cdf in tables):
        # beyond the tabulated range the mean of the scores is an upper bound: both are convex
        widest = float(share @ [score.crps for score in scores])
        loss = float(share @ [score.pinball for score in scores])
        return Score(log_score, widest, loss, below, upto)
    return Score(log_score, *_tabulated(share @ np.array(tables), outcome), below, upto)


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """Return means, coverage and PIT histogram of the forecasts that were made."""
    table = np.array([[s.log_score, s.crps, s.pinball, s.below, s.upto] for s in scores])
    table = table.reshape(len(scores), 5)
    table = table[np.isfinite(table[:, 0])]
    if len(table) == 0:
        return {"forecasts": 0}
    below, upto = table[:, 3], np.maximum(table[:, 4], table[:, 3] + SMALLEST)
    return {
        "forecasts": len(table),
        "crps": float(table[:, 1].mean()),
        "log_score": float(table[:, 0].mean()),
        "pinball": float(table[:, 2].mean()),
        "coverage": {f"{100 * level:g}": coverage(below, upto, level) for level in LEVELS},
        "pit": pit(below, upto).tolist(),
    }


def coverage(below: Floats, upto: Floats, level: float) -> float:
    """Return how often the central interval held the outcome, ties counted by their share."""
    low, high = (1 - level) / 2, (1 + level) / 2
    inside = np.clip(np.minimum(upto, high) - np.maximum(below, low), 0.0, None)
    return float(np.minimum(inside / np.maximum(upto - below, SMALLEST), 1.0).mean())


def pit(below: Floats, upto: Floats, bins: int = BINS) -> Floats:
    """Return the share of the randomised PIT in every bin: flat if forecasts are calibrated.

    Czado, Gneiting and Held 2009, doi:10.1111/j.1541-0420.2009.01191.x, the non-random form.
    """
    edges = np.linspace(0, 1, bins + 1)
    width = np.maximum(upto - below, SMALLEST)[:, None]
    upto_edge = np.clip((edges[None, :] - below[:, None]) / width, 0.0, 1.0)
    return np.asarray(np.diff(upto_edge, axis=1).mean(0))


def difference(
    rows: Sequence[Row], one: str, other: str, *, block: int, rng: np.random.Generator
) -> dict[str, Any] | None:
    """Return by how much one model scores better than another, with the uncertainty of it.

    Paired on the same outcomes; whole blocks of neighbouring origins are drawn again and again,
    because neighbours have the same weather (Kuensch 1989, doi:10.1214/aos/1176347265).

    Parameters
    ----------
    rows
        Of all origins.
    one, other
        The models; a positive gain speaks for `one`.
    block
        Origins in a block.
    rng
        Draws the blocks.
    """
    found: dict[str, Any] = {"one": one, "other": other, "block": block, "resamples": RESAMPLES}
    for name, sign in (("crps", -1.0), ("log_score", 1.0)):
        sums, counts = _by_origin(rows, one, other, name)
        if len(sums) < 2:
            return None
        total = float(sums.sum() / counts.sum())
        drawn = sign * _resampled(sums, counts, min(block, len(sums)), rng)
        drawn = _widened(drawn, len(sums) / block)
        low, high = np.quantile(drawn, [0.025, 0.975])
        found[name] = {
            "gain": _short(sign * total),
            "low": _short(float(low)),
            "high": _short(float(high)),
            "prob_better": _short(float((drawn > 0).mean())),
            "forecasts": int(counts.sum()),
            "origins": len(sums),
        }
    return found


def _widened(drawn: Floats, blocks: float) -> Floats:
    """Return resampled means with the width that so few blocks leave open.

    What Student's t is to the normal: resampling takes the spread of a few blocks to be known.
    """
    free = max(blocks - 1, 1.0)
    factor = special.stdtrit(free, 0.975) / special.ndtri(0.975) * np.sqrt(blocks / free)
    centre = drawn.mean()
    return np.asarray(centre + max(float(factor), 1.0) * (drawn - centre))


def _by_origin(rows: Sequence[Row], one: str, other: str, name: str) -> tuple[Floats, Floats]:
    sums: dict[int, float] = {}
    counts: dict[int, int] = {}
    for row in rows:
        gap = getattr(row.of(one), name) - getattr(row.of(other), name)
        if np.isfinite(gap):
            sums[row.origin] = sums.get(row.origin, 0.0) + gap
            counts[row.origin] = counts.get(row.origin, 0) + 1
    order = sorted(sums)
    return np.array([sums[i] for i in order]), np.array([counts[i] for i in order], float)


def _resampled(sums: Floats, counts: Floats, block: int, rng: np.random.Generator) -> Floats:
    """Return means over moving blocks drawn with replacement, the circle closed."""
    n = len(sums)
    pieces = -(-n // block)
    start = rng.integers(0, n, (RESAMPLES, pieces))
    places = ((start[:, :, None] + np.arange(block)) % n).reshape(RESAMPLES, -1)[:, :n]
    return np.asarray(sums[places].sum(1) / counts[places].sum(1))


def _short(value: float) -> float:
    return float(f"{value:.6g}")
