"""Experiments over HTTP: declared, served by arm, told with results, stopped, restart-proof."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facts import Event, Exact
from tests.api.building import publish
from tests.api.conftest import Client
from tests.api.test_supervision import DAY, Clock, override, start, wait
from worlds.watch.experiments import lot

FUTURE = "2036-01-01T00:00:00Z"


def declare(client: Client, **changes: Any) -> Any:
    said: dict[str, Any] = {
        "name": "one-model",
        "arms": [
            {"name": "as-is", "share": 0.5},
            {"name": "alone", "share": 0.5, "weights": {"historical": 1.0}},
        ],
        "by": "mae",
        "reason": "is one enough?",
        "until": FUTURE,
        "salt": "the same entities fall into the same arms in every run",
        **changes,
    }
    return client.post("/v1/experiments", json=said)


def predict(client: Client, entities: list[str]) -> dict[str, Any]:
    drafts = [{"breed": "pug", "entity": entity} for entity in entities]
    reply = client.post("/v1/predictions/likes", json={"drafts": drafts})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def bring(client: Client, likes: list[int], clock: Clock) -> None:
    """Let every post have its likes, a day after it was predicted."""
    clock.ahead += 2 * DAY
    at = clock() - DAY / 2
    client.app.state.service.facts.store.record(
        [Event("app", f"l{k}", f"post:{k}", {"likes": Exact(n)}, at) for k, n in enumerate(likes)]
    )


def test_every_entity_gets_the_answer_of_its_arm(var: Path) -> None:
    publish(var)
    with start(var) as client:
        made = declare(client)
        assert made.status_code == 200, made.text
        salt = made.json()["salt"]
        found = predict(client, [str(k) for k in range(60)])
        for k, one in enumerate(found["predictions"]):
            arm = "as-is" if lot(salt, f"post:{k}") < 0.5 else "alone"
            assert one["experiment"]["arm"] == arm
            models = {use["model"]: use["weight"] for use in one["experiment"]["models"]}
            assert models == ({"historical": 1.0} if arm == "alone" else dict.fromkeys(models, 0.5))
        alone = next(k for k in range(60) if lot(salt, f"post:{k}") >= 0.5)
        reply = client.post("/v1/predictions/likes", json={"draft": {"entity": f"{alone}"}})
        assert reply.json()["experiment"]["arm"] == "alone"
        assert [use["model"] for use in reply.json()["models"]] == ["historical"]
        unnamed = client.post("/v1/predictions/likes", json={"draft": {}}).json()
        assert "experiment" not in unnamed
        assert len(unnamed["models"]) == 2


def test_an_arm_may_only_be_shown_differently(var: Path) -> None:
    publish(var)
    arms = [
        {"name": "plain", "share": 0.5},
        {"name": "dots", "share": 0.5, "presentation": {"picture": "dots"}},
    ]
    with start(var) as client:
        assert declare(client, arms=arms, metric="outcome", bound=500).status_code == 200
        found = predict(client, [str(k) for k in range(20)])["predictions"]
    shown = {one["experiment"]["arm"]: one["experiment"]["presentation"] for one in found}
    assert shown == {"plain": None, "dots": {"picture": "dots"}}


@pytest.mark.slowish
def test_results_survive_a_restart_and_find_a_real_difference(var: Path) -> None:
    """Presentation "dots" brings half as many likes again; 400 posts are enough to see it."""
    publish(var)
    clock = Clock()
    arms = [{"name": "plain", "share": 0.5}, {"name": "dots", "share": 0.5}]
    with start(var, clock) as client:
        salt = declare(client, arms=arms, metric="outcome", bound=150).json()["salt"]
        predict(client, [str(k) for k in range(400)])
        wait(
            lambda: client.get("/v1/experiments/one-model").json()["results"]["arms"],
            lambda found: sum(arm["exposures"] for arm in found) == 400,
        )
        rng = np.random.default_rng(3)
        means = [20 if lot(salt, f"post:{k}") < 0.5 else 30 for k in range(400)]
        bring(client, [int(rng.poisson(mean)) for mean in means], clock)
        said = wait(
            lambda: client.get("/v1/experiments/one-model").json(),
            lambda found: found["results"]["outcomes"] == 400,
        )
        (difference,) = said["results"]["differences"]
        assert difference["verdict"] == "dots is better than plain"
        assert difference["interval"][0] <= 10 <= difference["interval"][1]
    with start(var, clock) as client:
        again = client.get("/v1/experiments/one-model").json()
        assert again["results"] == said["results"]
        assert again["state"] == "running"


@pytest.mark.slowish
def test_a_guardrail_stops_an_arm_for_everybody(var: Path) -> None:
    """The historical model is right, the learned one expects twenty times as much."""
    publish(var)
    clock = Clock()
    arms = [
        {"name": "right", "share": 0.5, "weights": {"historical": 1.0}},
        {"name": "wrong", "share": 0.5, "weights": {"learned": 1.0}},
    ]
    rails = [{"metric": "missed", "worse_by": 0.2}]
    with start(var, clock) as client:
        publish(var, level=3.0)
        # outcomes suit neither model's quarantine rules before the guardrail: pin both
        for model in ("historical", "learned"):
            assert override(client, model, action="pin").status_code == 200
        salt = declare(client, arms=arms, guardrails=rails).json()["salt"]
        predict(client, [str(k) for k in range(300)])
        wait(
            lambda: client.get("/v1/experiments/one-model").json()["results"]["arms"],
            lambda found: sum(arm["exposures"] for arm in found) == 300,
        )
        likes = [20 if lot(salt, f"post:{k}") < 0.5 else 900 for k in range(300)]
        bring(client, likes, clock)
        said = wait(
            lambda: client.get("/v1/experiments/one-model").json(), lambda found: found["stopped"]
        )
        assert "missed is worse than that of right" in said["stopped"]["wrong"]
        assert said["state"] == "ended"
        assert "guardrails" in said["ended"]
        shown = wait(
            lambda: predict(client, ["1"])["predictions"][0], lambda one: "experiment" not in one
        )
        assert "experiment" not in shown


def test_in_the_shadow_nothing_is_shown_and_both_are_judged(var: Path) -> None:
    publish(var)
    clock = Clock()
    with start(var, clock) as client:
        assert declare(client, mode="shadow").status_code == 200
        found = predict(client, [str(k) for k in range(30)])
        assert all("experiment" not in one for one in found["predictions"])
        assert len(found["models"]) == 2
        wait(
            lambda: client.get("/health/ready").json()["supervision"]["forecasts"],
            lambda count: count == 30,
        )
        bring(client, [15] * 30, clock)
        said = wait(
            lambda: client.get("/v1/experiments/one-model").json()["results"],
            lambda results: results["outcomes"] == 60,
        )
    assert [arm["outcomes"] for arm in said["arms"]] == [30, 30]


def test_while_a_model_of_an_arm_is_out_nobody_is_exposed(var: Path) -> None:
    publish(var)
    with start(var) as client:
        declare(client)
        banned = override(client, "historical").json()
        assert "experiment" not in predict(client, ["1"])["predictions"][0]
        client.delete(f"/v1/overrides/{banned['id']}")
        assert "experiment" in predict(client, ["1"])["predictions"][0]


def test_it_ends_when_somebody_ends_it_or_its_time_is_over(var: Path) -> None:
    publish(var)
    clock = Clock()
    with start(var, clock) as client:
        declare(client, until=(clock() + timedelta(hours=1)).isoformat())
        clock.ahead = timedelta(hours=2)
        said = wait(
            lambda: client.get("/v1/experiments/one-model").json(), lambda one: one["ended"]
        )
        assert said["ended"] == "its time was over"
        assert declare(client).status_code == 200
        gone = client.delete("/v1/experiments/one-model", params={"by": "jo", "reason": "enough"})
        assert gone.json()["ended"] == "enough (jo)"
        assert "experiment" not in predict(client, ["1"])["predictions"][0]
        listed = client.get("/v1/experiments").json()["experiments"]
        assert [(one["name"], one["state"]) for one in listed] == [("one-model", "ended")]


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"arms": [{"name": "a", "share": 0.5}]}, 400, "arms"),
        (
            {
                "arms": [
                    {"name": "a", "share": 0.5},
                    {"name": "b", "share": 0.4, "weights": {"x": 1}},
                ]
            },
            400,
            "no model 'x'",
        ),
        ({"arms": [{"name": "a", "share": 0.7}, {"name": "b", "share": 0.7}]}, 422, "sum to 1"),
        ({"until": "2020-01-01T00:00:00Z"}, 422, "future"),
        ({"metric": "vibes"}, 400, "metric"),
        ({"name": "a b"}, 400, "name"),
        ({"alpha": 2.0}, 400, "alpha"),
    ],
)
def test_what_cannot_run_is_refused(
    client: Client, change: dict[str, Any], status: int, said: str
) -> None:
    reply = declare(client, **change)
    assert reply.status_code == status
    assert said in reply.text


def test_two_cannot_be_shown_at_once(var: Path) -> None:
    publish(var)
    with start(var) as client:
        assert declare(client).status_code == 200
        assert declare(client).status_code == 400
        second = declare(client, name="other")
        assert second.status_code == 400
        assert "in the shadow" in second.text
        assert declare(client, name="other", mode="shadow").status_code == 200
        assert client.get("/v1/experiments/nobody").status_code == 404
