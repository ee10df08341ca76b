import threading
import time

from worlds.learn.supervision import Done, Failure, supervise


def test_what_a_task_returns_comes_back() -> None:
    outcome = supervise(lambda: 41 + 1, deadline=5)
    assert isinstance(outcome, Done)
    assert outcome.value == 42


def test_whatever_a_task_raises_becomes_a_reason() -> None:
    def broken() -> int:
        raise ZeroDivisionError("no posts")

    outcome = supervise(broken, deadline=5)
    assert outcome == Failure("ZeroDivisionError: no posts")


def test_a_slow_task_is_interrupted() -> None:
    begin = time.monotonic()
    outcome = supervise(lambda: time.sleep(20), deadline=0.2)
    assert isinstance(outcome, Failure)
    assert "deadline of 0.2 s" in outcome.reason
    assert time.monotonic() - begin < 10


def test_outside_the_main_thread_tasks_run_without_a_deadline() -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(supervise(lambda: 5, deadline=1)))
    thread.start()
    thread.join()
    assert isinstance(found[0], Done)
