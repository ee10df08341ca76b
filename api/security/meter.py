"""How much every key has used, shared by all processes of a machine.

The generic cell rate algorithm (ATM Forum TM 4.1, virtual scheduling): a bucket is one number, the
time at which it will be empty again. A key has two, for requests and for cost units, in a slot of a
small file that all processes map into memory. A slot is locked by byte range for the microsecond of
the change; a process that dies lets go of it. A lock that another process sits on is not waited
for: the change is then made without it, and at worst one request too many is let through.
"""

import fcntl
import mmap
import os
import struct
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

from api.security.keys import Limits

SLOT = struct.Struct("=dd")
TRIES = 20


@dataclass(frozen=True, slots=True)
class Bucket:
    """A budget: units a second in the long run, and at once.

    Parameters
    ----------
    name
        As it is told to clients.
    rate, burst
        Units a second, and at once.
    """

    name: str
    rate: float
    burst: float

    @property
    def policy(self) -> str:
        """The item of the header RateLimit-Policy."""
        return f'"{self.name}";q={floor(self.burst)};w={max(1, ceil(self.burst / self.rate))}'

    def after(self, until: float, units: float, now: float) -> float:
        """Return the time at which the bucket is empty again, once `units` were put in.

        A time beyond what the bucket can hold is none: the machine was started anew.
        """
        full = self.burst / self.rate
        start = until if now < until <= now + full * (1 + 1e-9) else now
        return start + min(units, self.burst) / self.rate

    def wait(self, after: float, now: float) -> float:
        """Return the seconds until there is room for what would fill it until `after`."""
        return after - now - self.burst / self.rate

    def left(self, until: float, now: float) -> int:
        """Return the units that are left."""
        return max(0, floor(self.burst - max(0.0, until - now) * self.rate + 1e-6))


@dataclass(frozen=True, slots=True)
class Taken:
    """What a request found in its key's buckets.

    Parameters
    ----------
    wait
        Seconds until it would be let through; 0 if it is.
    policy, state
        The headers RateLimit-Policy and RateLimit.
    short
        The name of the bucket that is full, if one is.
    """

    wait: float
    policy: bytes
    state: bytes
    short: str | None = None


def buckets(limits: Limits) -> tuple[Bucket | None, Bucket | None]:
    """Return the buckets for requests and for cost units."""

    def bucket(name: str, rate: float | None, burst: float | None) -> Bucket | None:
        return None if rate is None else Bucket(name, rate, max(burst or rate, 1.0))

    return (
        bucket("requests", limits.rate, limits.burst),
        bucket("cost", limits.cost, limits.cost_burst),
    )


class Meter:
    """The file of slots. Call from one thread of a process.

    Parameters
    ----------
    path
        The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._room = 0
        self._map: mmap.mmap | None = None

    def take(
        self, slot: int, pair: tuple[Bucket | None, Bucket | None], cost: float, now: float
    ) -> Taken:
        """Take a request and its cost from a key's buckets, or from neither.

        Parameters
        ----------
        slot
            The place of the key.
        pair
            Its buckets for requests and cost.
        cost
            Cost units of the request.
        now
            Seconds on the machine's monotone clock.
        """
        memory, place = self._memory(slot), slot * SLOT.size
        held = self._lock(place)
        try:
            before = SLOT.unpack_from(memory, place)
            after = [
                until if bucket is None or not units else bucket.after(until, units, now)
                for bucket, until, units in zip(pair, before, (1.0, cost), strict=True)
            ]
            waits = [
                0.0 if bucket is None or then == until else bucket.wait(then, now)
                for bucket, until, then in zip(pair, before, after, strict=True)
            ]
            wait = max(waits)
            if wait <= 0:
                SLOT.pack_into(memory, place, *after)
        finally:
            if held:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, SLOT.size, place)
        return _taken(pair, after if wait <= 0 else list(before), waits, now)

    def _memory(self, slot: int) -> mmap.mmap:
        if self._map is None or slot >= self._room:
            room = max(1024, 1 << slot.bit_length())
            size = max(os.fstat(self._descriptor).st_size, room * SLOT.size)
            os.ftruncate(self._descriptor, size)
            self._map, self._room = mmap.mmap(self._descriptor, size), size // SLOT.size
        return self._map

    def _lock(self, place: int) -> bool:
        for _ in range(TRIES):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, SLOT.size, place)
            except OSError:
                continue
            return True
        return False

    def close(self) -> None:
        """Let go of the file."""
        if self._map is not None:
            self._map.close()
        os.close(self._descriptor)


def _taken(
    pair: tuple[Bucket | None, Bucket | None], until: list[float], waits: list[float], now: float
) -> Taken:
    there = [(bucket, then) for bucket, then in zip(pair, until, strict=True) if bucket is not None]
    state = ", ".join(
        f'"{bucket.name}";r={bucket.left(then, now)};t={max(0, ceil(then - now))}'
        for bucket, then in there
    )
    policy = ", ".join(bucket.policy for bucket, _ in there)
    wait = max(waits)
    full = pair[waits.index(wait)] if wait > 0 else None
    return Taken(max(wait, 0.0), policy.encode(), state.encode(), full.name if full else None)
