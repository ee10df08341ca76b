"""Models that say where counts fall: trained on a view, tried on its past, given a law by that.

A model of this kind forecasts a place mu for every origin and step. What counts do around it is
learned from its own forecasts of periods it had not been trained on (`worlds.learn.residuals`),
so that every model is as wide as its own errors were.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from worlds.core.distributions import Floats
from worlds.core.forms import CountPath
from worlds.learn import regression
from worlds.learn.paths import recent_shares
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.residuals import SMALL, Law, blocks
from worlds.learn.series import Counts
from worlds.learn.usual import Index, View

WEEKS, PERIODS = 16, 1500
"""The latest history used: weeks for periods under a day, periods otherwise."""
FIRST_PART = 0.4
"""Part of the history before the first forecast on trial."""
LEAST_BEFORE = 10
"""Periods before it at least."""
CUTS, EACH = 6, 40
"""Trainings on trial, and most origins between two of them."""
MEMORY = timedelta(days=60)
"""Age at which an outcome counts half."""
REACH = 5.0
"""Log counts further than that from where they start are cut."""
ROWS = 3000
"""Most rows a regression is trained on."""
SHORT = 9.0
"""Weeks below which levels have wandered too little to tell departures from chance."""
THINGS = 40.0
"""Things a period below which chance hides departures."""
BURST, PLAIN = 4.0, 5.0
"""Counts beyond that many times their place (and one) are cut where means are compared, and how
many things a place that needs no correction is worth."""
LARGE = 100.0
"""Typical count from which on a place is a middle rather than a mean."""

type Columns = Callable[[View, Index, Index], tuple[Floats, Floats]]
"""From a view, origins and steps (m,) to rows (m, p) and the log count they start from (m,)."""


class Trained(Protocol):
    """A trained model: where counts fall from any origin of a view."""

    def places(self, view: View, origins: Index) -> Floats:
        """Return an array (len(origins), view.horizon)."""
        ...


@runtime_checkable
class Placing(Protocol):
    """A model that can be trained on the part of a view before a period."""

    @property
    def name(self) -> str:
        """How the model is called."""
        ...

    @property
    def role(self) -> Literal["count"]:
        """Say that it counts."""
        ...

    @property
    def least(self) -> int:
        """Periods it needs."""
        ...

    def train(self, view: View, until: int) -> Trained:
        """Train on counts before `until`."""
        ...


@dataclass(frozen=True)
class Trial:
    """What a model forecast of periods it had not been trained on.

    Parameters
    ----------
    model, view
        Who forecast what.
    origins
        Array (n,), increasing.
    places
        Array (n, H): where counts were said to fall.
    begun
        Array (n,): the training an origin belongs to began its forecasts there.
    trainings
        Every training with the period it began to forecast from; the last has seen everything.
    """

    model: Placing
    view: View
    origins: Index
    places: Floats
    begun: Index
    trainings: Sequence[tuple[int, Trained]]

    @cached_property
    def outcomes(self) -> tuple[Floats, Index]:
        """Counts (n, H) that met the forecasts (nan where not known yet) and their periods."""
        targets = self.origins[:, None] + np.arange(self.view.horizon)
        inside = np.minimum(targets, len(self.view) - 1)
        there = (targets < len(self.view)) & self.view.known[inside]
        return np.where(there, self.view.y[inside], np.nan), targets

    @property
    def scored(self) -> Index:
        """Which forecasts are scored: not those before the first errors were seen."""
        return scored(self.begun)

    def laws(self, until: int, *, first: bool = False) -> list[Law]:
        """Return the law of every block of steps, from what was resolved before `until`.

        `first`: of the first block alone.
        """
        outcome, targets = self.outcomes
        usable = np.isfinite(outcome) & np.isfinite(self.places)
        usable &= (targets < until) & (self.origins < until)[:, None]
        memory = MEMORY / self.view.history.step
        found = []
        for block in blocks(self.view.horizon)[: 1 if first else None]:
            part = slice(block[0] - 1, block[-1])
            chosen = usable[:, part]
            weight = 0.5 ** ((until - targets[:, part][chosen]) / memory)
            y, place = outcome[:, part][chosen], self.places[:, part][chosen]
            found.append(Law.fit(y, place, weight, len(block)))
        return found

    def path(self, view: View | None = None, laws: list[Law] | None = None) -> CountPath:
        """Return the form that is served: what comes after the view."""
        view = view or self.view
        return self._path(view, len(view), self.trainings[-1][1], laws or self.laws(len(view)))

    def path_at(self, origin: int) -> CountPath | None:
        """Return the form that would have been served at an origin, from the latest training."""
        known = [(begin, trained) for begin, trained in self.trainings if begin <= origin]
        if not known:
            return None
        begin, trained = known[-1]
        if begin not in self._laws_then:
            self._laws_then[begin] = self.laws(begin)
        return self._path(self.view, origin, trained, self._laws_then[begin])

    @cached_property
    def _laws_then(self) -> dict[int, list[Law]]:
        return {}

    def _path(self, view: View, origin: int, trained: Trained, laws: list[Law]) -> CountPath:
        place = trained.places(view, np.array([origin]))[0]
        rows: list[list[Floats]] = [[], [], []]
        for law, block in zip(laws, blocks(view.horizon), strict=True):
            means, sizes = law.components(place[block[0] - 1 : block[-1]])
            parts = (np.broadcast_to(law.weights, means.shape), means, sizes)
            for kept, part in zip(rows, parts, strict=True):
                kept.append(part)
        weights, means, sizes = (np.vstack(part) for part in rows)
        history = view.history.before(origin)
        shares = recent_shares(history.shares, np.nan_to_num(history.y))
        return CountPath(history.end, history.step, weights, means, sizes, shares)


def latest(history: Counts) -> Counts:
    """Return the latest part of a history."""
    short = history.step < timedelta(days=1)
    most = round(timedelta(weeks=WEEKS) / history.step) if short else PERIODS
    return history.after(max(len(history) - most, 0))


def try_out(model: Placing, view: View) -> Trial | Declined:
    """Train a model at a few times of a past, let it forecast what came next, and train it."""
    n = len(view)
    if n < model.least:
        return Declined(model.name, f"{n} complete periods; needs {model.least}")
    places: list[Floats] = []
    trainings: list[tuple[int, Trained]] = []
    plan = schedule(n, view.clock.per_week)
    for begin, chosen in plan:
        if begin < max(model.least, 1):
            places.append(np.full((len(chosen), view.horizon), np.nan))
            continue
        trained = model.train(view, begin)
        trainings.append((begin, trained))
        places.append(trained.places(view, chosen))
    trainings.append((n, model.train(view, n)))
    none = np.zeros(0, np.intp)
    return Trial(
        model,
        view,
        np.concatenate([none, *(chosen for _, chosen in plan)]),
        np.vstack([np.zeros((0, view.horizon)), *places]),
        np.concatenate([none, *(np.full(len(chosen), begin) for begin, chosen in plan)]),
        trainings,
    )


def forms_at(
    model: Placing, history: Counts, origins: Sequence[int], horizon: int
) -> list[CountPath | None]:
    """Return what a model would have served at origins of a past; None before it could.

    A few trainings serve all of them: each is used for the origins that come after it.
    """
    recent = latest(history)
    trial = try_out(model, View.of(recent, horizon))
    if isinstance(trial, Declined):
        return [None] * len(origins)
    before = len(history) - len(recent)
    return [trial.path_at(int(origin) - before) for origin in origins]


def schedule(n: int, per_week: int) -> list[tuple[int, Index]]:
    """Return the trainings on trial in n periods: when each is made, and from where it forecasts.

    The stride is coprime to the periods of a week, so that every slot of the week is met.
    """
    cuts = np.unique(np.linspace(min(max(int(FIRST_PART * n), LEAST_BEFORE), n), n, CUTS + 1))
    cuts = np.unique(cuts.astype(int))
    return [
        (int(begin), np.arange(begin, end, _stride(end - begin, per_week)))
        for begin, end in pairwise(cuts)
    ]


def scored(begun: Index) -> Index:
    """Return which forecasts are scored: from the second training on, if there is one."""
    later = np.flatnonzero(begun > begun[:1])
    return later if len(later) else np.arange(len(begun))


def _stride(length: int, per_week: int) -> int:
    stride = max(-(-length // EACH), 1)
    while stride > 1 and np.gcd(stride, per_week) != 1:
        stride += 1
    return stride


def fit(model: Placing, history: Counts, horizon: int) -> Result:
    """Return the form of a model of places: trained, with the law of its own past errors."""
    if len(history) < max(model.least, 1):
        return Declined(model.name, f"{len(history)} complete periods; needs {model.least}")
    found = try_out(model, View.of(latest(history), horizon))
    if isinstance(found, Declined):
        return found
    laws = found.laws(len(found.view))
    record = {
        "method": "places, and the law of their own past errors",
        "periods": len(found.view),
        "trial": len(found.origins),
        "scale": laws[0].scale,
    }
    return Fit(found.path(laws=laws), record)


@dataclass(frozen=True, slots=True)
class Regressions:
    """One robust regression of the log count for every block of steps."""

    columns: Columns
    parts: Sequence[regression.Robust]

    def places(self, view: View, origins: Index) -> Floats:
        """Return the place of every origin and step."""
        horizon = view.horizon
        steps = np.tile(np.arange(1, horizon + 1), len(origins))
        rows, start = self.columns(view, np.repeat(origins, horizon), steps)
        rows = rows.reshape(len(origins), horizon, rows.shape[1])
        found = np.empty((len(origins), horizon))
        for part, block in zip(self.parts, blocks(horizon), strict=True):
            mine = rows[:, block[0] - 1 : block[-1]].reshape(-1, rows.shape[2])
            told = part.predict(mine).reshape(len(origins), len(block))
            found[:, block[0] - 1 : block[-1]] = told
        counts = np.exp(found + start.reshape(found.shape)) - SMALL
        return np.asarray(np.maximum(counts, 1e-3))


def careful(view: View, until: int, ridge: float) -> float:
    """Return a ridge that is stronger where a history is short or its counts are small.

    Departures move slowly, so that what counts is how many weeks there are, not how many periods.
    """
    weeks = max(until, 1) / view.clock.per_week
    return ridge * (1 + (SHORT / weeks) ** 3) * (1 + THINGS / (_typical(view, until) + SMALL))


def _typical(view: View, until: int) -> float:
    return float(np.median(view.usual[: max(until, 1)]))


def regress(view: View, until: int, columns: Columns, ridge: float, warm: int) -> Regressions:
    """Train one regression for every block of steps on counts before `until`."""
    memory, parts = MEMORY / view.history.step, []
    typical = _typical(view, until)
    for block in blocks(view.horizon):
        origins, steps = _pairs(max(min(warm, until // 3), 1), until, block)
        targets = origins + steps - 1
        kept = view.known[targets]
        origins, steps, targets = origins[kept], steps[kept], targets[kept]
        rows, start = columns(view, origins, steps)
        outcome = np.clip(np.log(view.y[targets] + SMALL) - start, -REACH, REACH)
        weight = 0.5 ** ((until - targets) / memory)
        weight = weight / (1 / (view.usual[targets] + SMALL) + 0.1)  # small counts are noisier
        distinct = len(np.unique(origins))
        weight *= min(distinct, len(weight)) / max(float(weight.sum()), 1e-12)
        part = regression.Robust.fit(rows, outcome, weight, ridge)
        place = np.maximum(np.exp(part.predict(rows) + start) - SMALL, 1e-3)
        fresh = 0.5 ** ((until - targets) / memory)
        rise = _rise(view.y[targets], place, fresh) / (1 + typical / LARGE)
        parts.append(part.raised(rise))
    return Regressions(columns, parts)


def _rise(y: Floats, place: Floats, weight: Floats) -> float:
    """Return the log of what counts are on average over their places: logs of small ones are low.

    Small counts weigh as chance makes them, bursts are cut.
    """
    weight = weight / (1 + place / 10)
    met = np.minimum(y, BURST * (place + 1))
    return float(np.log((weight @ met + PLAIN) / (weight @ place + PLAIN)))


def _pairs(first: int, until: int, block: range) -> tuple[Index, Index]:
    """Return origins and steps of a block, `ROWS` of them where there are more.

    They are drawn, always the same: any regular choice would meet only some times of the day.
    """
    origins = np.arange(first, max(until - block[0] + 1, first + 1))
    steps = np.arange(block[0], block[-1] + 1)
    left, right = np.repeat(origins, len(steps)), np.tile(steps, len(origins))
    inside = np.flatnonzero(left + right - 1 < until)
    if len(inside) == 0:  # a history shorter than the steps: the shortest one stands for all
        one = np.arange(min(first, max(until - 1, 1)), max(until, 2))
        return one, np.ones(len(one), np.intp)
    if len(inside) > ROWS:
        drawn = np.random.default_rng(len(inside)).choice(len(inside), ROWS, replace=False)
        inside = inside[np.sort(drawn)]
    return left[inside], right[inside]
