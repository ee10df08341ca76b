"""Stacking: the weights under which the pool of models would have forecast best."""

import numpy as np

from worlds.core.distributions import Floats

FLOOR = 0.02
"""Least weight of every model: no finite record makes a model impossible."""
ROUNDS = 500
TOLERANCE = 1e-9


def stack(log_scores: Floats, worth: Floats | None = None, pull: float = 0.0) -> Floats:
    """Return the weights that maximise the log score of the pool, by EM.

    Parameters
    ----------
    log_scores
        Array (n, M): log probability that every model gave to every outcome.
    worth
        Array (n,): how much every outcome counts (1 where left out).
    pull
        Outcomes that equal weights are worth.

    Returns
    -------
    Floats
        Array (M,): weights of at least `FLOOR` (Yao et al. 2018, doi:10.1214/17-BA1091; the
        pool of the floor and the free part is fitted, so the optimum respects the floor).
    """
    count = log_scores.shape[1]
    floor = min(FLOOR, 1 / count)
    free = np.full(count, 1 / count)
    worth = np.ones(len(log_scores)) if worth is None else worth
    likely = np.exp(log_scores - log_scores.max(1, keepdims=True, initial=-np.inf))
    for _ in range(ROUNDS):
        weights = floor + (1 - count * floor) * free
        # of every model's responsibility the part that its free weight has earned
        share = likely * ((1 - count * floor) * free)
        earned = (worth / np.maximum(likely @ weights, 1e-300)) @ share + pull / count
        updated = earned / max(float(earned.sum()), 1e-300)
        moved = float(np.abs(updated - free).max())
        free = updated
        if moved < TOLERANCE:
            break
    return np.asarray(floor + (1 - count * floor) * free)
