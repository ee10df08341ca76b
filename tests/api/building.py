"""Small published models and events for the tests of the service. Nothing is fitted here."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from worlds.core.forms import CountPath, LogLinear
from worlds.core.forms.log_linear import NumberRange
from worlds.domain import load_domain
from worlds.publish import Release, Snapshot, SnapshotStore

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 2, tzinfo=UTC)


def log_linear(level: float, seed: int = 7) -> LogLinear:
    """Return a size whose log mean is near `level`; it knows pugs, beagles and one hashtag."""
    rng = np.random.default_rng(seed)
    columns = ("intercept", "breed=pug", "breed=beagle", "hashtag=zoomies", "number:text_length")
    draws = rng.normal(0, 0.05, (len(columns), 100)).astype(np.float32)
    draws[0] += level
    groups = {"breed": 0.4, "hashtag": 0.3, "hour": 0.2}
    numbers = {"text_length": NumberRange(80.0, 40.0, 0.0, 280.0)}
    return LogLinear(columns, draws, 1.6, groups, ("hashtag",), numbers, 0.05, UNTIL)


def count_path(mean: float) -> CountPath:
    """Return a count near `mean` in each of the next three hours."""
    one = np.ones((3, 1))
    shares = {"breed": (("pug", "beagle"), np.array([30.0, 10.0]))}
    return CountPath(UNTIL, timedelta(hours=1), one, mean * one, 8 * one, shares)


def publish(var: Path, *, level: float = 3.0, as_of: datetime = UNTIL, **changes: Any) -> Release:
    """Publish two count models and two size models of sniffable; return the release."""
    domain = load_domain("sniffable")
    store = SnapshotStore(var / domain.name / "snapshots")
    origin = {"extractor": domain.spec.version, "domain": domain.name, "simulated": True}
    counts = {"historical": count_path(10.0), "learned": count_path(14.0)}
    sizes = {"historical": log_linear(level), "learned": log_linear(level + 0.2, seed=8)}
    models = {
        quantity: {m: store.put(Snapshot(quantity, m, f, origin)) for m, f in forms.items()}
        for quantity, forms in (("pupdates", counts), ("likes_per_pupdate", sizes))
    }
    stated: dict[str, Any] = {
        "domain": domain.name,
        "as_of": as_of,
        "until": UNTIL,
        "models": models,
        "weights": {q: dict.fromkeys(found, 0.5) for q, found in models.items()},
        "simulated": True,
        **changes,
    }
    release = Release(**stated)
    store.release(release)
    return release


def event(name: str = "1", **data: Any) -> dict[str, Any]:
    """Return a CloudEvent with facts about a post."""
    content = {"entity": "post:1", "attributes": {"text_length": 80}, **data}
    return {
        "specversion": "1.0",
        "id": name,
        "source": "app",
        "type": "facts",
        "time": "2026-10-31T12:00:00Z",
        "data": content,
    }


def damage(var: Path, snapshot_id: str) -> None:
    """Change a byte of a snapshot's arrays."""
    path = var / "sniffable" / "snapshots" / "models" / snapshot_id / "arrays.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def example_draft() -> Mapping[str, Any]:
    """Return the draft of the domain's examples."""
    return {field.name: field.example for field in load_domain("sniffable").draft}
