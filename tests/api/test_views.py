"""Facts asked as they are, uncertain: the same answers over Python, HTTP and the command line."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from api.cli import worlds
from facts import Categorical, Event, Exact, Point, Store
from tests.api.conftest import client_of
from worlds.domains.dookie import City, streets
from worlds.errors import QuestionError
from worlds.query import open_worlds
from worlds.simulators import write
from worlds.simulators.dookie import simulate

BEGIN = datetime(2026, 9, 30, 12, tzinfo=UTC)
PUGS = (0.9, 0.5, 0.2, 0.0, 1.0)
MEANS = {"adorable": 0.65, "adorabull": 0.35}


def events() -> list[Event]:
    """Five posts with uncertain breeds and places, and three tagged with one ambiguous word."""
    found = []
    for i, p in enumerate(PUGS):
        breed = (
            Categorical(("beagle", "pug"), (1 - p, p))
            if 0 < p < 1
            else Exact("pug" if p else "beagle")
        )
        attributes = {
            "breed": breed,
            "place": Point(52.37, 4.9 + i / 100, 200),
            "likes": Exact(10 * i),
        }
        found.append(Event("t", f"e{i}", f"post:{i}", attributes, BEGIN + timedelta(hours=i)))
    meaning = Categorical(tuple(MEANS), tuple(MEANS.values()))
    found += [
        Event("t", f"m{i}", f"post:{i}", {"meaning": meaning}, BEGIN, choice="#adorabull")
        for i in range(3)
    ]
    return found


@pytest.fixture
def var(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "sniffable" / "facts.duckdb") as store:
        store.record(events())
    return tmp_path


def run(var: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(worlds, ["ask", *arguments, "--var", str(var)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def everywhere(
    var: Path, name: str, body: dict[str, Any], *arguments: str, domain: str = "sniffable"
) -> dict[str, Any]:
    """Ask in three ways; return the answer they share."""
    line = (name, *arguments, "--domain", domain)
    by_command = json.loads(run(var, *line, "--json").stdout)
    assert run(var, *line).exit_code == 0
    plan = open_worlds(var / domain).ask(name).where(**body.get("where", {}))
    by_python = json.loads(json.dumps(plan.given(**body.get("given", {})).answer.to_dict()))
    with client_of(var, domain=domain) as client:
        reply = client.post(f"/v1/questions/{name}", json=body)
        assert reply.status_code == 200, reply.json()
        by_http: dict[str, Any] = reply.json()
    assert by_http == by_command
    assert by_http == by_python
    return by_http


def enumerated(probs: tuple[float, ...]) -> np.ndarray:
    """Return the law of the number of true facts, world by world."""
    out = np.zeros(len(probs) + 1)
    for held in itertools.product((0, 1), repeat=len(probs)):
        out[sum(held)] += np.prod([p if h else 1 - p for p, h in zip(probs, held, strict=True)])
    return out


def test_a_count_of_uncertain_facts(var: Path) -> None:
    found = everywhere(var, "facts_count", {"where": {"breed": "pug"}}, "--where", "breed=pug")
    law = enumerated(PUGS)
    assert found["mean"] == pytest.approx(law @ np.arange(6))
    assert found["details"]["things"] == 5
    assert not found["simulated"]
    near = {"breed": "pug", "place": "52.37,4.9,800"}
    args = ("--where", "breed=pug", "--where", "place=52.37,4.9,800", "--threshold", "1")
    found = json.loads(run(var, "facts_count", *args, "--json").stdout)
    assert found["mean"] == pytest.approx(0.9 + 0.5 * 0.9, abs=0.1)
    with client_of(var) as client:
        query = {"where": [f"{k}={v}" for k, v in near.items()], "threshold": "1"}
        assert client.get("/v1/questions/facts_count", params=query).json() == found


def test_what_was_observed_weighs_the_meaning_of_a_word(var: Path) -> None:
    body = {"where": {"meaning": "adorable"}}
    before = everywhere(var, "facts_count", body, "--where", "meaning=adorable")
    weights = {w["choices"]["#adorabull"]: w["weight"] for w in before["worlds"]}
    assert weights == pytest.approx(MEANS)
    assert {w["mean"] for w in before["worlds"]} == {0, 3}
    told = {**body, "given": {"count": ">= 1"}}
    after = everywhere(
        var, "facts_count", told, "--where", "meaning=adorable", "--given", "count>= 1"
    )
    assert [w["choices"] for w in after["worlds"]] == [{"#adorabull": "adorable"}]
    error = {**body, "given": {"count": "2 +- 1"}}
    with client_of(var) as client:
        found = client.post("/v1/questions/facts_count", json=error).json()
    odds = 0.65 * np.exp(-0.5) / (0.35 * np.exp(-2.0))
    chances = {w["choices"]["#adorabull"]: w["weight"] for w in found["worlds"]}
    assert chances["adorable"] == pytest.approx(odds / (1 + odds))


def test_sums_and_rates_of_uncertain_facts(var: Path) -> None:
    found = everywhere(var, "facts_sum", {"where": {"breed": "pug"}}, "--where", "breed=pug")
    assert found["mean"] == pytest.approx(sum(10 * i * p for i, p in enumerate(PUGS)))
    assert found["unit"] == "likes"
    found = everywhere(var, "facts_rate", {"where": {"breed": "pug"}}, "--where", "breed=pug")
    assert found["mean"] == pytest.approx(sum(PUGS) / 5)
    window = {"from": "2026-09-30T12:00:00Z", "until": "2026-09-30T14:00:00Z"}
    body = {"where": {"breed": "pug", "per": "hour", "entity": "post:", **window}}
    args = [part for k, v in body["where"].items() for part in ("--where", f"{k}={v}")]
    found = everywhere(var, "facts_rate", body, *args)
    assert found["mean"] == pytest.approx(1.4 / 2)
    assert found["unit"] == "things per hour"
    assert found["period"]["start"] == "2026-09-30T12:00:00+00:00"


@pytest.mark.parametrize(
    ("name", "body", "status", "message"),
    [
        ("facts_count", {}, 422, "say what is counted"),
        ("facts_count", {"where": {"breed": "|"}}, 422, "takes labels such as"),
        ("facts_count", {"where": {"place": "pug"}}, 422, "kind"),
        ("facts_count", {"where": {"place": "99,4.9,800"}}, 422, "no place on earth"),
        ("facts_count", {"where": {"place": "52,4;53,5"}}, 422, "ring"),
        ("facts_count", {"where": {"likes": "x..3"}}, 422, "takes a range"),
        ("facts_count", {"where": {"likes": "9..3"}}, 422, "from low to high"),
        ("facts_count", {"where": {"breed": "pug", "from": "now"}}, 422, "a time with a zone"),
        ("facts_count", {"where": {"breed": "pug"}, "given": {"count": "> 9"}}, 422, "fulfils"),
        ("facts_count", {"where": {"breed": "pug"}, "given": {"posts": "> 9"}}, 404, "observation"),
        ("facts_count", {"where": {"breed": "pug"}, "do": {"posts": 9}}, 400, "asked of facts"),
        ("facts_count", {"where": {"breed": "pug"}, "over": 2}, 400, "asked of facts"),
        ("facts_rate", {"where": {"breed": "pug", "per": "day"}}, 422, "needs a time"),
        ("facts_rate", {"where": {"breed": "pug", "per": "week"}}, 422, "per takes"),
        ("facts_rate", {"where": {"weather": "rain"}}, 422, "nothing to take the rate of"),
        ("facts_sum", {"where": {"breed": "pug", "value": "breed"}}, 422, "only numbers"),
        ("dirty_now", {}, 404, "unknown question"),
    ],
)
def test_what_cannot_be_asked_of_facts_is_said(
    var: Path, name: str, body: dict[str, Any], status: int, message: str
) -> None:
    with client_of(var) as client:
        reply = client.post(f"/v1/questions/{name}", json=body)
    assert reply.status_code == status, reply.json()
    said = reply.json()["detail"]
    assert any(part in said for part in message.split("|")), said


def test_nothing_known_is_an_answer_or_said(var: Path, tmp_path: Path) -> None:
    found = json.loads(run(var, "facts_count", "--where", "weather=rain", "--json").stdout)
    assert found["mean"] == 0
    empty = tmp_path / "empty"
    Store.open(empty / "sniffable" / "facts.duckdb").close()
    assert "no facts yet" in run(empty, "facts_count", "--where", "a=b", code=1).stderr
    with pytest.raises(QuestionError, match="asks facts, not models"):
        open_worlds(var / "sniffable").ask("facts_count").where(breed="pug").over(2).mean()
    with pytest.raises(QuestionError, match="asks models, not facts"):
        open_worlds(var / "sniffable").look("likes_next_hour", None)  # type: ignore[arg-type]


def test_views_are_in_the_catalogue(var: Path) -> None:
    with client_of(var, domain="dookie") as client:
        listed = client.get("/v1/questions").json()["views"]
    assert {view["name"] for view in listed} >= {"dirty_now", "best_walk", "facts_count"}


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated fortnight of walkers in two cities."""
    var = tmp_path_factory.mktemp("dookie")
    with Store.open(var / "dookie" / "facts.duckdb") as store:
        write(store, simulate(3, 8, BEGIN, per_day=80))
    return var


def test_a_street_cell_is_dirty_with_a_probability(walked: Path) -> None:
    with Store.open(walked / "dookie" / "facts.duckdb") as store:
        found = streets(store.reader(), now=BEGIN)
    city = found["utrecht"]
    assert isinstance(city, City)
    cell = max(city.cells, key=city.dirty)
    at = BEGIN.isoformat()
    args = ("--where", f"cell={cell}", "--where", f"at={at}")
    answer = everywhere(
        walked, "dirty_now", {"where": {"cell": cell, "at": at}}, *args, domain="dookie"
    )
    assert answer["exceedance"]["prob"] == pytest.approx(city.dirty(cell))
    assert answer["simulated"]
    assert answer["details"]["city"] == "utrecht"
    args = ("--where", "city=utrecht", "--where", f"at={at}")
    answer = everywhere(
        walked, "dirty_cells", {"where": {"city": "utrecht", "at": at}}, *args, domain="dookie"
    )
    assert answer["mean"] == pytest.approx(float(city.probs.sum()))


def test_walks_are_compared(walked: Path) -> None:
    ways = {
        "north": "52.365,4.895;52.367,4.899",
        "south": "52.364,4.893;52.362,4.899",
    }
    args = [part for k, v in ways.items() for part in ("--where", f"{k}={v}")]
    answer = everywhere(walked, "best_walk", {"where": ways}, *args, domain="dookie")
    listed = answer["details"]["walks"]
    assert {walk["walk"] for walk in listed} == {"north", "south"}
    assert answer["mean"] == listed[0]["expected_dirty_cells"]
    assert listed[0]["expected_dirty_cells"] <= listed[1]["expected_dirty_cells"]


@pytest.mark.parametrize(
    ("name", "where", "status", "message"),
    [
        ("dirty_now", {}, 422, "name a street cell"),
        ("dirty_now", {"cell": "dog"}, 422, "H3 cell of resolution 11"),
        ("dirty_now", {"place": "52,4;53,4"}, 422, "takes one place"),
        ("dirty_now", {"place": "0,0"}, 422, "lies in no city"),
        ("dirty_now", {"street": "x"}, 404, "unknown part"),
        ("dirty_cells", {"city": "paris"}, 404, "unknown city"),
        ("dirty_cells", {"area": "52.36,4.89;52.3600001,4.89;52.36,4.8900001"}, 422, "no middle"),
        ("dirty_cells", {}, 422, "name a city"),
        ("best_walk", {}, 422, "name 1 to 12 walks"),
        ("best_walk", {"a": "north"}, 422, "takes 2 numbers"),
        ("best_walk", {"a": "52.365,4.895;10,10"}, 422, "leaves amsterdam"),
    ],
)
def test_what_cannot_be_asked_of_streets_is_said(
    walked: Path, name: str, where: dict[str, str], status: int, message: str
) -> None:
    with client_of(walked, domain="dookie") as client:
        reply = client.post(f"/v1/questions/{name}", json={"where": where})
    assert (reply.status_code, message in reply.json()["detail"]) == (status, True), reply.json()
