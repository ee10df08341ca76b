"""Snapshots: immutable, content-addressed, published atomically."""
