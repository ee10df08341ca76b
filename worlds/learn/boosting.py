"""Boosted trees for a whole distribution: every tree lowers the CRPS at fixed steps.

The target of a thing is the row of indicators 1[z <= step]. Boosting the squared error of that row
is boosting the (threshold-weighted) continuous ranked probability score, and one tree serves all
steps, so that quantiles cannot cross much and a forest stays small. Splits are found on histograms
(Ke et al. 2017, LightGBM) of a few projections of the residual rows: location, width, shape.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.core.forms.forest import Trees

TREES = 80
DEPTH = 4
RATE = 0.08
"""Share of every leaf that is added."""
BINS = 32
ROWS_OF, INPUTS_OF = 0.6, 0.6
"""Shares of rows and inputs that every tree looks at."""
LEAST_WEIGHT = 20.0
"""Least weight of the rows of a leaf."""
SHRINK = 20.0
"""Rows of no residual that every leaf is given."""
PROJECTIONS = 4
STEPS = 32
OUTER: Floats = np.array([0.004, 0.012, 0.988, 0.996])
LEAST_GAIN = 1e-9


@dataclass(frozen=True, slots=True)
class Boosted:
    """Trees, the steps they speak of, and the scales of the tails beyond."""

    trees: Trees
    steps: Floats
    tails: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Data:
    """Binned inputs (n, d), their bin edges, weights, targets (n, K), projections (K, J)."""

    bins: NDArray[np.intp]
    edges: list[Floats]
    weight: Floats
    target: NDArray[np.float32]
    projection: NDArray[np.float32]


def boost(x: Floats, z: Floats, weight: Floats, rng: np.random.Generator) -> Boosted:
    """Fit the law of z given x.

    Parameters
    ----------
    x
        Array (n, d) of inputs.
    z, weight
        Arrays (n,): what is forecast, and how much every row counts (at most 1).
    rng
        Chooses rows and inputs of every tree.
    """
    steps = _steps(z, weight)
    data, start = _data(x, z, weight, steps)
    current = np.tile(start, (len(z), 1))
    inner = 2**DEPTH - 1
    inputs = np.zeros((TREES, inner), np.int16)
    limits = np.full((TREES, inner), np.inf, np.float32)
    leaves = np.zeros((TREES, inner + 1, len(steps)), np.float16)
    for tree in range(TREES):
        rows = np.flatnonzero(rng.uniform(size=len(z)) < ROWS_OF)
        columns = np.sort(rng.permutation(x.shape[1])[: max(1, round(INPUTS_OF * x.shape[1]))])
        residual = data.target[rows] - current[rows]
        splits, limit_bins, leaf_of = _grow(data, rows, columns, residual)
        leaves[tree] = _leaf_values(leaf_of, residual, data.weight[rows])
        inputs[tree] = splits
        for node, (column, limit) in enumerate(zip(splits, limit_bins, strict=True)):
            if limit < len(data.edges[column]):
                limits[tree, node] = data.edges[column][limit]
        current += leaves[tree].astype(np.float32)[_walk(data.bins, splits, limit_bins)]
    return Boosted(Trees(inputs, limits, leaves, start), steps, _tails(z, weight, steps))


def _steps(z: Floats, weight: Floats) -> Floats:
    """Return steps at equal probabilities, and a few further out."""
    levels = np.sort(np.concatenate([OUTER, (np.arange(STEPS) + 0.5) / STEPS]))
    order = np.argsort(z, kind="stable")
    place = np.cumsum(weight[order]) - weight[order] / 2
    found = np.unique(np.interp(levels * weight.sum(), place, z[order]))
    kept = np.concatenate([[True], np.diff(found) > 1e-6])
    found = found[kept]
    return found if len(found) > 1 else np.array([found[0], found[0] + 0.1])


def _data(x: Floats, z: Floats, weight: Floats, steps: Floats) -> tuple[_Data, NDArray[np.float32]]:
    share = np.arange(1, BINS) / BINS
    edges = [np.unique(np.float32(np.quantile(column, share))).astype(float) for column in x.T]
    bins = np.stack(
        [np.searchsorted(edge, column, "left") for edge, column in zip(edges, x.T, strict=True)], 1
    )
    target = (z[:, None] <= steps).astype(np.float32)
    start = np.asarray(weight @ target / weight.sum(), np.float32)
    spread = (target - start) * weight[:, None]
    values, vectors = np.linalg.eigh(spread.T @ (target - start))
    order = np.argsort(-values)[:PROJECTIONS]
    projection = np.asarray(vectors[:, order], np.float32)
    return _Data(bins, edges, weight, target, projection), start


def _grow(
    data: _Data, rows: NDArray[np.intp], columns: NDArray[np.intp], residual: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return input and bin limit of every inner node, and the leaf of every row."""
    bins, weight = data.bins[rows][:, columns], data.weight[rows]
    sides = np.column_stack([weight, (residual @ data.projection) * weight[:, None]])
    splits = np.zeros(2**DEPTH - 1, np.intp)
    limits = np.full(2**DEPTH - 1, BINS, np.intp)
    node = np.zeros(len(rows), np.intp)
    for depth in range(DEPTH):
        nodes = 2**depth
        gain = _gains(bins, node, nodes, sides)
        best = gain.argmax(1)
        split = gain[np.arange(nodes), best] > LEAST_GAIN
        chosen, limit = best // BINS, np.where(split, best % BINS, BINS)
        level = slice(nodes - 1, 2 * nodes - 1)
        splits[level], limits[level] = columns[chosen], limit
        right = bins[np.arange(len(rows)), chosen[node]] > limit[node]
        node = 2 * node + right
    return splits, limits, node


def _gains(
    bins: NDArray[np.intp], node: NDArray[np.intp], nodes: int, sides: Floats
) -> NDArray[np.float64]:
    """Return how much every split (nodes, inputs x bins) lowers the squared error."""
    count = bins.shape[1]
    code = ((node[:, None] * count + np.arange(count)) * BINS + bins).ravel()
    size = nodes * count * BINS

    def below(side: Floats) -> Floats:
        total = np.bincount(code, np.repeat(side, count), size)
        return np.asarray(total.reshape(nodes, count, BINS).cumsum(2))

    left = below(sides[:, 0])
    whole = left[:, :, -1:]
    right = whole - left
    gain = np.zeros_like(left)
    for side in sides.T[1:]:
        low = below(side)
        high = low[:, :, -1:]
        gain += low**2 / (left + SHRINK) + (high - low) ** 2 / (right + SHRINK)
        gain -= high**2 / (whole + SHRINK)
    allowed = (left >= LEAST_WEIGHT) & (right >= LEAST_WEIGHT)
    return np.asarray(np.where(allowed, gain, -1.0).reshape(nodes, -1))


def _leaf_values(
    leaf: NDArray[np.intp], residual: NDArray[np.float32], weight: Floats
) -> NDArray[np.float32]:
    """Return the shrunken mean residual of every leaf, array (2**DEPTH, K)."""
    leaves = 2**DEPTH
    order = np.argsort(leaf, kind="stable")
    begins = np.searchsorted(leaf[order], np.arange(leaves))
    filled = np.flatnonzero(np.bincount(leaf, minlength=leaves))
    sums = np.zeros((leaves, residual.shape[1]))
    if len(filled):
        sums[filled] = np.add.reduceat((residual * weight[:, None])[order], begins[filled], axis=0)
    total = np.bincount(leaf, weight, leaves)
    return np.asarray(RATE * sums / (total + SHRINK)[:, None], np.float32)


def _walk(
    bins: NDArray[np.intp], splits: NDArray[np.intp], limits: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the leaf of every row."""
    node = np.zeros(len(bins), np.intp)
    rows = np.arange(len(bins))
    for _ in range(DEPTH):
        node = 2 * node + 1 + (bins[rows, splits[node]] > limits[node])
    return np.asarray(node - (2**DEPTH - 1), np.intp)


def _tails(z: Floats, weight: Floats, steps: Floats) -> tuple[float, float]:
    """Return the mean excess beyond the outer steps; one excess of 0.2 is assumed."""
    found = []
    for excess in (steps[0] - z, z - steps[-1]):
        beyond = excess > 0
        total = float(weight[beyond] @ excess[beyond]) + 0.2
        found.append(total / (float(weight[beyond].sum()) + 1.0))
    return found[0], found[1]
