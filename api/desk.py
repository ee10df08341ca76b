"""Questions: computed by a few threads, kept for when they are asked again.

A question takes milliseconds to a third of a second, too long for the event loop. It goes to a
small pool; when too many wait already, a new one is refused at once instead of queueing.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import BoundedSemaphore

from api.errors import BusyError

type Key = tuple[object, ...]


class Desk:
    """A bounded pool with a cache. Used from one event loop.

    Parameters
    ----------
    threads
        Threads that compute.
    waiting
        Questions that may wait for one.
    cached
        Answers kept; the least recently used goes first.
    """

    def __init__(self, threads: int, waiting: int, cached: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="question")
        self._room = BoundedSemaphore(threads + waiting)
        self._limit = threads + waiting
        self._cached = cached
        self._answers: OrderedDict[Key, bytes] = OrderedDict()
        self._running: dict[Key, asyncio.Future[bytes]] = {}

    def cached(self, key: Key) -> bytes | None:
        """Return the answer given to the same question before, if it is still kept."""
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
        return found

    async def compute(self, key: Key, work: Callable[[], bytes]) -> bytes:
        """Return the answer of `work`, from the cache if it is there.

        The same question asked twice at once is computed once.

        Raises
        ------
        BusyError
            If too many questions wait already.
        """
        found = self.cached(key)
        if found is not None:
            return found
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.wrap_future(self._submit(work))
            running.add_done_callback(partial(self._keep, key))
        return await asyncio.shield(running)

    def _keep(self, key: Key, done: "asyncio.Future[bytes]") -> None:
        """Keep an answer; on the event loop, so that nobody computes it again in between."""
        del self._running[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._answers[key] = done.result()
        while len(self._answers) > self._cached:
            self._answers.popitem(last=False)

    async def run[T](self, work: Callable[[], T]) -> T:
        """Run something in the pool that is not worth keeping.

        Raises
        ------
        BusyError
            If too much waits already.
        """
        return await asyncio.wrap_future(self._submit(work))

    def _submit[T](self, work: Callable[[], T]) -> Future[T]:
        if not self._room.acquire(blocking=False):
            raise BusyError(f"{self._limit} questions are being computed or wait; try again")
        try:
            future = self._pool.submit(work)
        except RuntimeError as error:  # the pool is closing
            self._room.release()
            raise BusyError("the service is stopping") from error
        future.add_done_callback(lambda _: self._room.release())
        return future

    def close(self) -> None:
        """Drop what waits and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
