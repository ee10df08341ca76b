"""What past forecasts of sizes say of how wide and how low the pool is: its recalibration.

Forecasts that one fit made share its error of the level, so that a thousand of them may say less
than six fits do. That they were too low is believed only as far as it stands out from how it
differed from fit to fit; a level that rose and then stood still must not move what comes next. How
wide they were, on both sides together, is believed as it was. What was lately counts most.
"""

import numpy as np

from worlds.core.distributions import Floats
from worlds.core.recalibration import Recalibration

BLOCKS = 6
"""Refits of a size model on trial: each forecasts the items up to the next."""
STRENGTH = 20.0
"""Forecasts that the identity is worth: weights took from the same ones."""


def learn_map(below: Floats, upto: Floats, worth: Floats) -> Recalibration:
    """Return what cumulative probabilities of the pool become.

    Parameters
    ----------
    below, upto
        Arrays (n,), oldest first: P(Y < y) and P(Y <= y) of every forecast at its outcome.
    worth
        Array (n,): how much every forecast counts.
    """
    # the mirror image of what happened has the same width, and lies too high where it lay too low
    kept = (1 + persistence((below + upto) / 2 - 0.5, worth)) / 2
    return Recalibration.fit_between(
        np.concatenate([below, 1 - upto]),
        np.concatenate([upto, 1 - below]),
        weights=np.concatenate([kept * worth, (1 - kept) * worth]),
        strength=STRENGTH,
    )


def persistence(departure: Floats, worth: Floats) -> float:
    """Return the share, 0 to 1, of a mean departure that is more than its scatter over blocks.

    The share of the signal in the square of the mean, whose error comes from block to block.
    """
    blocks = [part for part in np.array_split(np.arange(len(departure)), BLOCKS) if len(part)]
    if len(blocks) < 2:
        return 0.0
    weight = np.array([worth[part].sum() for part in blocks])
    means = np.array([worth[part] @ departure[part] for part in blocks]) / weight
    weight = weight / weight.sum()
    mean = float(weight @ means)
    independent = 1 / float(weight @ weight)
    error = float(weight @ (means - mean) ** 2) / (independent - 1)
    return max(1 - error / mean**2, 0.0) if abs(mean) > 1e-9 else 0.0
