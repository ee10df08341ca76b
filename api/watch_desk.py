"""Supervision in the process that owns the facts: reads them, decides, records, tells everybody.

Every half second what was recorded since is read, what follows is recorded as facts and read
back, and `standing.json` is written beside the snapshots if it changed: every process that
answers finds it there. Without the fact file everything stays as it was decided last.

After a start what was decided holds at once; the evidence behind it is read again page by page,
and nothing new is decided by rule until all of it is there.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from api.facts_desk import FactsDesk
from api.learning import Learning
from facts import Event, Exact, FactsError, Reader
from worlds.domain import Domain
from worlds.errors import SnapshotError
from worlds.publish import Release, SnapshotStore
from worlds.publish.carry import CARRIED
from worlds.watch import standing
from worlds.watch.periods import Periods
from worlds.watch.record import model_event
from worlds.watch.rules import QUARANTINED, RETIRED, Rules
from worlds.watch.standing import EMPTY, Board
from worlds.watch.watch import RELEARN, STANDING, Watch

EVERY = 0.5
PAGES = 1
"""Pages of facts read in one look: after a start decisions of people do not wait for them all."""
KEPT = 256

log = logging.getLogger("api")


class WatchDesk:
    """Watches the models of one domain.

    Parameters
    ----------
    domain
        What it is about.
    facts
        The fact store.
    store
        The snapshots, beside which the decisions are published.
    learning
        Asked to learn anew when a model is quarantined.
    now
        The time.
    """

    def __init__(
        self,
        domain: Domain,
        facts: FactsDesk,
        store: SnapshotStore,
        learning: Learning,
        now: Callable[[], datetime],
        rules: Rules | None = None,
    ) -> None:
        self.reason: str | None = None
        self.decides = True
        self.watch = Watch(domain.label, domain.label_ripens, rules or Rules())
        self.decisions = Watch(domain.label, domain.label_ripens, decisions=True)
        self._domain = domain
        self._facts = facts
        self._store = store
        self._learning = learning
        self._now = now
        self._one_at_a_time = threading.Lock()
        self._reader: tuple[object, Reader] | None = None
        self._published: Board | None = None
        self._signature: tuple[int, ...] | None = None
        self._origins: dict[str, str] = {}
        self._looked = False
        self._relearn: list[str] = []
        self._release: Release | None = None
        self._periods = Periods(domain, self.watch, lambda name: store.get(name).form)

    async def run(self) -> None:
        """Look every half second, for ever."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(EVERY)
        finally:
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Give the reader back. Blocking."""
        with self._one_at_a_time:
            if self._reader is not None:
                self._reader[1].close()
                self._reader = None

    async def ready(self) -> None:
        """Look once, if that was not done yet: what was decided before is known then."""
        if not self._looked:
            await self.look()

    async def look(self) -> None:
        """Read, decide, record and publish once; ask for relearning if that is due."""
        await asyncio.to_thread(self.tick)
        if self._relearn:
            self._relearn.clear()
            self._learning.start()

    async def record(self, events: Sequence[Event]) -> None:
        """Record decisions of people and make them known at once.

        Raises
        ------
        FactsDownError
            If the store is not open: nothing was decided then.
        """
        await self._facts.record(list(events))
        await self.look()

    def tick(self) -> None:
        """Read, decide, record and publish once. Blocking; never raises on what is stored."""
        with self._one_at_a_time:
            try:
                self._tick()
            except (FactsError, SnapshotError, OSError) as error:
                self.reason = str(error) or repr(error)
            except Exception as error:  # supervision that breaks must not break what it watches
                if self.reason != (text := f"{type(error).__name__}: {error}"):
                    log.exception("supervision could not look")
                    self.reason = text
            else:
                self.reason, self._looked = None, True

    def _tick(self) -> None:
        if self._facts.reason is not None:
            raise FactsError(self._facts.reason)
        reader, now = self._read_from(), self._now()
        self.decisions.read(reader, now)
        if self.watch.read(reader, now, PAGES) and self.decides:
            events = self._due(reader, now)
            if events:
                self._facts.store.record(events)
                self.watch.read(reader, now, PAGES)
                self.decisions.read(reader, now)
        self._publish(self.decisions.board())

    def _due(self, reader: Reader, now: datetime) -> list[Event]:
        """Return what is to be recorded now, all evidence read."""
        release = self._in_force()
        events = self.watch.decide(self._snapshots(release), now)
        events += self._asked(events, now)
        return [*events, *self._periods.events(reader, release, now)]

    def _publish(self, board: Board) -> None:
        """Write what was decided, where it is not what lies there."""
        there = standing.signature(self._store.root)
        if board == self._published and there == self._signature:
            return
        if self._published is None and _found(self._store) != board:
            log.info("what was decided about models is written anew from the facts")
        elif self._published is None:
            self._published, self._signature = board, there
            return
        if there is not None or board != EMPTY:
            standing.write(self._store.root, board)
        self._signature = standing.signature(self._store.root)
        # somebody else may have written in between: then it is not ours that lies there
        self._published = board if _found(self._store) == board else None

    def _read_from(self) -> Reader:
        store = self._facts.store
        if self._reader is None or self._reader[0] is not store:
            self._reader = (store, store.reader())
        return self._reader[1]

    def _in_force(self) -> Release | None:
        named = self._store.current_id()
        if named is None:
            return None
        if self._release is None or self._release.id != named:
            self._release = self._store.get_release(named)
        return self._release

    def _snapshots(self, release: Release | None) -> dict[tuple[str, str], str]:
        """Return the snapshot of every model in force: the one it was cut from, if it was."""
        if release is None:
            return {}
        return {
            (quantity, model): self._origin(name)
            for quantity, models in release.models.items()
            for model, name in models.items()
        }

    def _origin(self, name: str) -> str:
        if name not in self._origins:
            if len(self._origins) >= KEPT:
                self._origins.clear()
            try:
                cut = self._store.get(name).provenance.get(CARRIED)
            except SnapshotError:
                cut = None
            self._origins[name] = self._origin(str(cut["snapshot"])) if cut else name
        return self._origins[name]

    def _asked(self, events: Sequence[Event], now: datetime) -> list[Event]:
        """Return the requests to learn anew that follow from moves."""
        asked = []
        for event in events:
            state = event.attributes.get(STANDING)
            if not isinstance(state, Exact) or state.value not in (QUARANTINED, RETIRED):
                continue
            quantity, _, model = event.entity.removeprefix("model:").partition("/")
            reason = f"{quantity}/{model} was {state.value}"
            self._relearn.append(reason)
            extra = {"reason": reason, "by": "rules"}
            key = f"relearn/{event.id}"
            asked.append(model_event(key, quantity, model, RELEARN, Exact("requested"), now, extra))
        return asked

    def health(self) -> dict[str, Any]:
        """Return how supervision goes."""
        join = self.watch.join
        return {
            "reason": self.reason,
            "caught_up": self.watch.caught_up,
            "forecasts": self.watch.forecasts,
            "waiting": len(join.waiting),
            "met": join.met,
            "expired": join.expired,
            "refused": join.refused,
        }


def _found(store: SnapshotStore) -> Board | None:
    """Return the decisions that lie there, or None if they cannot be read."""
    try:
        return standing.load(store.root)
    except SnapshotError:
        return None
