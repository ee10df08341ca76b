import json
from typing import Any

import pytest

from tests.api.building import UNTIL, example_draft, log_linear
from tests.api.conftest import Client
from worlds.domain import load_domain

URL = "/v1/predictions/likes"


def predict(client: Client, **content: Any) -> dict[str, Any]:
    reply = client.post(URL, json=content)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    found: dict[str, Any] = reply.json()
    return found


def test_a_prediction_says_all_it_should(client: Client) -> None:
    found = predict(client, draft=dict(example_draft()), thresholds=[10, 100], worlds=True)
    assert [interval["level"] for interval in found["intervals"]] == [0.5, 0.8, 0.9, 0.95]
    for narrow, wide in zip(found["intervals"], found["intervals"][1:], strict=False):
        assert wide["low"] <= narrow["low"] <= found["median"] <= narrow["high"] <= wide["high"]
    assert [entry["threshold"] for entry in found["exceedance"]] == [10, 100]
    assert 1 > found["exceedance"][0]["prob"] > found["exceedance"][1]["prob"] > 0
    assert {world["model"] for world in found["worlds"]} == {"historical", "learned"}
    assert sum(world["weight"] for world in found["worlds"]) == pytest.approx(1)
    assert found["path"] == "models"
    assert found["degraded"] is None
    assert found["simulated"] is True
    assert found["as_of"] == UNTIL.isoformat()
    assert {use["model"] for use in found["models"]} == {"historical", "learned"}
    assert all(use["snapshot"] for use in found["models"])
    assert found["id"]


def test_it_is_the_mixture_that_the_models_give_by_themselves(client: Client) -> None:
    draft = {"breed": "pug", "hashtags": ["zoomies"], "text_length": 80, "has_photo": True}
    features = load_domain("sniffable").features(draft)
    found = predict(client, draft=draft, thresholds=[7, 30])
    exact = [log_linear(level, seed).predict(features) for level, seed in ((3.0, 7), (3.2, 8))]
    for entry in found["exceedance"]:
        above = 1 - sum(0.5 * float(model.cdf(entry["threshold"])) for model in exact)
        assert entry["prob"] == pytest.approx(above, abs=2 * found["error_bound"])


def test_unknown_things_widen_the_answer_and_are_listed(client: Client) -> None:
    known = predict(client, draft={"breed": "pug", "hashtags": ["zoomies"]})
    strange = predict(
        client, draft={"breed": "hovawart", "hashtags": ["neverseen"], "mood": {"a": [1]}, "x": 1}
    )
    assert {"breed=hovawart", "hashtag=neverseen"} <= set(strange["unseen"])
    assert strange["ignored"] == ["mood", "x"]
    assert not {"breed=pug", "hashtag=zoomies"} & set(known["unseen"])

    def ratio(found: dict[str, Any]) -> float:
        widest = found["intervals"][-1]
        return float((widest["high"] + 1) / (widest["low"] + 1))

    assert ratio(strange) > ratio(known)


def test_a_batch_gives_the_same_as_one_by_one(client: Client) -> None:
    drafts = [{"text_length": n} for n in (10, 80, 250)] + [{}] * 9
    batch = predict(client, drafts=drafts)
    assert len(batch["predictions"]) == 12
    for draft, found in zip(drafts, batch["predictions"], strict=True):
        single = predict(client, draft=draft)
        assert {**single, "id": ""} == {**single, **found, "id": ""}
    assert len({found["id"] for found in batch["predictions"]}) == 12


def test_a_later_begin_is_less_certain(client: Client) -> None:
    soon = predict(client, draft={}, at="2026-11-01T00:00:00Z")
    late = predict(client, draft={}, at="2027-11-01T00:00:00Z")
    assert late["intervals"][2]["high"] > soon["intervals"][2]["high"]


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "draft"),
        ({"draft": {}, "drafts": [{}]}, "draft"),
        ({"drafts": []}, "drafts"),
        ({"draft": []}, "draft"),
        ({"draft": {}, "extra": 1}, "body"),
        ({"draft": {"text_length": "long"}}, "draft.text_length"),
        ({"draft": {"breed": {"pug": 0.7}}}, "draft.breed"),
        ({"draft": {"place": {"lat": 0, "lon": 0, "radius95_m": -1}}}, "draft.place"),
        ({"draft": {"posted_at": "2026-01-01T00:00:00"}}, "draft.posted_at"),
        ({"drafts": [{}, {"has_photo": "yes"}]}, "drafts[1].has_photo"),
        ({"draft": {}, "levels": [0]}, "levels[0]"),
        ({"draft": {}, "levels": [1.0]}, "levels[0]"),
        ({"draft": {}, "levels": ["0.5"]}, "levels[0]"),
        ({"draft": {}, "levels": []}, "levels"),
        ({"draft": {}, "thresholds": ["many"]}, "thresholds[0]"),
        ({"draft": {}, "thresholds": [1e13]}, "thresholds[0]"),
        ({"draft": {}, "at": "soon"}, "at"),
        ({"draft": {}, "at": "2026-01-01"}, "at"),
        ({"draft": {}, "worlds": 1}, "worlds"),
        ({"drafts": [{}] * 1001}, "drafts"),
    ],
)
def test_requests_without_meaning_are_refused_by_field(
    client: Client, content: Any, field: str
) -> None:
    reply = client.post(URL, json=content)
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in reply.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "-1e-400", "0x1"]
)
def test_numbers_beyond_json_are_refused(client: Client, number: str) -> None:
    body = '{"draft": {"text_length": ' + number + "}}"
    reply = client.post(URL, content=body, headers={"content-type": "application/json"})
    assert reply.status_code == (200 if number == "-1e-400" else 400)


def test_extreme_but_valid_drafts_are_answered(client: Client) -> None:
    for draft in (
        {"text_length": 1e15},
        {"text_length": -1e15},
        {"hashtags": ["x" * 10_000] * 100},
        {"hashtags": " ".join(str(i) for i in range(1000))},
        {"breed": {str(i): 1 / 32 for i in range(32)}},
        {"posted_at": "9999-12-31T23:59:59Z"},
        {"posted_at": "0001-01-01T00:00:00+14:00"},
        {"breed": "\u0000"},
        {"": {"": ""}},
    ):
        found = predict(client, draft=draft)
        assert json.dumps(found)
        assert all(interval["high"] >= interval["low"] >= 0 for interval in found["intervals"])


def test_levels_finer_than_can_be_told_are_refused_and_far_thresholds_are_never_exceeded(
    client: Client,
) -> None:
    for level in (0.99999999, 1e-12):
        reply = client.post("/v1/predictions/likes", json={"draft": {}, "levels": [level]})
        assert reply.status_code == 400
        assert "levels" in reply.text
    asked = {"draft": {"breed": "pug"}, "levels": [0.999998, 1e-6], "thresholds": [50, 1e12]}
    found = client.post("/v1/predictions/likes", json=asked).json()
    assert found["intervals"][0]["high"] < 1e6
    assert found["intervals"][1]["low"] <= found["median"] <= found["intervals"][1]["high"]
    assert found["exceedance"][0]["prob"] > 0
    assert found["exceedance"][1]["prob"] == 0


def test_a_category_that_is_named_outright_is_not_ignored(client: Client) -> None:
    draft = {"hour": "03", "colour": "red"}
    found = client.post("/v1/predictions/likes", json={"draft": draft}).json()
    assert found["ignored"] == ["colour"]
