"""Served predictions become facts, meet their outcomes, and move models; people decide too."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litestar.testing import TestClient

from api.app import create_app
from api.serving import Serving
from api.settings import Settings
from facts import Event, Exact
from tests.api.building import damage, publish
from tests.api.conftest import HERE, Client
from worlds.domain import load_domain
from worlds.publish import SnapshotStore
from worlds.watch.rules import Standing
from worlds.watch.standing import FILE, Board, load, write

LIKES = "likes_per_pupdate"
FUTURE = "2036-01-01T00:00:00Z"
DAY = timedelta(hours=24)


class Clock:
    """The time of day, ahead by what a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def start(var: Path, clock: Callable[[], datetime] | None = None, **settings: Any) -> Client:
    chosen = Settings(**{"var": str(var), "poll_seconds": 0.05, "prediction_log": 1e4, **settings})
    return TestClient(create_app(chosen, now=clock or Clock()), base_url=HERE)


@pytest.fixture
def client(var: Path) -> Iterator[Client]:
    publish(var)
    with start(var) as client:
        yield client


def predict(client: Client, entity: str | None = None, **more: Any) -> dict[str, Any]:
    draft = {"breed": "pug"} | ({"entity": entity} if entity else {})
    reply = client.post("/v1/predictions/likes", json={"draft": draft, **more})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def weights(client: Client) -> dict[str, float]:
    return {use["model"]: use["weight"] for use in predict(client)["models"]}


def wait[T](look: Callable[[], T], until: Callable[[T], bool], seconds: float = 60.0) -> T:
    """Look until it is so. A test that went on too early would fail elsewhere, or nowhere."""
    deadline = time.monotonic() + seconds
    while not until(found := look()):
        assert time.monotonic() < deadline, f"it did not become so: {found!r:.1000}"
        time.sleep(0.05)
    return found


def logged(client: Client, count: int) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]]:
        found = client.get("/v1/facts", params={"attribute": "watch.forecast", "limit": "1000"})
        rows: list[dict[str, Any]] = found.json()["facts"]
        return rows

    return wait(look, lambda rows: len(rows) >= count)


def override(client: Client, model: str = "historical", **more: Any) -> Any:
    said = {"action": "ban", "by": "mae", "reason": "wrong", "until": FUTURE, **more}
    return client.post(f"/v1/models/{LIKES}.{model}/override", json=said)


def test_a_prediction_becomes_a_fact_with_all_it_takes_to_judge_it(client: Client) -> None:
    named = predict(client, "17")
    assert named["ignored"] == []
    predict(client)
    rows = logged(client, 2)
    assert len(rows) == 2
    (row,) = [one for one in rows if one["entity"] == f"prediction:{named['id']}"]
    said = row["extra"] if isinstance(row["extra"], dict) else json.loads(row["extra"])
    assert said["of"] == "post:17"
    assert set(said["models"]) == {"historical", "learned"}
    assert said["models"]["learned"]["snapshot"]
    assert said["path"] == "models"
    assert 0 < said["ms"] < 1000
    assert said["share"] == 1


@pytest.mark.parametrize("entity", [17, "", "x" * 300, "a\nb", ["post:1"]])
def test_an_entity_that_is_no_name_is_refused(client: Client, entity: object) -> None:
    reply = client.post("/v1/predictions/likes", json={"draft": {"entity": entity}})
    assert reply.status_code == 400
    assert reply.json()["errors"][0]["field"] == "draft.entity"


def test_a_burst_is_sampled_and_says_its_share(var: Path) -> None:
    publish(var)
    with start(var, prediction_log=1.0) as client:
        drafts = [{"entity": f"{k}"} for k in range(200)]
        assert client.post("/v1/predictions/likes", json={"drafts": drafts}).status_code == 200
        rows = logged(client, 20)
    assert len(rows) == 20
    extra = rows[0]["extra"]
    said = extra if isinstance(extra, dict) else json.loads(extra)
    assert said["share"] == 0.1


def test_nothing_is_logged_where_nobody_wants_it(var: Path) -> None:
    publish(var)
    with start(var, prediction_log=0.0) as client:
        predict(client, "1")
        time.sleep(0.8)
        assert logged(client, 0) == []


@pytest.mark.slowish
def test_outcomes_move_a_wrong_model_and_its_weight_is_gone(var: Path) -> None:
    """Models expect about 20 likes; the posts bring 400: both end in quarantine."""
    clock = Clock()
    publish(var)
    rng = np.random.default_rng(1)
    with start(var, clock) as client:
        drafts = [{"breed": "pug", "entity": f"{k}"} for k in range(150)]
        assert client.post("/v1/predictions/likes", json={"drafts": drafts}).status_code == 200
        logged(client, 150)
        clock.ahead = 2 * DAY
        store = client.app.state.service.facts.store
        at = clock() - DAY / 2
        store.record(
            [
                Event("app", f"l{k}", f"post:{k}", {"likes": Exact(int(rng.poisson(400)))}, at)
                for k in range(150)
            ]
        )
        begin = time.monotonic()
        found = wait(lambda: weights(client), lambda w: set(w) == {"default"})
        assert time.monotonic() - begin < 5
        assert found == {"default": 1.0}
        told = client.get(f"/v1/models/{LIKES}.learned/history").json()
        assert told["state"] == "quarantined"
        answer = predict(client)
        assert "learned is quarantined: " in answer["degraded"]
        assert "the default belief answers" in answer["degraded"]
        assert client.get("/health/ready").json()["status"] == "degraded"
    with start(var, clock) as client:  # killed and started again: it stands where it stood
        assert weights(client) == {"default": 1.0}
        assert client.get(f"/v1/models/{LIKES}.learned/history").json()["state"] == "quarantined"
        (var / "sniffable" / "snapshots" / FILE).unlink()
    with start(var, clock) as client:  # even if the file is lost: the facts tell
        assert wait(lambda: weights(client), lambda w: set(w) == {"default"}) == {"default": 1.0}


def test_people_decide_within_a_second_and_it_ends_by_itself(var: Path) -> None:
    clock = Clock()
    publish(var)
    with start(var, clock) as client, start(var, clock, prediction_log=0.0) as other:
        until = (clock() + timedelta(minutes=5)).isoformat()
        made = override(client, until=until)
        assert made.status_code == 200
        begin = time.monotonic()
        for one in (client, other):  # the second one only shares the files
            assert wait(lambda one=one: weights(one), lambda w: set(w) == {"learned"}) == {
                "learned": 1.0
            }
        assert time.monotonic() - begin < 1
        assert predict(client)["degraded"] is None
        listed = client.get("/v1/overrides").json()["overrides"]
        assert [one["id"] for one in listed] == [made.json()["id"]]
        clock.ahead = timedelta(minutes=6)
        assert len(wait(lambda: weights(client), lambda w: len(w) == 2)) == 2
        assert client.get("/v1/overrides").json()["overrides"] == []
        lines = wait(
            lambda: client.get(f"/v1/models/{LIKES}.historical/history").json()["history"],
            lambda found: len(found) == 2,
        )
    assert [line["what"] for line in lines] == ["override_ended", "override"]
    assert lines[1]["by"] == "mae"
    assert lines[0]["reason"] == "it ended by itself"


def test_a_range_and_taking_it_back(client: Client) -> None:
    made = override(client, action="weight", low=0.8, high=0.9).json()
    assert weights(client) == pytest.approx({"historical": 0.8, "learned": 0.2})
    gone = client.delete(f"/v1/overrides/{made['id']}", params={"by": "jo", "reason": "enough"})
    assert gone.status_code == 200
    assert weights(client) == {"historical": 0.5, "learned": 0.5}
    assert client.delete(f"/v1/overrides/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    ("model", "change", "status"),
    [
        ("nobody", {}, 404),
        ("historical", {"until": "2020-01-01T00:00:00Z"}, 422),
        ("historical", {"until": "soon"}, 400),
        ("historical", {"until": "9999-12-31T23:59:59-14:00"}, 400),
        ("historical", {"action": "kill"}, 400),
        ("historical", {"by": ""}, 400),
        ("historical", {"action": "weight", "low": 0.9, "high": 0.1}, 422),
        ("historical", {"action": "reinstate"}, 400),
        ("historical", {"more": 1}, 400),
    ],
)
def test_a_decision_without_meaning_is_refused(
    client: Client, model: str, change: dict[str, Any], status: int
) -> None:
    assert override(client, model, **change).status_code == status
    assert client.get("/v1/overrides").json()["overrides"] == []


def test_a_name_of_several_models_is_asked_back(client: Client) -> None:
    reply = client.get("/v1/models/historical/history")
    assert reply.status_code == 422
    assert "pupdates.historical" in reply.json()["detail"]


def test_a_retired_model_is_reinstated_on_probation(var: Path) -> None:
    publish(var)
    with start(var) as client:
        desk = client.app.state.service.watch
        service = client.app.state.service
        name = (LIKES, "learned")
        moved = desk.watch.move(name, Standing("retired", "hopeless", "x", 3), service.now())
        service.facts.store.record([moved])
        assert wait(lambda: weights(client), lambda w: "learned" not in w) == {"historical": 1.0}
        assert override(client, "learned", action="reinstate").status_code == 200
        assert weights(client) == pytest.approx({"historical": 0.8, "learned": 0.2})


def test_a_damaged_standing_file_changes_nothing_and_is_written_anew(
    client: Client, var: Path
) -> None:
    override(client)
    assert weights(client) == {"learned": 1.0}
    path = var / "sniffable" / "snapshots" / FILE
    good = path.read_text()
    for content in ("{ not json", "[]", '{"format": 99}'):
        path.write_text(content)
        assert wait(path.read_text, lambda text: text == good) == good
        assert weights(client) == {"learned": 1.0}


def test_decisions_that_cannot_be_read_are_said_and_those_before_hold(var: Path) -> None:
    release = publish(var)
    folder = var / "sniffable" / "snapshots"
    serving = Serving(load_domain("sniffable"), SnapshotStore(folder))
    stands = Standing("quarantined", "it was wrong", release.models[LIKES]["learned"], 1)
    write(folder, Board({(LIKES, "learned"): stands}))
    assert serving.refresh()
    (folder / FILE).write_text("{ not json")
    assert not serving.refresh()
    assert serving.unread is not None
    assert FILE in serving.unread
    assert list(serving.current.answerer.models[LIKES]) == ["historical"]
    (folder / FILE).unlink()
    assert not serving.refresh()
    assert serving.unread == f"{FILE} is gone"
    write(folder, Board())
    assert serving.refresh()
    assert serving.unread is None
    assert len(serving.current.answerer.models[LIKES]) == 2


def test_without_the_fact_file_what_was_decided_holds(var: Path) -> None:
    release = publish(var)
    folder = var / "sniffable" / "snapshots"
    stands = Standing("quarantined", "it was wrong", release.models[LIKES]["learned"], 1)
    write(folder, Board({(LIKES, "learned"): stands}))
    (var / "sniffable" / "facts.duckdb").write_bytes(b"not a database" * 1000)
    with start(var) as client:
        time.sleep(0.7)
        assert weights(client) == {"historical": 1.0}
        assert override(client).status_code == 503
        assert load(folder).state(LIKES, "learned") == "quarantined"


def test_a_damaged_release_and_a_decision_together(var: Path) -> None:
    publish(var)
    with start(var) as client:
        override(client)
        later = publish(var, level=5.0, as_of=datetime(2026, 11, 1, 1, tzinfo=UTC))
        damage(var, later.models[LIKES]["learned"])
        time.sleep(0.5)
        assert set(weights(client)) == {"learned"}
