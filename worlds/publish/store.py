"""Snapshots and releases in a directory: written beside, synced, then renamed into place."""

import fcntl
import json
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from worlds.errors import SnapshotError
from worlds.publish.files import append, lines, replace_file, sync, sync_directory, write
from worlds.publish.log import Switch
from worlds.publish.snapshot import Release, Snapshot, canonical, content_id

_ID = re.compile(r"[0-9a-f]{16}")
LOG = "log.jsonl"


class SnapshotStore:
    """A directory of snapshots and releases; readers need no lock and see whole files only.

    Parameters
    ----------
    root
        The directory; made at the first write.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def put(self, snapshot: Snapshot) -> str:
        """Write a snapshot unless it is there; return its id. A damaged one is written anew."""
        target = self.root / "models" / snapshot.id
        if target.is_dir():
            if self._whole(snapshot.id):
                return snapshot.id
            shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        manifest, arrays = snapshot.parts
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        try:
            with (temporary / "arrays.npz").open("wb") as file:
                np.savez(file, allow_pickle=False, **{k: np.asarray(v) for k, v in arrays.items()})
                sync(file.fileno())
            write(temporary / "manifest.json", canonical(manifest))
            try:
                temporary.rename(target)
            except OSError:
                if not target.is_dir():  # somebody else published the same content: fine
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_directory(target.parent)
        return snapshot.id

    def _whole(self, snapshot_id: str) -> bool:
        try:
            self.get(snapshot_id)
        except SnapshotError:
            return False
        return True

    def get(self, snapshot_id: str) -> Snapshot:
        """Read a snapshot and check it against its address.

        Raises
        ------
        SnapshotError
            If it is missing, damaged, or of a form that is not known here.
        """
        if not _ID.fullmatch(snapshot_id):
            msg = f"not a snapshot id: {snapshot_id!r}"
            raise SnapshotError(msg)
        folder = self.root / "models" / snapshot_id
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
            with (
                (folder / "arrays.npz").open("rb") as raw,
                np.load(raw, allow_pickle=False) as file,
            ):
                arrays = {name: file[name] for name in file.files}
        except (
            OSError,
            ValueError,
            EOFError,
            KeyError,
            RecursionError,
            zipfile.BadZipFile,
        ) as error:
            msg = f"snapshot {snapshot_id} cannot be read: {error}"
            raise SnapshotError(msg) from error
        if not isinstance(manifest, dict):
            msg = f"snapshot {snapshot_id} is damaged: its manifest is no JSON object"
            raise SnapshotError(msg)
        if content_id({**manifest, "parent": None}, arrays) != snapshot_id:
            msg = f"snapshot {snapshot_id} is damaged: its content has another address"
            raise SnapshotError(msg)
        return Snapshot.from_parts(manifest, arrays)

    def release(self, release: Release, *, current: bool = True) -> str:
        """Publish a release: write it, then (if `current`) let `current` name it, atomically.

        A release that comes into force is noted in the log of the directory.
        """
        folder = self.root / "releases"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{release.id}.json"
        if not target.exists():
            replace_file(target, json.dumps(release.to_json(), indent=1, sort_keys=True).encode())
        if current:
            before = self._named()
            replace_file(self.root / "current", release.id.encode())
            if before != release.id:
                append(self.root / LOG, Switch.of(release, before).to_json())
        return release.id

    def _named(self) -> str | None:
        try:
            return self.current_id()
        except SnapshotError:
            return None

    def log(self) -> list[Switch]:
        """Return which release came into force when, oldest first; lines in pieces are left out."""
        return [switch for raw in lines(self.root / LOG) if (switch := Switch.read(raw))]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the directory against others that change what is in force."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "switching.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def sweep(self, older: float = 3600.0) -> int:
        """Remove what writers that were killed left half-written; return how many pieces."""
        limit, removed = time.time() - older, 0
        for folder in (self.root, self.root / "models", self.root / "releases"):
            for path in folder.glob(".new-*"):
                if path.stat().st_mtime > limit:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
                removed += 1
        return removed

    def current_id(self) -> str | None:
        """Return the id of the release in force, or None before the first."""
        try:
            return (self.root / "current").read_text().strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            msg = f"the pointer to the current release cannot be read: {error}"
            raise SnapshotError(msg) from error

    def current(self) -> Release | None:
        """Return the release in force, or None before the first.

        Raises
        ------
        SnapshotError
            If it is named but missing or damaged.
        """
        name = self.current_id()
        return self.get_release(name) if name is not None else None

    def get_release(self, release_id: str) -> Release:
        """Read a release and check it against its address."""
        if not _ID.fullmatch(release_id):
            msg = f"not a release id: {release_id!r}"
            raise SnapshotError(msg)
        try:
            raw = json.loads((self.root / "releases" / f"{release_id}.json").read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            msg = f"release {release_id} cannot be read: {error}"
            raise SnapshotError(msg) from error
        if not isinstance(raw, dict):
            msg = f"release {release_id} is damaged: it is no JSON object"
            raise SnapshotError(msg)
        release = Release.from_json(raw)
        if release.id != release_id:
            msg = f"release {release_id} is damaged: its content has the address {release.id}"
            raise SnapshotError(msg)
        return release

    def releases(self) -> list[Release]:
        """Return all readable releases, newest knowledge first."""
        found = []
        for path in (self.root / "releases").glob("*.json"):
            try:
                found.append(self.get_release(path.stem))
            except SnapshotError:
                continue  # a damaged one is no release; `get_release` names the damage
        return sorted(found, key=_age, reverse=True)

    def as_of(self, moment: datetime) -> Release | None:
        """Return the newest release that knew nothing recorded after `moment`."""
        return next((release for release in self.releases() if release.as_of <= moment), None)


def _age(release: Release) -> tuple[datetime, datetime, str]:
    return release.as_of, release.created_at or release.as_of, release.id
