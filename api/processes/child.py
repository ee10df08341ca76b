"""Processes forked from the supervisor: what it has imported, they share and need not load."""

import ctypes
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NAME = "worlds-part"
"""What the system calls a part (`/proc/<pid>/comm`)."""
PR_SET_NAME = 15
TICK = 0.02


class Child:
    """A process that was forked. Only its parent may use it.

    Parameters
    ----------
    work
        What it does; its process ends with it.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.code: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # what is there now is never collected: its memory stays shared
        self.pid = os.fork()
        if self.pid == 0:
            _live(work)

    def poll(self) -> int | None:
        """Return the exit code, or minus the signal that ended it; None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def wait(self, seconds: float) -> int | None:
        """Wait for the end; return as `poll`."""
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(TICK)
        return self.code

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _live(work: Callable[[], None]) -> None:
    """Be the child: never return."""
    code = 1
    try:
        os.setsid()  # Ctrl-C reaches the supervisor, which lets its parts finish
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        _call_it(NAME)
        work()
        code = 0
    finally:  # nothing may go on as a second supervisor
        if sys.exc_info()[1] is not None:
            traceback.print_exc()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _call_it(name: str) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode(), 0, 0, 0)


def is_part(pid: int) -> bool:
    """Return whether a process is a part of a service."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip() == NAME
    return False
