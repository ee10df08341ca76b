"""Pins: what a person holds in force through later learning, until it is unpinned."""

import json
from collections.abc import Mapping
from typing import Any

from worlds.errors import SnapshotError
from worlds.publish.files import replace_file
from worlds.publish.store import SnapshotStore

FILE = "pins.json"
RELEASE = "release"
"""The name under which the whole release is pinned; models are pinned as ``quantity/model``."""

type Pins = Mapping[str, Mapping[str, Any]]
"""What is pinned to its ``id``, ``reason``, ``by`` and ``at``."""


def read(store: SnapshotStore) -> Pins:
    """Return what is pinned.

    Raises
    ------
    SnapshotError
        If the file is damaged: a pin that cannot be read must not be lost in silence.
    """
    path = store.root / FILE
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        msg = f"the pins in {str(path)!r} cannot be read: {error}; repair or remove the file"
        raise SnapshotError(msg) from error
    if not isinstance(raw, dict) or not all(
        isinstance(pin, dict) and isinstance(pin.get("id"), str) for pin in raw.values()
    ):
        msg = f"{str(path)!r} holds no pins; repair or remove the file"
        raise SnapshotError(msg)
    return raw


def write(store: SnapshotStore, pins: Pins) -> None:
    """Keep the pins, atomically."""
    store.root.mkdir(parents=True, exist_ok=True)
    content = json.dumps(dict(pins), indent=1, sort_keys=True).encode()
    replace_file(store.root / FILE, content)
