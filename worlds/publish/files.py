"""Files that are there whole or not at all: written beside, synced, renamed into place."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def write(path: Path, content: bytes) -> None:
    """Write a file and make it durable."""
    with path.open("wb") as file:
        file.write(content)
        sync(file.fileno())


def sync(descriptor: int) -> None:
    """Flush what was written through an open file to the disk."""
    os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(target: Path, content: bytes) -> None:
    """Give a file new content, atomically; what fails leaves the old one and nothing beside."""
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=target.parent)
    os.close(descriptor)
    try:
        write(Path(name), content)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
    sync_directory(target.parent)


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line of JSON to a log, in one write."""
    content = json.dumps(line, sort_keys=True, allow_nan=False) + "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        sync(file.fileno())


def lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a log; those in pieces, and a log that is not there, yield nothing."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            raw = json.loads(line)
        except ValueError:
            continue
        if isinstance(raw, dict):
            yield raw
