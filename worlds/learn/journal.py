"""What a learning run remembers: that it was made, and, while it runs, what is finished.

A run is known by everything that decides its result: domain, times, version of the facts, code,
seed, segments, what it replaces and what is pinned. The same run again has nothing to do; one that
was killed goes on where it stopped.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worlds.errors import SnapshotError
from worlds.publish import SnapshotStore
from worlds.publish.files import replace_file
from worlds.publish.snapshot import canonical, content_id


def run_key(decides: Mapping[str, Any]) -> str:
    """Return the address of a run: a hash of everything that decides its result."""
    return content_id(dict(decides), {})


@dataclass(frozen=True, slots=True)
class Journal:
    """The memory of one run, in the directory of the snapshots.

    Parameters
    ----------
    store
        Where the snapshots are.
    key
        Of the run.
    base
        Of the run without its segments: parts are shared by runs that differ in these only.
    """

    store: SnapshotStore
    key: str
    base: str

    @property
    def _work(self) -> Path:
        return self.store.root / "work" / self.base

    @property
    def _record(self) -> Path:
        return self.store.root / "runs" / f"{self.key}.json"

    def report(self) -> dict[str, Any] | None:
        """Return the report of this run if it was made and everything it published is whole."""
        raw = _read(self._record)
        if raw is None:
            return None
        try:
            release = self.store.get_release(str(raw.get("release")))
            for models in release.models.values():
                for name in models.values():
                    self.store.get(name)
        except SnapshotError:
            return None
        return raw

    def finish(self, report: Mapping[str, Any]) -> None:
        """Remember the report."""
        self._record.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._record, canonical(dict(report)))

    def part(self, name: str) -> dict[str, Any] | None:
        """Return what a part gave that an earlier run finished, if its snapshots are whole."""
        raw = _read(self._work / f"{_file(name)}.json")
        if raw is None:
            return None
        try:
            for snapshot in _snapshots(raw):
                self.store.get(snapshot)
        except (SnapshotError, ValueError):
            return None
        return raw

    def keep(self, name: str, result: Mapping[str, Any]) -> None:
        """Remember a finished part."""
        self._work.mkdir(parents=True, exist_ok=True)
        replace_file(self._work / f"{_file(name)}.json", canonical(dict(result)))

    def forget(self, *, own: bool = False) -> None:
        """Remove the parts of runs on other facts: nobody will go on with them; or ours too."""
        for folder in (self.store.root / "work").glob("*"):
            if own or folder.name != self.base:
                shutil.rmtree(folder, ignore_errors=True)


def _snapshots(part: Mapping[str, Any]) -> list[str]:
    """Return the snapshots of a part: of one quantity, or of a segment's quantities."""
    own = part.get("models")
    lines = [part] if own is not None else [one for one in part.values() if isinstance(one, dict)]
    return [str(name) for line in lines for name in dict(line.get("models") or {}).values()]


def _file(name: str) -> str:
    return content_id({"part": name}, {})


def _read(path: Path) -> dict[str, Any] | None:
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return raw if isinstance(raw, dict) else None
