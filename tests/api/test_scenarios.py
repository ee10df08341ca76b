"""Stored scenarios over HTTP, and their comparison."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.building import publish
from tests.api.conftest import Client, client_of

URL = "/v1/scenarios"
COMPARE = "/v1/questions/likes_next_hour/compare"
TWICE: dict[str, Any] = {"do": {"pupdates": {"times": 2}}}


def compared(client: Client, *scenarios: Any, **more: Any) -> dict[str, Any]:
    reply = client.post(COMPARE, json={"scenarios": list(scenarios), **more})
    assert reply.status_code in (200, 201), reply.text
    found: dict[str, Any] = reply.json()
    return found


@pytest.fixture
def kept(var: Path) -> Any:
    publish(var)
    with client_of(var) as client:
        yield client


def test_a_scenario_is_kept_under_its_name_and_its_id(kept: Client) -> None:
    written = kept.put(f"{URL}/twice", json={**TWICE, "text": "Twice as much."}).json()
    assert len(written["id"]) == 16
    assert kept.get(f"{URL}/twice").json() == written
    assert kept.get(f"{URL}/{written['id']}").json() == written
    assert kept.get(URL).json() == {"scenarios": [written]}


def test_a_name_means_one_scenario(kept: Client) -> None:
    first = kept.put(f"{URL}/x", json=TWICE).json()
    second = kept.put(f"{URL}/x", json={"do": {"pupdates": 3}}).json()
    assert second["id"] != first["id"]
    assert [each["id"] for each in kept.get(URL).json()["scenarios"]] == [second["id"]]
    assert kept.delete(f"{URL}/x").json() == second
    assert kept.get(f"{URL}/x").status_code == 404
    assert kept.delete(f"{URL}/x").status_code == 404


def test_stored_and_whole_scenarios_compare_alike(kept: Client) -> None:
    kept.put(f"{URL}/twice", json=TWICE)
    stored, whole = compared(kept, "twice"), compared(kept, {"name": "twice", **TWICE})
    assert stored == whole
    now, twice = stored["scenarios"]
    assert twice["answer"]["mean"] == pytest.approx(2 * now["answer"]["mean"])
    difference = stored["comparisons"][0]
    assert difference["mean_b"] == pytest.approx(2 * difference["mean_a"])


def test_a_range_has_an_envelope(client: Client) -> None:
    scenario = {"name": "growth", "do": {"pupdates": {"times": [1.2, 2]}}}
    grown = compared(client, scenario, threshold=500)["scenarios"][1]
    mean = next(row for row in grown["envelope"] if row["name"] == "mean")
    assert mean["low"] < grown["answer"]["mean"] < mean["high"]
    assert mean["high"] / mean["low"] == pytest.approx(2 / 1.2)


def test_comparing_as_of_a_time(client: Client) -> None:
    found = compared(client, {"name": "twice", **TWICE}, as_of="2026-11-01T12:00:00Z")
    assert found["scenarios"][0]["answer"]["as_of"].startswith("2026-11-01")


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("a", {"do": {"dogs": 3}}, 404),
        ("a", {"given": {"dogs": "> 3"}}, 404),
        ("a", {"where": {"hour": "3"}}, 404),
        ("a", {"do": {"pupdates": "many"}}, 422),
        ("a", {"do": {"pupdates": {"times": [2, 1]}}}, 422),
        ("a", {"do": {"pupdates": {"between": [1, 2, 3]}}}, 422),
        ("a", {"do": {"pupdates": {"times": [1, 2], "prior": "magic"}}}, 422),
        ("a", {"do": {"pupdates": 10**400}}, 422),
        ("a", {"do": {"pupdates": {"times": [1, 10**400]}}}, 422),
        ("a", {"given": {"pupdates": "often"}}, 422),
        ("a", {"given": {"pupdates": 3}}, 400),
        ("a", {"name": "b"}, 400),
        ("a", {"text": "x" * 3000}, 400),
        ("%20", {}, 422),
        ("x" * 101, {}, 422),
        ("0123456789abcdef", {}, 422),
    ],
)
def test_scenarios_without_meaning_are_not_kept(
    client: Client, name: str, content: Any, status: int
) -> None:
    reply = client.put(f"{URL}/{name}", json=content)
    assert reply.status_code == status, reply.text
    assert client.get(URL).json() == {"scenarios": []}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"scenarios": []}, 400),
        ({"scenarios": ["nobody"]}, 404),
        ({"scenarios": ["../../etc/passwd"]}, 404),
        ({"scenarios": [{"do": {}}]}, 400),
        ({"scenarios": [3]}, 400),
        ({"scenarios": [{"name": "a", "do": {"dogs": 3}}]}, 404),
        ({"scenarios": [{"name": "a", "do": {"pupdates": {"times": [2, 1]}}}]}, 422),
        ({"scenarios": [{"name": "a", "given": {"pupdates": "> 1000000"}}]}, 422),
        ({"scenarios": [{"name": "a"}], "coupling": "love"}, 400),
        ({"scenarios": [{"name": "a"}] * 21}, 400),
        ({"scenarios": [{"name": "a"}], "as_of": "2999-01-01T00:00:00Z"}, 422),
    ],
)
def test_comparisons_without_meaning_are_problems(
    client: Client, content: Any, status: int
) -> None:
    reply = client.post(COMPARE, json=content)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_damaged_scenario_is_left_out_of_the_list(kept: Client, var: Path) -> None:
    found = kept.put(f"{URL}/twice", json=TWICE).json()
    path = var / "sniffable" / "scenarios" / f"{found['id']}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "where": {"breed": "pug"}}))
    assert kept.get(URL).json() == {"scenarios": []}
    assert kept.get(f"{URL}/{found['id']}").status_code == 503
