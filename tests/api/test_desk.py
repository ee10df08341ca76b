import asyncio
import threading

import pytest

from api.desk import Desk
from api.errors import BusyError


def test_the_same_question_is_computed_once() -> None:
    desk, calls = Desk(2, 2, 10), []

    def work() -> bytes:
        calls.append(1)
        return b"x"

    async def both() -> list[bytes]:
        first = await asyncio.gather(*(desk.compute(("a",), work) for _ in range(5)))
        return [*first, await desk.compute(("a",), work)]

    assert asyncio.run(both()) == [b"x"] * 6
    assert len(calls) == 1
    desk.close()


def test_a_full_desk_refuses_and_recovers() -> None:
    desk, gate = Desk(1, 1, 10), threading.Event()

    def slow() -> bytes:
        gate.wait(10)
        return b"slow"

    async def crowd() -> bytes:
        waiting = [asyncio.create_task(desk.compute((i,), slow)) for i in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="2 questions") as caught:
            await desk.compute((9,), slow)
        assert caught.value.retry_after == 1
        gate.set()
        await asyncio.gather(*waiting)
        return await desk.compute((9,), lambda: b"room again")

    assert asyncio.run(crowd()) == b"room again"
    desk.close()


def test_a_failure_is_told_and_not_kept() -> None:
    desk = Desk(1, 1, 10)

    def fail() -> bytes:
        msg = "no"
        raise ValueError(msg)

    async def twice() -> bytes:
        with pytest.raises(ValueError, match="no"):
            await desk.compute(("a",), fail)
        return await desk.compute(("a",), lambda: b"yes")

    assert asyncio.run(twice()) == b"yes"
    desk.close()


def test_the_least_recently_used_answer_goes_first() -> None:
    desk = Desk(1, 1, 2)

    async def fill() -> None:
        for name in ("a", "b"):
            await desk.compute((name,), name.encode)
        assert desk.cached(("a",)) == b"a"
        await desk.compute(("c",), b"c".__bytes__)

    asyncio.run(fill())
    assert desk.cached(("b",)) is None
    assert desk.cached(("a",)) == b"a"
    desk.close()
