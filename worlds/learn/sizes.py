"""What models of sizes have in common: the items they look at, and what a fit is served as."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from worlds.core.features import FeatureSpec
from worlds.core.forms.log_linear import LogLinear
from worlds.core.noise import SMOOTH_SIZE, Noise
from worlds.learn.design import Design
from worlds.learn.protocol import Declined
from worlds.learn.series import POPULATION, Items, aware


def latest(items: Items, model: str, least: int, most: int) -> Items | Declined:
    """Return the latest items whose label is known, or that they are too few."""
    known = items.labelled()
    if len(known) < least:
        return Declined(model, f"{len(known)} items with a known label; needs {least}")
    return known.take(np.arange(max(0, len(known) - most), len(known)))


def served(
    items: Items,
    spec: FeatureSpec,
    known: Items,
    *,
    draws: NDArray[np.floating],
    noise: Noise | None,
    design: Design | None = None,
    group_sd: Mapping[str, float] | None = None,
    drift_sd: float = 0.0,
) -> LogLinear:
    """Return a fit in the form in which it is served.

    Parameters
    ----------
    items, spec
        What was to be fitted: the recent ones are the population of the next.
    known
        The items it was fitted on: the level is known up to the last of them.
    draws
        Array (1 + p, S): the level, then the effects of the design.
    noise
        How things differ beyond all this; none: something else says so.
    design
        None: nothing is looked at.
    group_sd, drift_sd
        See `LogLinear`.
    """
    return LogLinear(
        columns=("intercept", *(design.columns if design else ())),
        draws=draws.astype(np.float32),
        size=SMOOTH_SIZE,
        group_sd=group_sd or {},
        tags=spec.tags,
        numbers=design.numbers if design else {},
        drift_sd=drift_sd,
        reference=aware(known.at[-1]),
        population=tuple(items.features[-POPULATION:]),
        noise=noise,
    )
