"""The intake: a bounded queue in front of the one thread that writes.

While a commit runs, submissions gather; the next commit takes them together. That is all the
grouping there is: no timer delays a lone event, and under load groups grow by themselves. A
submission is taken whole or refused whole.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import duckdb

from facts.errors import FactsError, IntakeFull, StoreClosed, WriteFailed, of_database
from facts.events import Event, RawBad, Receipt

Item = Event | RawBad
Commit = Callable[[Sequence[Item]], list[Receipt]]
LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Batch:
    items: Sequence[Item]
    done: Future[list[Receipt]]


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any]
    done: Future[Any]


class Intake:
    """Feeds one writer thread.

    Parameters
    ----------
    commit : callable
        Records a sequence of items durably and returns a receipt for each.
    recover : callable
        Called before a new try after the database said that it cannot go on.
    limit : int
        Most items that may wait.
    group : int
        Most items committed together (a larger single submission is not split).
    """

    def __init__(self, commit: Commit, recover: Callable[[], None], limit: int, group: int) -> None:
        self._commit = commit
        self._recover = recover
        self._limit = limit
        self._group = group
        self._queue: deque[_Batch | _Job] = deque()
        self._waiting = 0
        self._state = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="facts-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Items that wait for their commit."""
        return self._waiting

    def submit(self, items: Sequence[Item]) -> Future[list[Receipt]]:
        """Queue items; the future is resolved with their receipts after the commit.

        Raises
        ------
        IntakeFull
            They do not fit; none was taken.
        StoreClosed
            The intake was closed.
        """
        done: Future[list[Receipt]] = Future()
        if not items:
            done.set_result([])
            return done
        with self._state:
            if self._closing:
                msg = "the store is closed; open it again to record"
                raise StoreClosed(msg)
            if self._waiting + len(items) > self._limit:
                raise IntakeFull(self._waiting, self._limit)
            self._waiting += len(items)
            self._queue.append(_Batch(list(items), done))
            self._state.notify()
        return done

    def run[T](self, work: Callable[[], T]) -> Future[T]:
        """Queue a piece of work for the writer thread, in turn with the submissions."""
        done: Future[T] = Future()
        with self._state:
            if self._closing:
                msg = "the store is closed; open it again to use it"
                raise StoreClosed(msg)
            self._queue.append(_Job(work, done))
            self._state.notify()
        return done

    def close(self) -> None:
        """Commit what waits, then stop the thread."""
        with self._state:
            self._closing = True
            self._state.notify()
        self._thread.join()

    def _take(self) -> list[_Batch] | _Job | None:
        with self._state:
            while not self._queue:
                if self._closing:
                    return None
                self._state.wait()
            first = self._queue.popleft()
            if isinstance(first, _Job):
                return first
            taken, count = [first], len(first.items)
            while self._queue:
                after = self._queue[0]
                if isinstance(after, _Job) or count + len(after.items) > self._group:
                    break
                self._queue.popleft()
                taken.append(after)
                count += len(after.items)
            return taken

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            if isinstance(taken, _Job):
                self._work(taken)
            else:
                self._record(taken)

    def _work(self, job: _Job) -> None:
        if not job.done.set_running_or_notify_cancel():
            return
        try:
            job.done.set_result(job.work())
        except duckdb.Error as error:
            meant = of_database(error)
            meant.__cause__ = error
            job.done.set_exception(meant)
        except BaseException as error:  # noqa: BLE001 handed to the one who waits
            job.done.set_exception(error)

    def _record(self, batches: list[_Batch]) -> None:
        running = [b for b in batches if b.done.set_running_or_notify_cancel()]
        try:
            if not self._together(running):
                for batch in running:
                    self._alone(batch)
        finally:
            with self._state:
                self._waiting -= sum(len(b.items) for b in batches)

    def _together(self, batches: list[_Batch]) -> bool:
        """Commit several submissions at once; False means try them one by one."""
        if len(batches) < 2:
            return False
        try:
            receipts = self._commit([item for b in batches for item in b.items])
        except Exception as error:
            LOG.exception("a group of %d submissions failed; trying each alone", len(batches))
            self._after(error)
            return False
        start = 0
        for batch in batches:
            batch.done.set_result(receipts[start : start + len(batch.items)])
            start += len(batch.items)
        return True

    def _after(self, error: Exception) -> None:
        """Open the database anew where an error ended it, so that later submissions can succeed."""
        text = str(error)
        if isinstance(error, duckdb.FatalException) or "invalidated" in text:
            try:
                self._recover()
            except (FactsError, duckdb.Error):
                LOG.exception("the database could not be opened anew; the next submission tries")

    def _alone(self, batch: _Batch) -> None:
        try:
            batch.done.set_result(self._commit(batch.items))
        except FactsError as error:
            batch.done.set_exception(error)
        except duckdb.Error as error:
            self._after(error)
            failed = WriteFailed(f"nothing of the submission was recorded: {error}")
            failed.__cause__ = error
            batch.done.set_exception(failed)
        except BaseException as error:  # noqa: BLE001 handed to the one who waits
            batch.done.set_exception(error)
