"""Counts in the next periods: a negative-binomial mixture a step, and who shares them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Self

import numpy as np
import scipy

from worlds.core.distributions import CountMixture, Floats
from worlds.core.forms.base import Arrays, Meta, register
from worlds.errors import SnapshotError

SHARE_NODES = 16


@register
@dataclass(frozen=True, slots=True, eq=False)
class CountPath:
    """Predictive distributions of the counts in the next H periods.

    Parameters
    ----------
    start, step
        Begin of the first period and length of each.
    weights, means, sizes
        Arrays (H, K): the mixture of every period (see `CountMixture`).
    shares
        For every category its labels and an array (L,) of decayed expected counts: how many
        recent things carried the label, uncertain ones counted by their probability.
    """

    form: ClassVar[str] = "count_path"
    start: datetime
    step: timedelta
    weights: Floats
    means: Floats
    sizes: Floats
    shares: Mapping[str, tuple[tuple[str, ...], Floats]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {self.weights.shape, self.means.shape, self.sizes.shape}
        if len(shapes) != 1 or self.means.ndim != 2 or self.means.size == 0:
            msg = f"weights, means and sizes must share one shape (H, K); got {shapes}"
            raise SnapshotError(msg)

    @property
    def horizon(self) -> int:
        """Number of periods."""
        return len(self.means)

    def count(self, where: Mapping[str, str] | None = None, step: int = 0) -> CountMixture:
        """Return the distribution of the count in one period.

        Parameters
        ----------
        where
            Category to label: only things that carry it. Their share is uncertain (beta), and
            thinning a negative binomial by a share is exact. A label never seen has a small,
            wide share.
        step
            0 is the next period.
        """
        if not 0 <= step < self.horizon:
            msg = f"step must lie in [0, {self.horizon}); got {step}"
            raise SnapshotError(msg)
        mixture = CountMixture.of(self.means[step], self.sizes[step], self.weights[step])
        for category, label in (where or {}).items():
            factors, weights = self.share(category, label)
            mixture = mixture.spread(factors, weights)
        return mixture

    def share(self, category: str, label: str) -> tuple[Floats, Floats]:
        """Return nodes of the share of things that carry the label, and their weights.

        The share has the beta distribution of a Dirichlet prior of total 1 spread over the
        labels and one unseen; the nodes are Gauss-Legendre points of its quantile function,
        scaled so that their mean is exact.

        A category the snapshot knows nothing of gives any share, all equally likely.
        """
        levels, weights = np.polynomial.legendre.leggauss(SHARE_NODES)
        weights = weights / 2
        if category not in self.shares:
            return (levels + 1) / 2, weights
        labels, seen = self.shares[category]
        prior = 1 / (len(labels) + 1)
        mine = prior + (float(seen[labels.index(label)]) if label in labels else 0.0)
        rest = max(float(seen.sum()) + 1 - mine, 1e-9)
        nodes = scipy.special.betaincinv(mine, rest, (levels + 1) / 2)
        mean, found = mine / (mine + rest), float(weights @ nodes)
        nodes = nodes * (mean / found) if found > 0 else np.full(SHARE_NODES, mean)
        return np.minimum(nodes, 1.0), weights

    def to_parts(self) -> tuple[Meta, Arrays]:
        """Return meta data and arrays."""
        meta: Meta = {
            "start": self.start.isoformat(),
            "step_seconds": self.step.total_seconds(),
            "labels": {name: list(labels) for name, (labels, _) in sorted(self.shares.items())},
        }
        arrays = {"weights": self.weights, "means": self.means, "sizes": self.sizes}
        seen = {f"share:{name}": counts for name, (_, counts) in self.shares.items()}
        return meta, {**arrays, **seen}

    @classmethod
    def from_parts(cls, meta: Meta, arrays: Arrays) -> Self:
        """Read back what `to_parts` returned."""
        return cls(
            datetime.fromisoformat(meta["start"]),
            timedelta(seconds=meta["step_seconds"]),
            np.asarray(arrays["weights"], float),
            np.asarray(arrays["means"], float),
            np.asarray(arrays["sizes"], float),
            {
                name: (tuple(labels), np.asarray(arrays[f"share:{name}"], float))
                for name, labels in meta["labels"].items()
            },
        )
