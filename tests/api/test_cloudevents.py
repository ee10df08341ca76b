import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cloudevents import BATCH, STRUCTURED, parse
from api.errors import MediaTypeError
from facts import Event, RawBad
from tests.api.building import event


def encoded(content: Any) -> bytes:
    return json.dumps(content).encode()


def only(headers: dict[str, str], body: bytes) -> Event | RawBad:
    (item,) = parse(headers, body).items
    return item


@pytest.mark.parametrize(
    "kind",
    [STRUCTURED, STRUCTURED.upper(), f"{STRUCTURED}; charset=UTF-8", f"{STRUCTURED};charset=utf-8"],
)
def test_structured_in_any_case_of_the_content_type(kind: str) -> None:
    found = only({"content-type": kind}, encoded(event("7")))
    assert isinstance(found, Event)
    assert (found.source, found.id, found.entity) == ("app", "7", "post:1")


def test_a_batch_keeps_the_good_and_the_bad() -> None:
    wrong = event("2", attributes={"breed": {"kind": "categorical", "alternatives": {"pug": 0.6}}})
    found = parse({"content-type": BATCH}, encoded([event("1"), wrong, 3, event("4")])).items
    assert [type(item) for item in found] == [Event, RawBad, RawBad, Event]
    assert isinstance(found[1], RawBad)
    assert found[1].id == "2"
    assert json.loads(found[1].raw) == wrong


def test_an_empty_batch_is_nothing() -> None:
    assert parse({"content-type": BATCH}, b"[]").items == ()


def test_binary_mode_reads_the_headers() -> None:
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "a%20b",
        "ce-source": "%C3%A4pp",
        "ce-type": "facts",
        "ce-time": "2026-10-31T12:00:00Z",
    }
    found = only(headers, encoded(event()["data"]))
    assert isinstance(found, Event)
    assert (found.source, found.id) == ("äpp", "a b")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/json"},
        {"content-type": "application/cloudevents+avro"},
        {"content-type": f"{STRUCTURED}; charset=latin-1"},
        {"content-type": "text/csv", "ce-id": "1"},
    ],
)
def test_other_content_types_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(MediaTypeError):
        parse(headers, b"{}")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}x", b'"\xff"', b"[" * 100_000, b"NaN", b'{"a": "\\ud800"}']
)
@pytest.mark.parametrize("kind", [STRUCTURED, BATCH])
def test_what_is_no_json_is_kept_whole(body: bytes, kind: str) -> None:
    intake = parse({"content-type": kind}, body)
    assert intake.broken
    assert [(item.raw, item.reason) for item in intake.items if isinstance(item, RawBad)] == [
        (body, intake.broken)
    ]


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in event().items() if key != name}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (without("id"), "needs id"),
        (without("source"), "needs source"),
        (without("type"), "needs type"),
        (without("specversion"), "needs specversion"),
        ({**event(), "specversion": "0.3"}, "specversion must be"),
        ({**event(), "type": 3}, "type must be a text"),
        ({**event(), "id": ""}, "id must be"),
        ({**event(), "id": 10**30}, "id must be"),
        ({**event(), "time": "2026-10-31T12:00:00"}, "zone"),
        ({**event(), "data": "x"}, "data must be an object"),
        (event(valid_from="2026-01-02T00:00:00Z", valid_to="2026-01-01T00:00:00Z"), "valid_to"),
        (event(attributes={}), "attribute"),
        (event(attributes={"p": {"kind": "point", "lat": 1, "lon": 2, "radius95_m": -3}}), "p"),
        (event(attributes={"x": {"kind": "interval", "lo": 2, "hi": 1}}), "x"),
        (event(attributes={"x": {"kind": "magic"}}), "unknown value kind"),
        (event(entity="post\x001"), "NUL"),
        (event(entity=7), "entity must be"),
    ],
)
def test_events_without_meaning_go_aside_with_the_reason(content: Any, reason: str) -> None:
    found = only({"content-type": STRUCTURED}, encoded(content))
    assert isinstance(found, RawBad)
    assert reason in found.reason
    assert json.loads(found.raw) == content


@given(st.binary(max_size=200), st.sampled_from([STRUCTURED, BATCH]))
def test_any_bytes_become_items(body: bytes, kind: str) -> None:
    for item in parse({"content-type": kind}, body).items:
        assert isinstance(item, Event | RawBad)
