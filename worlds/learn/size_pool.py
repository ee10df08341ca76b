"""What forecasts of sizes on trial say of the pool: weights by CRPS stacking, and recalibration.

The CRPS of a mixture is exactly quadratic in its weights, so stacking is a small convex problem.
It is preferred to the log score here because sizes have heavy tails: a few viral things would
decide a log score, and what is asked of sizes is intervals. The map is that of `size_map`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from worlds.core.distributions import Floats
from worlds.core.lattice import GRID
from worlds.core.recalibration import Recalibration
from worlds.learn.scoring import Scores
from worlds.learn.size_map import learn_map
from worlds.learn.stacking import FLOOR

MEMORY = 1 / 3
"""Share of the forecasts on trial after which one counts half: what was good lately counts."""
PULL = 20.0
"""Forecasts that equal weights are worth."""
HEAVY = 1e4
"""Weight of the condition that weights sum to one."""
_WIDTHS: Floats = np.diff(GRID)


@dataclass(frozen=True, slots=True)
class SizeScores(Scores):
    """Scores of sizes that remember what was forecast.

    Parameters
    ----------
    tables
        Array (n, G): cumulative probabilities on the grid of every forecast, nan if declined.
    """

    tables: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SizePool:
    """Weights of models, and the map of their pool."""

    weights: Mapping[str, float]
    recalibration: Recalibration


def pool_sizes(scores: Mapping[str, SizeScores]) -> SizePool:
    """Return weights and recalibration from forecasts of the same outcomes by every model."""
    names = list(scores)
    made = np.column_stack([np.isfinite(scores[name].log_score) for name in names])
    kept = np.flatnonzero(made.any(1))
    equal = dict.fromkeys(names, 1 / len(names))
    if len(kept) == 0:
        return SizePool(equal, Recalibration.identity())
    worth = 0.5 ** (np.arange(len(kept))[::-1] / (MEMORY * len(kept)))
    share = crps_weights(
        filled([scores[name].tables[kept] for name in names], made[kept]),
        scores[names[0]].outcome[kept],
        worth,
    )
    share = (len(kept) * share + PULL / len(names)) / (len(kept) + PULL)
    present = np.where(made[kept], share, 0.0)
    present /= present.sum(1, keepdims=True)
    below, upto = (
        (
            present
            * np.nan_to_num(np.column_stack([getattr(scores[n], side) for n in names])[kept])
        ).sum(1)
        for side in ("below", "upto")
    )
    weights = {name: float(weight) for name, weight in zip(names, share, strict=True)}
    return SizePool(weights, learn_map(below, upto, worth))


def filled(tables: Sequence[NDArray[np.float32]], made: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return tables (M, n, G) where forecasts not made are the equal pool of those that were."""
    stacked = np.where(made.T[:, :, None], np.array(tables), np.float32(0.0))
    mean = stacked.sum(0) / np.maximum(made.sum(1), 1).astype(np.float32)[:, None]
    return np.asarray(np.where(made.T[:, :, None], stacked, mean), np.float32)


def crps_weights(tables: NDArray[np.float32], outcome: Floats, worth: Floats) -> Floats:
    """Return the weights (M,) of at least `FLOOR` whose mixture has the lowest mean CRPS.

    Parameters
    ----------
    tables
        Array (M, n, G) of cumulative probabilities on the grid.
    outcome, worth
        Arrays (n,): what happened, and how much it counts.
    """
    count = len(tables)
    if count == 1:
        return np.ones(1)
    gaps = (tables - (outcome[:, None] <= GRID))[:, :, :-1] * np.sqrt(_WIDTHS)
    gaps *= np.sqrt(worth / worth.sum())[None, :, None]
    flat = gaps.reshape(count, -1).astype(float)
    gram = flat @ flat.T
    gram /= max(float(np.trace(gram)) / count, 1e-300)
    floor = min(FLOOR, 1 / count)
    root = linalg.cholesky(gram + 1e-9 * np.eye(count))
    # min |root (floor + v)|^2 over v >= 0 that sum to the rest: least squares with one heavy row
    rows = np.vstack([root, np.full(count, HEAVY)])
    goal = np.concatenate([-root @ np.full(count, floor), [HEAVY * (1 - count * floor)]])
    share = floor + np.asarray(optimize.nnls(rows, goal)[0], float)
    return np.asarray(share / share.sum())
