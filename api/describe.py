"""Models in force and questions there are, described for machines."""

from typing import Any

from worlds.ask import Answerer
from worlds.domain import Domain
from worlds.errors import SnapshotError
from worlds.publish import Release, SnapshotStore
from worlds.viewing import views


def catalogue(domain: Domain) -> dict[str, Any]:
    """Return what can be asked, for machines."""
    return {
        "domain": domain.name,
        "title": domain.title,
        "questions": [
            {
                "name": question.name,
                "text": question.text,
                "unit": question.unit,
                "threshold": question.threshold,
                "quantities": list(question.formula.names()),
                "where": list(domain.shares),
            }
            for question in domain.questions
        ],
        "views": [
            {
                "name": view.name,
                "text": view.text,
                "unit": view.unit,
                "threshold": view.threshold,
                "where": [
                    {"name": part.name, "text": part.text, "example": part.example}
                    for part in view.parts
                ],
                "attributes": view.attributes,
                "given": list(view.given),
            }
            for view in views(domain)
        ],
        "quantities": [
            {
                "name": quantity.name,
                "unit": quantity.unit,
                "per": quantity.per,
                "text": quantity.text,
            }
            for quantity in domain.quantities
        ],
    }


def describe(answerer: Answerer, store: SnapshotStore) -> dict[str, Any]:
    """Return the models in force with weights, provenance, checks and what declined. Blocking."""
    release = answerer.release
    return {
        "domain": answerer.domain.name,
        "release": release.id if release else None,
        "as_of": release.as_of.isoformat() if release else None,
        "until": release.until.isoformat() if release else None,
        "simulated": bool(release and release.simulated),
        "degraded": answerer.degraded,
        "published": release.created_at.isoformat() if release and release.created_at else None,
        "change": dict(release.change) or None if release else None,
        "pinned": {q: dict(m) for q, m in release.pinned.items()} if release else {},
        "refused": {q: dict(m) for q, m in release.refused.items()} if release else {},
        "segments": _segments(release) if release else {},
        "quantities": {
            quantity.name: {
                "unit": quantity.unit,
                "per": quantity.per,
                "models": [
                    {"model": model, "weight": loaded.weight, **_origin(loaded.snapshot, store)}
                    for model, loaded in answerer.models[quantity.name].items()
                ],
                "declined": dict(release.declined.get(quantity.name, {})) if release else {},
                "evidence": release.evidence.get(quantity.name) if release else None,
            }
            for quantity in answerer.domain.quantities
        },
    }


def _segments(release: Release) -> dict[str, list[str]]:
    """Return the segments that have models of their own, with the quantities these answer."""
    return {
        name: used
        for name, lines in release.segments.items()
        if (used := [quantity for quantity, line in lines.items() if line.get("in_use")])
    }


def _origin(snapshot_id: str | None, store: SnapshotStore) -> dict[str, Any]:
    if snapshot_id is None:
        return {"snapshot": None, "provenance": None, "checks": []}
    try:
        snapshot = store.get(snapshot_id)
    except SnapshotError as error:
        return {"snapshot": snapshot_id, "provenance": None, "checks": [], "damaged": str(error)}
    return {
        "snapshot": snapshot_id,
        "form": snapshot.form.form,
        "provenance": dict(snapshot.provenance),
        "checks": [dict(check) for check in snapshot.checks],
        "parent": snapshot.parent,
    }
