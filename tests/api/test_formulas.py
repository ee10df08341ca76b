"""Formulas, explanations and decisions over HTTP."""

from typing import Any

import pytest

from tests.api.conftest import Client

URL = "/v1/query"
NAMED = "/v1/questions/likes_next_hour"
TOTAL = "sum(likes_per_pupdate, pupdates)"


def query(client: Client, formula: str, **content: Any) -> dict[str, Any]:
    reply = client.post(URL, json={"formula": formula, **content})
    assert reply.status_code in (200, 201), reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_a_formula_of_the_question_has_its_answer(client: Client) -> None:
    named = client.post(NAMED, json={"threshold": 500, "levels": [0.9]}).json()
    found = query(client, TOTAL, threshold=500, levels=[0.9])
    for key in ("mean", "sd", "median", "unit", "release"):
        assert found[key] == pytest.approx(named[key])
    assert found["exceedance"]["prob"] == pytest.approx(named["exceedance"]["prob"], abs=1e-6)


def test_units_scale_and_are_named(client: Client) -> None:
    plain, money = query(client, TOTAL), query(client, f"{TOTAL} * 0.02", unit="EUR")
    assert money["unit"] == "EUR"
    assert money["mean"] == pytest.approx(0.02 * plain["mean"])
    assert money["error_bound"] <= 1e-5


def test_assumptions_hold_for_formulas(client: Client) -> None:
    doubled = query(client, "pupdates", do={"pupdates": {"times": 2}})["mean"]
    assert doubled == pytest.approx(2 * query(client, "pupdates")["mean"])
    assert query(client, "pupdates", conditions=["pupdates > 20"])["mean"] > 20
    one = query(client, "pupdates", given={"pupdates": "model = learned"})
    assert one["mean"] == pytest.approx(14)
    assert query(client, TOTAL, as_of="2026-11-01T12:00:00Z")["release"] == one["release"]


def test_explanations_and_decisions_come_with_the_answer(client: Client) -> None:
    asked = {"threshold": 500, "explain": True, "acts_at": 0.2, "decide": {"service_level": 0.99}}
    found = client.post(NAMED, json=asked).json()
    shares = [part["share"] for part in found["explanation"]["variance"]["parts"]]
    assert sum(shares) == pytest.approx(1)
    decision = found["decision"]
    assert decision["shortfall_chance"] <= 0.01
    above = client.post(NAMED, json={"threshold": decision["capacity"]}).json()
    assert above["exceedance"]["prob"] == pytest.approx(decision["shortfall_chance"], abs=1e-6)
    again = query(client, TOTAL, **asked)
    assert again["decision"]["capacity"] == decision["capacity"]
    assert "explanation" not in query(client, TOTAL)


@pytest.mark.parametrize(
    ("formula", "column", "text", "reason"),
    [
        ("pupdates +", 11, "", "ends too early"),
        ("2 * (pupdates", 5, "(", ""),
        ("pupdates ^ 2", 10, "^", "cannot contain '^'"),
        ("2 * dogs", 5, "dogs", "unknown name 'dogs'"),
        ("evil(pupdates)", 1, "evil", "no function"),
        ("__import__('os')", 12, "'", "cannot contain"),
        (f"pupdates + {TOTAL}", 12, TOTAL, "one unit"),
        ("pupdates / pupdates", 12, "pupdates", "can be zero"),
        ("pupdates / 0", 12, "0", "divides by 0"),
        ("likes_per_pupdate * pupdates", 1, "likes_per_pupdate", "write sum("),
        ("1e400 * pupdates", 1, "1e400", "too large"),
        ("(" * 1000 + "pupdates" + ")" * 1000, 41, "(", "nested more than"),
        ("1 < pupdates < 3", 14, "<", "do not chain"),
        (" ", 1, " ", "empty"),
    ],
)
def test_a_wrong_formula_is_refused_with_the_place(
    client: Client, formula: str, column: int, text: str, reason: str
) -> None:
    reply = client.post(URL, json={"formula": formula})
    assert reply.status_code == 400, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["type"] == "/problems#formula"
    assert (problem["place"]["line"], problem["place"]["column"]) == (1, column)
    assert problem["place"]["text"] == text
    assert reason in problem["place"]["reason"]


def test_the_place_counts_lines(client: Client) -> None:
    place = client.post(URL, json={"formula": "pupdates\n  + dogs"}).json()["place"]
    assert (place["line"], place["column"], place["start"], place["end"]) == (2, 5, 13, 17)


def test_a_wrong_condition_is_refused_with_the_place(client: Client) -> None:
    reply = client.post(URL, json={"formula": "pupdates", "conditions": ["pupdates >"]})
    assert reply.status_code == 400
    assert reply.json()["place"]["column"] == 11


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({}, 400),
        ({"formula": ""}, 400),
        ({"formula": 3}, 400),
        ({"formula": "x" * 30_000}, 400),
        ({"formula": "pupdates", "error": 0}, 400),
        ({"formula": "pupdates", "error": 2}, 400),
        ({"formula": "pupdates", "deadline": 0}, 400),
        ({"formula": "pupdates", "deadline": 1e9}, 400),
        ({"formula": "pupdates", "levels": [2]}, 400),
        ({"formula": "pupdates", "conditions": ["pupdates"] * 21}, 400),
        ({"formula": "pupdates", "acts_at": 3}, 400),
        ({"formula": "pupdates", "eval": True}, 400),
        ({"formula": "3"}, 422),
        ({"formula": "pupdates", "threshold": 1e13}, 422),
        ({"formula": "pupdates", "threshold": "1 < 2"}, 422),
        ({"formula": "pupdates", "given": {"pupdates": "> 1e9"}}, 422),
        ({"formula": "pupdates", "conditions": ["pupdates > 1000000"]}, 422),
        ({"formula": "pupdates", "given": {"pupdates": "model = magic"}}, 404),
        ({"formula": "pupdates", "given": {"dogs": "> 3"}}, 404),
        ({"formula": "pupdates", "do": {"dogs": 3}}, 404),
        ({"formula": "pupdates", "do": {"pupdates": -1}}, 422),
        ({"formula": "pupdates", "where": {"hour": "3"}}, 404),
        ({"formula": "pupdates", "as_of": "2999-01-01T00:00:00Z"}, 422),
        ({"formula": "*".join(["pupdates"] * 300)}, 422),
        ({"formula": "pupdates", "decide": {}}, 422),
        ({"formula": "pupdates", "decide": {"service_level": 1}}, 422),
        ({"formula": "pupdates", "decide": {"service_level": "high"}}, 422),
        ({"formula": "pupdates", "decide": {"service_level": 10**400}}, 422),
        ({"formula": "pupdates", "decide": {"capacities": []}}, 422),
        ({"formula": "pupdates", "decide": {"capacities": [1] * 2000}}, 422),
        ({"formula": "pupdates", "decide": {"capacities": [-1], "shortfall_cost": 2}}, 422),
        ({"formula": "pupdates", "decide": {"shortfall_cost": 2}}, 422),
        ({"formula": "pupdates", "decide": {"price": 2}}, 422),
        ({"formula": "pupdates", "decide": [1]}, 400),
    ],
)
def test_queries_without_meaning_are_problems(client: Client, content: Any, status: int) -> None:
    reply = client.post(URL, json=content)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert len(reply.json()["detail"]) > 5


def test_a_sum_of_a_thousand_terms_is_answered(client: Client) -> None:
    found = query(client, " + ".join(["pupdates"] * 1000))
    assert found["mean"] == pytest.approx(1000 * query(client, "pupdates")["mean"])


def test_a_threshold_beyond_the_support_is_never_exceeded(client: Client) -> None:
    assert query(client, "pupdates", threshold=1e12)["exceedance"]["prob"] == 0
    assert query(client, "pupdates", threshold=">= -1")["exceedance"]["prob"] == 1


def test_at_the_deadline_the_best_answer_comes_with_its_error(client: Client) -> None:
    hard = f"max({TOTAL} * pupdates, {TOTAL} * 2 * max(pupdates, 3)) / max(pupdates, 1)"
    found = query(client, hard, error=1e-9, deadline=0.3)
    assert 0 < found["error_bound"] < 1
    assert found["mean"] > 0
