"""What the things of a population share and what each has of its own, as few nodes."""

import numpy as np
import scipy

from worlds.core.compound import Severity
from worlds.core.distributions import LARGEST, CountMixture, Floats
from worlds.core.noise import Noise

SHARED_NODES = 8
INNER_NODES = 8
NOISE_BINS = 48
BIN_EDGES: Floats = np.concatenate([np.arange(1, 10) / 10, [0.95, 0.98, 0.99, 0.997, 0.999]])
"""Where a table is cut: finer in the tail, which decides the variance of sums."""
MOST_SIZE = 1e6
"""Size that is Poisson for every count here; finite, so that all components are alike."""
ORDER = 20150131
"""Seed of the one fixed order in which normal scores meet posterior draws."""


def stratified(count: int) -> Floats:
    """Return `count` normal scores in a fixed shuffled order, independent of any draws."""
    scores = scipy.special.ndtri((np.arange(count) + 0.5) / count)
    return np.asarray(np.random.default_rng(ORDER).permutation(scores))


def shared_nodes(
    means: Floats, weights: Floats, size: float, noise: Noise | None = None
) -> Severity:
    """Split posterior draws into equally likely nodes by the level they give to all things.

    Parameters
    ----------
    means
        Array (R, S): mean of every thing of the population under every draw.
    weights
        Array (R,): weight of every thing.
    size
        Size of the negative binomial.
    noise
        A factor on the mean that every thing has of its own.
    """
    levels = weights @ means
    order = np.argsort(levels, kind="stable")
    chunks = np.array_split(order, min(SHARED_NODES, len(order)))
    shares = np.array([len(chunk) for chunk in chunks]) / len(order)
    stretched = _stretch(np.array([levels[chunk].mean() for chunk in chunks]), shares, levels)
    parts = []
    members = np.zeros(len(order), np.int64)
    for node, (chunk, factor) in enumerate(zip(chunks, stretched, strict=True)):
        members[chunk] = node
        values = means[:, chunk].ravel() * factor
        probs = np.repeat(weights / len(chunk), len(chunk))
        if noise is not None:
            values, probs = _multiplied(values, probs, noise)
        parts.append(compress(values, probs, size))
    return Severity(shares, tuple(parts), members)


def _multiplied(values: Floats, probs: Floats, noise: Noise) -> tuple[Floats, Floats]:
    """Return values times the noise: of very many values the means of bins of equal number.

    What the bins level out is far less than what the noise adds.
    """
    order = np.argsort(values)
    bins = np.array_split(order, min(NOISE_BINS, len(order)))
    weight = np.array([probs[part].sum() for part in bins])
    total = np.array([probs[part] @ values[part] for part in bins])
    middle = total / np.maximum(weight, 1e-300)
    return (
        np.minimum(np.outer(middle, noise.factors), LARGEST).ravel(),
        np.outer(weight, noise.weights).ravel(),
    )


def _stretch(nodes: Floats, shares: Floats, levels: Floats) -> Floats:
    """Return factors that give the nodes the mean and variance of all levels.

    Averages of chunks vary less than what they average.
    """
    mean = float(shares @ nodes)
    have, wanted = float(shares @ (nodes - mean) ** 2), float(levels.var())
    if have <= 0 or mean <= 0:
        return np.ones_like(nodes)
    wide = mean + np.sqrt(wanted / have) * (nodes - mean)
    if (wide <= 0).any():
        return np.ones_like(nodes)
    return np.asarray(wide / nodes)


def compress(values: Floats, probs: Floats, size: float) -> CountMixture:
    """Return a mixture of few components with the same mean and variance.

    Bins of equal probability: a component has the mean of its bin, and its size is lowered so
    that the spread of the means inside the bin is part of its variance.
    """
    order = np.argsort(values, kind="stable")
    values, probs = values[order], probs[order]
    middle = np.cumsum(probs) - probs / 2
    bins = np.minimum((middle * INNER_NODES).astype(int), INNER_NODES - 1)
    weight = np.bincount(bins, probs, INNER_NODES)
    total = np.bincount(bins, probs * values, INNER_NODES)
    squares = np.bincount(bins, probs * values**2, INNER_NODES)
    kept = weight > 0
    mean = total[kept] / weight[kept]
    inside = np.maximum(squares[kept] / weight[kept] - mean**2, 0.0)
    noise = mean**2 / size + inside * (1 + 1 / size)
    sizes = np.where(noise > 0, mean**2 / np.where(noise > 0, noise, 1.0), size)
    return CountMixture.of(mean, sizes, weight[kept])


def binned(grid: Floats, cumulative: Floats) -> CountMixture:
    """Return a mixture of few components like a count given by a table of P(X <= grid).

    Every component has mean and variance of its bin of the table; where counts scatter less than
    Poisson ones inside a bin, it is Poisson.
    """
    mass = np.maximum(np.diff(cumulative, prepend=0.0), 0.0)
    low = np.concatenate([[-1.0], grid[:-1]]) + 1
    middle, inside = (low + grid) / 2, ((grid - low + 1) ** 2 - 1) / 12
    bins = np.searchsorted(BIN_EDGES, np.cumsum(mass) - mass / 2)
    count = len(BIN_EDGES) + 1
    weight = np.bincount(bins, mass, count)
    share = np.where(weight > 0, weight, 1.0)  # an empty bin stays, so that all tables are alike
    mean = np.bincount(bins, mass * middle, count) / share
    second = np.bincount(bins, mass * (middle**2 + inside), count) / share
    excess = second - mean**2 - mean
    sizes = np.where(excess > 0, mean**2 / np.where(excess > 0, excess, 1.0), MOST_SIZE)
    return CountMixture.of(mean, np.clip(sizes, 1e-3, MOST_SIZE), weight / weight.sum())
