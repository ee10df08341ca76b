"""The models of counts meet their outcomes: a forecast for every period, and what happened.

A release forecasts the period that begins where its facts end, and the ones after it as far as
its models reach. While such a period is under way the forecasts of the models in force are
recorded; when things were seen that began after its end, what happened in it is counted, once.
Where no facts come any more nothing is counted: silence of the source is no fault of a model.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facts import Event, Exact, Reader
from worlds.core.forms import CountForm
from worlds.domain import Domain
from worlds.publish import Release
from worlds.watch.record import SOURCE, Forecast
from worlds.watch.sketch import mixed, sketch
from worlds.watch.watch import OUTCOME, PERIOD, Watch

PAUSE = 60.0
"""Seconds between two looks for an outcome that is not known yet."""

type FormOf = Callable[[str], object]


@dataclass(slots=True)
class Periods:
    """Records forecasts of periods, and what happened in them.

    Parameters
    ----------
    domain
        Whose count is forecast.
    watch
        Where forecasts wait.
    form_of
        Returns the form of a snapshot.
    """

    domain: Domain
    watch: Watch
    form_of: FormOf
    _tried: tuple[str, datetime] | None = None
    _again: dict[str, float] = field(default_factory=dict)

    def events(self, reader: Reader, release: Release | None, now: datetime) -> list[Event]:
        """Return what is to be recorded now."""
        return [*self._outcomes(reader, now), *(self._forecasts(release, now) if release else [])]

    def _forecasts(self, release: Release, now: datetime) -> list[Event]:
        """Return the forecast of the period under way, once for every release."""
        step, quantity = self.domain.step, self.domain.quantity("count").name
        passed, into = divmod(now - release.until, step)
        start = now - into
        if passed < 0 or self._tried == (release.id, start):
            return []
        self._tried = (release.id, start)
        made = forecast_of(release, quantity, start, passed, now, self.form_of)
        there = self.watch.periods.waiting.get(made.entity or "") if made else None
        if made is None or (there is not None and there.last.release == release.id):
            return []
        return [made.event()]

    def _outcomes(self, reader: Reader, now: datetime) -> list[Event]:
        """Return the outcomes of periods that are over, as soon as later things were seen."""
        clock = self.watch.clock()
        found = []
        for name, one in self.watch.periods.waiting.items():
            start = one.last.at
            if start + self.domain.step > now or clock < self._again.get(name, 0.0):
                continue
            counted = _counted(reader, self.domain, start, start + self.domain.step)
            if counted is None:
                self._again[name] = clock + PAUSE
                break  # nor is it known of later ones
            self._again.pop(name, None)
            found.append(_outcome(name, counted, start, start + self.domain.step))
        return found


def forecast_of(
    release: Release,
    quantity: str,
    start: datetime,
    passed: int,
    now: datetime,
    form_of: FormOf,
) -> Forecast | None:
    """Return the forecast of a period, by the models that reach it; None if none does."""
    models = {}
    for model, name in release.models.get(quantity, {}).items():
        form = form_of(name)
        try:
            if isinstance(form, CountForm):
                models[model] = sketch(form.count({}, passed))
        except Exception:  # noqa: BLE001, S112 - beyond its horizon, or at fault: it says nothing
            continue
    weights = {model: release.weights[quantity][model] for model in models}
    if sum(weights.values()) <= 0:
        return None
    return Forecast(
        id=f"{release.id}-{start.isoformat()}",
        quantity=quantity,
        entity=f"{PERIOD}{quantity}/{start.isoformat()}",
        served_at=now,
        at=start,
        pool=mixed([(weight, models[model]) for model, weight in weights.items() if weight > 0]),
        models=models,
        weights=weights,
        snapshots=dict(release.models[quantity]),
        release=release.id,
        path="period",
    )


def _counted(reader: Reader, domain: Domain, start: datetime, end: datetime) -> int | None:
    """Return how many things began in a period; None while none was seen to begin later."""
    table = reader.facts(valid_from=start, columns=["entity", "attribute", "valid_from"])
    ours = pc.starts_with(table["entity"], f"{domain.entity}:")
    said = pc.not_equal(table["attribute"], pa.scalar(domain.label))
    table = table.filter(pc.and_(ours, said))
    first = table.group_by("entity").aggregate([("valid_from", "min")])["valid_from_min"]
    begins = first.cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")
    low, high = (np.datetime64(moment.replace(tzinfo=None), "us") for moment in (start, end))
    if not (begins >= high).any():
        return None
    return int(((begins >= low) & (begins < high)).sum())


def _outcome(entity: str, counted: int, start: datetime, end: datetime) -> Event:
    value = {OUTCOME: Exact(counted)}
    return Event(SOURCE, f"outcome/{entity}", entity, value, start, end, extra={"of": entity})
