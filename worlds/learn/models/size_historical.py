"""Sizes, historical: a level that forgets, times shrunken factors of every category and tag."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

import numpy as np

from worlds.core.distributions import Floats
from worlds.core.features import FeatureSpec
from worlds.learn import design as designs
from worlds.learn import level as levels
from worlds.learn import negbin
from worlds.learn import noise as noises
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Items
from worlds.learn.sizes import latest, served

LEAST = 5
MOST = 20_000
"""The latest labelled items that are used."""
MEMORY = 500.0
"""Items after which one counts half for factors and size."""
ROUNDS, SEARCHES = 8, 3
"""Turns of level and factors; in the first ones the size and how fast the level forgets as well."""
LEAST_SD = 0.05
LEAST_WITHOUT = 0.02
"""Least share of things without a tag that is reckoned with."""
DRAWS = 256
RATE_OF = 50
"""The latest items from which the rate of items a day is taken."""
WALK_MEMORY = 30.0
"""Days after which one counts half for the drift of the level."""
LEAST_DRIFT, MOST_DRIFT = 0.01, 0.3


@dataclass(frozen=True, slots=True)
class Historical:
    """What things like this have brought lately. Numbers are not looked at."""

    name: ClassVar[str] = "historical"
    role: ClassVar[Literal["size"]] = "size"

    def fit(
        self, items: Items, spec: FeatureSpec, *, at: datetime, rng: np.random.Generator
    ) -> Result:
        """Fit level and factors in turn on the labelled items."""
        known = latest(items, self.name, LEAST, MOST)
        if isinstance(known, Declined):
            return known
        design = designs.build(known.features, FeatureSpec(spec.categories, spec.tags))
        effects, level, size = _alternate(known.label, design, spec.tags)
        now = float(level.before[-1])
        noise = 1 / max(now, 0.1) + 1 / size
        drift = _drift(level, noise, known.days(at))
        form = served(
            items,
            spec,
            known,
            draws=_draws(np.log(now), _doubt(level, noise, drift, known.days(at)), effects, rng),
            noise=noises.fit(
                known.label,
                _log_mean(level, effects, design),
                unsettled=design.unsettled(effects.mean, spec.categories),
            ),
            design=design,
            group_sd=effects.sd,
            drift_sd=drift,
        )
        record = {"method": "shrunken factors", "items": len(known), "half_life": level.half_life}
        return Fit(form, record)


def _log_mean(level: levels.Level, effects: "Effects", design: designs.Design) -> Floats:
    """Return what was expected of every item from those before it."""
    return np.asarray(np.log(np.maximum(level.before[:-1], 1e-9)) + design.matrix @ effects.mean)


@dataclass(frozen=True, slots=True)
class Effects:
    """Posterior mean and variance of every column, share of items with it, sd of every group."""

    mean: Floats
    variance: Floats
    share: Floats
    sd: dict[str, float]


def _alternate(
    y: Floats, design: designs.Design, tags: Sequence[str]
) -> tuple[Effects, levels.Level, float]:
    """Return effects, level and size: each is found with the others held."""
    recency = 0.5 ** (np.arange(len(y))[::-1] / MEMORY)
    none = np.zeros(len(design.columns))
    effects = Effects(none, none, none, {})
    tried, size = levels.HALF_LIVES, 1.0
    for turn in range(ROUNDS):
        expected = np.exp(design.matrix @ effects.mean)
        level = levels.best(y, expected, recency, tried)
        if turn + 1 == SEARCHES:
            tried = (level.half_life,)
        mean = np.maximum(level.before[:-1] * expected, 1e-9)
        if turn < SEARCHES:
            size = negbin.likely_size(y, mean, recency)
        effects = _factors(y, mean, effects.mean, design, tags, recency, size)
    return effects, level, size


def _factors(
    y: Floats,
    mean: Floats,
    effects: Floats,
    design: designs.Design,
    tags: Sequence[str],
    weight: Floats,
    size: float,
) -> Effects:
    """Return updated effects: log ratios of counts to what the rest expects, shrunk by group."""
    weighted = design.matrix.multiply(weight[:, None]).tocsr()
    seen = np.asarray(weighted.sum(0), float).ravel()
    # one prior item of an average thing keeps the log finite
    typical = float(weight @ mean) / float(weight.sum())
    rest = (weighted.T @ mean) * np.exp(-effects)
    ratio = np.log((weighted.T @ y + typical) / (rest + typical))
    noise = (1 / max(typical, 0.1) + 1 / size) / np.maximum(seen, 1e-6)
    part = seen / float(weight.sum())
    for name in tags:  # what a tag adds is told from the things without it
        noise[design.groups[name]] /= np.maximum(1 - part[design.groups[name]], LEAST_WITHOUT)
    found, variance = np.zeros_like(ratio), np.zeros_like(ratio)
    spread: dict[str, float] = {}
    for name, places in design.groups.items():
        sd = _group_sd(ratio[places], noise[places])
        share = sd**2 / (sd**2 + noise[places])
        found[places], variance[places] = share * ratio[places], share * noise[places]
        spread[name] = sd
    return Effects(found, variance, part, spread)


def _group_sd(ratio: Floats, noise: Floats) -> float:
    """Return the sd of true log ratios by moments, drawn a little towards 0.3."""
    if len(ratio) == 0:
        return 0.3
    trust = 1 / (noise + 0.1)
    squares = float(trust @ (ratio**2 - noise)) / float(trust.sum())
    return float(np.sqrt(max((len(ratio) * squares + 0.3**2) / (len(ratio) + 1), LEAST_SD**2)))


def _doubt(level: levels.Level, noise: float, drift: float, days: Floats) -> float:
    """Return the variance of the log of the level: noise, and how far it moved in its memory."""
    keep = 0.25 ** (1 / level.half_life)
    return float(noise / (level.effective + 1) + drift**2 / _rate(days) * keep / (1 - keep))


def _rate(days: Floats) -> float:
    """Return the items a day, lately."""
    last = min(len(days), RATE_OF)
    return max((last - 1) / max(float(days[-1] - days[-last]), 1e-3), 1e-3)


def _drift(level: levels.Level, noise: float, days: Floats) -> float:
    """Return the sd of the log level a day: how far it moved within a day, noise taken off."""
    n, rate = len(days), _rate(days)
    lag = int(np.clip(round(rate), 1, max(n // 4, 1)))
    moved = np.diff(np.log(level.before[::lag])) if n // lag > 1 else np.zeros(1)
    recent = 0.5 ** (np.arange(len(moved))[::-1] / WALK_MEMORY)
    variance = float(recent @ moved**2) / float(recent.sum()) - 2 * noise / (level.effective + 1)
    return float(np.clip(np.sqrt(max(variance, 0.0) * rate / lag), LEAST_DRIFT, MOST_DRIFT))


def _draws(level: float, variance: float, effects: Effects, rng: np.random.Generator) -> Floats:
    """Return antithetic normal draws (1 + p, S) of the level and the effects.

    What is known well is the level of all things together: an effect that is higher than was
    found means that the things without it lie lower.
    """
    z = rng.standard_normal((1 + len(effects.mean), DRAWS // 2))
    off = np.sqrt(effects.variance)[:, None] * z[1:]
    noise = np.vstack([np.sqrt(variance) * z[:1] - effects.share @ off, off])
    centre = np.concatenate([[level], effects.mean])
    return np.asarray(centre[:, None] + np.hstack([noise, -noise]))
