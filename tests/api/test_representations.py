"""Other forms of the same answer: 304, CSV, Arrow, links to the next page."""

import csv
import io
from typing import Any

import pyarrow as pa
import pytest

from api.representations import ARROW, CSV, as_arrow, as_csv, wanted_form, world_rows
from api.routes.replies import JSON
from tests.api.building import event
from tests.api.conftest import Client

BREED = {"kind": "categorical", "alternatives": {"pug": 0.7, "other": 0.3}}


@pytest.fixture(scope="module")
def filled(client: Client) -> Client:
    events = [event(str(i), entity=f"post:{i}", attributes={"text_length": i}) for i in range(7)]
    events.append(event("7", entity="post:7", attributes={"breed": BREED, "has_photo": True}))
    events.append({"id": "8"})
    kind = {"content-type": "application/cloudevents-batch+json"}
    assert client.post("/v1/facts", json=events, headers=kind).json()["accepted"] == 8
    return client


def rows(reply: Any) -> list[dict[str, str]]:
    assert reply.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(reply.text, newline="")))


def table(reply: Any) -> "pa.Table":
    assert reply.headers["content-type"] == ARROW
    return pa.ipc.open_stream(reply.content).read_all()


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON), ("*/*", JSON), ("text/csv", CSV), (ARROW, ARROW), ("TEXT/CSV; q=0.5", CSV),
        ("application/json, text/csv", JSON), ("text/csv;q=0.9, application/json;q=0.8", CSV),
        ("text/csv;q=0.1, */*;q=0.2", JSON), ("text/html", JSON), ("text/csv;q=x", JSON),
        (f"text/csv;q=0.5,{ARROW}", ARROW), ("text/csv;q=0", JSON), (";;,,q=1", JSON),
    ],
)  # fmt: skip
def test_the_client_chooses(accept: str, form: str) -> None:
    assert wanted_form(accept) == form


def test_facts(filled: Client) -> None:
    stated = filled.get("/v1/facts").json()["facts"]
    lines = rows(filled.get("/v1/facts", headers={"accept": CSV}))
    arrow = table(filled.get("/v1/facts", headers={"accept": ARROW})).to_pylist()
    assert len(stated) == len(lines) == len(arrow) == 9
    for fact, line, row in zip(stated, lines, arrow, strict=True):
        assert line["entity"] == row["entity"] == fact["entity"]
        assert int(line["seq"]) == row["seq"] == fact["seq"]
        assert row["recorded_at"].isoformat() == fact["recorded_at"].replace("Z", "+00:00")
        assert line["kind"] == row["kind"] == fact["value"]["kind"]
        if row["number"] is not None:
            assert row["number"] == float(line["number"]) == fact["value"]["value"]
    assert '"pug": 0.7' in next(line["value"] for line in lines if line["kind"] == "categorical")


def test_pages_lead_on_in_every_form(filled: Client) -> None:
    for form in (JSON, CSV, ARROW):
        url, seen = "/v1/facts?limit=4&attribute=text_length", 0
        while url:
            reply = filled.get(url, headers={"accept": form})
            count = {
                JSON: lambda r: len(r.json()["facts"]),
                CSV: lambda r: len(rows(r)),
                ARROW: lambda r: table(r).num_rows,
            }[form](reply)
            seen += count
            assert reply.headers["vary"] == "accept"
            assert ('rel="next"' in reply.headers.get("link", "")) is (count == 4)
            url = reply.links.get("next", {}).get("url", "")
            assert not url or "attribute=text_length" in url
        assert seen == 7


def test_quarantine(filled: Client) -> None:
    stated = filled.get("/v1/quarantine").json()["quarantined"]
    (line,) = rows(filled.get("/v1/quarantine", headers={"accept": CSV}))
    (row,) = table(filled.get("/v1/quarantine", headers={"accept": ARROW})).to_pylist()
    assert line["reason"] == row["reason"] == stated[0]["reason"]
    assert set(stated[0]) == set(line)


def test_a_table_without_rows_has_columns(filled: Client) -> None:
    reply = filled.get("/v1/facts?entity=nobody", headers={"accept": CSV})
    assert reply.text.startswith("seq,entity,attribute,kind,number,value,")
    assert table(filled.get("/v1/facts?entity=nobody", headers={"accept": ARROW})).num_rows == 0


def test_errors_stay_problems(filled: Client) -> None:
    reply = filled.get("/v1/facts?limit=0", headers={"accept": CSV})
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/problem+json"


def test_worlds_of_an_answer(filled: Client) -> None:
    path = "/v1/questions/likes_next_hour"
    stated = filled.get(path).json()["worlds"]
    for ask in (
        lambda form: filled.get(path, headers={"accept": form}),
        lambda form: filled.post(path, json={}, headers={"accept": form}),
    ):
        lines, arrow = rows(ask(CSV)), table(ask(ARROW)).to_pylist()
        assert len(lines) == len(arrow) == len(stated) == 4
        for world, line, row in zip(stated, lines, arrow, strict=True):
            assert float(line["weight"]) == row["weight"] == world["weight"]
            assert row["mean"] == world["mean"]
            assert row["low"] == world["interval"]["low"]
            for quantity, model in world["choices"].items():
                assert line[f"choice.{quantity}"] == row[f"choice.{quantity}"] == model
    formula = {"formula": "pupdates * 2"}
    assert len(rows(filled.post("/v1/query", json=formula, headers={"accept": CSV}))) == 2


def test_rows_without_worlds() -> None:
    assert world_rows({"mean": 3}) == []
    assert as_csv([{"a": 'x,"\r\n', "b": None}]) == b'a,b\r\n"x,""\r\n",\r\n'
    assert pa.ipc.open_stream(
        as_arrow([{"a": 1, "b": True}, {"a": None}])
    ).read_all().to_pylist() == [
        {"a": 1.0, "b": True},
        {"a": None, "b": None},
    ]


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/questions", "/v1/releases", "/v1/releases/current"]
)
def test_what_the_client_has_is_not_sent_again(client: Client, path: str) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    for known in (tag, f'"x", {tag}', "*", tag.removeprefix("W/")):
        again = client.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b""), known
        assert again.headers["etag"] == tag
        assert again.headers["x-content-type-options"] == "nosniff"
    assert client.get(path, headers={"if-none-match": '"x"'}).status_code == 200
