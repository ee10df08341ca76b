"""What changed between two releases, or between two snapshots."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from worlds.core.forms import CountForm, SizeForm
from worlds.errors import SnapshotError
from worlds.publish.snapshot import Release, Snapshot
from worlds.publish.store import SnapshotStore

LEVELS = (0.05, 0.5, 0.95)
MOST_PARAMETERS = 8
"""Parameters that are listed: those that moved furthest, in units of their own spread."""


def diff(store: SnapshotStore, old: Release | Snapshot, new: Release | Snapshot) -> dict[str, Any]:
    """Return what is different, from the old one to the new.

    Raises
    ------
    SnapshotError
        If one is a release and the other a snapshot.
    """
    if isinstance(old, Snapshot) and isinstance(new, Snapshot):
        return {"old": old.id, "new": new.id, **snapshots(old, new)}
    if isinstance(old, Release) and isinstance(new, Release):
        return {"old": old.id, "new": new.id, **releases(store, old, new)}
    msg = f"compare two releases or two snapshots; {old.id} and {new.id} are one of each"
    raise SnapshotError(msg)


def releases(store: SnapshotStore, old: Release, new: Release) -> dict[str, Any]:
    """Return the differences of two releases, model by model."""
    found: dict[str, Any] = {
        "as_of": [old.as_of.isoformat(), new.as_of.isoformat()],
        "until": [old.until.isoformat(), new.until.isoformat()],
        "change": dict(new.change) or None,
        "quantities": {},
    }
    for quantity in {**old.models, **new.models}:
        before, after = old.models.get(quantity, {}), new.models.get(quantity, {})
        lines = {}
        for model in sorted({*before, *after}):
            ids = before.get(model), after.get(model)
            weights = [r.weights.get(quantity, {}).get(model) for r in (old, new)]
            line: dict[str, Any] = {"weight": weights, "snapshot": list(ids)}
            line["scores"] = [_scores(r, quantity, model) for r in (old, new)]
            if ids[0] and ids[1] and ids[0] != ids[1]:
                line |= _compared(store, ids[0], ids[1])
            reason = new.declined.get(quantity, {}).get(model)
            lines[model] = line | ({"declined": reason} if reason else {})
        found["quantities"][quantity] = lines
    found["segments"] = {
        "added": sorted({*new.segments} - {*old.segments}),
        "removed": sorted({*old.segments} - {*new.segments}),
        "changed": sorted(
            name
            for name in {*old.segments} & {*new.segments}
            if old.segments[name] != new.segments[name]
        ),
    }
    return found


def _scores(release: Release, quantity: str, model: str) -> Mapping[str, Any] | None:
    found = release.evidence.get(quantity, {}).get("models", {}).get(model)
    return dict(found) if found else None


def _compared(store: SnapshotStore, old: str, new: str) -> dict[str, Any]:
    try:
        return snapshots(store.get(old), store.get(new))
    except SnapshotError as error:
        return {"damaged": str(error)}


def snapshots(old: Snapshot, new: Snapshot) -> dict[str, Any]:
    """Return the differences of two snapshots: facts, code, inference, forecasts, parameters."""
    return {
        "model": [f"{one.quantity}/{one.model}" for one in (old, new)],
        "facts": _changed(old.provenance.get("facts", {}), new.provenance.get("facts", {})),
        "provenance": _changed(
            {k: v for k, v in old.provenance.items() if k not in {"facts", "inference"}},
            {k: v for k, v in new.provenance.items() if k not in {"facts", "inference"}},
        ),
        "inference": _changed(
            old.provenance.get("inference", {}), new.provenance.get("inference", {})
        ),
        "forecast": [forecast(old), forecast(new)],
        "parameters": parameters(old, new),
        "checks": [_failed(old), _failed(new)],
    }


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {
        name: [old.get(name), new.get(name)]
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }


def _failed(snapshot: Snapshot) -> list[str]:
    return [str(check["name"]) for check in snapshot.checks if not check.get("passed")]


def forecast(snapshot: Snapshot) -> dict[str, float] | None:
    """Return mean and quantiles of the next period, or of one thing of the recent population."""
    form = snapshot.form
    if isinstance(form, CountForm):
        count = form.count()
        values = [count.mean(), *count.quantile(LEVELS)]
    elif isinstance(form, SizeForm):
        parts = form.severity().parts
        table = np.array([part.quantile(LEVELS) for part in parts], float).mean(0)
        values = [form.severity().mean(), *table]
    else:
        return None
    names = ("mean", *(f"q{round(100 * level):02d}" for level in LEVELS))
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}


def parameters(old: Snapshot, new: Snapshot) -> list[dict[str, Any]]:
    """Return the named parameters that moved furthest, in units of their posterior spread."""
    tables = [_named(one) for one in (old, new)]
    moved = []
    for name in tables[0].keys() & tables[1].keys():
        (before, spread), (after, other) = tables[0][name], tables[1][name]
        scale = max(float(np.hypot(spread, other)), 1e-9)
        moved.append((abs(after - before) / scale, name, before, after))
    moved.sort(key=lambda one: (-one[0], one[1]))
    return [
        {"name": name, "old": round(before, 4), "new": round(after, 4), "moved_sd": round(by, 2)}
        for by, name, before, after in moved[:MOST_PARAMETERS]
        if before != after
    ]


def _named(snapshot: Snapshot) -> dict[str, tuple[float, float]]:
    """Return parameter to posterior mean and spread, where a form names its parameters."""
    columns = getattr(snapshot.form, "columns", ())
    draws = getattr(snapshot.form, "draws", None)
    if draws is None or not len(columns):
        return {}
    table = np.asarray(draws, float)
    return {
        name: (float(row.mean()), float(row.std()))
        for name, row in zip(columns, table, strict=False)
    }
