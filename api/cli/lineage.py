"""From an answer's release to the facts behind it, and from a fact to what learned from it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from facts import Reader
from worlds.domain import Domain
from worlds.publish import Release, Snapshot, SnapshotStore


def of_release(
    reader: Reader, domain: Domain, store: SnapshotStore, release_id: str
) -> dict[str, Any]:
    """Return what a release (or the ``current`` one) learned from: facts, sources, snapshots.

    Raises
    ------
    worlds.errors.SnapshotError
        If the release is missing or damaged.
    """
    name = release_id
    if release_id == "current":
        name = store.current_id() or "none"
    release = store.get_release(name)
    rows = reader.sql(
        "SELECT source, count(*) AS facts, min(tx) AS first_tx, max(tx) AS last_tx FROM facts"
        " WHERE starts_with(entity, ?) AND valid_from < ? GROUP BY source ORDER BY source",
        [f"{domain.entity}:", release.until],
        as_of=release.as_of,
    )
    return {
        "release": release.id,
        "as_of": release.as_of.isoformat(),
        "until": release.until.isoformat(),
        "sources": rows.to_pylist(),
        "snapshots": [_line(found) for found in _snapshots(store, release)],
    }


def of_facts(
    rows: Sequence[Mapping[str, Any]], domain: Domain, store: SnapshotStore
) -> list[dict[str, Any]]:
    """Return facts, each with the snapshots that were fitted on it.

    A snapshot learned from a fact of its domain that was recorded by the transaction it names,
    not corrected or retracted by then, and valid before the time it predicts from.
    """
    releases = [release for release in store.releases() if release.domain == domain.name]
    unique = {found.id: found for release in releases for found in _snapshots(store, release)}
    known = list(unique.values())
    columns = ("seq", "tx", "op", "entity", "attribute", "source", "id", "recorded_at")
    return [
        {
            **{name: row[name] for name in columns},
            "valid_from": row["valid_from"],
            "referred_by": row["referred_by"],
            "learned_by": [found.id for found in known if _learned(found, row, domain)],
        }
        for row in rows
    ]


def _snapshots(store: SnapshotStore, release: Release) -> list[Snapshot]:
    return [store.get(name) for models in release.models.values() for name in models.values()]


def _line(found: Snapshot) -> dict[str, Any]:
    facts = found.provenance.get("facts", {})
    return {
        "snapshot": found.id,
        "quantity": found.quantity,
        "model": found.model,
        "facts": facts.get("count"),
        "up to tx": facts.get("tx"),
        "chain": facts.get("hash"),
    }


def _learned(found: Snapshot, row: Mapping[str, Any], domain: Domain) -> bool:
    record = found.provenance
    known = record.get("facts", {}).get("tx", -1)
    entity, begins = row["entity"], row["valid_from"]
    if entity is None or begins is None or not str(entity).startswith(f"{domain.entity}:"):
        return False
    if row["tx"] > known or begins >= datetime.fromisoformat(record["until"]):
        return False
    return row["op"] in {"assert", "correct"}
