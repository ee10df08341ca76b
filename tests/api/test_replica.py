"""A server keeps a replica; when it is killed, another machine takes over from the replica."""

import http.client
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facts import Store
from facts.archive import restore, verify
from tests.api.building import event
from tests.api.conftest import client_of
from tests.api.test_main_job import ENV, request, served, wait_for, worlds

SECONDS = 2.0


def send(port: int, number: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        kind = {"content-type": "application/cloudevents+json"}
        connection.request("POST", "/v1/facts", json.dumps(event(str(number))), kind)
        reply = connection.getresponse()
        found: dict[str, Any] = json.loads(reply.read())
    finally:
        connection.close()
    assert reply.status == 200, found
    return found


@pytest.mark.slowish
def test_nothing_acknowledged_longer_ago_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = tmp_path / "replica"
    monkeypatch.setitem(ENV, "WORLDS_REPLICATE_TO", str(replica))
    monkeypatch.setitem(ENV, "WORLDS_REPLICATE_EVERY", str(SECONDS))
    acknowledged: dict[int, float] = {}
    with served(tmp_path) as (process, port):
        wait_for(port)
        end = time.monotonic() + 3 * SECONDS
        while time.monotonic() < end:
            number = len(acknowledged)
            assert send(port, number)["accepted"] == 1
            acknowledged[number] = time.monotonic()
            time.sleep(0.01)
        state = request(port, "GET", "/health/ready")[1]["replica"]
        assert (state["folder"], state["error"]) == (str(replica), None)
        assert state["seconds_allowed"] == SECONDS
        busy = worlds(tmp_path, "facts", "replicate", str(replica))
        assert busy.returncode == 1
        assert "Traceback" not in busy.stderr
        process.kill()
        killed = time.monotonic()
        process.wait()
    made = worlds(tmp_path, "facts", "restore", str(replica), "--into", "second", "--json")
    assert made.returncode == 0, made.stderr
    with Store.open(tmp_path / "second" / "sniffable" / "facts.duckdb") as store:
        assert verify(store, replica).problems == []
        held = {int(x) for x in store.reader().facts().column("id").to_pylist()}
    old = {n for n, when in acknowledged.items() if when < killed - SECONDS}
    assert len(old) > 50
    assert old <= held
    with served(tmp_path, "--var", "second") as (_, port):
        wait_for(port)
        assert send(port, 1_000_000)["accepted"] == 1
        assert send(port, 0)["duplicate"] == 1
        assert request(port, "GET", "/health/ready")[1]["replica"]["error"] is None


def test_a_replica_in_trouble_is_said(var: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with client_of(var, replicate_to=str(tmp_path / "file"), replicate_every=0.05) as client:
        deadline = time.monotonic() + 20
        while "replica" not in (said := json.dumps(client.get("/health/ready").json()["reasons"])):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "at most 0.05 are allowed" in said
        assert client.post("/v1/facts", json=event("1"), headers={
            "content-type": "application/cloudevents+json"}).status_code == 200  # fmt: skip


def test_a_clean_end_leaves_a_complete_replica(var: Path, tmp_path: Path) -> None:
    folder = tmp_path / "replica"
    kind = {"content-type": "application/cloudevents+json"}
    with client_of(var, replicate_to=str(folder), replicate_every=600.0) as client:
        ready = client.get("/health/ready").json()
        assert ready["replica"]["seconds_allowed"] == 600
        for i in range(5):
            client.post("/v1/facts", json=event(str(i)), headers=kind)
    restore(folder, tmp_path / "again.duckdb")
    with Store.open(tmp_path / "again.duckdb") as store:
        assert store.reader().facts().num_rows == 5
        assert store.reader().last_recorded() < datetime.now(UTC) + timedelta(seconds=1)


def test_without_a_folder_there_is_no_replica(var: Path) -> None:
    with client_of(var) as client:
        assert client.get("/health/ready").json()["replica"] is None
