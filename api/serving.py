"""The models in force: one immutable reference, swapped by assignment when a release appears.

Readers take `Serving.current` and keep it for the whole request: no lock, no database. A release
with damage is refused, the models before it stay, and both the answers and `/health/ready` say so.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from worlds.ask import Answerer
from worlds.domain import Domain
from worlds.errors import SnapshotError
from worlds.publish import Release, SnapshotStore

RETRY_SECONDS = 15.0
"""How long a refused release is left alone before it is looked at again."""

type Path = Literal["models", "last good models", "some models", "default"]


@dataclass(frozen=True, slots=True)
class Served:
    """What answers, and what every answer says about it.

    Parameters
    ----------
    answerer
        The models in memory.
    serial
        Grows with every swap: part of the key of cached answers.
    path
        Where the answers come from.
    tail
        The part of every prediction that depends on the models only, as JSON.
    """

    answerer: Answerer
    serial: int
    path: Path
    tail: bytes


class Serving:
    """Holds the models in force and looks for newer ones.

    Parameters
    ----------
    domain
        What may be asked.
    store
        Where releases appear.
    clock
        Monotone seconds; for pacing the second look at a refused release.
    """

    def __init__(
        self, domain: Domain, store: SnapshotStore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.domain = domain
        self.store = store
        self.refused: str | None = None
        self.current = serve(Answerer.load(domain, store, None), 0)
        self._clock = clock
        self._seen: str | None = None
        self._retry_at = 0.0

    def refresh(self) -> bool:
        """Look for a new release; return whether the models in force changed.

        Blocking: call it from a thread. Never raises on what lies on the disk.
        """
        try:
            named = self.store.current_id()
            if named == self._seen and self._clock() < self._retry_at:
                return False
            if named is None:
                return self._refuse_vanished()
            candidate = self._load(named)
        except (SnapshotError, OSError, ValueError, RuntimeError) as error:
            return self._refuse(str(error) or repr(error))
        self._seen, self._retry_at, self.refused = named, float("inf"), None
        return self._swap(candidate)

    def as_of(self, release: Release) -> Answerer:
        """Return the models of an older release."""
        return Answerer.load(self.domain, self.store, release)

    def _load(self, release_id: str) -> Answerer:
        self._seen, self._retry_at = release_id, self._clock() + RETRY_SECONDS
        release = self.store.get_release(release_id)
        if release.domain != self.domain.name:
            msg = f"release {release_id} is of domain {release.domain!r}, not {self.domain.name!r}"
            raise SnapshotError(msg)
        candidate = Answerer.load(self.domain, self.store, release)
        if candidate.trouble:
            raise SnapshotError(f"release {release_id}: {'; '.join(candidate.trouble)}")
        return candidate

    def _refuse_vanished(self) -> bool:
        if self._seen is None:
            return False
        return self._refuse("the pointer to the current release is gone")

    def _refuse(self, reason: str) -> bool:
        """Keep what is in force, or fall back to the best that can be read."""
        self._retry_at = self._clock() + RETRY_SECONDS
        if reason == self.refused:
            return False
        self.refused = reason
        held = self.current.answerer
        fallback = held if held.release is not None else self._last_good()
        return self._swap(replace(fallback, trouble=(f"{reason}; {_from(fallback)}",)))

    def _last_good(self) -> Answerer:
        """Return the newest release that loads whole, else what can be used of the newest."""
        partial: Answerer | None = None
        for release in self.store.releases():
            if release.domain != self.domain.name:
                continue
            candidate = Answerer.load(self.domain, self.store, release)
            if not candidate.trouble:
                return candidate
            if partial is None and any(use.snapshot for use in candidate.versions):
                partial = candidate
        return partial or Answerer.load(self.domain, self.store, None)

    def _swap(self, answerer: Answerer) -> bool:
        answerer.prepare()
        self.current = serve(answerer, self.current.serial + 1)
        return True


def _from(answerer: Answerer) -> str:
    if answerer.release is None:
        return "the default belief answers"
    return f"answers come from release {answerer.release.id}"


def serve(answerer: Answerer, serial: int) -> Served:
    """Return what is served with these models."""
    path = _path(answerer)
    size = answerer.domain.quantity("size")
    release = answerer.release
    tail = {
        "quantity": size.name,
        "unit": size.unit,
        "as_of": release.as_of.isoformat() if release else None,
        "release": release.id if release else None,
        "simulated": bool(release and release.simulated),
        "models": [use for use in answerer.versions if use.quantity == size.name],
        "path": path,
        "degraded": answerer.degraded,
    }
    return Served(answerer, serial, path, msgspec.json.encode(tail)[1:])


def _path(answerer: Answerer) -> Path:
    snapshots = [use.snapshot for use in answerer.versions]
    if not any(snapshots):
        return "default"
    if not all(snapshots):
        return "some models"
    return "last good models" if answerer.trouble else "models"
