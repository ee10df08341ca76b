"""Python, HTTP and the command line give the same numbers."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.cli import worlds
from tests.api.building import UNTIL, publish
from tests.api.conftest import Client, client_of
from worlds.adhoc import Adhoc
from worlds.errors import QuestionError
from worlds.query import Query, Worlds, open_worlds

TOTAL = "sum(likes_per_pupdate, pupdates)"


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    var = tmp_path_factory.mktemp("surfaces") / "var"
    publish(var)
    return var


@pytest.fixture(scope="module")
def client(var: Path) -> Iterator[Client]:
    with client_of(var) as client:
        yield client


@pytest.fixture
def opened(var: Path) -> Worlds:
    return open_worlds(var / "sniffable")


def run(var: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(worlds, [*arguments, "--var", str(var)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def as_json(content: object) -> Any:
    return json.loads(json.dumps(content))


def same(plan: Query, by_http: dict[str, Any], by_command: dict[str, Any]) -> None:
    assert by_http == by_command
    by_python = plan.answer.to_dict()
    for key in ("worlds", "mean", "sd", "median", "intervals", "unit", "error_bound", "models"):
        assert by_http[key] == by_python[key], key


def test_a_question(client: Client, var: Path, opened: Worlds) -> None:
    plan = opened.ask("likes_next_hour").given(pupdates=">=5").do(likes_per_pupdate={"times": 2})
    body = {
        "given": {"pupdates": ">=5"},
        "do": {"likes_per_pupdate": {"times": 2}},
        "where": {"breed": "pug"},
        "threshold": 1000,
        "explain": True,
        "acts_at": 0.1,
        "decide": {"service_level": 0.99},
    }
    by_http = client.post("/v1/questions/likes_next_hour", json=body).json()
    line = (
        "ask likes_next_hour --given pupdates>=5 --do likes_per_pupdate=x2 --where breed=pug "
        "--threshold 1000 --explain --acts-at 0.1 --decide service_level=0.99 --json"
    )
    by_command = json.loads(run(var, *line.split()).stdout)
    plan = plan.where(breed="pug")
    same(plan, by_http, by_command)
    assert by_http["exceedance"]["prob"] == float(plan.prob("> 1000"))
    assert by_http["explanation"] == as_json(plan.answer.explain(1000, acts_at=0.1).to_dict())
    assert by_http["decision"] == as_json(plan.decide(service_level=0.99).to_dict())


def test_a_formula(client: Client, var: Path, opened: Worlds) -> None:
    formula = f"over({TOTAL}, 300) * 0.02"
    body = {"formula": formula, "unit": "EUR", "conditions": ["pupdates > 5"], "explain": True}
    by_http = client.post("/v1/query", json=body).json()
    parts = ("--formula", formula, "--unit", "EUR", "--condition", "pupdates > 5", "--explain")
    by_command = json.loads(run(var, "ask", *parts, "--json").stdout)
    plan = opened.query(formula, unit="EUR").given("pupdates > 5")
    same(plan, by_http, by_command)
    assert by_http["explanation"] == as_json(plan.explain().to_dict())


def test_groups_and_periods(client: Client, var: Path, opened: Worlds) -> None:
    url = "/v1/questions/likes_next_hour"
    body = {"over": 3, "by": "breed", "threshold": 1000, "given": {"pupdates": ">=5 and <60"}}
    by_http = client.post(url, json=body).json()
    asked = {"over": 3, "by": "breed", "threshold": 1000, "given": ["pupdates>=5", "pupdates<60"]}
    assert client.get(url, params=asked).json() == by_http
    line = "ask likes_next_hour --over 3 --by breed --threshold 1000 --given pupdates>=5"
    both = [*line.split(), "--given", "pupdates<60"]
    assert json.loads(run(var, *both, "--json").stdout) == by_http
    plan = opened.ask("likes_next_hour").over(3).by("breed").given(pupdates=">=5 and <60")
    by_python = plan.answer.to_dict()
    for part in ("groups", "periods"):
        rows = zip(by_http[part]["rows"], by_python[part]["rows"], strict=True)
        assert [(a["mean"], a["intervals"]) for a, _ in rows] == [
            (b["mean"], b["intervals"]) for b in by_python[part]["rows"]
        ]
    assert [row["label"] for row in by_http["groups"]["rows"]] == ["pug", "beagle"]
    assert sum(row["mean"] for row in by_http["periods"]["rows"]) == pytest.approx(by_http["mean"])
    text = run(var, *both).output
    for part in ("By breed", "P(largest)", "Period by period", "99% safe with"):
        assert part in text
    query = {"formula": f"{TOTAL} * 0.02", "unit": "EUR", "over": 2, "by": "breed=pug"}
    by_http = client.post("/v1/query", json=query).json()
    parts = ("--formula", f"{TOTAL} * 0.02", "--unit", "EUR", "--over", "2", "--by", "breed=pug")
    assert json.loads(run(var, "ask", *parts, "--json").stdout) == by_http
    plan = opened.query(f"{TOTAL} * 0.02", unit="EUR").over(2).by("breed", "pug")
    assert plan.groups().to_dict()["rows"][0]["mean"] == by_http["groups"]["rows"][0]["mean"]
    paths = opened.ask("pupdates_next_hour").over(3)
    assert "the largest of them" in run(var, "ask", "pupdates_next_hour", "--over", "3").output
    assert paths.answer.to_dict()["periods"]["peak"]["mean"] > float(paths.mean()) / 3


def test_scenarios(client: Client, var: Path, opened: Worlds) -> None:
    line = "scenarios save growth --do pupdates=x1.2..2 --where breed=pug --json"
    saved = json.loads(run(var, *line.split()).stdout)
    assert client.get("/v1/scenarios/growth").json() == saved
    assert opened.scenarios.find("growth").to_json() == saved
    url = "/v1/questions/likes_next_hour/compare"
    by_http = client.post(url, json={"scenarios": ["growth"]}).json()
    by_command = json.loads(run(var, "scenarios", "compare", "growth", "--json").stdout)
    assert by_http == by_command
    assert by_http == as_json(opened.compare("likes_next_hour", ["growth"]).to_dict())
    assert saved["id"] in run(var, "scenarios", "list").output
    assert saved["id"] in run(var, "scenarios", "show", "growth").output
    assert json.loads(run(var, "scenarios", "list", "--json").stdout) == {"scenarios": [saved]}
    assert "P(growth > as it is)" in run(var, "scenarios", "compare", "growth").output
    assert "Removed growth" in run(var, "scenarios", "remove", "growth").output
    assert "unknown scenario" in run(var, "scenarios", "show", "growth", code=1).stderr
    assert "No scenario" in run(var, "scenarios", "list").output


def test_scenarios_of_a_formula(client: Client, var: Path, opened: Worlds) -> None:
    client.put("/v1/scenarios/twice", json={"do": {"pupdates": {"times": 2}}})
    formula = f"{TOTAL} * 0.02"
    body = {"formula": formula, "unit": "EUR", "scenarios": ["twice"], "over": 2}
    by_http = client.post("/v1/query/compare", json=body).json()
    line = ("scenarios", "compare", "twice", "--formula", formula, "--unit", "EUR", "--over", "2")
    assert json.loads(run(var, *line, "--json").stdout) == by_http
    asked = Adhoc(formula, "EUR", seconds=2.0)
    assert as_json(opened.compare(asked, ["twice"], over=2).to_dict()) == by_http
    means = [each["answer"]["mean"] for each in by_http["scenarios"]]
    assert means[1] == pytest.approx(2 * means[0], rel=1e-4)
    assert by_http["unit"] == "EUR"
    both = ("scenarios", "compare", "twice", "--formula", "pupdates", "--question", "x")
    assert "not both" in run(var, *both, code=1).stderr
    bad = client.post("/v1/query/compare", json={**body, "formula": "2 *"})
    assert (bad.status_code, bad.json()["place"]["column"]) == (400, 4)


def test_explanations_and_decisions_for_people(var: Path) -> None:
    line = "ask --threshold 500 --explain --decide capacities=300,600 --decide shortfall_cost=5"
    text = run(var, *line.split(), "--decide", "unit_cost=1").output
    for part in ("Why", "share", "inside the worlds", "Decision", "expected cost", "max regret"):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--formula", "2 * dogs"], "line 1, column 5"),
        (["--formula", "2 * dogs"], "      ^^^^"),
        (["--formula", "pupdates", "--error", "3"], "error: Expected"),
        (["--formula", "pupdates", "--deadline", "0"], "deadline: Expected"),
        (["likes_next_hour", "--formula", "pupdates"], "not both"),
        (["--unit", "EUR"], "--unit needs --formula"),
        (["--condition", "pupdates > 3"], "--condition needs --formula"),
        (["--decide", "service_level=2"], "strictly between 0 and 1"),
        (["--decide", "price=2"], "a decision takes"),
        (["--by", "colour"], "unknown category 'colour'"),
        (["--by", "breed=,"], "by takes 1 to 50 groups"),
        (["--over", "4"], "the models reach 3 periods ahead"),
        (["--over", "0"], "over: Expected"),
        (["--do", "pupdates=3", "--do", "pupdates=x2"], "pupdates is there twice"),
        (["--where", "breed=pug", "--where", "breed=beagle"], "breed is there twice"),
        (["--given", "pupdates>9", "--given", "pupdates<3"], "no possible world fulfils"),
        (["--formula", "*".join(["pupdates"] * 300)], "beyond 1.8e308"),
    ],
)
def test_what_cannot_be_asked_is_said(var: Path, arguments: list[str], message: str) -> None:
    assert message in run(var, "ask", *arguments, code=1).stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("save a --do dogs=3", "unknown quantity 'dogs'"),
        ("save a --do pupdates=x2..1", "a range of 'pupdates'"),
        ("save 0123456789abcdef", "looks like the id"),
        ("remove nobody", "unknown scenario 'nobody'"),
        ("compare nobody", "unknown scenario 'nobody'"),
        ("compare nobody --question x", "unknown question 'x'"),
    ],
)
def test_scenarios_that_cannot_be_are_said(var: Path, line: str, message: str) -> None:
    assert message in run(var, "scenarios", *line.split(), code=1).stderr


def test_why_an_answer_changed(tmp_path: Path) -> None:
    publish(tmp_path)
    publish(tmp_path, level=3.5, as_of=UNTIL + timedelta(hours=6))
    since = "2026-11-01T03:00:00Z"
    with client_of(tmp_path) as client:
        url = "/v1/questions/likes_next_hour"
        by_http = client.post(url, json={"since": since}).json()
        body = {"formula": f"2 * {TOTAL}", "unit": "EUR", "since": since, "over": 2}
        formula = client.post("/v1/query", json=body).json()
        early = client.post(url, json={"since": "2001-01-01T00:00:00Z"})
    assert early.status_code == 422
    parts = ("--formula", f"2 * {TOTAL}", "--unit", "EUR", "--over", "2", "--since", since)
    assert json.loads(run(tmp_path, "ask", *parts, "--json").stdout) == formula
    assert formula["change"]["unit"] == "EUR"
    assert formula["change"]["second"] == pytest.approx(formula["mean"])
    opened = open_worlds(tmp_path / "sniffable")
    now = opened.query(f"2 * {TOTAL}", unit="EUR", seconds=5.0 / 8).over(2)
    then = now.as_of(datetime.fromisoformat(since))
    assert as_json(then.why(now).to_dict()) == formula["change"]
    with pytest.raises(QuestionError, match="two answers to one question"):
        then.why(now.over(1))
    change = by_http["change"]
    assert change["second"] == pytest.approx(by_http["mean"])
    assert sum(cause["change"] for cause in change["causes"]) == pytest.approx(change["difference"])
    assert change["causes"][0]["name"] == "what the models of likes_per_pupdate learned"
    line = ["ask", "likes_next_hour", "--since", since]
    assert json.loads(run(tmp_path, *line, "--json").stdout) == by_http
    assert "What changed" in run(tmp_path, *line, "--threshold", "500").output
