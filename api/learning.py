"""Learning while serving: a supervised process of its own, fed from an export of the facts.

The serving process owns the fact file, which no other process can open meanwhile. So it exports
the facts as of now to Parquet, starts ``python -m worlds.learn`` on them with a deadline, and
reports how that ended. A new release is found by the poller like any other; a failed run leaves
everything as it was.
"""

import asyncio
import contextlib
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

NICENESS = 10
"""Learning yields the processor to serving."""
GRACE = 5.0
"""Seconds between asking a process to end and ending it."""
KEPT_TEXT = 2000

type State = Literal["never", "running", "succeeded", "failed"]
type Exporter = Callable[[], Export]
type Command = Callable[[Export], Sequence[str]]


class Run(msgspec.Struct, frozen=True):
    """The last run of learning, as the service tells it."""

    state: State = "never"
    started_at: str | None = None
    ended_at: str | None = None
    as_of: str | None = None
    reason: str | None = None


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
    """

    def __init__(
        self, export: Exporter, command: Command, deadline: float, now: Callable[[], datetime]
    ) -> None:
        self.last = Run()
        self._export = export
        self._command = command
        self._deadline = deadline
        self._now = now
        self._task: asyncio.Task[None] | None = None

    def start(self) -> Run:
        """Start a run unless one is under way; return it. Call from the event loop."""
        if self._task is None or self._task.done():
            now = self._now()
            self.last = Run("running", now.isoformat())
            self._task = asyncio.create_task(self._run())
        return self.last

    async def wait(self) -> Run:
        """Wait for the run under way, if any; return how the last one ended."""
        if self._task is not None:
            await asyncio.wait([self._task])
        return self.last

    async def every(self, seconds: float) -> None:
        """Start a run every so many seconds, for ever."""
        while True:
            await asyncio.sleep(seconds)
            self.start()
            await self.wait()

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
            self.last = msgspec.structs.replace(
                self.last,
                state="failed" if reason else "succeeded",
                ended_at=self._now().isoformat(),
                reason=reason,
            )

    async def _learn(self) -> None:
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
            await asyncio.to_thread(export.path.unlink, missing_ok=True)

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
    ]
