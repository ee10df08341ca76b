"""From log means and their uncertainty to the form that is served; shares of labels."""

from collections.abc import Mapping

import numpy as np
from scipy import special

from worlds.core.distributions import Floats
from worlds.core.forms import CountPath
from worlds.learn.series import Counts, SoftCounts

NODES = 7
SHARE_HALF_LIFE = 200.0
"""Things after which a thing counts half for the shares of labels."""
LARGEST_LOG_SD = 2.0


def count_path(history: Counts, log_mean: Floats, log_sd: Floats, size: Floats) -> CountPath:
    """Return the form of H periods whose log mean is normal: Gauss-Hermite nodes.

    Parameters
    ----------
    history
        The counts it was fitted on: the path starts at their end.
    log_mean, log_sd, size
        Arrays (H,): log of the expected count, its standard deviation, size of the negative
        binomial. The nodes keep the expected count at exp(log_mean).
    """
    x, weights = special.roots_hermitenorm(NODES)
    weights = weights / weights.sum()
    sd = np.clip(log_sd, 0.0, LARGEST_LOG_SD)[:, None]
    means = np.exp(log_mean[:, None] + sd * x - sd**2 / 2)
    return CountPath(
        history.end,
        history.step,
        np.broadcast_to(weights, means.shape).copy(),
        means,
        np.broadcast_to(size[:, None], means.shape).copy(),
        recent_shares(history.shares, history.y),
    )


def recent_shares(shares: SoftCounts, y: Floats) -> Mapping[str, tuple[tuple[str, ...], Floats]]:
    """Return decayed expected counts of every label: shares drift, so the latest count most."""
    after = np.cumsum(y[::-1])[::-1] - y
    weight = 0.5 ** (after / SHARE_HALF_LIFE)
    return {name: (labels, weight @ soft) for name, (labels, soft) in shares.items()}
