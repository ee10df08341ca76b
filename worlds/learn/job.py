"""One learning run: facts as of a time to a published release. Same input, same bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from worlds.core.forms import CountForm, SizeForm
from worlds.core.questions import Quantity
from worlds.domain import Domain
from worlds.errors import SnapshotError
from worlds.learn import backtest, gate, registry
from worlds.learn.candidates import Candidate, Field, Settings, entries, still_good
from worlds.learn.history import FactSource, History, read
from worlds.learn.protocol import Declined
from worlds.learn.provenance import provenance
from worlds.learn.report import ModelLine, Report
from worlds.learn.scoring import Scores, collect
from worlds.learn.supervision import Failure, supervise
from worlds.learn.weights import Weights, learn_weights, summary
from worlds.publish import Release, Snapshot, SnapshotStore

type Progress = Callable[[str, int, int], None]
"""Told what is being done, how many steps are done and how many there are."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of one quantity."""

    quantity: Quantity
    found: Mapping[str, Candidate]
    snapshots: Mapping[str, Snapshot]
    weights: Weights
    declined: Mapping[str, str]


def learn(
    domain: Domain,
    source: FactSource,
    store: SnapshotStore,
    *,
    as_of: datetime,
    until: datetime | None = None,
    now: datetime | None = None,
    settings: Settings | None = None,
    progress: Progress = lambda _text, _done, _total: None,
) -> Report:
    """Fit, back-test, examine and publish every model of a domain.

    Parameters
    ----------
    domain, source, store
        What to learn, from which facts, and where to publish.
    as_of, until
        See `worlds.learn.history.read`.
    now
        When this is done; it is noted beside the release and changes nothing else.
    settings
        Seed, deadline and route.
    progress
        Told after every step.

    Returns
    -------
    Report
        What was published and what was declined, with the reasons. A model that raises, is too
        slow or fails the gate is a line in it and stops no other.
    """
    settings = settings or Settings()
    history = read(domain, source, as_of=as_of, until=until)
    steps = _Steps(progress, domain, history)
    before = _Before.load(store, domain, as_of)
    origin = {"as_of": as_of, "until": history.until, "facts": source.version(as_of)}
    results = [
        _learn_quantity(
            Field(domain, q, history, settings, before.forms(q.name)), before, origin, steps
        )
        for q in domain.quantities
    ]
    models = {
        result.quantity.name: {name: store.put(s) for name, s in result.snapshots.items()}
        for result in results
    }
    release = Release(
        domain=domain.name,
        as_of=as_of,
        until=history.until,
        models=models,
        weights={result.quantity.name: dict(result.weights.weights) for result in results},
        evidence={result.quantity.name: dict(result.weights.evidence) for result in results},
        declined={result.quantity.name: dict(result.declined) for result in results},
        simulated=history.simulated,
        created_at=now,
    )
    lines = tuple(line for result in results for line in _lines(result, models))
    return Report(store.release(release), release, lines, len(history.counts), len(history.items))


def _newest(store: SnapshotStore, release: Release) -> bool:
    """Return whether a release knows at least as much as the one in force.

    A look back (``--as-of`` an earlier time) is published for questions about then; it does not
    replace what answers now.
    """
    try:
        held = store.current()
    except SnapshotError:
        return True
    return held is None or held.domain != release.domain or held.as_of <= release.as_of


@dataclass(frozen=True, slots=True)
class _Before:
    """The snapshots of the newest release that knew less: what a new one replaces.

    Releases as of the same time do not count, so that a run repeated finds what it found.
    """

    snapshots: Mapping[str, Mapping[str, Snapshot]]

    @classmethod
    def load(cls, store: SnapshotStore, domain: Domain, as_of: datetime) -> "_Before":
        """Read what can be read: what is damaged, or of another extractor, is not there."""
        older = (r for r in store.releases() if r.domain == domain.name and r.as_of < as_of)
        release = next(older, None)
        found: dict[str, dict[str, Snapshot]] = {q.name: {} for q in domain.quantities}
        for quantity, models in release.models.items() if release else ():
            for model, snapshot_id in models.items():
                try:
                    snapshot = store.get(snapshot_id)
                except SnapshotError:
                    continue  # answering says so; here it just cannot be compared with
                if snapshot.provenance.get("extractor") == domain.spec.version:
                    found.setdefault(quantity, {})[model] = snapshot
        return cls(found)

    def forms(self, quantity: str) -> dict[str, CountForm | SizeForm]:
        """Return model to form."""
        return {
            model: snapshot.form
            for model, snapshot in self.snapshots.get(quantity, {}).items()
            if isinstance(snapshot.form, CountForm | SizeForm)
        }


class _Steps:
    """Counts the steps of a run for its display."""

    def __init__(self, progress: Progress, domain: Domain, history: History) -> None:
        each = {
            "count": len(backtest.count_origins(history.counts)) + 1,
            "size": len(backtest.size_blocks(history.items)) + 1,
        }
        self.text = ""
        self._progress = progress
        self._done = 0
        self._total = sum(each[q.role] * len(entries(domain, q)) for q in domain.quantities)

    def __call__(self) -> None:
        self._done = min(self._done + 1, self._total)
        self._progress(self.text, self._done, self._total)


def _learn_quantity(
    field: Field, before: _Before, origin: Mapping[str, Any], steps: _Steps
) -> Learned:
    """Return what was learned of one quantity: candidates, the gate, weights."""
    found: dict[str, Candidate] = {}
    declined: dict[str, str] = {}
    for entry in entries(field.domain, field.quantity):
        steps.text = f"{field.quantity.name}: {getattr(entry, 'name', entry)}"
        name, result = field.candidate(entry, steps)
        if isinstance(result, Declined):
            declined[name] = result.reason
        else:
            found[name] = result
    old = before.snapshots.get(field.quantity.name, {})
    default = found.get(registry.DEFAULT)
    snapshots: dict[str, Snapshot] = {}
    for name in list(found):
        outcome = _examined(field, name, found[name], default, origin, old.get(name))
        if isinstance(outcome, Declined):
            declined[name] = outcome.reason
            del found[name]
        else:
            snapshots[name] = outcome
    kept = {
        name: old[name]
        for name in declined
        if name in old and still_good(old[name].form, field.history)
    }
    if any(name != registry.DEFAULT for name in (*found, *kept)):
        # the default belief answers where nothing else can; beside a fitted model it is noise
        found.pop(registry.DEFAULT, None)
        snapshots.pop(registry.DEFAULT, None)
    scores = {name: item.scores for name, item in found.items()}
    scores |= {name: _unscored() for name in kept}
    return Learned(field.quantity, found, {**snapshots, **kept}, learn_weights(scores), declined)


def _examined(
    field: Field,
    name: str,
    item: Candidate,
    default: Candidate | None,
    origin: Mapping[str, Any],
    old: Snapshot | None,
) -> Snapshot | Declined:
    """Return the snapshot of a model that passes the gate; foreign forms may raise anything."""

    def examine() -> Snapshot:
        checks = field.checks(name, item, default)
        snapshot = _snapshot(field, name, item, checks, origin, old)
        snapshot.id  # noqa: B018 - a form that cannot be stored must fail here, not later
        return snapshot

    outcome = supervise(examine, None if name == registry.DEFAULT else field.settings.deadline)
    if isinstance(outcome, Failure):
        return Declined(name, f"it cannot be published: {outcome.reason}")
    reason = gate.verdict(outcome.value.checks)
    if reason is not None and name != registry.DEFAULT:
        return Declined(name, f"the gate: {reason}")
    return outcome.value


def _unscored() -> Scores:
    """Return no scores: a snapshot that stays has made no new forecasts on trial."""
    return collect(np.array([], "datetime64[us]"), np.zeros(0), [])


def _snapshot(
    field: Field,
    name: str,
    item: Candidate,
    checks: tuple[gate.Check, ...],
    origin: Mapping[str, Any],
    old: Snapshot | None,
) -> Snapshot:
    return Snapshot(
        quantity=field.quantity.name,
        model=name,
        form=item.fit.form,
        provenance=provenance(
            field.domain,
            item.model,
            seed=field.settings.seed,
            inference=item.fit.inference,
            simulated=field.history.simulated,
            **origin,
        ),
        checks=checks,
        parent=old.id if old is not None else None,
    )


def _lines(result: Learned, models: Mapping[str, Mapping[str, str]]) -> list[ModelLine]:
    lines = []
    quantity = result.quantity.name
    for name in sorted({*result.snapshots, *result.declined}):
        item = result.found.get(name)
        lines.append(
            ModelLine(
                quantity,
                name,
                models[quantity].get(name),
                result.weights.weights.get(name),
                result.declined.get(name),
                item.seconds if item else 0.0,
                summary(item.scores) if item else {},
            )
        )
    return lines
