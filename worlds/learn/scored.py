"""Would we have been right? Published releases, and refits as of then, against what happened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from worlds.ask import Answerer
from worlds.core.distributions import Distribution
from worlds.core.forms import CountForm, SizeForm
from worlds.core.questions import Amount, Question, SumOver
from worlds.domain import Domain
from worlds.errors import SnapshotError, WorldsError
from worlds.learn.history import History
from worlds.learn.measures import LEVELS, Row, coverage, measured, pit, pooled, summary
from worlds.learn.rolling import MOST_THINGS, POOL, Looked, Plan
from worlds.learn.seeds import stream
from worlds.learn.series import aware, utc64
from worlds.loading import Loaded
from worlds.publish import Release, SnapshotStore

type Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Term:
    """A release and the time during which it answered."""

    release: Release
    begin: datetime
    end: datetime


def published(store: SnapshotStore, domain: Domain, begin: datetime, end: datetime) -> list[Term]:
    """Return the releases that answered between two times of the forecast world.

    Every release answers from the first period it predicts until the next one takes over. Looks
    back, which never came into force, are left out.
    """
    forced = {switch.release for switch in store.log()}
    known = [
        one
        for one in store.releases()
        if one.domain == domain.name and (one.id in forced or not forced)
    ]
    known.sort(key=lambda one: (one.until, one.as_of, one.created_at or one.as_of))
    last = {one.until: one for one in known}  # of several for one time the last one answered
    order = [last[until] for until in sorted(last)]
    ends = [*(one.until for one in order[1:]), end][: len(order)]
    terms = [Term(r, r.until, stop) for r, stop in zip(order, ends, strict=True)]
    return [term for term in terms if term.end > begin and term.begin < end]


def score_published(
    domain: Domain, store: SnapshotStore, history: History, terms: Sequence[Term], seed: int
) -> tuple[dict[str, list[Row]], list[str]]:
    """Return rows of every quantity, of what the releases forecast, and what cannot be read."""
    rows: dict[str, list[Row]] = {quantity.name: [] for quantity in domain.quantities}
    trouble: list[str] = []
    for number, term in enumerate(terms):
        answerer = Answerer.load(domain, store, term.release)
        trouble += answerer.trouble
        for quantity in domain.quantities:
            loaded = answerer.models[quantity.name]
            if quantity.role == "count":
                rows[quantity.name] += _counts(history, term, number, loaded, seed)
            else:
                rows[quantity.name] += _sizes(history, term, number, loaded, seed)
    return rows, trouble


def _counts(history: History, term: Term, number: int, loaded: Any, seed: int) -> list[Row]:
    counts = history.counts
    place = (term.begin - counts.start) // counts.step
    rows: list[Row] = []
    step = 0
    while term.begin + step * counts.step < term.end and 0 <= place + step < len(counts):
        made: dict[str, Distribution] = {}
        for name, one in loaded.items():
            if isinstance(one.form, CountForm) and step < int(getattr(one.form, "horizon", 1)):
                made[name] = one.form.count(step=step)
        if not made:
            break
        begin = term.begin + step * counts.step
        row = Row(number, step + 1, begin, begin + counts.step, float(counts.y[place + step]))
        rows.append(_scored(row, made, loaded, seed))
        step += 1
    return rows


def _sizes(history: History, term: Term, number: int, loaded: Any, seed: int) -> list[Row]:
    items, step = history.items, history.counts.step
    inside = (items.at >= utc64(term.begin)) & (items.at < utc64(term.end))
    chosen = np.flatnonzero(inside & np.isfinite(items.label))
    rows = []
    for i in chosen[:: max(len(chosen) // (5 * MOST_THINGS), 1)][: 5 * MOST_THINGS]:
        begin, features = aware(items.at[i]), items.features[i]
        made = {
            name: one.form.quick(features, begin)
            for name, one in loaded.items()
            if isinstance(one.form, SizeForm)
        }
        ahead = int((begin - term.begin) / step) + 1
        row = Row(number, ahead, begin, begin + items.ripens, float(items.label[i]))
        rows.append(_scored(row, made, loaded, seed))
    return rows


def _scored(row: Row, made: dict[str, Distribution], loaded: Any, seed: int) -> Row:
    found = measured(made, row.outcome, stream(seed, "published", str(row.origin), str(row.step)))
    total = sum(loaded[name].weight for name in made)
    weights = {name: loaded[name].weight / total for name in made}
    scores = {name: score for name, (score, _) in found.items()}
    return replace(row, scores={**scores, POOL: pooled(found, weights, row.outcome)})


def pending(history: History, begin: datetime, end: datetime) -> int:
    """Return the things of a time whose label is not known yet: they join as they ripen."""
    items = history.items
    inside = (items.at >= utc64(begin)) & (items.at < utc64(end))
    return int((inside & ~np.isfinite(items.label)).sum())


def answerers(domain: Domain, looked: dict[str, Looked]) -> list[tuple[datetime, Answerer]]:
    """Return what would have answered at every origin of a look back."""
    found = []
    for parts in zip(
        *(looked[quantity.name].origins for quantity in domain.quantities), strict=True
    ):
        models = {
            quantity.name: {
                name: Loaded(part.weights[name], form, None) for name, form in part.forms.items()
            }
            for quantity, part in zip(domain.quantities, parts, strict=True)
        }
        if all(models.values()):
            found.append((parts[0].at, Answerer(domain, None, models)))
    return found


def ask_then(
    domain: Domain,
    history: History,
    then: Sequence[tuple[datetime, Answerer]],
    tick: Tick = lambda: None,
) -> list[dict[str, Any]]:
    """Return what the questions of the domain would have been answered, and what came.

    Parameters
    ----------
    domain, history
        The questions, and what happened.
    then
        Times, each with what answered about the period from then on.
    """
    found = []
    for question in domain.questions:
        rows = []
        waiting = 0
        for at, answerer in then:
            happened = outcome(question, history, at, domain.step)
            if happened is None:
                waiting += 1
                continue
            try:
                answer = answerer.ask(question.name).outcome
            except WorldsError:
                continue
            low, high = (float(one) for one in answer.interval(0.9))
            below, upto = (float(x) for x in answer.cdf(np.array([happened - 1, happened])))
            rows.append(
                {
                    "at": at.isoformat(),
                    "happened": happened,
                    "mean": round(float(answer.mean()), 3),
                    "low": low,
                    "high": high,
                    "below": below,
                    "upto": upto,
                }
            )
            tick()
        found.append(_question(question, rows, waiting))
    return found


def _question(question: Question, rows: list[dict[str, Any]], waiting: int) -> dict[str, Any]:
    line: dict[str, Any] = {
        "question": question.name,
        "unit": question.unit,
        "answers": len(rows),
        "not_ripe_yet": waiting,
        "rows": rows,
    }
    if rows:
        below = np.array([row["below"] for row in rows])
        upto = np.array([row["upto"] for row in rows])
        line["coverage"] = {f"{100 * one:g}": coverage(below, upto, one) for one in LEVELS}
        line["pit"] = pit(below, upto).tolist()
        gap = np.array([row["mean"] - row["happened"] for row in rows])
        line["mean_too_high_by"] = round(float(gap.mean()), 3)
    return line


def outcome(question: Question, history: History, at: datetime, step: timedelta) -> float | None:
    """Return what the answer to a question about the period from `at` on has turned out to be.

    None while a label of it is not ripe, or for formulas that no count and no sum says.
    """
    counts, items = history.counts, history.items
    place = (at - counts.start) // counts.step
    if not 0 <= place < len(counts):
        return None
    if isinstance(question.formula, Amount) and question.formula.name == counts.quantity.name:
        return float(counts.y[place])
    if isinstance(question.formula, SumOver):
        inside = (items.at >= utc64(at)) & (items.at < utc64(at + step))
        labels = items.label[inside]
        if len(labels) < counts.y[place] or not np.isfinite(labels).all():
            return None
        return float(labels.sum())
    return None


def rows_summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the summaries of every model over rows."""
    names = sorted({name for row in rows for name in row.scores} - {POOL})
    names = [*names, POOL] if names else []
    return {name: summary([row.of(name) for row in rows]) for name in names}


def published_answerers(
    domain: Domain, store: SnapshotStore, terms: Sequence[Term]
) -> list[tuple[datetime, Answerer]]:
    """Return what answered at the begin of every term, as far as it can be read."""
    found = []
    for term in terms:
        try:
            answerer = Answerer.load(domain, store, term.release)
        except SnapshotError:
            continue
        if not answerer.trouble:
            found.append((term.begin, answerer))
    return found


def verdict(questions: Sequence[dict[str, Any]], plan: Plan | None, releases: int) -> str:
    """Return in words whether we would have been right."""
    source = f"{releases} published releases" if plan is None else "refits as of then"
    said = []
    for one in questions:
        if not one["answers"]:
            said.append(f"{one['question']}: no outcome is known yet ({source})")
            continue
        n, share = one["answers"], one["coverage"]["90"]
        error = float(np.sqrt(0.9 * 0.1 / n))
        judged = "yes"
        if share < 0.9 - 2 * error:
            judged = "no, too sure of ourselves"
        elif share > 0.9 + 2 * error:
            judged = "yes, and wider than it needed to be"
        said.append(
            f"{one['question']}: {judged}: {100 * share:.0f}% of {n} outcomes lay in their 90% "
            f"interval (sampling error {100 * error:.0f}%; {source})"
        )
    return "\n".join(said)
