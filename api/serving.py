"""The models in force: one immutable reference, swapped by assignment when a release appears.

Readers take `Serving.current` and keep it for the whole request: no lock, no database. A release
with damage is refused, the models before it stay, and both the answers and `/health/ready` say so.
What supervision and people decided about single models (`worlds.watch.standing`), and models that
fail while serving, change the weights of what was published.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import msgspec

from api.routing import Routing, routing
from worlds.ask import Answerer
from worlds.core.forms import FORMS
from worlds.domain import Domain
from worlds.errors import ModelFaultError, SnapshotError
from worlds.publish import Release, SnapshotStore
from worlds.watch import standing
from worlds.watch.containment import Breaker
from worlds.watch.standing import EMPTY, Board, Verdict

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
    routing
        Which entities get the answer of another arm, while an experiment runs.
    board
        What was decided about the models.
    """

    answerer: Answerer
    serial: int
    path: Path
    tail: bytes
    routing: Routing | None = None
    board: Board = EMPTY


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
    now
        The time, for decisions that end by themselves.
    predicts
        Whether models are made ready and tried when they are loaded; a process that only says
        which are in force has no use for that.
    """

    def __init__(
        self,
        domain: Domain,
        store: SnapshotStore,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        predicts: bool = True,
    ) -> None:
        self.domain = domain
        self.store = store
        self.refused: str | None = None
        self.unread: str | None = None
        self.on_fault: Callable[[ModelFaultError, str | None], None] = lambda *_: None
        self._clock = clock
        self._now = now
        self._predicts = predicts
        self._seen: str | None = None
        self._retry_at = 0.0
        self._changing = threading.RLock()
        self._breaker = Breaker(clock)
        self._board = EMPTY
        self._signature: tuple[int, ...] | None = None
        self._base = replace(Answerer.load(domain, store, None), on_fault=self.trip)
        self._bases = 0
        self._composed: object = (0, (), ())
        self.current = serve(self._base, 0)

    def refresh(self) -> bool:
        """Look for a new release, and for decisions; return whether what is in force changed.

        Blocking: call it from a thread. Never raises on what lies on the disk.
        """
        self._look_at_board()
        changed = self._look_at_release()
        return self._compose() or changed

    def trip(self, fault: ModelFaultError) -> bool:
        """Leave a model that failed out of the answers for a while. From any thread.

        Returns
        -------
        bool
            Whether it can be left out; the default belief cannot.
        """
        loaded = self._base.models.get(fault.quantity, {}).get(fault.model)
        if loaded is None or loaded.snapshot is None:
            return False
        with self._changing:
            self._breaker.trip(fault, loaded.snapshot)
        self.on_fault(fault, loaded.snapshot)
        self._compose()
        return True

    def _look_at_board(self) -> None:
        """Read what was decided, if it was written anew; keep what holds if it is damaged."""
        found = standing.signature(self.store.root)
        if found == self._signature:
            return
        if found is None:
            self.unread = f"{standing.FILE} is gone"
            self._signature = found
            return
        try:
            self._board = standing.load(self.store.root)
            self.unread = None
        except SnapshotError as error:
            self.unread = str(error)
        self._signature = found

    def _compose(self) -> bool:
        """Serve the models with the weights that follow from everything decided."""
        with self._changing:
            verdicts = self._verdicts()
            running = tuple(one for one in self._board.experiments if one.runs(self._now()))
            made_of = (self._bases, verdicts, running)
            if made_of == self._composed:
                return False
            self._composed = made_of
            answerer = self._base
            if verdicts:
                weights = {name: dict(found.weights) for name, found in verdicts}
                trouble = [text for _, found in verdicts for text in found.trouble]
                answerer = answerer.weighed(weights, trouble)
            arms = routing(running, answerer, tail_of)
            board = replace(self._board, experiments=running)
            serial = self.current.serial + 1
            self.current = serve(answerer, serial, routing=arms, board=board)
            return True

    def _verdicts(self) -> tuple[tuple[str, Verdict], ...]:
        """Return what is decided about every quantity whose weights are not as published."""
        found = []
        for quantity, models in self._base.models.items():
            weights = {name: one.weight for name, one in models.items() if one.snapshot}
            snapshots = {name: one.snapshot for name, one in models.items()}
            if not weights:
                continue
            out = self._breaker.out(quantity, snapshots)
            one = standing.verdict(self._board, quantity, weights, out, self._now())
            if one.trouble or any(abs(w - weights[name]) > 1e-9 for name, w in one.weights):
                found.append((quantity, one))
        return tuple(found)

    def _look_at_release(self) -> bool:
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
        return kept(candidate, self._base)

    def _refuse_vanished(self) -> bool:
        if self._seen is None:
            return False
        return self._refuse("the pointer to the current release is gone")

    def _refuse(self, reason: str) -> bool:
        """Keep what is in force, or fall back to the best that can be read."""
        self._retry_at = self._clock() + RETRY_SECONDS
        if reason == self.refused:
            return False
        held = self._base
        fallback = held if held.release is not None else self._last_good()
        changed = self._swap(replace(fallback, trouble=(f"{reason}; {_from(fallback)}",)))
        self.refused = reason  # only now: who reads it finds answers that say so, too
        return changed

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
        answerer = replace(answerer, on_fault=self.trip)
        faults = answerer.try_out() if self._predicts else []
        with self._changing:
            self._base = answerer
            self._bases += 1
        for fault in faults:
            self.trip(fault)
        return self._compose()


def kept(candidate: Answerer, held: Answerer) -> Answerer:
    """Return models that were loaded, with those that are in memory already in their place.

    A snapshot is what its name says, so the same name is the same model: what it computed to
    predict quickly need not be computed again. Only sizes as they were published; counts may have
    been recalibrated, and others' forms are not known to be unchanged by use.
    """
    size = candidate.domain.quantity("size").name
    there = {
        one.snapshot: one.form
        for one in held.models.get(size, {}).values()
        if type(one.form) in FORMS.values()
    }
    mine = {
        name: replace(one, form=there.get(one.snapshot, one.form))
        for name, one in candidate.models[size].items()
    }
    return replace(candidate, models={**candidate.models, size: mine})


def _from(answerer: Answerer) -> str:
    if answerer.release is None:
        return "the default belief answers"
    return f"answers come from release {answerer.release.id}"


def serve(
    answerer: Answerer, serial: int, *, routing: Routing | None = None, board: Board = EMPTY
) -> Served:
    """Return what is served with these models."""
    return Served(answerer, serial, path_of(answerer), tail_of(answerer), routing, board)


def tail_of(answerer: Answerer) -> bytes:
    """Return the part of every prediction that depends on the models only, as JSON."""
    size = answerer.domain.quantity("size")
    release = answerer.release
    tail = {
        "quantity": size.name,
        "unit": size.unit,
        "as_of": release.as_of.isoformat() if release else None,
        "release": release.id if release else None,
        "simulated": bool(release and release.simulated),
        "models": [use for use in answerer.versions if use.quantity == size.name],
        "path": path_of(answerer),
        "degraded": answerer.degraded,
    }
    return msgspec.json.encode(tail)[1:]


def path_of(answerer: Answerer) -> Path:
    """Return where the answers come from."""
    snapshots = [use.snapshot for use in answerer.versions]
    if not any(snapshots):
        return "default"
    if not all(snapshots) or _left_out(answerer):
        return "some models"
    return "last good models" if answerer.trouble else "models"


def _left_out(answerer: Answerer) -> bool:
    """Return whether a published model does not answer, for other reasons than a person's."""
    if answerer.release is None or not answerer.trouble:
        return False
    return any(
        not set(published) <= set(answerer.models.get(quantity, {}))
        for quantity, published in answerer.release.models.items()
    )
