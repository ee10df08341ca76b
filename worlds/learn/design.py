"""From features to a sparse design: one column a label, one a number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from worlds.core.distributions import Floats
from worlds.core.features import Features, FeatureSpec
from worlds.core.forms.log_linear import NumberRange

LEAST_SEEN = 1.0
"""Labels with a smaller expected number of items have no column: they count as never seen."""
MOST_LABELS = 400
"""Labels kept of a category, the most frequent ones."""
EDGE = 0.005
"""Share of the items on either side at which a number saturates."""


@dataclass(frozen=True, slots=True)
class Design:
    """The columns of a log-linear model.

    Parameters
    ----------
    columns
        Names in the way of `LogLinear`: ``breed=pug``, ``number:rating``.
    matrix
        Sparse array (n, p): the probability that an item carries the label (an uncertain label
        enters by its expected effect, exact to first order in the effects), or the
        standardised number.
    groups
        Category or group of tags to the indices of its columns.
    numbers
        How every number enters.
    """

    columns: tuple[str, ...]
    matrix: sparse.csr_array
    groups: Mapping[str, NDArray[np.intp]]
    numbers: Mapping[str, NumberRange]

    def unsettled(self, effects: Floats, categories: Sequence[str]) -> Floats:
        """Return the variance (n,) of the log means by which label of a category is the true one.

        Parameters
        ----------
        effects
            Array (p,): the effect of every column; a label without a column has none.
        categories
            The groups of which one label holds.
        """
        found = np.zeros(self.matrix.shape[0])
        for name in categories:
            places = self.groups[name]
            probs, own = self.matrix[:, places], effects[places]
            found += probs @ own**2 - (probs @ own) ** 2
        return np.maximum(found, 0.0)


def build(features: Sequence[Features], spec: FeatureSpec) -> Design:
    """Return the design of items: labels met often enough, and numbers."""
    columns: list[str] = []
    blocks: list[sparse.csr_array] = []
    groups: dict[str, NDArray[np.intp]] = {}
    for group in (*spec.categories, *spec.tags):
        labels, block = _labels(features, group, tags=group in spec.tags)
        groups[group] = np.arange(len(columns), len(columns) + len(labels))
        columns += [f"{group}={label}" for label in labels]
        blocks.append(block)
    numbers: dict[str, NumberRange] = {}
    for name in spec.numbers:
        values = np.array([item.numbers.get(name, np.nan) for item in features], float)
        entry = number_range(values)
        if entry is not None:
            numbers[name] = entry
            columns.append(f"number:{name}")
            inside = np.clip(values, entry.low, entry.high)
            standard = np.nan_to_num((inside - entry.centre) / entry.scale)
            blocks.append(sparse.csr_array(standard[:, None]))
    empty = sparse.csr_array((len(features), 0))
    matrix = sparse.csr_array(sparse.hstack(blocks or [empty], format="csr"))
    return Design(tuple(columns), matrix, groups, numbers)


def number_range(values: NDArray[np.float64]) -> NumberRange | None:
    """Return how a number enters, or None if it is never known or never differs."""
    known = values[np.isfinite(values)]
    if known.size < 2:
        return None
    low, high = (float(x) for x in np.quantile(known, [EDGE, 1 - EDGE]))
    inside = np.clip(known, low, high)
    scale = float(inside.std())
    if not scale > 1e-9 * max(abs(low), abs(high), 1e-9):
        return None
    return NumberRange(float(inside.mean()), scale, low, high)


def _labels(
    features: Sequence[Features], group: str, *, tags: bool
) -> tuple[list[str], sparse.csr_array]:
    index: dict[str, int] = {}
    rows: list[int] = []
    places: list[int] = []
    values: list[float] = []
    for row, item in enumerate(features):
        if tags:
            pairs = [(label, 1.0) for label in dict.fromkeys(item.tags.get(group, ()))]
        else:
            pairs = list(item.categories.get(group, ()))
        for label, prob in pairs:
            rows.append(row)
            places.append(index.setdefault(label, len(index)))
            values.append(prob)
    shape = (len(features), len(index))
    full = sparse.csr_array((values, (rows, places)), shape=shape)
    seen: NDArray[np.float64] = np.asarray(full.sum(0), float).ravel()
    often = np.argsort(-seen, kind="stable")[:MOST_LABELS]
    names = list(index)
    kept = sorted(int(i) for i in often if seen[i] >= LEAST_SEEN - 1e-9)
    kept.sort(key=lambda i: names[i])
    return [names[i] for i in kept], sparse.csr_array(full[:, kept])
