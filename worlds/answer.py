"""What an answer carries, and its one JSON form for API, CLI and notebook."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from worlds.core.decide import Decision
from worlds.core.decision_request import decide_from
from worlds.core.explain import Explanation, comparison, explain
from worlds.core.newsvendor import Provision
from worlds.core.outcome import Outcome, world_prob
from worlds.core.questions import Comparison, Question
from worlds.groups import Groups
from worlds.periods import Periods
from worlds.publish import Release
from worlds.summary import summary

WORLD_LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model that took part in an answer."""

    quantity: str
    model: str
    weight: float
    snapshot: str | None


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
            "cost": outcome.cost,
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
