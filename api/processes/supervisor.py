"""The supervisor: starts the parts, starts again what ends, lets them finish when it is asked to.

It holds both listening sockets and never reads from them: a part that starts again finds the
connections that came meanwhile. It loads no models and no facts, so there is little in it that
could fail.
"""

import contextlib
import gc
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from api.errors import ServeError
from api.processes import status as file
from api.processes.child import Child
from api.processes.place import Place
from api.processes.restarts import WINDOW, delay, looping
from api.processes.status import PartStatus, Role, State, Status
from api.settings import Settings

log = logging.getLogger("api")

INNER: tuple[Role, ...] = ("questions", "recorder")
"""Parts that listen on private sockets, in the order in which they end."""
NICENESS = 5
"""Long computations yield the processor to predictions."""
BACKLOG = 128
TICK = 0.05
BEAT = 1.0
"""Seconds between two words of the supervisor."""
HEAD_START = 1.5
"""Seconds for which the other parts leave the processor to the workers when the service starts."""
DRAIN = 15.0
"""Seconds in which a part may finish what it does before it is ended."""


@dataclass(eq=False)
class Part:
    """One process that is kept running."""

    name: str
    role: Role
    state: State = "waiting"
    process: Child | None = None
    pulse: int = -1
    looked: float = 0.0
    silent: float = 0.0
    started: float = 0.0
    due: float = 0.0
    restarts: int = -1
    since: str = ""
    reason: str | None = None
    proven: bool = False
    ends: list[float] = field(default_factory=list)

    def enter(self, state: State) -> None:
        """Change the state."""
        self.state, self.since = state, datetime.now(UTC).isoformat()

    def status(self) -> PartStatus:
        """Return what others are told."""
        pid = self.process.pid if self.process else None
        restarts = max(self.restarts, 0)
        return PartStatus(self.name, self.role, self.state, pid, restarts, self.since, self.reason)


class Supervisor:
    """Keeps the parts of a service running.

    Parameters
    ----------
    settings
        How to run; `workers` says how many.
    folder
        Where the status file goes.
    listener
        The public listening socket.
    address
        What it is called.
    work
        What a part does in its own process: it serves on a socket, as the part that it is, and
        writes a byte to a descriptor when it is up, and every second from then on.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        listener: socket.socket,
        address: str,
        work: Callable[[Place, socket.socket, int], None],
    ) -> None:
        self._work = work
        self._private = folder
        self._path = folder / file.FILE
        self._listeners: dict[str, socket.socket] = {"worker": listener}
        self._address = address
        self._hung = settings.hung_seconds
        self._parts = [Part(role, role) for role in INNER]
        self._parts += [Part(f"worker-{i}", "worker") for i in range(settings.workers)]
        self._told = 0.0
        self._ending = False

    def run(self, ready: Callable[[], None] | None = None) -> None:
        """Run until SIGINT or SIGTERM.

        Parameters
        ----------
        ready
            Called when every part is up for the first time.

        Raises
        ------
        ServeError
            If no worker can start.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="worlds-") as private, self._signals():
            self._private = Path(private)
            with contextlib.ExitStack() as open_sockets:
                for role in INNER:
                    inner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    self._listeners[role] = open_sockets.enter_context(inner)
                    inner.bind(str(self._private / role))
                    inner.listen(BACKLOG)
                try:
                    self._watch(ready)
                finally:
                    self._end()
        if self._speaks():
            self._path.unlink(missing_ok=True)
        gc.unfreeze()  # else nothing that was there before a fork could be put away at the end

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def end(*_: object) -> None:
            self._ending = True

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _watch(self, ready: Callable[[], None] | None) -> None:
        workers = [part for part in self._parts if part.role == "worker"]
        for part in self._parts:
            part.due = 0.0 if part.role == "worker" else time.monotonic() + HEAD_START
        while not self._ending:
            changed = [self._look(part) for part in self._parts]
            self._tell(any(changed))
            if all(part.proven for part in workers):
                self._let_in()
            if all(part.state == "looping" and not part.proven for part in workers):
                msg = f"no worker can start ({workers[0].reason}); see what they wrote above"
                raise ServeError(msg)
            if ready is not None and all(part.state == "running" for part in self._parts):
                ready()
                ready = None
            time.sleep(TICK)

    def _let_in(self) -> None:
        """Start what has waited for the workers to be up."""
        for part in self._parts:
            if part.restarts < 0:
                part.due = 0.0

    def _look(self, part: Part) -> bool:
        """Look after one part; return whether its state changed."""
        now = time.monotonic()
        if part.process is None:
            if now < part.due:
                return False
            self._start(part)
            return True
        code = part.process.poll()
        if code is not None:
            self._ended(part, code, now)
            return True
        heard = _said(part.pulse)
        # a supervisor that stood still itself (a suspended machine) counts one second, not all
        part.silent = 0.0 if heard else part.silent + min(now - part.looked, 1.0)
        part.looked = now
        if part.state == "starting" and heard:
            part.proven = True
            part.enter("running")
            return True
        if part.state == "running" and part.silent > self._hung:
            log.error("%s has stood still for %.0f s and is ended", part.name, part.silent)
            part.process.send(signal.SIGKILL)
        return False

    def _start(self, part: Part) -> None:
        part.pulse, told = os.pipe()
        os.set_blocking(part.pulse, False)
        os.set_blocking(told, False)  # nobody waits for a supervisor that does not listen
        place = Place(
            part.role,
            self._private / "recorder",
            self._private / "questions",
            self._private / file.FILE,
            self._private / "counts",
            self._parts.index(part),
            len(self._parts),
        )
        try:
            part.process = Child(partial(self._live, place, told))
        finally:
            os.close(told)
        part.started = part.looked = time.monotonic()
        part.silent = 0.0
        part.restarts += 1
        part.enter("starting")

    def _live(self, place: Place, pulse: int) -> None:
        """Be a part: keep only the socket that is its own."""
        for role, listener in self._listeners.items():
            if role != place.role:
                listener.close()
        if place.role == "questions":
            os.nice(NICENESS)
        self._work(place, self._listeners[place.role], pulse)

    def _ended(self, part: Part, code: int, now: float) -> None:
        part.process = None
        if part.pulse >= 0:
            os.close(part.pulse)
            part.pulse = -1
        part.ends = [end for end in part.ends if end > now - WINDOW] + [now]
        part.reason = _how(code)
        if part.silent > self._hung:
            part.reason += f", because it stood still for {part.silent:.0f} s"
        wait = delay(part.started, part.ends)
        part.due = now + wait
        part.enter("looping" if looping(part.ends) else "waiting")
        log.error("%s ended (%s); it starts again in %.1f s", part.name, part.reason, wait)

    def _tell(self, changed: bool) -> None:
        now = time.monotonic()
        if not changed and now - self._told < BEAT:
            return
        self._told = now
        parts = tuple(part.status() for part in self._parts)
        said = Status(os.getpid(), self._address, now, parts)
        with contextlib.suppress(OSError):  # a full disk must not end the service
            said.write(self._private / file.FILE)  # what our own parts read
        with contextlib.suppress(OSError):
            if self._speaks():
                said.write(self._path)

    def _speaks(self) -> bool:
        """Return whether the word beside the data is ours, or that of nobody who lives."""
        there = file.read(self._path)
        if there is None or there.supervisor == os.getpid():
            return True
        return time.monotonic() - there.at > file.SILENT

    def _end(self) -> None:
        """Let the workers finish, then the recorder; end what does not."""
        for role in ("worker", *INNER):
            parts = [part for part in self._parts if part.role == role and part.process]
            for part in parts:
                part.enter("stopping")
            self._tell(changed=True)
            _finish([part.process for part in parts if part.process])


def _finish(processes: Sequence[Child]) -> None:
    """Ask processes to end, end those that do not."""
    for process in processes:
        process.send(signal.SIGTERM)
    deadline = time.monotonic() + DRAIN
    for process in processes:
        if process.wait(max(deadline - time.monotonic(), 0.1)) is None:
            log.error("process %d did not finish in %.0f s and was ended", process.pid, DRAIN)
            process.send(signal.SIGKILL)
            process.wait(DRAIN)


def _said(descriptor: int) -> bool:
    """Return whether a part has given a sign of life since the last time."""
    try:
        return bool(os.read(descriptor, 4096))
    except BlockingIOError:
        return False


def _how(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def take_over(folder: Path, patience: float = DRAIN) -> list[int]:
    """End the processes that a supervisor left behind when it was killed.

    Returns
    -------
    list[int]
        Their numbers; empty if there were none or the supervisor is well.
    """
    said: Any = file.read(folder / file.FILE)
    if said is None or time.monotonic() - said.at <= file.SILENT:
        return []
    left = file.left_over(said)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while file.left_over(said) and time.monotonic() < deadline:
        time.sleep(TICK)
    for pid in file.left_over(said):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left
