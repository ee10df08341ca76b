"""What one more resolved forecast says of a pool: its weights and its recalibration move at once.

Between two fits nothing is trained. Every outcome that meets its forecast moves the weights by
one step of EM (Cappe & Moulines 2009, doi:10.1111/j.1467-9868.2009.00698.x) with a fixed share
for every model (Herbster & Warmuth 1998, doi:10.1023/A:1007424614876), and moves the map towards
what was seen: at every level by a step of the size that one forecast among the remembered ones is
worth. So the intervals follow when errors grow or shrink: adaptive conformal inference
(Gibbs & Candes 2021, arXiv:2106.00170) at all levels together, which keeps them in order.
"""

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.distributions import Floats
from worlds.core.recalibration import STEEPEST, Recalibration

FLOOR = 0.02
"""Least weight of a model."""
SHARE = 0.01
"""Part of the weights that is dealt out anew with every whole forecast: the best model changes."""
WORTH = 20.0
"""Forecasts that a record is taken to be worth at least: one surprise moves little."""


def weights_after(weights: Floats, log_prob: Floats, worth: float, remembered: float) -> Floats:
    """Return weights (M,) after one outcome.

    Parameters
    ----------
    weights, log_prob
        Arrays (M,): weights before, and the log probability that every model gave the outcome.
    worth
        How many forecasts this one counts as: those of neighbouring steps err together.
    remembered
        Forecasts that the weights stand for.
    """
    if not np.isfinite(log_prob).all():
        return weights
    likely = weights * np.exp(log_prob - log_prob.max())
    step = worth / (max(remembered, WORTH) + worth)
    moved = (1 - step) * weights + step * likely / likely.sum()
    dealt = (1 - SHARE * worth) * moved + SHARE * worth / len(weights)
    floor = min(FLOOR, 1 / len(weights))
    # scale what is above the floor, so that nothing falls below it
    above = np.maximum(dealt - floor, 0.0)
    free = 1 - floor * len(weights)
    return np.asarray(floor + free * above / max(float(above.sum()), 1e-300))


def map_after(
    map_: Recalibration, below: ArrayLike, upto: ArrayLike, worth: float, strength: float = WORTH
) -> Recalibration:
    """Return the map after the outcome of one forecast of the pool.

    Parameters
    ----------
    map_
        The map before; its `forecasts` say how far one more moves it.
    below, upto
        P(X < y) and P(X <= y) under the pool before recalibration.
    worth, strength
        What this forecast counts, and what the identity was worth when the map was made.
    """
    low, high = float(np.clip(below, 0.0, 1.0)), float(np.clip(upto, 0.0, 1.0))
    if not (np.isfinite(low) and np.isfinite(high)) or worth <= 0:
        return map_
    fresh = map_ if map_.changes else Recalibration.fit_between([low], [high], strength=1e12)
    seen = np.clip((fresh.levels - low) / max(high - low, 1e-12), 0.0, 1.0)
    seen[0], seen[-1] = 0.0, 1.0
    step = worth / (max(fresh.forecasts if map_.changes else 0.0, strength) + worth)
    density = np.diff((1 - step) * fresh.values + step * seen) / np.diff(fresh.levels)
    parts = np.clip(density, 1 / STEEPEST, STEEPEST) * np.diff(fresh.levels)
    values = np.concatenate([[0.0], np.cumsum(parts / parts.sum())])
    values[-1] = 1.0
    remembered = map_.forecasts if map_.changes else 0.0
    # the memory of the fit stays as long as it was: what is new takes the place of what is old
    return Recalibration(
        fresh.levels, np.minimum(values, 1.0), max(remembered, min(remembered + worth, strength))
    )
