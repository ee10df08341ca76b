"""Segments fitted by a few processes; whatever happens to one of them is a line in the report."""

import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from worlds.errors import FitError
from worlds.learn.segment_fit import Work, fit_segment
from worlds.learn.segments import Part
from worlds.learn.worker import command, receive, send

START_SECONDS = 120.0
"""Time for a worker to start and to load the domain."""
RETRIES = 1
"""Times that a segment whose worker died is tried once more."""
FITS = 4.0
"""Deadlines of single fits that a segment may take in all before its worker is ended."""

type Result = tuple[Part, dict[str, Any] | str]
"""A segment and its entry of the release, or why there is none."""
type Done = Callable[[Part, dict[str, Any] | str], None]


class TooLateError(Exception):
    """A worker did not answer in time."""


class Worker:
    """One worker process.

    Parameters
    ----------
    domain
        Name under which it loads the domain.
    work
        What all segments share.
    """

    def __init__(self, domain: str, work: Work) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command(os.getpid()), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        rest = (work.settings, work.reference, dict(work.origin), work.simulated, work.root)
        try:
            self._write((domain, rest))
            self._read(START_SECONDS)
        except BaseException:
            self.close()
            raise

    def fit(self, part: Part, seconds: float) -> dict[str, Any] | str:
        """Return what a segment gave.

        Raises
        ------
        EOFError, OSError
            If the process is gone.
        TooLateError
            If it takes longer than it may.
        """
        self._write(part)
        found: dict[str, Any] | str = self._read(seconds)
        return found

    def how_it_ended(self) -> str:
        """Return in words how the process ended."""
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"code {code}"

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was left in it has nobody to go to
                    continue

    def _write(self, message: object) -> None:
        pipe = self._process.stdin
        if pipe is None:
            raise EOFError
        send(pipe, message)  # type: ignore[arg-type]  # a pipe of bytes

    def _read(self, seconds: float) -> Any:
        pipe = self._process.stdout
        if pipe is None:
            raise EOFError
        ready, _, _ = select.select([pipe], [], [], seconds)
        if not ready:
            raise TooLateError
        return receive(pipe)  # type: ignore[arg-type]  # a pipe of bytes


def fit_all(
    work: Work, parts: Iterable[Part], done: Done, *, domain: str | None, workers: int
) -> None:
    """Fit all segments.

    Parameters
    ----------
    work
        What they share.
    parts
        The segments; as many as there are workers are in memory at a time.
    done
        Told of every one, never by two at a time.
    domain
        Name under which a process can load the domain; without one they are fitted here.
    workers
        Number of processes; with 0 they are fitted here, with nobody to outlive their crash.
    """
    if workers < 1 or domain is None:
        for part in parts:
            done(part, fit_segment(work, part))
        return
    queue = _Queue(parts, done)
    with ThreadPoolExecutor(workers) as threads:
        jobs = [threads.submit(_serve, queue, domain, work) for _ in range(workers)]
        for job in jobs:
            job.result()


class _Queue:
    """Hands out segments to threads and takes what they gave, one at a time."""

    def __init__(self, parts: Iterable[Part], done: Done) -> None:
        self._parts: Iterator[Part] = iter(parts)
        self._done = done
        self._lock = threading.Lock()
        self._stopped = False

    def next(self) -> Part | None:
        with self._lock:
            return None if self._stopped else next(self._parts, None)

    def done(self, part: Part, result: dict[str, Any] | str) -> None:
        with self._lock:
            self._done(part, result)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True


def _serve(queue: _Queue, domain: str, work: Work) -> None:
    worker: Worker | None = None
    try:
        while (part := queue.next()) is not None:
            worker, result = _one(worker, part, domain, work)
            queue.done(part, result)
    except BaseException:
        queue.stop()
        raise
    finally:
        if worker is not None:
            worker.close()


def _one(
    worker: Worker | None, part: Part, domain: str, work: Work
) -> tuple[Worker | None, dict[str, Any] | str]:
    """Fit one segment, on a new worker if the one before died; a crash is tried once more."""
    seconds = FITS * work.settings.deadline
    reason = ""
    for attempt in range(RETRIES + 1):
        try:
            if worker is None:
                worker = Worker(domain, work)
            return worker, worker.fit(part, seconds)
        except TooLateError:
            if worker is None:
                msg = f"a worker did not start within {START_SECONDS:g} s"
                raise FitError(msg) from None
            worker.close()
            return None, f"it passed its deadline of {seconds:g} s and was ended"
        except (EOFError, OSError):
            if worker is None:
                time.sleep(attempt)
                reason = f"its worker did not start; tried {attempt + 1} times"
                continue
            reason = f"its worker died ({worker.how_it_ended()}); tried {attempt + 1} times"
            worker.close()
            worker = None
    return worker, reason
