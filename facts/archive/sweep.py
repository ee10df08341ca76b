"""Removing what no line of the manifest names: joined segments, and leftovers of a killed process.

Nobody would read them, but they may hold what was erased since.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facts.archive.manifest import Manifest

READING = ".reading"
PAUSE = 0.02


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Keep segments from being joined while they are read; new ones are added meanwhile."""
    try:
        handle = os.open(folder / READING, os.O_RDONLY)
    except OSError:  # never joined, or not ours to write
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def unread(folder: Path, patience: float = 0.0) -> Iterator[bool]:
    """Keep readers away, as far as there are none; yield whether that is so.

    Parameters
    ----------
    folder : Path
        The archive.
    patience : float
        Seconds to wait for those who read it now.
    """
    handle = os.open(folder / READING, os.O_RDWR | os.O_CREAT)
    try:
        yield held(handle, patience)
    finally:
        os.close(handle)


def held(handle: int, patience: float) -> bool:
    """Take the lock of an open file for this process alone; return whether it was to be had."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE)
        else:
            return True


def leftovers(place: Path, manifest: Manifest) -> list[Path]:
    """Return the files of an archive held for writing which no line names."""
    named = {place / s.file for s in manifest.segments}
    found = [p for p in place.glob("segments/day=*/*.parquet") if p not in named]
    return [*found, *place.glob("segments/day=*/.*.part"), *place.glob(".*.part")]


def sweep(place: Path, manifest: Manifest) -> None:
    """Remove the leftovers; only while the archive is held for writing and nobody reads it."""
    for path in leftovers(place, manifest):
        path.unlink(missing_ok=True)
