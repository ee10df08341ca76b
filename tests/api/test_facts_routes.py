import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from api.cloudevents import BATCH, STRUCTURED
from facts import Store
from tests.api.building import event
from tests.api.conftest import Client, client_of


@pytest.fixture
def fresh(var: Path) -> Iterator[Client]:
    with client_of(var) as client:
        yield client


def send(client: Client, content: Any, kind: str = STRUCTURED) -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return client.post("/v1/facts", content=body, headers={"content-type": kind})


def test_recording_twice_is_harmless(fresh: Client) -> None:
    first, second = send(fresh, event("1")), send(fresh, event("1"))
    assert (first.status_code, second.status_code) == (200, 200)
    (receipt,) = first.json()["receipts"]
    assert (receipt["status"], receipt["source"], receipt["id"]) == ("accepted", "app", "1")
    assert second.json()["receipts"][0]["status"] == "duplicate"
    assert len(fresh.get("/v1/facts").json()["facts"]) == 1


def test_every_event_of_a_batch_has_its_receipt(fresh: Client) -> None:
    wrong = event("2", attributes={"b": {"kind": "categorical", "alternatives": {"pug": 0.6}}})
    reply = send(fresh, [event("1"), wrong, "nonsense", event("1"), event("3")], BATCH).json()
    statuses = [receipt["status"] for receipt in reply["receipts"]]
    assert statuses == ["accepted", "quarantined", "quarantined", "duplicate", "accepted"]
    assert (reply["accepted"], reply["duplicate"], reply["quarantined"]) == (2, 1, 2)
    assert "sum to 1" in reply["receipts"][1]["reason"]
    kept = fresh.get("/v1/quarantine").json()["quarantined"]
    assert [json.loads(row["raw"]) for row in kept] == [wrong, "nonsense"]


def test_a_body_that_is_no_json_is_kept_and_answered_with_400(fresh: Client) -> None:
    for body in (b"{", b"\xff\xfe", b"[" * 50_000):
        reply = send(fresh, body)
        assert reply.status_code == 400
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["receipts"][0]["status"] == "quarantined"
    rows = fresh.get("/v1/quarantine").json()["quarantined"]
    assert rows[0]["raw"] == "{"
    assert rows[1]["raw_base64"] == "//4="


def test_facts_are_read_a_page_at_a_time(fresh: Client) -> None:
    send(fresh, [event(str(i), entity=f"post:{i}") for i in range(5)], BATCH)
    seen: list[str] = []
    cursor: int | None = 0
    while cursor is not None:
        page = fresh.get("/v1/facts", params={"limit": 2, "cursor": cursor}).json()
        assert len(page["facts"]) <= 2
        seen += [row["entity"] for row in page["facts"]]
        cursor = page["next_cursor"]
    assert seen == [f"post:{i}" for i in range(5)]


def test_facts_are_found_by_entity_and_attribute(fresh: Client) -> None:
    both = {"likes": 3, "breed": {"kind": "categorical", "alternatives": {"pug": 0.7, "x": 0.3}}}
    send(fresh, [event("1", entity="post:1", attributes=both), event("2", entity="post:2")], BATCH)
    rows = fresh.get("/v1/facts?entity=post:1&attribute=breed").json()["facts"]
    assert len(rows) == 1
    assert rows[0]["value"]["alternatives"] == {"pug": 0.7, "x": 0.3}
    assert fresh.get("/v1/facts?entity=post:1' OR 1=1 --").json()["facts"] == []


def test_corrections_and_retractions_show(fresh: Client) -> None:
    send(fresh, event("1", attributes={"likes": 3}))
    send(fresh, event("2", attributes={"likes": 4}, corrects="1"))
    assert [r["value"]["value"] for r in fresh.get("/v1/facts").json()["facts"]] == [4]
    retract = event("3", retracts="2")
    del retract["data"]["attributes"]
    assert send(fresh, retract).json()["accepted"] == 1
    assert 4 not in [r["value"]["value"] for r in fresh.get("/v1/facts").json()["facts"]]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("as_of=2030-01-01T00:00:00Z", 422),
        ("as_of=1990-01-01T00:00:00Z", 422),
        ("as_of=now", 400),
        ("limit=0", 400),
        ("limit=1001", 400),
        ("limit=-1", 400),
        ("limit=99999999999999999999999", 400),
        ("cursor=x", 400),
        ("entty=x", 400),
    ],
)
def test_queries_without_meaning_are_problems(client: Client, query: str, status: int) -> None:
    reply = client.get(f"/v1/facts?{query}")
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/xml", ""])
def test_other_bodies_are_not_taken(client: Client, kind: str) -> None:
    reply = send(client, event("x"), kind)
    assert reply.status_code == 415
    assert STRUCTURED in reply.json()["detail"]


def test_binary_events_are_taken(fresh: Client) -> None:
    headers = {
        "Content-Type": "Application/JSON",
        "CE-SpecVersion": "1.0",
        "CE-Id": "1",
        "ce-source": "app",
        "ce-type": "facts",
        "ce-time": "2026-10-31T12:00:00Z",
    }
    reply = fresh.post("/v1/facts", content=json.dumps(event()["data"]), headers=headers)
    assert reply.json()["accepted"] == 1


def test_a_full_queue_says_when_to_come_back(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    with client_of(var, queue=2) as client:
        store: Store = client.app.state.service.facts.store
        blocked: Future[Any] = store._intake.run(lambda: gate.wait(20))
        store.submit([])
        futures = [store._intake.submit([item]) for item in _items(2)]
        reply = send(client, event("9"))
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.json()["type"] == "/problems#busy"
        assert client.post("/v1/predictions/likes", json={"draft": {}}).status_code == 200
        gate.set()
        blocked.result(10)
        for future in futures:
            future.result(10)
        assert send(client, event("9")).json()["accepted"] == 1
        assert send(client, [event(str(i)) for i in range(3)], BATCH).status_code == 400


def _items(count: int) -> list[Any]:
    from facts import parse_event

    return [parse_event(event(f"waiting {i}")) for i in range(count)]
