"""What the things of a population share and what each has of its own, as few nodes."""

import numpy as np
from scipy import special

from worlds.core.compound import Severity
from worlds.core.distributions import CountMixture, Floats

SHARED_NODES = 8
INNER_NODES = 8
ORDER = 20150131
"""Seed of the one fixed order in which normal scores meet posterior draws."""


def stratified(count: int) -> Floats:
    """Return `count` normal scores in a fixed shuffled order, independent of any draws."""
    scores = special.ndtri((np.arange(count) + 0.5) / count)
    return np.asarray(np.random.default_rng(ORDER).permutation(scores))


def shared_nodes(means: Floats, weights: Floats, size: float) -> Severity:
    """Split posterior draws into equally likely nodes by the level they give to all things.

    Parameters
    ----------
    means
        Array (R, S): mean of every thing of the population under every draw.
    weights
        Array (R,): weight of every thing.
    size
        Size of the negative binomial.
    """
    order = np.argsort(weights @ means, kind="stable")
    parts = []
    for chunk in np.array_split(order, min(SHARED_NODES, len(order))):
        values = means[:, chunk].ravel()
        probs = np.repeat(weights / len(chunk), len(chunk))
        parts.append(compress(values, probs, size))
    return Severity(np.full(len(parts), 1 / len(parts)), tuple(parts))


def compress(values: Floats, probs: Floats, size: float) -> CountMixture:
    """Return a mixture of few components with the same mean: bins of equal probability."""
    order = np.argsort(values, kind="stable")
    values, probs = values[order], probs[order]
    middle = np.cumsum(probs) - probs / 2
    bins = np.minimum((middle * INNER_NODES).astype(int), INNER_NODES - 1)
    weight = np.bincount(bins, probs, INNER_NODES)
    total = np.bincount(bins, probs * values, INNER_NODES)
    kept = weight > 0
    return CountMixture.of(total[kept] / weight[kept], size, weight[kept])
