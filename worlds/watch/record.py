"""What was served, as facts: one event for a forecast, one for the faults of a model.

An event of this room comes from the source `SOURCE` and carries one attribute, whose name says
what it is; everything that needs structure is in its ``extra``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from facts import Event, Exact, Quantiles
from worlds.watch.sketch import LEVELS, Sketch, quantiles

SOURCE = "worlds:watch"
FORECAST = "watch.forecast"
FAULTS = "watch.faults"
SHOWN = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Levels of the quantiles by which a logged forecast is shown; `extra` has all of them."""

type Extra = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Forecast:
    """A forecast that was served.

    Parameters
    ----------
    id
        The id the client got.
    quantity
        What was predicted.
    entity
        What it is about, if the client said so: the forecast meets the label of this entity.
    served_at
        When it was served.
    at
        When the thing begins; when it was served, if nobody said.
    pool
        The answer.
    models
        What each model said by itself.
    weights
        Of the models in the answer.
    snapshots
        Model to the snapshot that answered.
    release
        The release in force.
    path
        Where the answer came from.
    seconds
        How long it took.
    experiment
        Name and arm, where the entity is part of an experiment.
    shadows
        ``experiment/arm`` to what that arm would have answered.
    share
        Which share of the predictions served then was logged.
    """

    id: str
    quantity: str
    entity: str | None
    served_at: datetime
    at: datetime
    pool: Sketch
    models: Mapping[str, Sketch]
    weights: Mapping[str, float]
    snapshots: Mapping[str, str | None]
    release: str | None = None
    path: str = "models"
    seconds: float = 0.0
    experiment: tuple[str, str] | None = None
    shadows: Mapping[str, Sketch] = field(default_factory=dict)
    share: float = 1.0

    def event(self) -> Event:
        """Return the event by which it is recorded."""
        values = tuple(float(x) for x in quantiles(self.pool, _SHOWN))
        extra = {
            "of": self.entity,
            "quantity": self.quantity,
            "at": self.at.isoformat(),
            "release": self.release,
            "path": self.path,
            "ms": round(self.seconds * 1000, 4),
            "share": round(self.share, 6),
            "levels": len(LEVELS),
            "pool": list(self.pool),
            "models": {
                name: {
                    "weight": round(self.weights.get(name, 0.0), 6),
                    "snapshot": self.snapshots.get(name),
                    "places": list(places),
                }
                for name, places in self.models.items()
            },
            **({"experiment": list(self.experiment)} if self.experiment else {}),
            **({"shadows": {n: list(p) for n, p in self.shadows.items()}} if self.shadows else {}),
        }
        return Event(
            source=SOURCE,
            id=self.id,
            entity=f"prediction:{self.id}",
            attributes={FORECAST: Quantiles(SHOWN, values)},
            valid_from=self.served_at,
            extra=extra,
        )

    @classmethod
    def read(cls, name: str, served_at: datetime, extra: Extra) -> "Forecast | None":
        """Return the forecast of a recorded event, or None if it is of another making."""
        try:
            if extra["levels"] != len(LEVELS):
                return None
            models = extra["models"]
            arm = extra.get("experiment")
            return cls(
                id=name,
                quantity=extra["quantity"],
                entity=extra["of"],
                served_at=served_at,
                at=datetime.fromisoformat(extra["at"]),
                pool=_places(extra["pool"]),
                models={model: _places(one["places"]) for model, one in models.items()},
                weights={model: float(one["weight"]) for model, one in models.items()},
                snapshots={model: one["snapshot"] for model, one in models.items()},
                release=extra["release"],
                path=str(extra["path"]),
                seconds=float(extra["ms"]) / 1000,
                experiment=(str(arm[0]), str(arm[1])) if arm else None,
                shadows={n: _places(p) for n, p in extra.get("shadows", {}).items()},
                share=float(extra["share"]),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            return None


def _places(raw: list[float]) -> Sketch:
    places = tuple(float(x) for x in raw)
    if len(places) != len(LEVELS):
        msg = f"{len(places)} places; {len(LEVELS)} are expected"
        raise ValueError(msg)
    return places


_SHOWN: Any = SHOWN


@dataclass(frozen=True, slots=True)
class Faults:
    """What a model did wrong while serving, gathered over a moment."""

    id: str
    quantity: str
    model: str
    snapshot: str | None
    at: datetime
    kinds: Mapping[str, int]
    reason: str

    @property
    def count(self) -> int:
        """How often."""
        return sum(self.kinds.values())

    def event(self) -> Event:
        """Return the event by which it is recorded."""
        extra = {"kinds": dict(self.kinds), "snapshot": self.snapshot, "reason": self.reason}
        return model_event(
            self.id, self.quantity, self.model, FAULTS, Exact(self.count), self.at, extra
        )


def model_entity(quantity: str, model: str) -> str:
    """Return the entity under which facts about a model are recorded."""
    return f"model:{quantity}/{model}"


def model_event(
    name: str,
    quantity: str,
    model: str,
    attribute: str,
    value: Exact,
    at: datetime,
    extra: Extra,
    until: datetime | None = None,
) -> Event:
    """Return an event about a model."""
    entity = model_entity(quantity, model)
    return Event(SOURCE, name, entity, {attribute: value}, at, until, extra=extra)
