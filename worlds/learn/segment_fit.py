"""Fitting one segment: its own models against those of everything, on the same outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from worlds.core.distributions import Floats
from worlds.core.forms import CountForm, SizeForm
from worlds.core.questions import Quantity
from worlds.domain import Domain
from worlds.learn import gate, placing, registry
from worlds.learn.candidates import HORIZON, Settings, entries
from worlds.learn.history import History
from worlds.learn.protocol import CountModel, Declined, Fit, Model, SizeModel, as_fit
from worlds.learn.provenance import provenance
from worlds.learn.scoring import SMALLEST, Scores, collect
from worlds.learn.seeds import stream
from worlds.learn.segments import Part
from worlds.learn.series import Counts, Items, aware, utc64
from worlds.learn.supervision import Failure, supervise
from worlds.learn.weights import complete, learn_weights
from worlds.publish import Snapshot, SnapshotStore

ORIGINS = 40
"""One-step forecasts of a segment's counts that are scored."""
BLOCKS = 4
"""Refits of a segment's sizes."""
MOST_SCORED = 120
"""Most things of a segment whose forecasts are scored."""
CHEAP = ("historical", "streaming")
"""Models that are fitted on every segment; the others need `MANY` things."""
MANY = 400
LEAST_WEIGHT = 0.05
"""Models of everything with less weight are left out of the comparison."""
BETTER = 2.0
"""Standard errors by which a segment's own models must have been better to be used."""

CERTAIN = 1e9
"""Things seen with the label for every one without: a share of one for all purposes."""

type Weighted = tuple[tuple[float, Any], ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """What the models of everything forecast at past times, for comparison.

    Parameters
    ----------
    periods
        Begin of the periods whose counts are forecast, each with weighted forms.
    blocks
        Times at which sizes were refitted, each with weighted forms.
    """

    periods: tuple[tuple[datetime, Weighted], ...]
    blocks: tuple[tuple[datetime, Weighted], ...]


@dataclass(frozen=True, slots=True)
class Work:
    """What all segments of a run share."""

    domain: Domain
    settings: Settings
    reference: Reference
    origin: Mapping[str, Any]
    simulated: bool
    root: Path


def reference(
    domain: Domain,
    history: History,
    weights: Mapping[str, Mapping[str, float]],
    settings: Settings,
) -> Reference:
    """Refit the models of everything at a few past times."""
    count, size = domain.quantity("count"), domain.quantity("size")
    counts, items = history.counts, history.items
    periods = []
    chosen = [int(origin) for origin in _origins(len(counts))]
    share = weights.get(count.name, {})
    named = [(n, m) for n, m in _models(domain, count) if share.get(n, 0.0) >= LEAST_WEIGHT]
    told = {
        name: supervise(partial(_forms, model, counts, chosen, settings), None)
        for name, model in named
    }
    for number, origin in enumerate(chosen):
        there = [
            (share[name], outcome.value[number])
            for name, outcome in told.items()
            if not isinstance(outcome, Failure) and outcome.value[number] is not None
        ]
        total = sum(weight for weight, _ in there)
        if there:
            fits = tuple((weight / total, form) for weight, form in there)
            periods.append((counts.start + origin * counts.step, fits))
    blocks = []
    for cut in _cuts(items):
        past_items = ripe(items, cut)
        fits = _weighted(
            domain,
            size,
            weights,
            partial(_size, past=past_items, domain=domain, at=aware(cut), settings=settings),
        )
        if fits:
            blocks.append((aware(cut), fits))
    return Reference(tuple(periods), tuple(blocks))


def fit_segment(work: Work, part: Part) -> dict[str, Any]:
    """Fit, examine and store the models of one segment; return its entry of the release."""
    store = SnapshotStore(work.root)
    found: dict[str, Any] = {}
    for quantity in work.domain.quantities:
        outcomes, whole = _whole(work, part, quantity)
        own, declined = _own(work, part, quantity)
        line: dict[str, Any] = {"things": len(part.items), "declined": declined}
        if own:
            scores = {name: one for name, (_, _, one) in own.items()}
            learned = learn_weights(scores)
            weights = dict(learned.weights)
            line["record"] = record(scores, weights, whole, len(outcomes))
            line["models"] = {
                name: store.put(_snapshot(work, part, quantity, model, fit, scores[name]))
                for name, (model, fit, _) in own.items()
            }
            line["weights"] = weights
        line["in_use"] = bool(line.get("record", {}).get("better", False))
        found[quantity.name] = line
    return found


def record(
    own: Mapping[str, Scores], weights: Mapping[str, float], whole: Floats, n: int
) -> dict[str, Any]:
    """Return how the pool of a segment's own models did against that of everything."""
    names = [name for name in own if len(own[name].made)]
    found: dict[str, Any] = {"forecasts": n, "better": False}
    if not names or n == 0:
        return found
    table = np.column_stack([own[name].log_score for name in names])
    both = np.isfinite(table).any(1) & np.isfinite(whole)
    if int(both.sum()) < gate.LEAST_SCORED:
        return found | {"why": f"{int(both.sum())} common forecasts; needs {gate.LEAST_SCORED}"}
    share = np.array([weights[name] for name in names])
    pool = special.logsumexp(complete(table[both]) + np.log(share / share.sum()), axis=1)
    gain = pool - whole[both]
    mean, error = gate.mean_with_error(gain)
    return found | {
        "forecasts": int(both.sum()),
        "own": _rounded(float(pool.mean())),
        "whole": _rounded(float(whole[both].mean())),
        "gain": _rounded(mean),
        "error": _rounded(error),
        "better": mean > BETTER * error,
    }


def ripe(items: Items, cut: np.datetime64) -> Items:
    """Return the things before a time, with the labels that could be ripe by then."""
    before = np.flatnonzero(items.at < cut)
    past = items.take(before)
    late = past.at + np.timedelta64(items.ripens) > cut
    label = np.where(late, np.nan, past.label)
    return Items(past.quantity, past.features, past.at, label, past.label_at, past.ripens)


def _origins(periods: int) -> NDArray[np.intp]:
    """Return the periods that are forecast: evenly over the later half, all slots of a day met."""
    first = max(periods // 2, min(10, periods))
    stride = max((periods - first) // ORIGINS, 1)
    stride += stride % 2 == 0
    stride += 2 * (stride % 3 == 0 or stride % 7 == 0)
    return np.arange(periods - 1, first - 1, -stride)[::-1]


def _cuts(items: Items) -> NDArray[np.datetime64]:
    known = np.flatnonzero(np.isfinite(items.label))
    if len(known) < 2 * BLOCKS:
        return np.zeros(0, "datetime64[us]")
    first = len(known) // 2
    places = first + (np.arange(BLOCKS) * (len(known) - first)) // BLOCKS
    return np.unique(items.at[known[places]])


def _weighted(
    domain: Domain,
    quantity: Quantity,
    weights: Mapping[str, Mapping[str, float]],
    fit: Any,
) -> Weighted:
    found = []
    for name, model in _models(domain, quantity):
        weight = weights.get(quantity.name, {}).get(name, 0.0)
        if weight < LEAST_WEIGHT:
            continue
        result = supervise(partial(fit, model), None)
        if isinstance(result, Failure) or isinstance(result.value, Declined):
            continue
        found.append((weight, result.value.form))
    total = sum(weight for weight, _ in found)
    return tuple((weight / total, form) for weight, form in found)


def _models(domain: Domain, quantity: Quantity) -> list[tuple[str, Model]]:
    found = []
    for entry in entries(domain, quantity):
        outcome = supervise(partial(registry.find, quantity.role, entry), None)
        if not isinstance(outcome, Failure):
            found.append((outcome.value.name, outcome.value))
    return found


def _count(model: Model, past: Counts, horizon: int, settings: Settings) -> Fit | Declined:
    if not isinstance(model, CountModel):
        return Declined(model.name, "it does not count")
    rng = stream(settings.seed, past.quantity.name, model.name, "segment")
    result = as_fit(model.fit(past, horizon=horizon, rng=rng))
    if isinstance(result, Fit) and not isinstance(result.form, CountForm):
        return Declined(model.name, f"{type(result.form).__name__} is no form of counts")
    return result


def _size(
    model: Model, past: Items, domain: Domain, at: datetime, settings: Settings
) -> Fit | Declined:
    if not isinstance(model, SizeModel):
        return Declined(model.name, "it does not size")
    rng = stream(settings.seed, past.quantity.name, model.name, "segment")
    result = as_fit(model.fit(past, domain.spec, at=at, rng=rng))
    if isinstance(result, Fit) and not isinstance(result.form, SizeForm):
        return Declined(model.name, f"{type(result.form).__name__} is no form of sizes")
    return result


def _chosen(part: Part, begin: datetime, end: datetime | None) -> NDArray[np.intp]:
    """Return the things of a block that are scored: labelled, evenly spread."""
    at = part.items.at
    inside = (at >= utc64(begin)) & np.isfinite(part.items.label)
    if end is not None:
        inside &= at < utc64(end)
    chosen = np.flatnonzero(inside)
    most = MOST_SCORED // BLOCKS
    return chosen[:: max(len(chosen) // most, 1)][:most]


def _blocks(work: Work, part: Part) -> list[tuple[datetime, Weighted, NDArray[np.intp]]]:
    blocks = work.reference.blocks
    ends: list[datetime | None] = [begin for begin, _ in blocks[1:]]
    ends += [None] * (len(blocks) > 0)
    return [
        (begin, forms, _chosen(part, begin, end))
        for (begin, forms), end in zip(blocks, ends, strict=True)
    ]


def _places(work: Work, part: Part) -> list[tuple[int, Weighted]]:
    """Return the number of every compared period within the segment's own counts."""
    counts = part.counts
    found = [
        ((begin - counts.start) // counts.step, forms) for begin, forms in work.reference.periods
    ]
    return [(place, forms) for place, forms in found if 0 < place < len(counts)]


def _whole(work: Work, part: Part, quantity: Quantity) -> tuple[Floats, Floats]:
    """Return outcomes, and the log probability that the models of everything gave to them."""
    where = {part.segment.category: part.segment.label}
    outcomes, logs = [], []
    if quantity.role == "count":
        for place, forms in _places(work, part):
            y = float(part.counts.y[place])
            outcomes.append(y)
            logs.append(_pooled([(w, form.count(where)) for w, form in forms], y))
    else:
        for _, forms, chosen in _blocks(work, part):
            for i in chosen:
                y, item = float(part.items.label[i]), part.items.features[i]
                at = aware(part.items.at[i])
                outcomes.append(y)
                logs.append(_pooled([(w, form.predict(item, at)) for w, form in forms], y))
    return np.array(outcomes), np.array(logs)


def _pooled(parts: Sequence[tuple[float, Any]], y: float) -> float:
    prob = 0.0
    for weight, forecast in parts:
        pmf = getattr(forecast, "pmf", None)
        if pmf is not None:
            prob += weight * float(pmf(np.array(y)))
        else:
            upto, below = (float(x) for x in forecast.cdf(np.array([y, y - 1])))
            prob += weight * (upto - below)
    return float(np.log(max(prob, SMALLEST)))


def _own(
    work: Work, part: Part, quantity: Quantity
) -> tuple[dict[str, tuple[Model, Fit, Scores]], dict[str, str]]:
    """Return the segment's own models that fit and pass the gate, and why others do not."""
    found: dict[str, tuple[Model, Fit, Scores]] = {}
    declined: dict[str, str] = {}
    for name, model in _models(work.domain, quantity):
        if name == registry.DEFAULT or (name not in CHEAP and len(part.items) < MANY):
            continue
        outcome = supervise(partial(_try, work, part, quantity, model), work.settings.deadline)
        if isinstance(outcome, Failure):
            declined[name] = outcome.reason
        elif isinstance(outcome.value, Declined):
            declined[name] = outcome.value.reason
        else:
            fit, scores = outcome.value
            reason = gate.verdict(checks(fit, scores))
            if reason is None:
                found[name] = model, fit, scores
            else:
                declined[name] = f"the gate: {reason}"
    return found, declined


def checks(fit: Fit, scores: Scores) -> tuple[gate.Check, ...]:
    """Return the report of the gate on a model of a segment."""
    return gate.examine(fit, scores)


def _try(work: Work, part: Part, quantity: Quantity, model: Model) -> tuple[Fit, Scores] | Declined:
    settings, domain = work.settings, work.domain
    if quantity.role == "count":
        fit = _count(model, part.counts, HORIZON[domain.grain], settings)
    else:
        until = datetime.fromisoformat(str(work.origin["until"]))
        fit = _size(model, part.items, domain, until, settings)
    if isinstance(fit, Declined):
        return fit
    score_of = _count_scores if quantity.role == "count" else _size_scores
    return fit, score_of(work, part, model)


NO_SCORE = (np.nan, np.nan, np.nan, np.nan)


def _score(forecast: Any, outcome: float) -> tuple[float, float, float, float]:
    """Return log score and P(Y < y), P(Y <= y); CRPS, which costs most, decides nothing here."""
    upto, below = (float(x) for x in forecast.cdf(np.array([outcome, outcome - 1])))
    return _pooled([(1.0, forecast)], outcome), float("nan"), below, upto


def _count_scores(work: Work, part: Part, model: Model) -> Scores:
    rows, at, outcomes = [], [], []
    places = [place for place, _ in _places(work, part)]
    for place, form in zip(places, _forms(model, part.counts, places, work.settings), strict=True):
        y = float(part.counts.y[place])
        rows.append(NO_SCORE if form is None else _score(form.count(), y))
        at.append(utc64(part.counts.start + place * part.counts.step))
        outcomes.append(y)
    return collect(np.array(at, "datetime64[us]"), np.array(outcomes), rows)


def _forms(
    model: Model, counts: Counts, places: Sequence[int], settings: Settings
) -> Sequence[CountForm | None]:
    """Return what a model would have served before some periods; None where it declined."""
    if isinstance(model, placing.Placing):
        return placing.forms_at(model, counts, places, 1)
    fits = [_count(model, counts.before(place), 1, settings) for place in places]
    return [fit.form if isinstance(fit, Fit) else None for fit in fits]  # type: ignore[misc]  # forms of counts


def _size_scores(work: Work, part: Part, model: Model) -> Scores:
    rows, at, outcomes = [], [], []
    for begin, _, chosen in _blocks(work, part):
        if len(chosen) == 0:
            continue
        fit = _size(model, ripe(part.items, utc64(begin)), work.domain, begin, work.settings)
        for i in chosen:
            y, when = float(part.items.label[i]), aware(part.items.at[i])
            rows.append(
                NO_SCORE
                if isinstance(fit, Declined)
                else _score(fit.form.predict(part.items.features[i], when), y)  # type: ignore[union-attr]  # a form of sizes
            )
            at.append(part.items.at[i])
            outcomes.append(y)
    return collect(np.array(at, "datetime64[us]"), np.array(outcomes), rows)


def _snapshot(
    work: Work, part: Part, quantity: Quantity, model: Model, fit: Fit, scores: Scores
) -> Snapshot:
    origin = work.origin
    record = provenance(
        work.domain,
        model,
        as_of=datetime.fromisoformat(str(origin["as_of"])),
        until=datetime.fromisoformat(str(origin["until"])),
        facts=origin["facts"],
        seed=work.settings.seed,
        inference=fit.inference,
        simulated=work.simulated,
    )
    return Snapshot(
        quantity=quantity.name,
        model=model.name,
        form=_all_of_it(fit.form, part),
        provenance={**record, "segment": part.segment.name},
        checks=checks(fit, scores),
    )


def _all_of_it(form: Any, part: Part) -> Any:
    """Return a form of counts that knows: everything it counts carries the segment's label."""
    if not isinstance(form, CountForm) or not hasattr(form, "shares"):
        return form
    sure = ((part.segment.label,), np.array([CERTAIN]))
    return replace(form, shares={**form.shares, part.segment.category: sure})  # type: ignore[type-var]  # every form is a dataclass


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
