"""Learning while serving: a supervised process of its own, fed from a copy of the facts.

The serving process owns the fact file, which no other process can open meanwhile. So it copies the
file, starts ``python -m worlds.learn`` on the copy with a deadline, and
reports how that ended. A new release is found by the poller like any other; a failed run leaves
everything as it was.
"""

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from api.errors import ApiError, LearnError
from api.facts_desk import Export
from facts import FactsError
from worlds.publish.files import replace_file

NICENESS = 10
"""Learning yields the processor to serving."""
GRACE = 5.0
"""Seconds between asking a process to end and ending it."""
KEPT_TEXT = 2000
SOONEST = 60.0
"""Seconds after a first failure in which the next run of a schedule is tried."""
LOOK = 60.0
"""Seconds after which the clock is looked at again while a run is not due yet."""

log = logging.getLogger("api")

type State = Literal["never", "running", "succeeded", "failed"]
type Exporter = Callable[[], Export]
type Command = Callable[[Export], Sequence[str]]


class Run(msgspec.Struct, frozen=True):
    """The last run of learning, as the service tells it; kept on disk over restarts."""

    state: State = "never"
    started_at: str | None = None
    ended_at: str | None = None
    as_of: str | None = None
    reason: str | None = None
    succeeded_at: str | None = None
    failures: int = 0


class Learning:
    """Starts and supervises learning; one run at a time.

    Parameters
    ----------
    export
        Writes the facts to a file that the process reads. Blocking.
    command
        The command line for an export.
    deadline
        Seconds after which the process is stopped.
    now
        The clock.
    memory
        File that remembers the last run over restarts; nothing is remembered if None.
    exports
        Directory of the exports: what a killed service left there is removed.
    """

    def __init__(
        self,
        export: Exporter,
        command: Command,
        deadline: float,
        now: Callable[[], datetime],
        memory: Path | None = None,
        exports: Path | None = None,
    ) -> None:
        self._memory = memory
        self._exports = exports
        self.last = remembered(memory)
        if self.last.state == "running":
            reason = "it was stopped because the service died"
            self.last = msgspec.structs.replace(self.last, state="failed", reason=reason)
        self._export = export
        self._command = command
        self._deadline = deadline
        self._now = now
        self._task: asyncio.Task[None] | None = None

    def start(self) -> Run:
        """Start a run unless one is under way; return it. Call from the event loop."""
        if self._task is None or self._task.done():
            now = self._now()
            known = self.last
            self.last = Run(
                "running",
                now.isoformat(),
                succeeded_at=known.succeeded_at,
                failures=known.failures,
            )
            self._task = asyncio.create_task(self._run())
        return self.last

    async def wait(self) -> Run:
        """Wait for the run under way, if any; return how the last one ended."""
        if self._task is not None:
            await asyncio.wait([self._task])
        return self.last

    def due(self, seconds: float) -> float:
        """Return in how many seconds the next run is due: 0 where one was missed.

        After failures the next try comes sooner than a whole interval, later every time.
        """
        ended = self.last.ended_at or self.last.started_at
        if ended is None:
            return 0.0
        wait = seconds
        if self.last.state == "failed":
            wait = min(seconds, SOONEST * 2.0 ** max(min(self.last.failures, 20) - 1, 0))
        passed = (self._now() - datetime.fromisoformat(ended)).total_seconds()
        # a clock that was set back must not put learning off for longer than an interval
        return min(max(wait - passed, 0.0), seconds)

    async def every(self, seconds: float) -> None:
        """Start a run every so many seconds, for ever; one that was missed is made up for.

        The time is that of the clock on the wall and of the last run, not of this process: neither
        a restart nor a machine that slept puts learning off.
        """
        while True:
            left = self.due(seconds)
            if left > 0:
                await asyncio.sleep(min(left, LOOK))
                continue
            self.start()
            await self.wait()

    def stale(self, seconds: float, since: datetime | None) -> str | None:
        """Return how long nothing was learned, if that is longer than two intervals, or None.

        Parameters
        ----------
        seconds
            The interval; 0 means that learning is only on request and never late.
        since
            When the release in force was made, for a service that does not remember.
        """
        known = self.last.succeeded_at
        last = datetime.fromisoformat(known) if known else since
        if seconds <= 0 or last is None:
            return None
        age = (self._now() - last).total_seconds()
        if age <= 2 * seconds + self._deadline * (self.last.state == "running"):
            return None
        return f"nothing was learned for {age:,.0f} s; due every {seconds:,.0f} s"

    def sweep(self) -> None:
        """Remove what runs read from: a run under way reads on, others find nothing left over."""
        sweep(self._exports)

    async def close(self) -> None:
        """Stop the run under way."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        reason: str | None = "it was stopped because the service stopped"
        try:
            await self._learn()
            reason = None
        except (ApiError, FactsError, OSError) as error:
            reason = str(error)
        finally:
            ended = self._now().isoformat()
            self.last = msgspec.structs.replace(
                self.last,
                state="failed" if reason else "succeeded",
                ended_at=ended,
                reason=reason,
                succeeded_at=self.last.succeeded_at if reason else ended,
                failures=self.last.failures + 1 if reason else 0,
            )
            remember(self._memory, self.last)

    async def _learn(self) -> None:
        await asyncio.to_thread(remember, self._memory, self.last)
        await asyncio.to_thread(sweep, self._exports)
        export = await asyncio.to_thread(self._export)
        self.last = msgspec.structs.replace(self.last, as_of=export.as_of.isoformat())
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command(export),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                start_new_session=True,
            )
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
            await self._supervise(process)
        finally:
            await asyncio.to_thread(remove, export.path)

    async def _supervise(self, process: Process) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                _, said = await process.communicate()
        except TimeoutError:
            msg = f"learning passed its deadline of {self._deadline:g} s and was stopped"
            raise LearnError(msg) from None
        finally:
            await _stop(process)
        if process.returncode != 0:
            text = said.decode("utf-8", "replace").strip()[-KEPT_TEXT:]
            msg = f"learning ended with code {process.returncode}: {text or 'it said nothing'}"
            raise LearnError(msg)


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), GRACE)
    except TimeoutError:
        process.kill()
        await process.wait()


def command(var: Path, domain: str, export: Export) -> list[str]:
    """Return the command line that learns from an export."""
    return [
        *(sys.executable, "-m", "worlds.learn", "--var", str(var), "--domain", domain),
        *("--as-of", export.as_of.isoformat(), "--facts", str(export.path), "--json"),
        *("--parent", str(os.getpid())),
    ]


def remembered(memory: Path | None) -> Run:
    """Return the last run, as far as it is remembered."""
    if memory is None:
        return Run()
    try:
        return msgspec.json.decode(memory.read_bytes(), type=Run)
    except (OSError, msgspec.MsgspecError):
        return Run()


def remember(memory: Path | None, run: Run) -> None:
    """Remember a run; a disk that takes nothing any more must not stop the service."""
    if memory is None:
        return
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        replace_file(memory, msgspec.json.encode(run))
    except OSError:
        log.exception("the last run of learning cannot be remembered in %s", memory)


def sweep(exports: Path | None) -> None:
    """Remove exports that nobody reads any more: only one service has these facts."""
    for path in exports.iterdir() if exports is not None and exports.is_dir() else ():
        if path.is_file():
            path.unlink(missing_ok=True)


def remove(export: Path) -> None:
    """Remove an export and its write-ahead log, which a killed process left."""
    for path in (export, Path(f"{export}.wal")):
        path.unlink(missing_ok=True)
