"""What changes while serving: a new release, a degraded service, a process that ended.

Every process looks by itself at what all of them share (the releases, the standing of models, the
word of the supervisor), so no process tells another, and a client may listen to any of them.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from api.errors import BusyError

REMEMBERED = 200
"""Events that a client which comes back can still be told."""
LISTENERS = 100
"""Clients that may listen to one process."""
WAITING = 100
"""Events that may wait for a slow client; beyond that it is cut off and may come back."""
EVERY = 0.5


class Event(msgspec.Struct, frozen=True):
    """Something that changed.

    Parameters
    ----------
    id
        What a client gives as ``Last-Event-ID`` when it comes back; the same in every process.
        An event may be told twice then, none is left out.
    kind
        ``release``, ``health``, ``process``, ``model`` or ``drift``.
    at
        When it was seen (ISO 8601).
    data
        What it is now.
    """

    id: str
    kind: str
    at: str
    data: Mapping[str, Any]


class Bus:
    """Hands events to whoever listens. Call from one event loop."""

    def __init__(self) -> None:
        self._last: deque[Event] = deque(maxlen=REMEMBERED)
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self.alerts: list[Callable[[Event], None]] = []

    def tell(self, event: Event) -> None:
        """Tell everybody."""
        self._last.append(event)
        for queue in tuple(self._listeners):
            if queue.qsize() < WAITING:
                queue.put_nowait(event)
            else:
                self._let_go(queue)
        for alert in self.alerts:
            alert(event)

    def _let_go(self, queue: asyncio.Queue[Event | None]) -> None:
        """End a listener after what it was told already: there is no gap when it comes back."""
        self._listeners.discard(queue)
        queue.put_nowait(None)

    def check(self) -> None:
        """Refuse one more listener, if too many listen.

        Raises
        ------
        BusyError
            Saying so.
        """
        if len(self._listeners) >= LISTENERS:
            raise BusyError(f"{LISTENERS} clients listen already", retry_after=5)

    async def listen(
        self, last: str | None = None, beat: float | None = None
    ) -> AsyncIterator[Event | None]:
        """Yield what was missed since an event, then what happens, until the client goes.

        Parameters
        ----------
        last
            Id of the last event the client has; where it is not known any more, everything that
            is remembered is told.
        beat
            Seconds in which nothing happened after which None is yielded.

        Raises
        ------
        BusyError
            If too many listen.
        """
        self.check()
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        missed = list(self._last) if last is not None else []
        ids = [event.id for event in missed]
        if last in ids:
            missed = missed[ids.index(last) + 1 :]
        self._listeners.add(queue)
        try:
            for event in missed:
                yield event
            while True:
                try:
                    found = await asyncio.wait_for(queue.get(), beat)
                except TimeoutError:
                    yield None
                    continue
                if found is None:
                    return
                yield found
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """Let every listener go."""
        for queue in tuple(self._listeners):
            self._let_go(queue)


type Look = Callable[[], Mapping[tuple[str, str], Mapping[str, Any]]]
"""Returns what is now: (kind, name) to its state."""


class Watcher:
    """Compares what is with what was, and tells the difference.

    Parameters
    ----------
    bus
        Whom to tell.
    look
        Returns what is now.
    now
        The clock.
    """

    def __init__(
        self, bus: Bus, look: Look, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._bus, self._look, self._now = bus, look, now
        self._before = look()

    def compare(self) -> None:
        """Tell what changed since the last time."""
        seen = self._look()
        at = self._now().isoformat()
        for key in sorted(seen.keys() | self._before.keys()):
            state = seen.get(key)
            if state == self._before.get(key):
                continue
            kind, name = key
            data = {"name": name, **(state if state is not None else {"gone": True})}
            content = msgspec.json.encode(data, order="deterministic")
            mark = hashlib.sha256(content).hexdigest()[:12]
            self._bus.tell(Event(f"{kind}-{name}-{mark}", kind, at, data))
        self._before = seen

    async def run(self) -> None:
        """Compare for ever."""
        while True:
            await asyncio.sleep(EVERY)
            self.compare()
