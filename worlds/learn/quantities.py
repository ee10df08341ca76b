"""What is learned of one quantity: candidates, the gate, what stays, what is pinned, weights."""

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from worlds.learn import gate, registry
from worlds.learn.before import Before
from worlds.learn.candidates import Candidate, Field, Tick
from worlds.learn.protocol import Declined
from worlds.learn.provenance import provenance
from worlds.learn.report import ModelLine
from worlds.learn.scoring import Scores, collect
from worlds.learn.supervision import Failure, supervise
from worlds.learn.weights import FLOOR, learn_weights, summary
from worlds.publish import Snapshot, SnapshotStore
from worlds.publish.carry import carried
from worlds.publish.pins import Pins


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of one quantity, its snapshots stored; JSON all through.

    Parameters
    ----------
    models, weights, evidence, declined, refused, pinned
        As in `worlds.publish.Release`, of this quantity.
    lines
        Lines of the report.
    """

    models: Mapping[str, str]
    weights: Mapping[str, float]
    evidence: Mapping[str, Any]
    declined: Mapping[str, str]
    refused: Mapping[str, str] = field(default_factory=dict)
    pinned: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Learned":
        """Read the JSON form."""
        return cls(**{**raw, "lines": tuple(raw["lines"])})


def learn_quantity(
    field: Field,
    before: Before,
    pins: Pins,
    origin: Mapping[str, Any],
    store: SnapshotStore,
    tick: Tick,
    say: Any,
) -> Learned:
    """Fit, back-test, examine and store the models of one quantity.

    Parameters
    ----------
    field
        What is learned from what.
    before, pins
        What it replaces, and what a person holds.
    origin
        ``as_of``, ``until`` and version of the facts, for the provenance.
    store
        Where snapshots go.
    tick, say
        Told after every step, and what is being done.
    """
    found, declined = _candidates(field, tick, say)
    old = before.snapshots.get(field.quantity.name, {})
    snapshots, refused = _examined_all(field, found, declined, origin, old)
    kept = {
        name: rest
        for name in declined
        if name in old and (rest := carried(old[name], field.history.until)) is not None
    }
    if any(name != registry.DEFAULT for name in (*found, *kept)):
        # the default belief answers where nothing else can; beside a fitted model it is noise
        found.pop(registry.DEFAULT, None)
        snapshots.pop(registry.DEFAULT, None)
    held = _held(field, pins, store)
    published = {**snapshots, **kept, **held}
    scores = {name: found[name].scores if name in found else _unscored() for name in published}
    weights = learn_weights(scores)
    shares = _keeping(
        weights.weights,
        {name for name in published if name not in found},
        before.weights.get(field.quantity.name, {}),
    )
    models = {name: store.put(snapshot) for name, snapshot in published.items()}
    for name in held.keys() & snapshots.keys():
        store.put(snapshots[name])  # what the pin kept out can still be promoted
    return Learned(
        models,
        shares,
        weights.evidence,
        declined,
        {name: store.put(snapshot) for name, snapshot in refused.items()},
        {name: models[name] for name in held},
        tuple(asdict(line) for line in _lines(field, found, models, shares, declined)),
    )


def _candidates(field: Field, tick: Tick, say: Any) -> tuple[dict[str, Candidate], dict[str, str]]:
    found: dict[str, Candidate] = {}
    declined: dict[str, str] = {}
    for entry in field.entries():
        say(f"{field.quantity.name}: {getattr(entry, 'name', entry)}")
        name, result = field.candidate(entry, tick)
        if isinstance(result, Declined):
            declined[name] = result.reason
        else:
            found[name] = result
    return found, declined


def _examined_all(
    field: Field,
    found: dict[str, Candidate],
    declined: dict[str, str],
    origin: Mapping[str, Any],
    old: Mapping[str, Snapshot],
) -> tuple[dict[str, Snapshot], dict[str, Snapshot]]:
    """Return the snapshots that pass the gate, and those it refuses; both dicts are updated."""
    default = found.get(registry.DEFAULT)
    passed: dict[str, Snapshot] = {}
    refused: dict[str, Snapshot] = {}
    for name in list(found):
        outcome = _examined(field, name, found[name], default, origin, old.get(name))
        if isinstance(outcome, Failure):
            declined[name] = f"it cannot be published: {outcome.reason}"
            del found[name]
            continue
        reason = gate.verdict(outcome.checks)
        if reason is None or name == registry.DEFAULT:
            passed[name] = outcome
            continue
        declined[name] = f"the gate: {reason}"
        refused[name] = outcome
        del found[name]
    return passed, refused


def _examined(
    field: Field,
    name: str,
    item: Candidate,
    default: Candidate | None,
    origin: Mapping[str, Any],
    old: Snapshot | None,
) -> Snapshot | Failure:
    """Return the snapshot with its report; foreign forms may raise anything."""

    def examine() -> Snapshot:
        checks = field.checks(name, item, default)
        snapshot = _snapshot(field, name, item, checks, origin, old)
        snapshot.id  # noqa: B018 - a form that cannot be stored must fail here, not later
        return snapshot

    deadline = None if name == registry.DEFAULT else field.settings.deadline
    outcome = supervise(examine, deadline)
    return outcome if isinstance(outcome, Failure) else outcome.value


def _held(field: Field, pins: Pins, store: SnapshotStore) -> dict[str, Snapshot]:
    """Return the pinned snapshots of the quantity that still reach the predicted periods."""
    held = {}
    for key, pin in pins.items():
        quantity, _, model = key.rpartition("/")
        if quantity == field.quantity.name:
            rest = carried(store.get(str(pin["id"])), field.history.until)
            if rest is not None:
                held[model] = rest
    return held


def _keeping(
    weights: Mapping[str, float], held: Set[str], before: Mapping[str, float]
) -> dict[str, float]:
    """Return weights in which what stays keeps the weight that it had.

    It made no new forecasts on trial, so there is nothing to learn its weight from.
    """
    stays = {name: before[name] for name in held if name in before}
    rest = {name: weight for name, weight in weights.items() if name not in stays}
    total = sum(stays.values())
    if not stays or total <= 0:
        return dict(weights)
    room = max(1.0 - total, FLOOR * len(rest)) if rest else 0.0
    scale = sum(rest.values()) or 1.0
    mixed = {name: room * weight / scale for name, weight in rest.items()}
    mixed |= {name: (1 - room) * weight / total for name, weight in stays.items()}
    return {name: mixed[name] for name in weights}


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


def _lines(
    field: Field,
    found: Mapping[str, Candidate],
    models: Mapping[str, str],
    weights: Mapping[str, float],
    declined: Mapping[str, str],
) -> list[ModelLine]:
    lines = []
    for name in sorted({*models, *declined}):
        item = found.get(name)
        lines.append(
            ModelLine(
                field.quantity.name,
                name,
                models.get(name),
                weights.get(name),
                declined.get(name),
                item.seconds if item else 0.0,
                summary(item.scores) if item else {},
            )
        )
    return lines
