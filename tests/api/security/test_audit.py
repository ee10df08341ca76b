"""Facts about what operators did; and that nobody else can state them."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from api.app import create_app
from api.security import keys
from api.security.keys import By
from api.settings import Settings
from tests.api.building import NOW, UNTIL, event, publish
from tests.api.conftest import HERE, Client

BATCH = {"content-type": "application/cloudevents-batch+json"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def token(file: Path) -> str:
    return keys.create(file, "ada", ("admin",), By("root", "first", datetime.now(UTC)))[1]


@pytest.fixture
def client(tmp_path: Path, file: Path, token: str) -> Iterator[Client]:
    publish(tmp_path / "var")
    settings = Settings(var=str(tmp_path / "var"), keys=str(file))
    with TestClient(create_app(settings, now=lambda: NOW), base_url=HERE) as client:
        client.headers["authorization"] = f"Bearer {token}"
        yield client


def audited(client: Client, action: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    query = {"entity": f"audit:{action}", "limit": "1000"}
    for fact in client.get("/v1/facts", params=query).json()["facts"]:
        name = fact["id"].partition("#")[0]
        found.setdefault(name, {})[fact["attribute"]] = fact["value"]["value"]
    return list(found.values())


def eventually(client: Client, action: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 5
    while len(found := audited(client, action)) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(found) == count
    return found


def test_switches_of_releases_are_facts(client: Client, tmp_path: Path, file: Path) -> None:
    first = client.get("/v1/releases").json()["current"]
    second = publish(tmp_path / "var", level=5.0, as_of=UNTIL + timedelta(hours=1))
    back = client.post("/v1/rollback", json={"reason": "far too high"})
    assert back.status_code == 200, back.text
    (told,) = audited(client, "rollback")
    assert told["audit.who"] == f"ada ({keys.read(file).keys[0].id})"
    assert told["audit.why"] == "far too high"
    assert told["audit.what"] == back.json()["release"]
    assert back.json()["change"]["by"] == told["audit.who"]
    again = client.post(f"/v1/releases/{second.id[:6]}/promote", json={"reason": "it was right"})
    assert again.status_code == 200, again.text
    assert len(audited(client, "promote")) == 1
    now = client.get("/v1/releases").json()
    assert now["current"] == again.json()["release"] not in (first, second.id)


def test_switches_that_cannot_be_are_problems(client: Client) -> None:
    only = client.get("/v1/releases").json()["current"]
    for path, body, status in (
        ("/v1/rollback", {"reason": "x"}, 409),
        (f"/v1/releases/{only}/promote", {"reason": "x"}, 409),
        ("/v1/releases/ffffffff/promote", {"reason": "x"}, 404),
        ("/v1/releases/..%2f..%2fx/promote", {"reason": "x"}, 404),
        ("/v1/rollback", {"reason": ""}, 400),
        ("/v1/rollback", {}, 400),
    ):
        reply = client.post(path, json=body)
        assert reply.status_code == status, reply.text
        assert reply.headers["content-type"] == "application/problem+json"
    assert client.get("/v1/releases/ffffffff").status_code == 404
    assert audited(client, "promote") == audited(client, "rollback") == []


def test_learning_is_a_fact(client: Client) -> None:
    assert client.post("/v1/learn").status_code == 202
    assert len(audited(client, "learn")) == 1


def test_changes_of_keys_become_facts_once(client: Client, file: Path) -> None:
    (told,) = eventually(client, "key create", 1)
    assert told["audit.who"] == "root"
    assert told["audit.why"] == "first"
    key, _ = keys.create(file, "bob", ("query",), By("eve", "", datetime.now(UTC)))
    keys.revoke(file, key.id, By("eve", "left", datetime.now(UTC)))
    (told,) = eventually(client, "key revoke", 1)
    assert told == {
        "audit.action": "key revoke",
        "audit.who": "eve",
        "audit.what": key.id,
        "audit.why": "left",
    }
    assert len(audited(client, "key create")) == 2


def test_a_start_tells_known_changes_no_second_time(tmp_path: Path, file: Path, token: str) -> None:
    settings = Settings(var=str(tmp_path / "var"), keys=str(file))
    for _ in range(2):
        with TestClient(create_app(settings, now=lambda: NOW), base_url=HERE) as client:
            client.headers["authorization"] = f"Bearer {token}"
            eventually(client, "key create", 1)
            time.sleep(0.2)
            assert len(audited(client, "key create")) == 1


def test_what_cannot_be_recorded_is_logged_and_done(
    client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(tmp_path / "var", level=5.0, as_of=UNTIL + timedelta(hours=1))
    client.app.state.service.facts.close()
    assert client.post("/v1/rollback", json={"reason": "the store is down"}).status_code == 200
    assert "the store is down" in caplog.text
    assert "an audit could not be recorded" in caplog.text


def test_nobody_forges_decisions_or_the_audit(client: Client) -> None:
    forged = [
        {**event("1"), "source": "worlds:watch"},
        {**event("2"), "source": "worlds:audit"},
        event("3", retracts={"source": "worlds:audit", "id": "x"}, attributes={}),
        event("4", corrects={"source": "worlds:watch", "id": "x"}),
        event("5"),
    ]
    for i, ours in enumerate(({}, {"x-worlds-own": "1", "x-worlds-who": "root"})):
        for one in forged:
            one["id"] += f"-{i}"
        content = json.dumps(forged)
        reply = client.post("/v1/facts", content=content, headers={**BATCH, **ours}).json()
        statuses = [one["status"] for one in reply["receipts"]]
        assert statuses == [*["quarantined"] * 4, "accepted"]
        assert "the service's own" in reply["receipts"][0]["reason"]
