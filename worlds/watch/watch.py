"""Everything that is watched, folded from facts in the order in which they were recorded.

Decisions are facts too, and take effect when they are read back: what is decided, and what a
process that starts anew finds, come the same way. Durations are measured by a monotone clock from
the moment a fact is read, so that a clock that jumps neither shortens nor prolongs them; only what
people say ends at a time of day ends by it.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facts import Event, Exact, Reader, fact_value
from worlds.errors import QuestionError
from worlds.watch.evidence import Book
from worlds.watch.experiments import Experiment, Results
from worlds.watch.join import Join, Waiting
from worlds.watch.overrides import Override
from worlds.watch.record import FAULTS, FORECAST, SOURCE, Forecast, model_event
from worlds.watch.rules import LIVE, PROBATION, Rules, Seen, Standing, decide
from worlds.watch.standing import Board

STANDING = "watch.standing"
OVERRIDE = "watch.override"
OVERRIDE_ENDED = "watch.override_ended"
EXPERIMENT = "watch.experiment"
OUTCOME = "watch.outcome"
RELEARN = "watch.relearn"
PERIOD = "period:"
"""How the entity of a forecast of counts begins."""
DECISIONS = (STANDING, OVERRIDE, OVERRIDE_ENDED, EXPERIMENT)
OURS = (*DECISIONS, FORECAST, FAULTS, OUTCOME, RELEARN)
PAGE = 5_000
MOST_PAGES = 1_000_000
MOST_FAULTS = 100
ENDED = 50
"""Experiments that ended whose results are still told."""

type Row = Mapping[str, Any]
type Name = tuple[str, str]


@dataclass(slots=True)
class _Fault:
    at: float
    count: int
    reason: str


@dataclass(slots=True)
class Watch:
    """What is known of everything watched.

    Parameters
    ----------
    label
        Attribute in which the outcome of a thing appears.
    ripens
        How long after a thing begins its label is final.
    rules
        When models are moved.
    clock
        Monotone seconds.
    decisions
        Whether only decisions are read: what holds is known at once then, without the evidence.
    """

    label: str
    ripens: timedelta
    rules: Rules = field(default_factory=Rules)
    clock: Callable[[], float] = time.monotonic
    decisions: bool = False
    caught_up: bool = False
    seq: int = -1
    models: dict[Name, Standing] = field(default_factory=dict)
    overrides: dict[str, Override] = field(default_factory=dict)
    experiments: dict[str, Results] = field(default_factory=dict)
    book: Book = field(default_factory=Book)
    join: Join = None  # type: ignore[assignment]  # made below
    periods: Join = field(default_factory=lambda: Join(timedelta(0)))
    forecasts: int = 0
    _since: dict[Name, float] = field(default_factory=dict)
    _moved: dict[Name, datetime] = field(default_factory=dict)
    _faults: dict[Name, deque[_Fault]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.join = Join(self.ripens)

    # -- reading ---------------------------------------------------------------------------------

    def read(self, reader: Reader, now: datetime, pages: int = MOST_PAGES) -> bool:
        """Read what was recorded since the last time; return whether that was all. Blocking.

        Parameters
        ----------
        reader
            Where the facts are.
        now
            The time.
        pages
            At most so many pages of facts.
        """
        if self.seq < 0:
            self.seq = _begin(reader)
        wanted = [*([] if self.decisions else [self.label]), *self._attributes]
        for _ in range(pages):
            page = reader.page(self.seq, PAGE, attribute=wanted)
            if page.num_rows > 0:
                self.seq = int(page["seq"][-1].as_py())
                self.fold(_of_interest(page, self.label, self.join.waiting), now)
            if page.num_rows < PAGE:
                self.caught_up = True
                return True
        return False

    @property
    def _attributes(self) -> tuple[str, ...]:
        return DECISIONS if self.decisions else OURS

    def fold(self, rows: Iterable[Row], now: datetime) -> None:
        """Take facts, in the order in which they were recorded."""
        for row in rows:
            attribute = row["attribute"]
            if attribute == self.label:
                self._labelled(row)
            elif row["source"] == SOURCE:
                self._ours(attribute, row, now)

    def _ours(self, attribute: str, row: Row, now: datetime) -> None:
        extra = json.loads(row["extra"]) if row["extra"] else {}
        try:
            if attribute == FORECAST:
                self._forecast(Forecast.read(row["id"], row["valid_from"], extra))
            elif attribute == FAULTS:
                self._faulty(row, extra, now)
            elif attribute == STANDING:
                self._stands(row, extra, now)
            elif attribute == OVERRIDE:
                made = Override.read(extra["override"])
                if made.action != "reinstate":
                    self.overrides[made.id] = made
            elif attribute == OVERRIDE_ENDED:
                self.overrides.pop(str(row["text"]), None)
            elif attribute == EXPERIMENT:
                self._experiment(Experiment.read(extra["experiment"]))
            elif attribute == OUTCOME:
                self._meets(self.periods.outcome(str(extra["of"]), None), float(row["num"]))
        except (KeyError, TypeError, ValueError, QuestionError):
            return  # written by another version; what it cannot say here it says in the facts

    def _forecast(self, made: Forecast | None) -> None:
        if made is None:
            return
        self.forecasts += 1
        if made.entity is not None and made.entity.startswith(PERIOD):
            self.periods.forecast(made)
            return
        self.join.forecast(made)
        for results in self.experiments.values():
            results.exposure(made)

    def _faulty(self, row: Row, extra: Mapping[str, Any], now: datetime) -> None:
        name = _name(row["entity"])
        age = max((now - row["valid_from"]).total_seconds(), 0.0)
        entry = _Fault(self.clock() - age, int(row["num"]), str(extra.get("reason", "")))
        self._faults.setdefault(name, deque(maxlen=MOST_FAULTS)).append(entry)

    def _stands(self, row: Row, extra: Mapping[str, Any], now: datetime) -> None:
        name = _name(row["entity"])
        new = Standing(row["text"], str(extra["reason"]), extra["snapshot"], int(extra["relapses"]))
        before = self.models.get(name, Standing())
        self.models[name] = new
        age = max((now - row["valid_from"]).total_seconds(), 0.0)
        self._since[name] = self.clock() - age
        self.book.reset(*name)
        if not (before.state == LIVE and new.state == PROBATION):
            self._faults.pop(name, None)
            self._moved[name] = row["valid_from"]

    def _experiment(self, declared: Experiment) -> None:
        there = self.experiments.get(declared.name)
        if there is None or there.of.started_at != declared.started_at:
            self.experiments[declared.name] = Results(declared)
            for name in [n for n, r in self.experiments.items() if r.of.ended][:-ENDED]:
                del self.experiments[name]
        else:
            there.of = declared

    def _labelled(self, row: Row) -> None:
        outcome = _number(row)
        if outcome is not None:
            self._meets(self.join.outcome(row["entity"], row["valid_from"]), outcome)

    def _meets(self, there: Waiting | None, outcome: float) -> None:
        if there is None:
            return
        made = there.last
        for model, places in made.models.items():
            name = (made.quantity, model)
            moved = self._moved.get(name)
            if made.snapshots.get(model) is None or (moved and made.served_at < moved):
                continue  # the default, or a forecast from before what moved it
            self.book.of(*name).see(places, made.pool, outcome)
        for results in self.experiments.values():
            first = there.first if there.first.served_at >= results.of.started_at else made
            results.outcome(first, outcome)

    # -- deciding --------------------------------------------------------------------------------

    def decide(self, snapshots: Mapping[Name, str], now: datetime) -> list[Event]:
        """Return what is to be recorded: models moved, overrides that ended, arms stopped.

        Parameters
        ----------
        snapshots
            (quantity, model) to the snapshot of it in the release in force.
        now
            The time.
        """
        self.join.expire(now)
        self.periods.expire(now)
        found = []
        for name, snapshot in snapshots.items():
            moved = decide(self.models.get(name, Standing()), self.seen(name, snapshot), self.rules)
            if moved is not None:
                found.append(self.move(name, moved, now))
        over = [one for one in self.overrides.values() if not one.holds(now)]
        found += [ended(one, now, "it ended by itself", "worlds") for one in over]
        for results in self.experiments.values():
            found += self._stopped(results, now)
        return found

    def seen(self, name: Name, snapshot: str | None) -> Seen:
        """Return what is known of a model now."""
        page = self.book.pages.get(name)
        counted = self.clock() - self.rules.fault_memory.total_seconds()
        faults = [one for one in self._faults.get(name, ()) if one.at >= counted]
        since = self._since.get(name)
        return Seen(
            evidence=page.evidence if page else 0.0,
            against=page.worst if page else "",
            scored=page.scored if page else 0,
            faults=sum(one.count for one in faults),
            fault=faults[-1].reason if faults else "",
            snapshot=snapshot,
            elapsed=timedelta.max
            if since is None
            else timedelta(seconds=max(self.clock() - since, 0.0)),
        )

    def move(self, name: Name, to: Standing, now: datetime, by: str = "rules") -> Event:
        """Return the event that moves a model."""
        before = self.models.get(name, Standing())
        page = self.book.pages.get(name)
        extra = {
            "from": before.state,
            "reason": to.reason,
            "snapshot": to.snapshot,
            "relapses": to.relapses,
            "by": by,
            "evidence": page.to_json() if page else None,
        }
        key = f"standing/{name[0]}/{name[1]}/{to.state}/{now.isoformat()}"
        return model_event(key, *name, STANDING, Exact(to.state), now, extra)

    def _stopped(self, results: Results, now: datetime) -> list[Event]:
        experiment = results.of
        if experiment.ended is not None:
            return []
        changed = experiment
        for arm, reason in results.to_stop().items():
            changed = changed.without(arm, reason)
        if len(changed.stopped) >= len(changed.arms) - 1:
            changed = replace(changed, ended="guardrails stopped every arm but the first")
        elif not changed.runs(now):
            changed = replace(changed, ended="its time was over")
        if changed == experiment:
            return []
        return [experiment_event(changed, now, f"change/{now.isoformat()}", results.to_json())]

    def board(self) -> Board:
        """Return what everybody who answers must know."""
        return Board(
            {name: one for name, one in self.models.items() if one.state != LIVE},
            tuple(sorted(self.overrides.values(), key=lambda one: one.made_at)),
            tuple(one.of for one in self.experiments.values() if one.of.ended is None),
        )


def override_event(made: Override) -> Event:
    """Return the event of an override."""
    return model_event(
        f"override/{made.id}",
        made.quantity,
        made.model,
        OVERRIDE,
        Exact(made.action),
        made.made_at,
        {"override": made.to_json(), "reason": made.reason, "by": made.by},
        made.until,
    )


def ended(made: Override, now: datetime, reason: str, by: str) -> Event:
    """Return the event that ends an override."""
    return model_event(
        f"override-ended/{made.id}",
        made.quantity,
        made.model,
        OVERRIDE_ENDED,
        Exact(made.id),
        now,
        {"reason": reason, "by": by, "action": made.action},
    )


def experiment_event(
    declared: Experiment, now: datetime, key: str, results: Mapping[str, Any] | None = None
) -> Event:
    """Return the event that declares an experiment, or says what changed of it."""
    state = "ended" if declared.ended else "stopped arm" if declared.stopped else "declared"
    return Event(
        SOURCE,
        f"experiment/{declared.name}/{declared.started_at.isoformat()}/{key}",
        f"experiment:{declared.name}",
        {EXPERIMENT: Exact(state)},
        now,
        extra={"experiment": declared.to_json(), "results": results},
    )


def _begin(reader: Reader) -> int:
    """Return the number of the fact before the first of ours, or of the last if there is none.

    Labels of before the first forecast are nobody's outcome: a long log is not read for them.
    """
    last = reader.sql("SELECT coalesce(max(seq), 0) AS last FROM facts")["last"][0].as_py()
    first = reader.page(0, 1, attribute=list(OURS))
    return int(first["seq"][0].as_py()) - 1 if first.num_rows else int(last)


def _of_interest(page: Any, label: str, waiting: Mapping[str, Any]) -> Iterable[Row]:
    """Yield the rows that matter: of thousands of labels only those that are waited for.

    A forecast and its label may be on one page, so every row is looked at when its turn comes.
    """
    labels = pc.equal(page["attribute"], pa.scalar(label))
    ours = iter(page.filter(pc.invert(labels)).to_pylist())
    entities = page["entity"].to_pylist()
    for index, is_label in enumerate(labels.to_pylist()):
        if not is_label:
            yield next(ours)
        elif entities[index] in waiting:
            yield page.slice(index, 1).to_pylist()[0]


def _name(entity: str) -> Name:
    quantity, _, model = entity.removeprefix("model:").partition("/")
    return quantity, model


def _number(row: Row) -> float | None:
    """Return a label as a number; the centre of an uncertain one."""
    if row["kind"] == "exact":
        return None if row["num"] is None else float(row["num"])
    centre = getattr(fact_value(row), "expectation", None)
    if centre is None:
        return None
    try:
        return float(centre())
    except (ValueError, TypeError, NotImplementedError):
        return None
