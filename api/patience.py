"""How long a question may take, and what is answered instead when it takes too long.

First the exact answer, computed by the `Desk`. When that is full, or the deadline of the client
or of the service comes first: a cheaper evaluation where there is one, computed by one thread of
its own; then the last good answer to the same question, whatever release it came from; then a 503.
What is not the exact answer of now says so in `degraded`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

import msgspec

from api.desk import Desk, Key
from api.errors import BusyError, RequestError

HURRIED_WAITING = 3
"""Cheaper evaluations that may wait for their one thread."""
HURRY = 0.05
"""Seconds that a cheaper evaluation takes at most."""

type Work = Callable[[], bytes]


class Patience:
    """Answers within a deadline.

    Parameters
    ----------
    desk
        Computes exact answers.
    seconds
        The deadline of the service: no question is waited for longer.
    kept
        Last good answers that are kept.
    """

    def __init__(self, desk: Desk, seconds: float, kept: int) -> None:
        self._desk = desk
        self._seconds = seconds
        self._kept = kept
        self._hurried = Desk(1, HURRIED_WAITING, 1)
        self._last: OrderedDict[Key, bytes] = OrderedDict()

    async def answer(
        self,
        key: Key,
        lasting: Key,
        work: Work,
        *,
        cheap: Work | None = None,
        wait: float | None = None,
    ) -> bytes:
        """Return the answer to a question, or the best that there is in time.

        Parameters
        ----------
        key
            Of the question and the models.
        lasting
            Of the question alone: an answer of older models may stand in.
        work
            Computes the exact answer.
        cheap
            Computes a less exact one, in about `HURRY` seconds.
        wait
            Seconds that the client wants to wait.

        Raises
        ------
        BusyError
            If there is nothing to answer in time.
        """
        seconds = self._seconds if wait is None else min(wait, self._seconds)
        try:
            async with asyncio.timeout(seconds):
                found = await self._desk.compute(key, work)
        except TimeoutError:
            reason = f"it was not ready within {seconds:g} s"
        except BusyError as error:
            reason = str(error)
        else:
            self._keep(lasting, found)
            return found
        return await self._instead(key, lasting, cheap, reason)

    async def run(self, work: Work, *, wait: float | None = None) -> bytes:
        """Return what is not worth keeping, such as an answer as of the past.

        Raises
        ------
        BusyError
            If it is not there in time.
        """
        seconds = self._seconds if wait is None else min(wait, self._seconds)
        try:
            async with asyncio.timeout(seconds):
                return await self._desk.run(work)
        except TimeoutError:
            raise BusyError(f"it was not ready within {seconds:g} s: wait longer") from None

    async def _instead(self, key: Key, lasting: Key, cheap: Work | None, reason: str) -> bytes:
        if cheap is not None:
            with suppress(BusyError):
                less = await self._hurried.compute((*key, "cheap"), cheap)
                return degraded(less, f"{reason}: computed less exactly")
        last = self._last.get(lasting)
        if last is None:
            raise BusyError(f"{reason}; it goes on being computed: ask again")
        return degraded(last, f"{reason}: the last good answer, of release {_release(last)}")

    def _keep(self, lasting: Key, found: bytes) -> None:
        self._last[lasting] = found
        self._last.move_to_end(lasting)
        while len(self._last) > self._kept:
            self._last.popitem(last=False)

    def close(self) -> None:
        """End the thread for cheaper evaluations."""
        self._hurried.close()


def degraded(answer: bytes, reason: str) -> bytes:
    """Return an answer that says why it is not the exact one of now."""
    content = msgspec.json.decode(answer)
    said = content.get("degraded")
    content["degraded"] = f"{said}; {reason}" if said else reason
    return msgspec.json.encode(content)


def _release(answer: bytes) -> str:
    return str(msgspec.json.decode(answer).get("release"))


def preferred_wait(header: str | None) -> float | None:
    """Return the seconds that a client wants to wait, by ``Prefer: wait=0.2`` (RFC 7240).

    Other preferences are left alone, as the RFC wants it.

    Raises
    ------
    RequestError
        If the seconds are no positive number.
    """
    for preference in (header or "").split(","):
        name, _, value = preference.partition("=")
        if name.strip().lower() != "wait":
            continue
        try:
            seconds = float(value.partition(";")[0].strip().strip('"'))
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < 1e6:
            wrong = f"wait takes seconds, such as wait=0.2; got {value.strip()[:40]!r}"
            raise RequestError("the header Prefer cannot be read", [("Prefer", wrong)])
        return seconds
    return None
