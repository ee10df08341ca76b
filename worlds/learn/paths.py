"""Shares of labels: how often each was carried by the latest things."""

from collections.abc import Mapping

import numpy as np

from worlds.core.distributions import Floats
from worlds.learn.series import SoftCounts

SHARE_HALF_LIFE = 200.0
"""Things after which a thing counts half for the shares of labels."""


def recent_shares(shares: SoftCounts, y: Floats) -> Mapping[str, tuple[tuple[str, ...], Floats]]:
    """Return decayed expected counts of every label: shares drift, so the latest count most."""
    after = np.cumsum(y[::-1])[::-1] - y
    weight = 0.5 ** (after / SHARE_HALF_LIFE)
    return {name: (labels, weight @ soft) for name, (labels, soft) in shares.items()}
