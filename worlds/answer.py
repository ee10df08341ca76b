"""What an answer and a prediction carry, and their one JSON form for API, CLI and notebook."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

import msgspec
import numpy as np

from worlds.core.decide import Decision
from worlds.core.decision_request import decide_from
from worlds.core.distributions import (
    CountMixture,
    Distribution,
    Floats,
    Mixture,
    check_levels,
)
from worlds.core.explain import Explanation, comparison, explain
from worlds.core.lattice import CdfTable
from worlds.core.newsvendor import Provision
from worlds.core.outcome import Outcome, world_prob
from worlds.core.questions import Comparison, Question
from worlds.core.recalibration import Recalibration
from worlds.errors import ModelFaultError
from worlds.groups import Groups
from worlds.periods import Periods
from worlds.publish import Release
from worlds.summary import summary
from worlds.watch.containment import check
from worlds.watch.sketch import sound

WORLD_LEVEL = 0.9
LARGEST_MEAN = float("inf")


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model that took part in an answer."""

    quantity: str
    model: str
    weight: float
    snapshot: str | None


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


def predict_mixture(
    parts: Sequence[tuple[str, float, Distribution]],
    *,
    levels: Sequence[float],
    thresholds: Sequence[float],
    with_worlds: bool,
    unseen: tuple[str, ...],
    ignored: tuple[str, ...],
    recalibration: Recalibration | None = None,
) -> Prediction:
    """Mix the predictive distributions of the models and read off what was asked.

    What is read off is recalibrated, if a map is given: the quantile at p is that of the mixture
    at the level that becomes p.

    Raises
    ------
    ModelFaultError
        If the mixture is no distribution: a model gave what is none.
    """
    mixed = mix(parts)
    ends = _ends(tuple(levels))
    if recalibration is not None:
        ends = recalibration.invert(ends)
    if isinstance(mixed, CdfTable):
        _check(sound(mixed.values) and 0 <= mixed.moments[0] < LARGEST_MEAN)
        values, above = mixed.quantiles(ends), mixed.exceedance(thresholds)
    else:
        values = mixed.quantile(ends).tolist()
        above = (1 - mixed.cdf(np.asarray(thresholds, float))).tolist() if thresholds else []
        for _, _, part in parts:
            if not isinstance(part, CdfTable | CountMixture):  # of a user's own
                check(part)
        _check(all(0 <= value < LARGEST_MEAN for value in values))
    if recalibration is not None and above:
        above = (1 - recalibration.apply(1 - np.array(above))).tolist()
    return Prediction(
        median=values[0],
        mean=mixed.mean(),
        intervals=tuple(map(Interval, levels, values[1::2], values[2::2])),
        exceedance=tuple(
            Exceedance(x, min(max(p, 0.0), 1.0)) for x, p in zip(thresholds, above, strict=True)
        ),
        method=str(getattr(mixed, "method", "exact")),
        error_bound=float(getattr(mixed, "error", 0.0)),
        unseen=unseen,
        ignored=ignored,
        worlds=tuple(_world(*part) for part in parts) if with_worlds else (),
    )


def _check(passed: bool) -> None:
    if not passed:
        raise ModelFaultError("", "", "invalid", "the mixture of the models is no distribution")


@lru_cache(maxsize=256)
def _ends(levels: tuple[float, ...]) -> Floats:
    """Return one half and the two ends of every central interval, checked."""
    ends = [0.5, *(p for level in levels for p in ((1 - level) / 2, (1 + level) / 2))]
    checked = check_levels(ends)
    checked.flags.writeable = False
    return checked


def _world(model: str, weight: float, table: Distribution) -> WorldPrediction:
    low, median, high = table.quantile([0.05, 0.5, 0.95]).tolist()
    return WorldPrediction(model, weight, median, table.mean(), low, high)


def mix(parts: Sequence[tuple[str, float, Distribution]]) -> Distribution:
    """Return the mixture; tables on the common grid are added up."""
    tables = [(weight, table) for _, weight, table in parts if type(table) is CdfTable]
    if len(tables) == len(parts):
        mean = square = 0.0
        values = tables[0][0] * tables[0][1].values
        for weight, table in tables[1:]:
            values += weight * table.values
        for weight, table in tables:
            first, variance = table.moments
            mean += weight * first
            square += weight * (variance + first**2)
        return CdfTable(values, (mean, square - mean**2), tables[0][1].error)
    weights = np.array([weight for _, weight, _ in parts])
    return Mixture(weights, tuple(table for _, _, table in parts))


@dataclass(frozen=True)
class Answer:
    """The answer to a question, with everything it depends on."""

    question: Question
    outcome: Outcome
    threshold: Comparison | None
    levels: tuple[float, ...]
    start: datetime
    end: datetime
    assumptions: Mapping[str, Mapping[str, object]]
    models: tuple[ModelUse, ...]
    release: Release | None
    degraded: str | None
    notes: tuple[str, ...] = field(default=())
    groups: Groups | None = None
    as_of: datetime | None = None
    simulated: bool = False
    details: Mapping[str, Any] | None = None
    split: Callable[[], Periods | str] | None = field(default=None, repr=False)

    @cached_property
    def periods(self) -> Periods | str | None:
        """Every period of a horizon, or why they cannot be told apart; None for a single one."""
        return self.split() if self.split is not None else None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: plain numbers, texts and lists."""
        outcome, release = self.outcome, self.release
        known = release.as_of if release else self.as_of
        return {
            "question": self.question.name,
            "text": self.question.text,
            "unit": self.question.unit,
            "period": {"start": self.start.isoformat(), "end": self.end.isoformat()},
            "as_of": known.isoformat() if known else None,
            "release": release.id if release else None,
            "simulated": self.simulated or bool(release and release.simulated),
            "degraded": self.degraded,
            "notes": [*self.notes, *([self.periods] if isinstance(self.periods, str) else [])],
            "assumptions": {name: dict(value) for name, value in self.assumptions.items()},
            "worlds": [self._world(index) for index in range(len(outcome.worlds))],
            **summary(outcome, self.levels, self.threshold),
            "quantities": {name: self._quantity(name) for name in outcome.worlds[0].parts},
            "method": outcome.method,
            "error_bound": outcome.error,
            "models": [
                {
                    "quantity": m.quantity,
                    "model": m.model,
                    "weight": m.weight,
                    "snapshot": m.snapshot,
                }
                for m in self.models
            ],
            "sentence": self.sentence(),
            **({} if self.details is None else {"details": dict(self.details)}),
            **({} if self.groups is None else {"groups": self.groups.to_dict()}),
            **({"periods": self.periods.to_dict()} if isinstance(self.periods, Periods) else {}),
        }

    def _world(self, index: int) -> dict[str, Any]:
        world = self.outcome.worlds[index]
        tail = (1 - WORLD_LEVEL) / 2
        low, median, high = world.outcome.quantile([tail, 0.5, 1 - tail]).tolist()
        return {
            "choices": dict(world.choices),
            "weight": world.weight,
            "mean": world.outcome.mean(),
            "median": median,
            "interval": {"level": WORLD_LEVEL, "low": low, "high": high},
            "prob": world_prob(world, self.threshold) if self.threshold else None,
            "method": world.method,
            "error_bound": world.error,
        }

    def _quantity(self, name: str) -> dict[str, Any]:
        mixture = self.outcome.quantity(name)
        low, median, high = mixture.quantile([0.05, 0.5, 0.95]).tolist()
        return {
            "mean": mixture.mean(),
            "median": median,
            "interval": {"level": 0.9, "low": low, "high": high},
        }

    def explain(
        self, threshold: float | str | None = None, *, acts_at: float | None = None
    ) -> Explanation:
        """Explain the width, the probability of the threshold and every choice.

        Parameters
        ----------
        threshold
            As a question takes it; that of the answer where left out.
        acts_at
            The probability of it at which somebody acts.
        """
        wanted = self.threshold if threshold is None else comparison(threshold)
        return explain(self.outcome, wanted, acts_at=acts_at)

    def decide(self, raw: Mapping[str, object]) -> Decision | Provision:
        """Decide as a mapping of plain values says (see `worlds.core.decision_request`)."""
        return decide_from(self.outcome, raw)

    def sentence(self) -> str:
        """Return the answer as a frequency, which people read best."""
        unit = self.question.unit
        low, high = self.outcome.interval(0.9)
        text = f"In 90 of 100 worlds like this one: {low:,.0f} to {high:,.0f} {unit}"
        if self.threshold is not None:
            often = 100 * float(self.outcome.prob(self.threshold))
            words = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most"}
            shown = "fewer than 1" if 0 < often < 1 else f"{often:.0f}"
            text += f"; in {shown} of 100 {words[self.threshold.sign]} {self.threshold.value:,.0f}"
        return text + "."
