"""What one thing will bring, as it is told: intervals, chances, and what the models said."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np

from worlds.core.distributions import CountMixture, Distribution, Floats, check_levels
from worlds.core.ends import whole_ends
from worlds.core.lattice import CdfTable
from worlds.core.recalibration import Recalibration
from worlds.errors import ModelFaultError
from worlds.pool import Said
from worlds.watch.containment import check
from worlds.watch.sketch import sound

LARGEST_MEAN = float("inf")
RESIDUE = 2e-7
"""Probabilities of exceeding up to here are what 32 bits leave, not what the models say."""


class Interval(msgspec.Struct, frozen=True):
    """A central interval and its level."""

    level: float
    low: float
    high: float


class Exceedance(msgspec.Struct, frozen=True):
    """The probability of lying above a threshold."""

    threshold: float
    prob: float


class WorldPrediction(msgspec.Struct, frozen=True):
    """What one model says by itself."""

    model: str
    weight: float
    median: float
    mean: float
    low: float
    high: float


class Prediction(msgspec.Struct, frozen=True):
    """What one thing will bring: the mixture over the models.

    `unseen` lists labels and values the models have not met (the answer is wider for them),
    `ignored` what the domain does not use at all.
    """

    median: float
    mean: float
    intervals: tuple[Interval, ...]
    exceedance: tuple[Exceedance, ...]
    method: str
    error_bound: float
    unseen: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    worlds: tuple[WorldPrediction, ...] = ()


def predicted(
    said: Said,
    *,
    levels: Sequence[float],
    thresholds: Sequence[float],
    with_worlds: bool,
    ignored: tuple[str, ...],
    recalibration: Recalibration | None = None,
) -> Prediction:
    """Read off what was asked of what the models say.

    It is recalibrated, if a map is given: the quantile at p is that of the mixture at the level
    that becomes p. Intervals end at mid-quantiles (see `worlds.core.ends`).

    Raises
    ------
    ModelFaultError
        If the mixture is no distribution: a model gave what is none.
    """
    ends, mean = _ends(tuple(levels), recalibration), said.mean
    if said.values is not None:
        table = CdfTable(said.values, (mean, 0.0))
        _check(0 <= mean < LARGEST_MEAN and (said.sure or sound(table.values)))
        plain, above = table.quantiles(ends), table.exceedance(thresholds)
        values = whole_ends(plain, _ends(tuple(levels), None), said.values, recalibration)
    else:
        mixed = said.mixture
        values = mixed.quantile(ends).tolist()
        above = (1 - mixed.cdf(np.asarray(thresholds, float))).tolist() if thresholds else []
        for _, _, part in said.parts:
            if not isinstance(part, CdfTable | CountMixture):  # of a user's own
                check(part)
        _check(all(0 <= value < LARGEST_MEAN for value in values))
    if recalibration is not None and above:
        above = (1 - recalibration.apply(1 - np.array(above))).tolist()
    return Prediction(
        values[0],
        mean,
        tuple(map(Interval, levels, values[1::2], values[2::2])),
        tuple(
            [
                Exceedance(x, min(p, 1.0) if p > RESIDUE else 0.0)
                for x, p in zip(thresholds, above, strict=True)
            ]
        ),
        said.method if recalibration is None else f"{said.method}, recalibrated",
        said.error,
        said.unseen,
        ignored,
        tuple([_world(*part) for part in said.parts]) if with_worlds else (),
    )


def _check(passed: bool) -> None:
    if not passed:
        raise ModelFaultError("", "", "invalid", "the mixture of the models is no distribution")


@lru_cache(maxsize=256)
def _ends(levels: tuple[float, ...], recalibration: Recalibration | None) -> Floats:
    """Return one half and the two ends of every central interval, checked."""
    ends = [0.5, *(p for level in levels for p in ((1 - level) / 2, (1 + level) / 2))]
    checked = check_levels(ends)
    if recalibration is not None:
        checked = recalibration.invert(checked)
    checked.flags.writeable = False
    return checked


def _world(model: str, weight: float, table: Distribution) -> WorldPrediction:
    low, median, high = table.quantile([0.05, 0.5, 0.95]).tolist()
    return WorldPrediction(model, weight, median, table.mean(), low, high)
