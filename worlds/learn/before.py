"""What a new release replaces: the release that was in force and knew less."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from worlds.core.forms import CountForm, SizeForm
from worlds.domain import Domain
from worlds.errors import SnapshotError
from worlds.publish import Release, Snapshot, SnapshotStore
from worlds.publish.carry import carried


@dataclass(frozen=True, slots=True)
class Before:
    """The release in force before, with the snapshots of it that can be read.

    Parameters
    ----------
    release
        Its id, or None before the first.
    snapshots
        Quantity to model to snapshot.
    weights
        Its weights.
    segments
        Its entries of segments.
    """

    release: str | None = None
    snapshots: Mapping[str, Mapping[str, Snapshot]] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    segments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, store: SnapshotStore, domain: Domain, as_of: datetime) -> "Before":
        """Read what can be read: what is damaged, or of another extractor, is not there."""
        release = standing(store, domain.name, as_of)
        if release is None:
            return cls()
        found: dict[str, dict[str, Snapshot]] = {q.name: {} for q in domain.quantities}
        for quantity, models in release.models.items():
            for model, snapshot_id in models.items():
                snapshot = readable(store, domain, snapshot_id)
                if snapshot is not None:
                    found.setdefault(quantity, {})[model] = snapshot
        return cls(release.id, found, release.weights, release.segments)

    def forms(self, quantity: str) -> dict[str, CountForm | SizeForm]:
        """Return model to form."""
        return {
            model: snapshot.form
            for model, snapshot in self.snapshots.get(quantity, {}).items()
            if isinstance(snapshot.form, CountForm | SizeForm)
        }


def readable(store: SnapshotStore, domain: Domain, snapshot_id: str) -> Snapshot | None:
    """Return a snapshot that the domain can use, or None; answering says why it cannot."""
    try:
        snapshot = store.get(snapshot_id)
    except SnapshotError:
        return None
    return snapshot if snapshot.provenance.get("extractor") == domain.spec.version else None


def standing(store: SnapshotStore, domain: str, as_of: datetime) -> Release | None:
    """Return the last release in force that knew less than everything up to `as_of`.

    Releases as of the same time do not count, so that a run repeated, then or years later, finds
    what it found the first time.
    """
    older = {r.id: r for r in store.releases() if r.domain == domain and r.as_of < as_of}
    last = next((s.release for s in reversed(store.log()) if s.release in older), None)
    if last is not None:
        return older[last]
    return next(iter(older.values()), None)


def last_good_segment(
    store: SnapshotStore, domain: Domain, entry: Mapping[str, Any], until: datetime
) -> dict[str, Any]:
    """Return what is left of a segment's entry in the release before, for a segment that failed."""
    found: dict[str, Any] = {}
    for quantity, line in entry.items():
        kept = {}
        for model, snapshot_id in line.get("models", {}).items():
            snapshot = readable(store, domain, snapshot_id)
            rest = carried(snapshot, until) if snapshot is not None else None
            if rest is not None:
                kept[model] = store.put(rest)
        if kept and line.get("in_use"):
            weights = {model: line["weights"][model] for model in kept}
            total = sum(weights.values())
            found[quantity] = {
                **line,
                "models": kept,
                "weights": {model: weight / total for model, weight in weights.items()},
            }
    return found
