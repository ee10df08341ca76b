"""Rolling origins: what every model would have said at past times, of the hours or days after.

At every origin the models are refitted on what came before it (labels as far as they were ripe),
and their forecasts of the next periods are kept beside what happened. The pool at an origin has
weights learned from the forecasts of earlier origins that had met their outcome by then.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worlds.core.coherent import total_of
from worlds.core.distributions import Distribution
from worlds.core.forms import CountForm, CountPath, SizeForm
from worlds.core.path_total import PathTotal
from worlds.core.questions import Quantity
from worlds.domain import Domain
from worlds.errors import FitError, QuestionError, UnknownNameError
from worlds.learn import registry
from worlds.learn.candidates import entries
from worlds.learn.history import History, floor
from worlds.learn.measures import Row, measured, pooled
from worlds.learn.protocol import CountModel, Declined, Fit, Model, SizeModel, as_fit
from worlds.learn.seeds import stream
from worlds.learn.segment_fit import ripe
from worlds.learn.segments import Parts
from worlds.learn.series import Counts, aware, utc64
from worlds.learn.supervision import Failure, supervise
from worlds.learn.weights import FLOOR, complete, stack

POOL = "pool"
LEAST_BEFORE = 10
"""Periods, or things with a label, before the first origin."""
SIZE_REFITS = 8
"""Times that sizes are refitted at most: their models take seconds, and move slowly."""
MOST_THINGS = 40
"""Things whose forecasts are scored at one origin."""
GROUPS = 8
"""Labels of a category that are looked at: those with most things."""
LEAST_WEIGHED = 10
"""Resolved forecasts below which the weights are equal."""

type Form = CountForm | SizeForm
type Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is looked back at.

    Parameters
    ----------
    origins
        Times at which forecasts are made, oldest first.
    horizon
        Periods ahead.
    models
        Names of the models, or all of the domain.
    by
        ``hour``, ``weekday`` or a category: how forecasts are grouped besides.
    seed
        Of all draws.
    deadline
        Seconds that one fit may take.
    """

    origins: tuple[datetime, ...]
    horizon: int
    models: tuple[str, ...] = ()
    by: str | None = None
    seed: int = 0
    deadline: float = 120.0


@dataclass(frozen=True, slots=True)
class Origin:
    """What was believed at one time: forms and weights of every model of one quantity."""

    at: datetime
    forms: Mapping[str, Form]
    weights: Mapping[str, float]
    declined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look back found of one quantity."""

    quantity: Quantity
    origins: tuple[Origin, ...]
    rows: tuple[Row, ...]


def origins(
    history: History, horizon: int, count: int, begin: datetime | None, end: datetime | None
) -> tuple[datetime, ...]:
    """Return evenly spread times such that there is a past before and an outcome after each.

    Raises
    ------
    FitError
        If there is no room for any.
    """
    counts = history.counts
    step, first = counts.step, counts.start + LEAST_BEFORE * counts.step
    low = max(first, floor(begin, step)) if begin else counts.start + len(counts) // 2 * step
    last = history.until - step
    high = min(last, floor(end, step)) if end else max(last - (horizon - 1) * step, first)
    if len(counts) <= LEAST_BEFORE or low > high:
        msg = (
            f"no origin fits: there are {len(counts)} periods from {counts.start.isoformat()} to "
            f"{history.until.isoformat()}, and {LEAST_BEFORE} must lie before the first origin"
        )
        raise FitError(msg)
    places = np.unique(np.linspace(0, (high - low) // step, count).round().astype(int))
    return tuple(low + int(place) * step for place in places)


def look_back(
    domain: Domain, history: History, quantity: Quantity, plan: Plan, tick: Tick = lambda: None
) -> Looked:
    """Refit at every origin and score what came after.

    Raises
    ------
    UnknownNameError
        If a model or a grouping is not known.
    """
    models = _models(domain, quantity, plan.models)
    parts = Parts(history, plan.seed) if plan.by in domain.shares else None
    if plan.by not in (None, "hour", "weekday") and parts is None:
        raise UnknownNameError("grouping", str(plan.by), ["hour", "weekday", *domain.shares])
    found: list[Origin] = []
    rows: list[Row] = []
    refit = max(-(-len(plan.origins) // SIZE_REFITS), 1) if quantity.role == "size" else 1
    for number, at in enumerate(plan.origins):
        weights = _weights(rows, at, [name for name, _ in models])
        if number % refit == 0:
            fitted = _fit_all(domain, history, quantity, models, at, plan)
        forms, declined = fitted
        origin = Origin(at, forms, _over(weights, forms), declined)
        found.append(origin)
        if quantity.role == "count":
            rows += _count_rows(history, origin, number, plan, parts)
        else:
            rows += _size_rows(history, origin, number, plan)
        tick()
    return Looked(quantity, tuple(found), tuple(rows))


def _models(domain: Domain, quantity: Quantity, wanted: Sequence[str]) -> list[tuple[str, Model]]:
    known = {}
    for entry in entries(domain, quantity):
        outcome = supervise(partial(registry.find, quantity.role, entry), None)
        if not isinstance(outcome, Failure):
            known[outcome.value.name] = outcome.value
    for name in wanted:
        if name not in known:
            raise UnknownNameError(f"model of {quantity.name}", name, known)
    names = wanted or [name for name in known if name != registry.DEFAULT] or [registry.DEFAULT]
    return [(name, known[name]) for name in names]


def _fit_all(
    domain: Domain,
    history: History,
    quantity: Quantity,
    models: Sequence[tuple[str, Model]],
    at: datetime,
    plan: Plan,
) -> tuple[dict[str, Form], dict[str, str]]:
    forms: dict[str, Form] = {}
    declined: dict[str, str] = {}
    for name, model in models:
        outcome = supervise(partial(_fit, domain, history, model, at, plan), plan.deadline)
        result = Declined(name, outcome.reason) if isinstance(outcome, Failure) else outcome.value
        if isinstance(result, Declined):
            declined[name] = result.reason
        elif quantity.role == ("count" if isinstance(result.form, CountForm) else "size"):
            forms[name] = result.form
        else:
            declined[name] = f"{type(result.form).__name__} is no form of a {quantity.role}"
    return forms, declined


def _fit(
    domain: Domain, history: History, model: Model, at: datetime, plan: Plan
) -> Fit | Declined:
    rng = stream(plan.seed, model.role, model.name, "rolling", at.isoformat())
    if isinstance(model, CountModel) and model.role == "count":
        past = history.counts.before((at - history.counts.start) // history.counts.step)
        return as_fit(model.fit(past, horizon=plan.horizon, rng=rng))
    assert isinstance(model, SizeModel)  # noqa: S101 - the registry knows no other role
    past_items = ripe(history.items, utc64(at))
    return as_fit(model.fit(past_items, domain.spec, at=at, rng=rng))


def _weights(rows: Sequence[Row], at: datetime, names: Sequence[str]) -> dict[str, float]:
    """Return weights from the forecasts that had met their outcome by then."""
    resolved = [row for row in rows if row.group is None and row.known <= at and row.total is None]
    table = np.array([[row.of(name).log_score for name in names] for row in resolved])
    if len(resolved) < LEAST_WEIGHED:
        return dict.fromkeys(names, 1 / len(names))
    return dict(zip(names, stack(complete(table)).tolist(), strict=True))


def _over(weights: Mapping[str, float], forms: Mapping[str, Form]) -> dict[str, float]:
    """Return the weights of the models that are there, scaled to sum to 1."""
    kept = {name: max(weights.get(name, 0.0), FLOOR) for name in forms}
    total = sum(kept.values())
    return {name: weight / total for name, weight in kept.items()}


def _count_rows(
    history: History, origin: Origin, number: int, plan: Plan, parts: Parts | None
) -> list[Row]:
    counts = history.counts
    place = (origin.at - counts.start) // counts.step
    steps = min(plan.horizon, len(counts) - place)
    rows = []
    for step in range(steps):
        begin = origin.at + step * counts.step
        row = Row(number, step + 1, begin, begin + counts.step, float(counts.y[place + step]))
        made = {name: form.count(step=step) for name, form in origin.forms.items()}  # type: ignore[union-attr]  # a form of counts
        rows.append(_scored(row, made, origin, plan))
        if plan.by in ("hour", "weekday"):
            rows.append(replace(rows[-1], group=_clock(plan.by, begin)))
    if steps == plan.horizon > 1:
        rows += _totals(counts, place, origin, number, plan)
    if parts is not None and plan.by is not None:
        rows += _groups(parts, origin, number, plan, steps)
    return rows


def _totals(counts: Counts, place: int, origin: Origin, number: int, plan: Plan) -> list[Row]:
    """Return the row of the total over the horizon, of the models that can say it."""
    made: dict[str, Distribution] = {}
    for name, form in origin.forms.items():
        if isinstance(form, CountPath):
            made[name] = total_of(form, {}, plan.horizon)
            continue
        periods = [form.count(step=step) for step in range(plan.horizon)]  # type: ignore[union-attr]  # a form of counts
        try:
            made[name] = PathTotal.of(periods)  # type: ignore[arg-type]  # refused if they are not
        except (QuestionError, AttributeError):
            continue
    if not made:
        return []
    end = origin.at + plan.horizon * counts.step
    y = float(counts.y[place : place + plan.horizon].sum())
    row = Row(number, plan.horizon, origin.at, end, y, total=plan.horizon)
    return [_scored(row, made, origin, plan)]


def _groups(parts: Parts, origin: Origin, number: int, plan: Plan, steps: int) -> list[Row]:
    rows = []
    for segment in parts.by(str(plan.by))[:GROUPS]:
        counts = parts.part(segment).counts
        place = (origin.at - counts.start) // counts.step
        if place < 0:
            continue
        where = {segment.category: segment.label}
        for step in range(0, steps, max(steps // 4, 1)):
            begin = origin.at + step * counts.step
            y = float(counts.y[place + step])
            row = Row(number, step + 1, begin, begin + counts.step, y, group=segment.label)
            made = {name: form.count(where, step) for name, form in origin.forms.items()}  # type: ignore[union-attr]  # a form of counts
            rows.append(_scored(row, made, origin, plan))
    return rows


def _size_rows(history: History, origin: Origin, number: int, plan: Plan) -> list[Row]:
    items, step = history.items, history.counts.step
    end = origin.at + plan.horizon * step
    inside = (items.at >= utc64(origin.at)) & (items.at < utc64(end)) & np.isfinite(items.label)
    rows = []
    for i in _spread(np.flatnonzero(inside)):
        begin, features = aware(items.at[i]), items.features[i]
        ahead = int((begin - origin.at) / step) + 1
        known = begin + items.ripens
        row = Row(number, ahead, begin, known, float(items.label[i]))
        made = {name: form.quick(features, begin) for name, form in origin.forms.items()}  # type: ignore[union-attr]  # a form of sizes
        rows.append(_scored(row, made, origin, plan))
        if plan.by in ("hour", "weekday"):
            rows.append(replace(rows[-1], group=_clock(plan.by, begin)))
        elif plan.by is not None and features.categories.get(plan.by):
            label = max(features.categories[plan.by], key=lambda one: one[1])[0]
            rows.append(replace(rows[-1], group=label))
    return rows


def _spread(chosen: NDArray[np.intp]) -> NDArray[np.intp]:
    return chosen[:: max(len(chosen) // MOST_THINGS, 1)][:MOST_THINGS]


def _scored(row: Row, made: Mapping[str, Distribution], origin: Origin, plan: Plan) -> Row:
    rng = stream(plan.seed, "score", str(row.origin), str(row.step))
    found: dict[str, Any] = measured(made, row.outcome, rng)
    weights = _over(origin.weights, {name: origin.forms[name] for name in made})
    return replace(row, scores={**{n: s for n, (s, _) in found.items()},
                                POOL: pooled(found, weights, row.outcome)})  # fmt: skip


def _clock(by: str, moment: datetime) -> str:
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    return f"{moment.hour:02d}" if by == "hour" else days[moment.weekday()]


def spacing(times: Sequence[datetime], step: timedelta) -> float:
    """Return the periods between two origins, on average."""
    if len(times) < 2:
        return 1.0
    return max((times[-1] - times[0]) / step / (len(times) - 1), 1.0)
