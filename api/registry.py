"""Releases and snapshots described for machines: what is in force, since when, by whom."""

from collections.abc import Mapping
from typing import Any

from worlds.errors import SnapshotError
from worlds.publish import Release, Snapshot, SnapshotStore, pins


def releases(store: SnapshotStore, limit: int) -> dict[str, Any]:
    """Return the newest releases with what is in force, what is pinned and what was refused."""
    try:
        current = store.current_id()
    except SnapshotError:
        current = None
    since: dict[str, Any] = {}
    for switch in store.log():
        since.setdefault(switch.release, []).append(switch.at)
    found = store.releases()
    found.sort(key=lambda one: ((since.get(one.id) or [""])[-1] or "", one.as_of), reverse=True)
    damaged = {path.stem for path in (store.root / "releases").glob("*.json")}
    damaged -= {one.id for one in found}
    return {
        "current": current,
        "pins": pins.read(store),
        "releases": [line(one, current, since.get(one.id, [])) for one in found[:limit]],
        "in_all": len(found),
        "damaged": sorted(damaged),
    }


def line(found: Release, current: str | None, since: list[str | None]) -> dict[str, Any]:
    """Return one release of the list."""
    return {
        "release": found.id,
        "in_force": found.id == current,
        "in_force_since": since,
        "as_of": found.as_of.isoformat(),
        "until": found.until.isoformat(),
        "published": found.created_at.isoformat() if found.created_at else None,
        "simulated": found.simulated,
        "change": dict(found.change) or None,
        "weights": {q: dict(weights) for q, weights in found.weights.items()},
        "declined": {q: dict(reasons) for q, reasons in found.declined.items() if reasons},
        "refused": {q: dict(models) for q, models in found.refused.items()},
        "pinned": {q: dict(models) for q, models in found.pinned.items()},
        "segments": len(found.segments),
    }


def release(store: SnapshotStore, found: Release) -> dict[str, Any]:
    """Return everything a release says, with the line of every snapshot in it."""
    return {
        **found.to_json(),
        "id": found.id,
        "snapshots": {
            quantity: {model: _short(store, name) for model, name in models.items()}
            for quantity, models in found.models.items()
        },
    }


def _short(store: SnapshotStore, name: str) -> Mapping[str, Any]:
    try:
        found = store.get(name)
    except SnapshotError as error:
        return {"snapshot": name, "damaged": str(error)}
    checks = [dict(check) for check in found.checks]
    return {
        "snapshot": name,
        "form": found.form.form,
        "parent": found.parent,
        "facts": found.provenance.get("facts"),
        "checks": checks,
    }


def snapshot(store: SnapshotStore, found: Snapshot) -> dict[str, Any]:
    """Return where a snapshot comes from, what it showed, and which releases use it."""
    place = store.root / "models" / found.id
    uses = [
        one.id
        for one in store.releases()
        if one.models.get(found.quantity, {}).get(found.model) == found.id
    ]
    refused = [
        one.id
        for one in store.releases()
        if one.refused.get(found.quantity, {}).get(found.model) == found.id
    ]
    return {
        "snapshot": found.id,
        "quantity": found.quantity,
        "model": found.model,
        "form": found.form.form,
        "parent": found.parent,
        "bytes": sum(path.stat().st_size for path in place.iterdir()),
        "provenance": dict(found.provenance),
        "checks": [dict(check) for check in found.checks],
        "releases": uses,
        "refused_in": refused,
    }
