import asyncio
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest

from api.desk import Desk
from api.errors import BusyError, RequestError
from api.patience import Patience, degraded, preferred_wait

GOOD = b'{"mean":1,"release":"r1","degraded":null}'


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(1, 1, 4)
    yield desk
    desk.close()


@pytest.fixture
def patience(desk: Desk) -> Iterator[Patience]:
    patience = Patience(desk, 5.0, 2)
    yield patience
    patience.close()


def test_a_quick_answer_is_the_exact_one(patience: Patience) -> None:
    assert asyncio.run(patience.answer((1, "q"), ("q",), lambda: GOOD, wait=1.0)) == GOOD


def test_a_late_answer_is_replaced_by_the_last_good_one_and_kept_for_later(
    patience: Patience,
) -> None:
    gate = threading.Event()

    def slow() -> bytes:
        gate.wait(10)
        return b'{"mean":2,"release":"r2","degraded":null}'

    async def ask() -> tuple[bytes, float, bytes]:
        await patience.answer((1, "q"), ("q",), lambda: GOOD)
        began = time.monotonic()
        instead = await patience.answer((2, "q"), ("q",), slow, wait=0.05)
        waited = time.monotonic() - began
        gate.set()
        return instead, waited, await patience.answer((2, "q"), ("q",), slow)

    instead, waited, then = asyncio.run(ask())
    said = msgspec.json.decode(instead)
    assert said["mean"] == 1
    assert "0.05 s" in said["degraded"]
    assert "release r1" in said["degraded"]
    assert waited < 5
    assert msgspec.json.decode(then) == {"mean": 2, "release": "r2", "degraded": None}


def test_a_full_desk_computes_less_exactly_then_falls_back_then_refuses(
    patience: Patience,
) -> None:
    gate = threading.Event()

    def slow() -> bytes:
        gate.wait(10)
        return GOOD

    async def crowd() -> tuple[bytes, bytes]:
        await patience.answer((1, "known"), ("known",), lambda: GOOD)
        waiting = [asyncio.create_task(patience.answer((1, i), (i,), slow)) for i in range(2)]
        await asyncio.sleep(0.01)
        cheap = await patience.answer((2, "q"), ("q",), slow, cheap=lambda: GOOD)
        last = await patience.answer((2, "known"), ("known",), slow)
        with pytest.raises(BusyError, match="ask again"):
            await patience.answer((2, "new"), ("new",), slow)
        gate.set()
        await asyncio.gather(*waiting)
        return cheap, last

    cheap, last = asyncio.run(crowd())
    assert "less exactly" in msgspec.json.decode(cheap)["degraded"]
    assert "last good answer" in msgspec.json.decode(last)["degraded"]


def test_only_so_many_last_answers_are_kept(patience: Patience) -> None:
    async def ask() -> None:
        for name in "abc":
            await patience.answer((1, name), (name,), lambda: GOOD)
        never = threading.Event()

        def slow() -> bytes:
            never.wait(0.3)
            return GOOD

        with pytest.raises(BusyError):
            await patience.answer((2, "a"), ("a",), slow, wait=0.01)
        await patience.answer((2, "c"), ("c",), slow, wait=0.01)

    asyncio.run(ask())


def test_what_was_degraded_before_keeps_its_reason() -> None:
    twice = degraded(degraded(GOOD, "first"), "second")
    assert msgspec.json.decode(twice)["degraded"] == "first; second"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("respond-async", None),
        ("wait=2", 2.0),
        ("respond-async, wait=0.2", 0.2),
        ('Wait="3"; x=1', 3.0),
    ],
)
def test_the_wish_of_a_client_is_read(header: str | None, seconds: float | None) -> None:
    assert preferred_wait(header) == seconds


@pytest.mark.parametrize("header", ["wait", "wait=", "wait=abc", "wait=-1", "wait=nan", "wait=inf"])
def test_a_wish_that_means_nothing_is_refused(header: str) -> None:
    with pytest.raises(RequestError, match="Prefer"):
        preferred_wait(header)
