"""Sizes, local: a ridge regression of log likes on everything, in which the past fades."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from worlds.core.distributions import Floats
from worlds.core.features import FeatureSpec
from worlds.learn import design as designs
from worlds.learn import noise as noises
from worlds.learn.hierarchy import fading
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Items
from worlds.learn.sizes import latest, served

LEAST = 20
MOST = 5_000
"""The latest labelled items that are used: older ones weigh less than 1e-5."""
MEMORY = 300.0
"""Items after which one counts half, for effects and noise alike."""
RIDGE = 5.0
"""Items that the prior of no effect is worth, for a number of unit spread."""
DRAWS = 256


@dataclass(frozen=True, slots=True)
class Local:
    """Effects of categories, tags and numbers as they are lately; the level is one of them."""

    name: ClassVar[str] = "local"
    role: ClassVar[Literal["size"]] = "size"

    def fit(
        self,
        items: Items,
        spec: FeatureSpec,
        *,
        at: datetime,  # noqa: ARG002 - one protocol
        rng: np.random.Generator,
    ) -> Result:
        """Fit by weighted least squares on the log of the labels."""
        known = latest(items, self.name, LEAST, MOST)
        if isinstance(known, Declined):
            return known
        design = designs.build(known.features, spec)
        found = _regression(known.label, design.matrix)
        noise = noises.fit(
            known.label,
            found.fitted,
            used=found.used,
            half_life=MEMORY,
            unsettled=design.unsettled(found.mean[1:], spec.categories),
        )
        spread = {name: _spread(found, places) for name, places in design.groups.items()}
        form = served(
            items,
            spec,
            known,
            draws=found.draws(rng),
            noise=noise,
            design=design,
            group_sd=spread,
        )
        return Fit(form, {"method": "weighted ridge", "items": len(known), "half_life": MEMORY})


@dataclass(frozen=True, slots=True)
class Regression:
    """Coefficients (1 + p,), the root of their precision, fitted values, parameters used."""

    mean: Floats
    root: Floats
    fitted: Floats
    used: float

    def draws(self, rng: np.random.Generator) -> Floats:
        """Return antithetic normal draws (1 + p, S)."""
        z = rng.standard_normal((len(self.mean), DRAWS // 2))
        noise = linalg.solve_triangular(self.root, z, lower=True, trans="T")
        return np.asarray(self.mean[:, None] + np.hstack([noise, -noise]))


def _regression(y: Floats, matrix: sparse.csr_array) -> Regression:
    weight = fading(len(y), MEMORY)
    target = np.log(y + 0.5)
    full = sparse.csr_array(sparse.hstack([sparse.csr_array(np.ones((len(y), 1))), matrix]))
    weighted = sparse.csr_array(full.multiply(weight[:, None]))
    gram = np.asarray((full.T @ weighted).toarray())
    middle = float(weight @ target) / float(weight.sum())
    prior = np.full(len(gram), RIDGE)
    prior[0] = 1e-3
    root = linalg.cholesky(gram + np.diag(prior), lower=True)
    mean = linalg.cho_solve((root, True), weighted.T @ (target - middle))
    mean[0] += middle
    fitted = np.asarray(full @ mean)
    used = float(np.trace(linalg.cho_solve((root, True), gram)))
    error = float(weight @ (target - fitted) ** 2) / max(float(weight.sum()) - used, 1.0)
    share = used / max(float(weight.sum()), 1.0)  # of the window in which the noise is found
    return Regression(mean, root / np.sqrt(max(error, 1e-4)), fitted, share * len(y))


def _spread(found: Regression, places: NDArray[np.intp]) -> float:
    """Return the sd of the effects of a group, drawn a little towards 0.3."""
    effects = found.mean[1 + places]
    return float(np.sqrt((effects @ effects + 0.3**2) / (len(effects) + 1)))
