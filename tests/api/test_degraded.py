"""The service starts on whatever it finds, answers predictions, and says what is wrong."""

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from facts import Store, StoreBusy
from tests.api.building import UNTIL, damage, event, publish
from tests.api.conftest import Client, client_of

HOLD = """
import sys, time
from facts import Store, StoreBusy
with Store.open(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def predicts(client: Client) -> None:
    reply = client.post("/v1/predictions/likes", json={"draft": {"breed": "pug"}})
    assert reply.status_code == 200
    assert reply.json()["intervals"]


def no_facts(client: Client, reason: str) -> None:
    ready = client.get("/health/ready").json()
    assert ready["status"] == "degraded"
    assert ready["facts"]["available"] is False
    assert reason in ready["facts"]["reason"]
    for reply in (
        client.get("/v1/facts"),
        client.get("/v1/quarantine"),
        client.post("/v1/learn"),
        client.post(
            "/v1/facts",
            content=json.dumps(event()),
            headers={"content-type": "application/cloudevents+json"},
        ),
    ):
        assert reply.status_code == 503
        assert reason in reply.json()["detail"]
        assert reply.json()["type"] == "/problems#facts-unavailable"


def test_nothing_at_all(var: Path) -> None:
    with client_of(var) as client:
        predicts(client)
        ready = client.get("/health/ready").json()
        assert client.get("/health/live").json() == {"status": "live"}
        answer = client.get("/v1/questions/pupdates_next_hour").json()
    assert ready["predictions"]["path"] == "default"
    assert ready["facts"]["available"] is True
    assert "no release has been published yet" in ready["reasons"][0]
    assert answer["degraded"] == "no release has been published yet"


def test_everything_is_there(client: Client) -> None:
    ready = client.get("/health/ready").json()
    assert (ready["status"], ready["reasons"]) == ("ready", [])


def test_a_locked_fact_file(var: Path) -> None:
    publish(var)
    path = var / "sniffable" / "facts.duckdb"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with client_of(var) as client:
            no_facts(client, f"process {holder.pid}")
            predicts(client)
    finally:
        holder.kill()
        holder.communicate()


def test_a_corrupt_fact_file(var: Path) -> None:
    publish(var)
    (var / "sniffable" / "facts.duckdb").write_bytes(b"not a database" * 1000)
    with client_of(var) as client:
        no_facts(client, "facts.duckdb")
        predicts(client)


def test_a_directory_where_the_fact_file_should_be(var: Path) -> None:
    publish(var)
    (var / "sniffable" / "facts.duckdb").mkdir()
    with client_of(var) as client:
        no_facts(client, "facts.duckdb")
        predicts(client)


def test_a_var_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    with client_of(tmp_path / "var") as client:
        predicts(client)
        assert client.get("/health/ready").json()["facts"]["available"] is False


def test_the_fact_file_is_released_at_the_end(var: Path) -> None:
    path = var / "sniffable" / "facts.duckdb"
    with client_of(var) as client:
        assert client.get("/health/ready").json()["facts"]["available"] is True
        with pytest.raises(StoreBusy):
            Store.open(path)
    assert not Path(f"{path}.wal").exists()
    with Store.open(path, create=False) as store:
        assert store.reader().sql("SELECT 1 AS one").column("one").to_pylist() == [1]


def wait_for(client: Client, release: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        predicts(client)
        if client.get("/health/ready").json()["predictions"]["release"] == release:
            return
    pytest.fail(f"release {release} was not taken")


def test_a_release_is_swapped_in_under_requests(var: Path) -> None:
    publish(var)
    with client_of(var) as client:
        before = client.get("/v1/questions/likes_next_hour").json()
        later = publish(var, level=5.0, as_of=UNTIL + timedelta(hours=1))
        wait_for(client, later.id)
        after = client.get("/v1/questions/likes_next_hour").json()
        assert after["release"] == later.id
        assert after["mean"] > 5 * before["mean"]


def test_a_damaged_release_is_refused_under_requests(var: Path) -> None:
    good = publish(var)
    with client_of(var, poll_seconds=0.5) as client:
        bad = publish(var, level=5.0, as_of=UNTIL + timedelta(hours=1))
        snapshot = bad.models["likes_per_pupdate"]["learned"]
        damage(var, snapshot)
        deadline = time.monotonic() + 10
        ready = client.get("/health/ready").json()
        while not ready["predictions"]["refused"] and time.monotonic() < deadline:
            time.sleep(0.02)
            ready = client.get("/health/ready").json()
        found = client.post("/v1/predictions/likes", json={"draft": {}}).json()
    assert snapshot in ready["predictions"]["refused"]
    assert ready["status"] == "degraded"
    assert (found["release"], found["path"]) == (good.id, "last good models")
    assert snapshot in found["degraded"]


def test_a_fact_file_deleted_in_use_takes_no_more_facts(var: Path) -> None:
    publish(var)
    with client_of(var) as client:
        headers = {"content-type": "application/cloudevents+json"}
        first = client.post("/v1/facts", content=json.dumps(event("1")), headers=headers)
        assert first.json()["accepted"] == 1
        (var / "sniffable" / "facts.duckdb").unlink()
        lost = client.post("/v1/facts", content=json.dumps(event("2")), headers=headers)
        assert lost.status_code == 503
        assert "deleted or replaced" in lost.json()["detail"]
        predicts(client)
