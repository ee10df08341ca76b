"""A model that raises, gives NaN, is negative, falls, or takes ten seconds harms no answer."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from api.app import create_app
from api.settings import Settings
from tests.api.building import UNTIL, count_path, log_linear
from tests.api.conftest import Client
from tests.fixtures import moody_domain
from worlds.publish import Release, Snapshot, SnapshotStore

LIKES = "likes_per_pupdate"


def publish_moody(var: Path, weight: float = 0.5, level: float = 3.0) -> Release:
    """Publish the moody model beside a steady one."""
    domain = moody_domain.DOMAIN
    store = SnapshotStore(var / domain.name / "snapshots")
    origin = {"extractor": domain.spec.version, "domain": domain.name, "simulated": True}
    forms: dict[str, dict[str, Any]] = {
        "pupdates": {"historical": count_path(10.0)},
        LIKES: {"steady": log_linear(3.0), "moody": moody_domain.Moody(level)},
    }
    if weight == 1:
        del forms[LIKES]["steady"]
    models = {
        quantity: {m: store.put(Snapshot(quantity, m, f, origin)) for m, f in named.items()}
        for quantity, named in forms.items()
    }
    shares = {"steady": 1 - weight, "moody": weight}
    weights = {"pupdates": {"historical": 1.0}, LIKES: {m: shares[m] for m in models[LIKES]}}
    release = Release(domain.name, UNTIL, UNTIL, models, weights, simulated=True)
    store.release(release)
    return release


@pytest.fixture
def feel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    path = tmp_path / "mood"
    path.write_text("well")
    monkeypatch.setenv("MOODY_FILE", str(path))
    return lambda mood: (path.write_text(mood), None)[1]


@pytest.fixture
def client(tmp_path: Path, feel: Callable[[str], None]) -> Iterator[Client]:
    publish_moody(tmp_path / "var")
    settings = Settings(var=str(tmp_path / "var"), poll_seconds=0.05)
    app = create_app(settings, moody_domain.DOMAIN, now=lambda: datetime.now(UTC))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def predict(client: Client, **more: Any) -> dict[str, Any]:
    reply = client.post("/v1/predictions/likes", json={"draft": {"breed": "pug"}, **more})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    assert all(0 <= one["low"] <= found["median"] <= one["high"] for one in found["intervals"])
    assert found["mean"] > 0
    return found


def models(found: dict[str, Any]) -> dict[str, float]:
    return {use["model"]: use["weight"] for use in found["models"]}


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        ("raises", "raised: RuntimeError: not today"),
        ("nan", "invalid: cumulative probabilities are not finite"),
        ("negative", "invalid:"),
        ("falling", "invalid:"),
        ("hangs", "slow: no answer within 0.1 s"),
    ],
)
def test_the_others_answer_and_say_so(
    client: Client, feel: Callable[[str], None], mood: str, said: str
) -> None:
    good = predict(client)
    assert models(good) == {"steady": 0.5, "moody": 0.5}
    assert (good["path"], good["degraded"]) == ("models", None)
    feel(mood)
    begin = time.monotonic()
    found = predict(client)
    assert time.monotonic() - begin < 1
    assert models(found) == {"steady": 1.0}
    assert found["path"] == "some models"
    assert f"{LIKES}/moody is left out: {said}" in found["degraded"]
    begin = time.monotonic()
    for _ in range(20):
        predict(client)
    assert time.monotonic() - begin < 1  # it is not called again and again


def test_clients_of_the_inference_protocol_get_the_others_too(
    client: Client, feel: Callable[[str], None]
) -> None:
    feel("raises")
    pug = {"name": "breed", "shape": [1], "datatype": "BYTES", "data": ["pug"]}
    reply = client.post("/v2/models/likes/infer", json={"inputs": [pug]})
    assert reply.status_code == 200, reply.text
    assert "moody is left out" in reply.json()["parameters"]["degraded"]
    assert models(predict(client)) == {"steady": 1.0}


def test_it_ends_in_quarantine_and_its_history_says_why(
    client: Client, feel: Callable[[str], None]
) -> None:
    feel("raises")
    deadline = time.monotonic() + 30
    told: dict[str, Any] = {}
    while time.monotonic() < deadline and told.get("state") != "quarantined":
        predict(client)
        time.sleep(0.1)
        told = client.get("/v1/models/moody/history").json()
    assert told["state"] == "quarantined"
    assert told["weight"] == 0
    assert "faults while serving" in told["reason"]
    moves = [line["value"] for line in told["history"] if line["what"] == "standing"]
    assert moves == ["quarantined", "probation"]
    assert any(line["what"] == "faults" for line in told["history"])
    assert any(line["what"] == "relearn" for line in told["history"])
    feel("well")
    deadline = time.monotonic() + 2  # the file is read twenty times a second here
    while time.monotonic() < deadline and "quarantined" not in predict(client)["degraded"]:
        time.sleep(0.02)
    found = predict(client)
    assert models(found) == {"steady": 1.0}
    assert "moody is quarantined" in found["degraded"]


def test_it_comes_back_when_it_feels_better(client: Client, feel: Callable[[str], None]) -> None:
    feel("raises")
    predict(client)
    feel("well")
    wanted = pytest.approx({"steady": 0.8, "moody": 0.2})  # on probation
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and models(predict(client)) != wanted:
        time.sleep(0.1)
    assert models(predict(client)) == wanted


def test_batches_and_questions_are_answered_too(
    client: Client, feel: Callable[[str], None]
) -> None:
    feel("raises")
    drafts = [{"breed": "pug"}] * 20
    reply = client.post("/v1/predictions/likes", json={"drafts": drafts})
    assert reply.status_code == 200
    assert len(reply.json()["predictions"]) == 20
    assert models(reply.json()) == {"steady": 1.0}


def test_a_question_leaves_it_out_too(client: Client, feel: Callable[[str], None]) -> None:
    feel("raises")
    answer = client.get("/v1/questions/likes_next_hour")
    assert answer.status_code == 200
    assert "moody is left out: raised" in answer.json()["degraded"]
    assert {use["model"] for use in answer.json()["models"]} == {"historical", "steady"}


def test_a_model_that_is_alone_leaves_the_answer_to_the_default(
    client: Client, feel: Callable[[str], None], tmp_path: Path
) -> None:
    alone = publish_moody(tmp_path / "var", weight=1.0)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and predict(client)["release"] != alone.id:
        time.sleep(0.05)
    feel("raises")
    found = predict(client)
    assert models(found) == {"default": 1.0}
    assert found["path"] == "some models"
    assert "the default belief answers" in found["degraded"]


def test_one_that_fails_before_it_serves_is_found_when_it_is_loaded(
    tmp_path: Path, feel: Callable[[str], None]
) -> None:
    feel("hangs")
    publish_moody(tmp_path / "var")
    settings = Settings(var=str(tmp_path / "var"), poll_seconds=0.05)
    begin = time.monotonic()
    app = create_app(settings, moody_domain.DOMAIN)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert time.monotonic() - begin < 8
        begin = time.monotonic()
        assert models(predict(client)) == {"steady": 1.0}
        assert time.monotonic() - begin < 1
