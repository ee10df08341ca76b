from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api.building import UNTIL, publish
from tests.api.conftest import Client, client_of

URL = "/v1/questions/likes_next_hour"


def ask(client: Client, query: str = "", **content: Any) -> dict[str, Any]:
    reply = client.post(URL, json=content) if content else client.get(URL + query)
    assert reply.status_code in (200, 201), reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_the_catalogue_names_every_question(client: Client) -> None:
    found = client.get("/v1/questions").json()
    names = [question["name"] for question in found["questions"]]
    assert names == ["likes_next_hour", "pupdates_next_hour"]
    assert found["questions"][0]["quantities"] == ["pupdates", "likes_per_pupdate"]


def test_an_answer_has_every_world_and_the_mixture(client: Client) -> None:
    found = ask(client, "?threshold=500")
    assert len(found["worlds"]) == 4
    assert sum(world["weight"] for world in found["worlds"]) == pytest.approx(1)
    mean = sum(world["weight"] * world["mean"] for world in found["worlds"])
    assert found["mean"] == pytest.approx(mean)
    prob = sum(world["weight"] * world["prob"] for world in found["worlds"])
    assert found["exceedance"]["prob"] == pytest.approx(prob, abs=1e-6)
    assert found["sentence"].startswith("In 90 of 100")
    assert found["simulated"] is True
    assert {use["model"] for use in found["models"]} == {"historical", "learned"}


def test_query_string_and_body_ask_the_same(client: Client) -> None:
    query = "?threshold=%3E%20100&level=0.5&given=pupdates%3Dlearned&do=likes_per_pupdate%3Dx2"
    by_query = ask(client, query + "&where=breed%3Dpug")
    by_body = ask(
        client,
        threshold="> 100",
        levels=[0.5],
        given={"pupdates": "model = learned"},
        do={"likes_per_pupdate": {"times": 2}},
        where={"breed": "pug"},
    )
    assert by_query == by_body
    assert {world["choices"]["pupdates"] for world in by_query["worlds"]} == {"learned"}


def test_doing_twice_as_much_doubles_the_mean(client: Client) -> None:
    plain, doubled = ask(client), ask(client, "?do=pupdates%3Dx2")
    assert doubled["mean"] == pytest.approx(2 * plain["mean"])
    assert [w["weight"] for w in doubled["worlds"]] == [w["weight"] for w in plain["worlds"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/questions/nobody_asked", 404),
        ("/v1/questions/likes_next_hour%27%3B%20DROP%20TABLE%20log%3B--", 404),
        (URL + "?threshold=abc", 422),
        (URL + "?threshold=nan", 422),
        (URL + "?threshold=1e13", 422),
        (URL + "?level=1.5", 400),
        (URL + "?level=x", 400),
        (URL + "?thresold=3", 400),
        (URL + "?threshold=3&threshold=4", 400),
        (URL + "?given=pupdates", 400),
        (URL + "?given=likes%3Dlearned", 404),
        (URL + "?given=pupdates%3Dmagic", 404),
        (URL + "?given=likes_per_pupdate%3E3", 422),
        (URL + "?given=pupdates%3E100000000", 422),
        (URL + "?do=pupdates%3D-3", 422),
        (URL + "?do=pupdates%3D1e300", 422),
        (URL + "?do=pupdates%3Dmany", 400),
        (URL + "?do=nothing%3D3", 404),
        (URL + "?where=hour%3D12", 404),
        (URL + "?as_of=2026-11-03T00:00:00Z", 422),
        (URL + "?as_of=2001-01-01T00:00:00Z", 422),
        (URL + "?as_of=2026-11-01T00:00:00", 400),
        (URL + "?as_of=0001-01-01T00:00:00%2B23:59", 422),
        (URL + "?as_of=9999-12-31T23:59:59-23:59", 422),
    ],
)
def test_questions_without_meaning_are_problems(client: Client, path: str, status: int) -> None:
    reply = client.get(path)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["status"] == status
    assert len(reply.json()["detail"]) > 5


def test_an_unknown_question_names_the_known_ones(client: Client) -> None:
    assert client.get("/v1/questions/x").json()["known"] == [
        "facts_count",
        "facts_rate",
        "facts_sum",
        "likes_next_hour",
        "pupdates_next_hour",
    ]


@pytest.mark.parametrize(
    "content",
    [
        {"levels": [0.5, "a"]},
        {"do": {"pupdates": {"times": -1}}},
        {"do": {"pupdates": {"times": 1, "plus": 2}}},
        {"given": {"pupdates": 3}},
        {"where": {"breed": ""}},
        {"where": ["breed"]},
        {"threshold": [1]},
        {"unknown": 1},
    ],
)
def test_bodies_of_another_form_are_refused(client: Client, content: Any) -> None:
    reply = client.post(URL, json=content)
    assert reply.status_code == 400
    assert reply.json()["errors"]


def test_what_was_known_then_is_answered_from_the_release_of_then(var: Path) -> None:
    first = publish(var)
    later = publish(var, level=5.0, as_of=UNTIL + timedelta(hours=6))
    with client_of(var) as client:
        now = ask(client)
        then = ask(client, "?as_of=2026-11-01T03:00:00Z")
    assert (now["release"], then["release"]) == (later.id, first.id)
    assert now["mean"] > 5 * then["mean"]


def test_a_label_never_seen_is_noted_and_answered(client: Client) -> None:
    found = ask(client, "?where=breed%3Dhovawart")
    assert "breed=hovawart was never seen" in found["notes"][0]


def test_models_come_with_their_provenance(client: Client) -> None:
    found = client.get("/v1/models").json()
    models = found["quantities"]["likes_per_pupdate"]["models"]
    assert {model["model"] for model in models} == {"historical", "learned"}
    assert all(model["provenance"]["simulated"] is True for model in models)
    assert found["release"] == ask(client)["release"]
