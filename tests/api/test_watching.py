"""Events and counts: what is told, to whom, and what is summed."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from api.errors import BusyError
from api.events import LISTENERS, WAITING, Bus, Event, Watcher
from api.metrics import BUCKETS, Gauges, Metrics, render
from tests.api.building import NOW, publish
from tests.api.conftest import Client, client_of


def told(number: int) -> Event:
    return Event(f"e{number}", "release", "t", {"n": number})


async def first(bus: Bus, count: int, last: str | None = None) -> list[str]:
    found = []
    async with aclosing(bus.listen(last)) as events:
        async for event in events:
            found.append(event.id)
            if len(found) == count:
                break
    return found


def test_a_listener_gets_what_happens_and_who_comes_back_what_was_missed() -> None:
    async def scene() -> tuple[list[str], list[str], list[str]]:
        bus = Bus()
        bus.tell(told(0))
        live = asyncio.create_task(first(bus, 2))
        await asyncio.sleep(0)
        bus.tell(told(1))
        bus.tell(told(2))
        back = await first(bus, 1, last="e1")
        lost = await first(bus, 3, last="forgotten long ago")
        return await live, back, lost

    live, back, lost = asyncio.run(scene())
    assert live == ["e1", "e2"]
    assert back == ["e2"]
    assert lost == ["e0", "e1", "e2"]


def test_a_slow_listener_is_cut_off_and_harms_nobody() -> None:
    async def scene() -> int:
        bus = Bus()
        slow = bus.listen()
        waiting = asyncio.ensure_future(anext(slow))
        await asyncio.sleep(0)
        for number in range(WAITING + 5):
            bus.tell(told(number))
        assert (await waiting).id == "e0"
        return 1 + len([event async for event in slow])

    assert asyncio.run(scene()) == WAITING


def test_listeners_are_bounded() -> None:
    async def scene() -> None:
        bus = Bus()
        tasks = [asyncio.create_task(first(bus, 1)) for _ in range(LISTENERS)]
        await asyncio.sleep(0.01)
        with pytest.raises(BusyError):
            await first(bus, 1)
        bus.close()
        assert await asyncio.gather(*tasks) == [[]] * LISTENERS

    asyncio.run(scene())


def test_who_is_one_too_many_is_told_so_before_anything_is_sent(client: Client) -> None:
    bus = client.app.state.service.bus
    others = {asyncio.Queue() for _ in range(LISTENERS)}
    bus._listeners |= others
    try:
        reply = client.get("/v1/events")
    finally:
        bus._listeners -= others
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "5"


def test_when_nothing_happens_a_listener_gets_a_sign_of_life_and_misses_nothing() -> None:
    async def scene() -> list[str | None]:
        bus = Bus()
        events = bus.listen(beat=0.01)
        found = [await anext(events), await anext(events)]
        bus.tell(told(1))
        found += [await anext(events), await anext(events)]
        return [event.id if event is not None else None for event in found]

    assert asyncio.run(scene()) == [None, None, "e1", None]


def test_the_watcher_tells_differences_under_the_same_name_in_every_process() -> None:
    state: dict[tuple[str, str], Mapping[str, Any]] = {("model", "a"): {"state": "live"}}
    buses = [Bus(), Bus()]
    seen: list[list[Event]] = [[], []]
    watchers = []
    for bus, into in zip(buses, seen, strict=True):
        bus.alerts.append(into.append)
        watchers.append(Watcher(bus, lambda: dict(state), lambda: NOW))
    for watcher in watchers:
        watcher.compare()
    assert seen == [[], []]
    state["model", "a"] = {"state": "quarantined"}
    state["process", "w"] = {"state": "running"}
    for watcher in watchers:
        watcher.compare()
    assert [event.kind for event in seen[0]] == ["model", "process"]
    assert seen[0] == seen[1]
    del state["process", "w"]
    watchers[0].compare()
    assert seen[0][-1].data == {"name": "w", "gone": True}


def test_rows_of_several_processes_are_summed_and_survive_their_writer(tmp_path: Path) -> None:
    path = tmp_path / "counts"
    rows = [Metrics(path, row, 3) for row in range(3)]
    for number, metrics in enumerate(rows):
        for _ in range(number + 1):
            metrics.request("/v1/predictions/likes", 200, 0.002)
    rows[1].request("/v1/facts", 503, 0.2)
    again = Metrics(path, 1, 3)  # started again: goes on in its row
    again.count("predictions", 7)
    text = render(rows[0]).decode()
    assert 'worlds_requests_total{route="predict",status="2xx"} 6.0' in text
    assert 'worlds_requests_total{route="facts",status="5xx"} 1.0' in text
    assert 'worlds_request_seconds_bucket{le="0.0025",route="predict"} 6.0' in text
    assert 'worlds_request_seconds_bucket{le="0.001",route="predict"} 0.0' in text
    assert 'worlds_request_seconds_bucket{le="+Inf",route="facts"} 1.0' in text
    assert "worlds_shed_total 1.0" in text
    assert "worlds_predictions_total 7.0" in text


def test_every_time_falls_into_one_bucket() -> None:
    metrics = Metrics()
    times = [0.0, *BUCKETS, 11.0]
    for seconds in times:
        metrics.request("/x", 200, seconds)
    text = render(metrics).decode()
    assert f'worlds_request_seconds_count{{route="other"}} {float(len(times))}' in text
    assert f'worlds_request_seconds_sum{{route="other"}} {sum(times)}' in text


def test_many_paths_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    for number in range(3000):
        metrics.request(f"/v1/facts/{number}", 404, 0.1)
    assert len(metrics._groups) <= 1000
    assert 'worlds_requests_total{route="facts",status="4xx"} 3000.0' in render(metrics).decode()


def test_gauges_without_entries_are_left_empty() -> None:
    assert b"# HELP worlds_x y" in render(Gauges({"worlds_x": ("y", [])}))


def test_the_route_shows_models_and_drafts(client: Client) -> None:
    body = {"drafts": [{"breed": "pug"}, {}]}
    before = client.get("/metrics").text
    assert client.post("/v1/predictions/likes", json=body).status_code == 200
    text = client.get("/metrics").text
    assert (
        _value(text, "worlds_predictions_total") == _value(before, "worlds_predictions_total") + 2
    )
    assert 'worlds_model_weight{model="learned",quantity="pupdates"} 0.5' in text
    assert _value(text, "worlds_ready") == 1
    assert _value(text, "worlds_models_age_seconds") == 86400


def test_predictions_by_a_fallback_are_counted_as_degraded(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        client.post("/v1/predictions/likes", json={"draft": {}})
        assert _value(client.get("/metrics").text, "worlds_degraded_total") == 1


def test_a_new_release_is_an_event(tmp_path: Path) -> None:
    publish(tmp_path)
    with client_of(tmp_path, poll_seconds=0.05) as client:
        seen: list[Event] = []
        service = client.app.state["service"]
        service.bus.alerts.append(seen.append)
        release = publish(tmp_path, level=4.0)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not any(one.kind == "release" for one in seen):
            time.sleep(0.05)
        found = next(one for one in seen if one.kind == "release")
        assert found.data["release"] == release.id


def _value(text: str, name: str) -> float:
    line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])
