"""Every verb of an answer is there over Python, HTTP and the command line; bad input is said."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from api.cli import worlds
from tests.api.building import publish
from tests.api.conftest import Client, client_of
from worlds.core.distributions import Point
from worlds.core.model import Model, Unknown
from worlds.core.solve import solve
from worlds.errors import FormulaError, SnapshotError
from worlds.query import Worlds, open_worlds

TOTAL = "sum(likes_per_pupdate, pupdates)"
HOUR = "/v1/questions/likes_next_hour"


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    var = tmp_path_factory.mktemp("verbs") / "var"
    publish(var)
    return var


@pytest.fixture(scope="module")
def client(var: Path) -> Iterator[Client]:
    with client_of(var) as client:
        yield client


@pytest.fixture
def opened(var: Path) -> Worlds:
    return open_worlds(var / "sniffable")


def test_the_shape_of_an_answer(client: Client, var: Path, opened: Worlds) -> None:
    body = {"hdi": True, "thresholds": [500, 900], "curve": 9, "sample": 50, "seed": 3}
    found = client.post(HOUR, json=body).json()
    line = "ask likes_next_hour --hdi --above 500 --above 900 --curve 9 --sample 50 --seed 3"
    result = CliRunner().invoke(worlds, [*line.split(), "--json", "--var", str(var)])
    assert json.loads(result.stdout) == found
    text = CliRunner().invoke(worlds, [*line.split(), "--var", str(var)]).output
    assert "shortest 90% interval" in text
    assert "P(> 900)" in text
    plan = opened.ask("likes_next_hour")
    low, high = plan.hdi(0.9)
    assert {"low": float(low), "high": float(high)}.items() <= found["hdi"][2].items()
    assert found["exceedances"][0]["prob"] == float(plan.exceedance([500])[0][1])
    assert found["sample"] == plan.sample(np.random.default_rng(3), 50).tolist()
    point = found["curve"][4]
    assert point["prob_at_most"] == pytest.approx(float(plan.cdf(point["value"])))
    assert found["exceedance"]["possible"]
    assert not found["exceedance"]["certain"]


def test_how_exact_and_how_long(client: Client, var: Path, opened: Worlds) -> None:
    body = {"error": 0.01, "deadline": 9, "over": 2, "threshold": 900}
    found = client.post(HOUR, json=body).json()
    line = "ask likes_next_hour --error 0.01 --deadline 9 --over 2 --threshold 900 --json"
    result = CliRunner().invoke(worlds, [*line.split(), "--var", str(var)])
    assert json.loads(result.stdout) == found
    query = client.get(HOUR, params={**body, "deadline": "9"}).json()
    assert query["exceedance"] == found["exceedance"]
    plan = opened.ask("likes_next_hour", error=0.01, seconds=9.0).over(2)
    assert float(plan.prob("> 900")) == found["exceedance"]["prob"]
    exact = client.post(HOUR, json={"over": 2, "threshold": 900}).json()
    assert found["error_bound"] <= 0.01
    gap = abs(found["exceedance"]["prob"] - exact["exceedance"]["prob"])
    assert gap <= found["error_bound"] + exact["error_bound"]


def test_at_the_deadline_of_a_question_the_best_so_far_is_said(client: Client) -> None:
    content = client.post(HOUR, json={"deadline": 1e-6, "by": "breed"}).json()
    exact = client.post(HOUR, json={"threshold": 700}).json()
    assert content["error_bound"] > 0.01
    assert len(content["worlds"]) < len(exact["worlds"])
    assert len(content["groups"]["rows"]) == 1
    assert content["groups"]["left_out"]
    for bad in ({"deadline": 0}, {"error": 0}, {"deadline": "soon"}, {"error": 1.0}):
        assert client.post(HOUR, json=bad).status_code == 400
        assert client.get(HOUR, params=bad).status_code == 400


@pytest.mark.parametrize(
    ("threshold", "possible", "certain"), [("> 1e11", False, False), (">= 0", True, True)]
)
def test_possible_and_certain(
    client: Client, opened: Worlds, threshold: str, possible: bool, certain: bool
) -> None:
    found = client.post(HOUR, json={"threshold": threshold}).json()["exceedance"]
    assert (found["possible"], found["certain"]) == (possible, certain)
    plan = opened.ask("likes_next_hour")
    assert (plan.possible(threshold)[0], plan.certain(threshold)[0]) == (possible, certain)


NESTED = "min(" * 30 + "pupdates" + ", 5)" * 30
BAD: list[tuple[str, dict[str, Any], int]] = [
    ("/v1/query", {"formula": "1e308 * 1e308 * pupdates"}, 400),
    ("/v1/query", {"formula": "pupdates / (pupdates - pupdates)"}, 400),
    ("/v1/query", {"formula": "-" * 30_000 + "pupdates"}, 400),
    ("/v1/query", {"formula": "pupdates" + " + 1" * 6000}, 400),
    ("/v1/query", {"formula": "pupdates", "over": 4}, 422),
    ("/v1/query", {"formula": "pupdates", "over": 10**400}, 400),
    ("/v1/query", {"formula": "pupdates", "by": "breed", "conditions": ["pupdates > 3"]}, 422),
    ("/v1/query", {"formula": "pupdates", "unit": "likes", "conditions": ["pupdates + 1"]}, 422),
    (HOUR, {"by": "hour"}, 404),
    (HOUR, {"by": "breed=" + ",".join(f"b{i}" for i in range(51))}, 422),
    (HOUR, {"given": {"pupdates": ">= 9 and < 3"}}, 422),
    (HOUR, {"given": {"pupdates": ">= 9 and"}}, 422),
    (HOUR, {"do": {"pupdates": 10**400}}, 400),
    (HOUR, {"do": {"pupdates": 1e11}, "by": "breed"}, 422),
    (HOUR, {"threshold": 10**400}, 400),
    (HOUR, {"thresholds": [1e300]}, 400),
    (HOUR, {"curve": 10**9}, 400),
    (HOUR, {"sample": -1}, 400),
    (
        f"{HOUR}/compare",
        {"scenarios": [{"name": "a", "do": {"pupdates": {"times": [1, 10**400]}}}]},
        422,
    ),
]


@pytest.mark.parametrize(("url", "body", "status"), BAD)
def test_what_has_no_meaning_is_said(
    client: Client, url: str, body: dict[str, Any], status: int
) -> None:
    reply = client.post(url, content=json.dumps(body))
    assert reply.status_code == status, reply.text[:300]
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        {"formula": NESTED},
        {"formula": "-" * 5000 + "pupdates"},
        {"formula": "(" * 30 + "pupdates" + ")" * 30},
        {"formula": "pupdates * 1e15 * 1e15 / 1e15"},
        {"formula": "+".join(f"{i} * {TOTAL}" for i in range(300)), "unit": "EUR"},
        {"formula": "pupdates", "threshold": ">= 1e12"},
        {"formula": "pupdates", "do": {"pupdates": 0}, "over": 3, "by": "breed"},
        {"formula": TOTAL, "do": {"likes_per_pupdate": 0}, "over": 2, "by": "breed"},
        {"formula": TOTAL, "do": {"pupdates": {"times": 0}}, "over": 2, "hdi": True, "curve": 5},
    ],
)
def test_what_is_odd_but_right_is_answered(client: Client, body: dict[str, Any]) -> None:
    reply = client.post("/v1/query", json=body)
    assert reply.status_code == 200, reply.text[:300]

    def finite(part: object) -> bool:
        if isinstance(part, dict):
            return all(map(finite, part.values()))
        if isinstance(part, list):
            return all(map(finite, part))
        return not isinstance(part, float) or math.isfinite(part)

    assert finite(reply.json())


def test_weights_that_are_all_zero_are_never_published(tmp_path: Path) -> None:
    sizes = {"historical": 0.0, "learned": 1.0}
    with pytest.raises(SnapshotError, match="do not fit"):
        publish(tmp_path, weights={"pupdates": {"historical": 0.0, "learned": 0.0}})
    publish(tmp_path, weights={"pupdates": sizes, "likes_per_pupdate": sizes})
    with client_of(tmp_path) as client:
        ruled_out = {"given": {"likes_per_pupdate": "model = historical"}}
        impossible = client.post(HOUR, json=ruled_out)
    assert impossible.status_code == 422
    assert "no possible world" in impossible.json()["detail"]


def test_formulas_in_a_circle_are_said() -> None:
    model = Model.of(Unknown("x", Point(2.0)), formulas={"a": "b + 1", "b": "a * 2", "c": "x + 1"})
    with pytest.raises(FormulaError, match=r"in a circle: a -> b -> a"):
        solve(model, "a + x")
    assert float(solve(model, "c * x").mean()) == 6
