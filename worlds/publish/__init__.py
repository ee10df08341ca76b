"""Snapshots: immutable, content-addressed, published atomically."""

from worlds.publish.snapshot import Release, Snapshot
from worlds.publish.store import SnapshotStore

__all__ = ["Release", "Snapshot", "SnapshotStore"]
