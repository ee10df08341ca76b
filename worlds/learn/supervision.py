"""The boundary around models: whatever goes wrong inside becomes a line in the report."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class TooSlowError(Exception):
    """A model passed its deadline."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A model that raised or was too slow."""

    reason: str


@dataclass(frozen=True, slots=True)
class Done[T]:
    """What came out, and the processor seconds it took."""

    value: T
    seconds: float


def supervise[T](task: Callable[[], T], deadline: float | None) -> Done[T] | Failure:
    """Run a task that may be anybody's code; it can fail only by itself.

    Parameters
    ----------
    task
        What to run.
    deadline
        Seconds after which it is interrupted, None for never. Interrupting needs the main
        thread; in any other one the deadline is not enforced.
    """
    begin = time.process_time()
    try:
        with _interrupted_after(deadline):
            value = task()
    except TooSlowError:
        return Failure(f"it passed its deadline of {deadline:g} s")
    except Exception as error:  # noqa: BLE001 - the one place where foreign code may raise anything
        return Failure(f"{type(error).__name__}: {error}")
    return Done(value, time.process_time() - begin)


@contextmanager
def _interrupted_after(seconds: float | None) -> Iterator[None]:
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
