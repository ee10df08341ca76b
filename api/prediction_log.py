"""Served predictions on their way to the facts: noted in a moment, worked out in the background.

The hot path hands over what it has in hand (the models' own forecasts, as objects) and goes on.
Twice a second a background task turns what was kept into events and sends them. Below `rate`
predictions a second (with bursts) all are kept; above it a uniform sample of each half second, by
reservoir sampling (Vitter 1985, doi:10.1145/3147.3165), whose share is part of each event.
Predictions that name their entity come first: only they can meet an outcome. What cannot be sent
waits in a bounded buffer; what does not fit is dropped and counted.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import Any

from api.routing import Routed
from api.serving import Served
from facts import Event, FactsError
from worlds.errors import ModelFaultError
from worlds.pool import Said
from worlds.watch.experiments import shadows
from worlds.watch.record import Faults, Forecast
from worlds.watch.sketch import sketch

EVERY = 0.5
"""Seconds between two flushes."""
BURST = 20.0
"""Seconds of the rate that may come at once."""
WAITING = 2_000
"""Events that may wait while nobody takes them."""
MOST_AT_ONCE = 500

log = logging.getLogger("api")

type Send = Callable[[Sequence[Event]], Awaitable[object]]
type Noted = tuple[str, str | None, Served, Routed | None, Said, datetime | None, float]
"""Id, entity, models, arm, what every model said, when the thing begins, seconds."""


@dataclass(slots=True)
class Reservoir:
    """A uniform sample of what came since it was made."""

    seen: int = 0
    kept: list[Noted] = field(default_factory=list)


@dataclass(slots=True)
class _Failing:
    kinds: dict[str, int]
    reason: str


class PredictionLog:
    """Takes notes of predictions and sends them on.

    Parameters
    ----------
    rate
        Predictions a second that are logged; 0 logs none.
    now
        The time.
    clock
        Monotone seconds.
    """

    def __init__(
        self,
        rate: float,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.logged = 0
        self.dropped = 0
        self.reason: str | None = None
        self.on_drop: Callable[[int], None] = lambda _: None
        self._rate = rate
        self._now = now
        self._clock = clock
        self._tokens = rate * BURST
        self._filled_at = clock()
        self._room = int(self._tokens)
        self._named = Reservoir()
        self._unnamed = Reservoir()
        self._failing: dict[tuple[str, str, str | None], _Failing] = {}
        self._waiting: deque[Event] = deque()
        self._boot = token_hex(4)
        self._number = 0

    def note(self, noted: Noted) -> None:
        """Keep a prediction, or not; costs about a microsecond. From any thread."""
        there = self._named if noted[1] is not None else self._unnamed
        there.seen += 1
        room = self._room
        if len(there.kept) < room:
            there.kept.append(noted)
        elif room:
            place = int(random.random() * there.seen)
            if place < room:
                there.kept[place] = noted

    def fault(self, fault: ModelFaultError, snapshot: str | None) -> None:
        """Keep what a model did wrong. From any thread."""
        key = (fault.quantity, fault.model, snapshot)
        there = self._failing.setdefault(key, _Failing({}, ""))
        there.kinds[fault.kind] = there.kinds.get(fault.kind, 0) + 1
        there.reason = f"{fault.kind}: {fault.reason}"

    async def run(self, send: Send) -> None:
        """Send what was noted, for ever, and once more at the end."""
        try:
            while True:
                await asyncio.sleep(EVERY)
                await self.flush(send)
        finally:
            await self.flush(send)

    async def flush(self, send: Send) -> None:
        """Send what was noted; what cannot be sent waits."""
        fresh = await asyncio.to_thread(lambda: list(self.events()))
        self._waiting.extend(fresh)
        while len(self._waiting) > WAITING:
            self._waiting.popleft()
            self._drop()
        if not self._waiting:
            return
        batch = [self._waiting[i] for i in range(min(len(self._waiting), MOST_AT_ONCE))]
        try:
            await send(batch)
        except (FactsError, OSError, RuntimeError) as error:
            self.reason = str(error)[:300] or repr(error)
            return
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("api", "httpx"):
                log.exception("predictions could not be logged")
            self.reason = str(error)[:300] or repr(error)
            return
        self.reason = None
        self.logged += len(batch)
        for _ in batch:
            self._waiting.popleft()

    def events(self) -> Iterator[Event]:
        """Yield the events of what was noted, and begin anew. Blocking."""
        failing, self._failing = self._failing, {}
        for (quantity, model, snapshot), one in failing.items():
            self._number += 1
            name = f"fault-{self._boot}-{self._number}"
            kinds = dict(one.kinds)
            yield Faults(name, quantity, model, snapshot, self._now(), kinds, one.reason).event()
        named, self._named = self._named, Reservoir()
        unnamed, self._unnamed = self._unnamed, Reservoir()
        left = max(self._room - len(named.kept), 0)
        served_at = self._now()
        for reservoir, most in ((named, self._room), (unnamed, left)):
            kept = reservoir.kept[:most]
            for noted in kept:
                made = self._forecast(noted, served_at, len(kept) / reservoir.seen)
                if made is not None:
                    yield made.event()
            self._tokens -= len(kept)
        self._fill()

    def _drop(self) -> None:
        self.dropped += 1
        self.on_drop(1)

    def _fill(self) -> None:
        now = self._clock()
        gained = max(now - self._filled_at, 0.0) * self._rate
        self._filled_at = now
        self._tokens = min(self._tokens + gained, max(self._rate * BURST, 1.0))
        self._room = max(int(self._tokens), 0) if self._rate > 0 else 0

    def _forecast(self, noted: Noted, served_at: datetime, share: float) -> Forecast | None:
        name, entity, served, routed, said, at, seconds = noted
        answerer = routed.answerer if routed is not None else served.answerer
        size = answerer.domain.quantity("size").name
        loaded = answerer.models[size]
        try:
            parts = said.parts
            weights = {model: weight for model, weight, _ in parts}
            models = {model: sketch(one) for model, _, one in parts}
            pool = sketch(said.mixture)
        except Exception as error:  # noqa: BLE001 - a model's own distribution may raise anything
            self._drop()
            self.reason = f"a forecast could not be read: {error}"[:300]
            return None
        release = answerer.release
        return Forecast(
            id=name,
            quantity=size,
            entity=entity,
            served_at=served_at,
            at=at or served_at,
            pool=pool,
            models=models,
            weights=weights,
            snapshots={model: one.snapshot for model, one in loaded.items()},
            release=release.id if release is not None else None,
            path=served.path,
            seconds=seconds,
            experiment=(routed.experiment, routed.arm) if routed is not None else None,
            shadows=shadows(served.board.experiments, entity, models, weights),
            share=share,
        )

    def health(self) -> dict[str, Any]:
        """Return how logging goes."""
        return {
            "logged": self.logged,
            "waiting": len(self._waiting),
            "dropped": self.dropped,
            "reason": self.reason,
        }
