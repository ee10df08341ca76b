"""Erasing through the process that has the facts: over HTTP, and by the command while it serves."""

import http.client
import json
import threading
import time
from pathlib import Path

import pytest

from api import erasing
from facts import Store
from facts.archive import seal, verify
from tests.api.conftest import client_of
from tests.api.test_main_job import ENV, served, wait_for, worlds

EVENTS = "application/cloudevents-batch+json"


def entity_of(number: int) -> str:
    return f"post:somebody-{number:04d}"


def event(number: int) -> dict[str, object]:
    data = {"entity": entity_of(number), "attributes": {"text_length": 80 + number}}
    valid = {"valid_from": "2026-11-20T19:30:00Z"}
    head = {"specversion": "1.0", "id": str(number), "source": "app", "type": "fact"}
    return {**head, "data": {**data, **valid}}


def send(client, first: int, count: int) -> dict[str, int]:  # noqa: ANN001 the test client
    body = json.dumps([event(i) for i in range(first, first + count)])
    reply = client.post("/v1/facts", content=body, headers={"content-type": EVENTS})
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_an_entity_is_erased_while_serving(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        assert send(client, 0, 20)["accepted"] == 20
        wanted = {"entity": entity_of(3), "reason": "asked to"}
        reply = client.post("/v1/erasures", json=wanted)
        assert reply.status_code == 200, reply.text
        done = reply.json()
        assert (done["state"], done["missed"]) == ("done", {})
        assert done["rows"] >= 1
        assert client.get("/v1/facts", params={"entity": entity_of(3)}).json()["facts"] == []
        # the file was replaced: recording goes on, and a late duplicate does not bring it back
        assert send(client, 0, 25)["accepted"] == 5
        assert client.get("/health/ready").json()["facts"]["available"] is True
        told = client.get("/v1/facts", params={"entity": "audit:erase"}).json()["facts"]
        assert entity_of(3) not in json.dumps(told)
        assert done["token"] in json.dumps(told)
    path = tmp_path / "sniffable" / "facts.duckdb"
    assert entity_of(3).encode() not in path.read_bytes()
    with Store.open(path, create=False) as store:
        assert verify(store).problems == []


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"entity": "post:nobody", "reason": "asked to"}, 400),
        ({"entity": "post:1"}, 400),
        ({"entity": "", "reason": "x"}, 400),
        ({"entity": "post:1", "reason": "post:1 asked"}, 400),
        ({"entity": "post:1", "reason": "x", "as_of": "now"}, 400),
        (["post:1"], 400),
    ],
)
def test_what_cannot_be_erased_is_refused(tmp_path: Path, wanted: object, status: int) -> None:
    with client_of(tmp_path) as client:
        send(client, 0, 3)
        assert client.post("/v1/erasures", json=wanted).status_code == status
        assert send(client, 3, 1)["accepted"] == 1


def test_a_long_erasure_says_that_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "WAIT", 0.05)
    with client_of(tmp_path) as client:
        send(client, 0, 5)
        store = client.app.state["service"].facts.store
        gate = threading.Event()
        writer = threading.Thread(target=lambda: store._intake.run(gate.wait).result())
        writer.start()
        wanted = {"entity": entity_of(1), "reason": "asked to"}
        reply = client.post("/v1/erasures", json=wanted)
        assert (reply.status_code, reply.json()) == (202, {"state": "running"})
        other = client.post("/v1/erasures", json={"entity": entity_of(2), "reason": "asked to"})
        assert other.status_code == 503
        assert "retry-after" in other.headers
        gate.set()
        writer.join()
        deadline = time.monotonic() + 20
        while (reply := client.post("/v1/erasures", json=wanted)).status_code == 202:
            assert time.monotonic() < deadline
        assert reply.json()["state"] == "done"
        assert client.post("/v1/erasures", json=wanted).status_code == 400


def post(port: int, content: object) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        kind = {"content-type": "application/cloudevents+json"}
        connection.request("POST", "/v1/facts", json.dumps(content), kind)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.slowish
def test_the_command_asks_the_server_that_has_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "archive"
    (tmp_path / "var" / "sniffable").mkdir(parents=True)
    with Store.open(tmp_path / "var" / "sniffable" / "facts.duckdb") as store:
        seal(store, archive)
    monkeypatch.setitem(ENV, "WORLDS_REPLICATE_TO", str(tmp_path / "replica"))
    monkeypatch.setitem(ENV, "WORLDS_REPLICATE_EVERY", "0.2")
    with served(tmp_path) as (_, port):
        wait_for(port)
        where = ("--server", f"http://127.0.0.1:{port}")
        for number in (1, 2, 3):
            sent = post(port, event(number))
            assert sent == 200
        words = ("facts", "erase", "--entity", entity_of(1), "--reason", "asked to", "--yes")
        done = worlds(tmp_path, *words, *where, "--json")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["missed"] == {}
        assert len(said["archives"]) >= 1
        again = worlds(tmp_path, *words, *where)
        assert again.returncode == 1
        assert "holds nothing of" in again.stderr
        assert "Traceback" not in again.stderr
    found = worlds(tmp_path, "facts", "verify", "--archive", str(tmp_path / "replica"))
    assert found.returncode == 0, found.stdout
    held = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert entity_of(1).encode() not in held
