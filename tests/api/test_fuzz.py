"""What schemathesis makes of the document: no 5xx, only documented answers of documented form."""

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.cli.run import serving
from api.cloudevents import BATCH, STRUCTURED
from api.settings import Settings
from tests.api.building import event, publish
from tests.api.conftest import client_of

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
STARTS_PROCESSES = "learn"
NEVER_ENDS = "events"
LEAST_OPERATIONS = 30


def probe(operation: Any, mode: GenerationMode, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    check()


@pytest.mark.slowish
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
def test_any_request_gets_a_documented_answer(tmp_path: Path, mode: GenerationMode) -> None:
    publish(tmp_path)
    probed = 0
    with serving(Settings(var=str(tmp_path), port=0)) as address:
        schema = schemathesis.openapi.from_url(f"{address}/schema/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()
            raw = operation.definition.raw
            if raw["operationId"] in (STARTS_PROCESSES, NEVER_ENDS):
                continue
            if mode is GenerationMode.NEGATIVE and not {"parameters", "requestBody"} & set(raw):
                continue  # nothing can be wrong with it
            probe(operation, mode, 40)
            probed += 1
    least = LEAST_OPERATIONS if mode is GenerationMode.POSITIVE else LEAST_OPERATIONS // 2
    assert probed >= least


def event_like(draw: Any) -> Any:
    """Return something that is nearly an event, now and then one."""
    json_ = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
        max_leaves=12,
    )
    value = st.sampled_from(
        [3, 0.5, "pug", True, {"kind": "normal", "mean": 1, "sd": 2}, {"kind": "interval"},
         {"kind": "categorical", "alternatives": {"pug": 0.7}}, {"kind": "exact", "value": None}],
    ) | json_  # fmt: skip
    text = st.sampled_from(["post:1", "", "\x00", "a" * 2000, "worlds:watch"]) | st.text(max_size=9)
    time = st.sampled_from(["2026-11-01T00:00:00Z", "2026-11-01", "0001-01-01T00:00:00+23:59", "x"])
    refers = st.none() | text | st.dictionaries(st.sampled_from(["source", "id"]), text)
    data = {
        "entity": text,
        "attributes": st.dictionaries(text, value, max_size=4),
        "attribute": text,
        "value": value,
        "valid_from": time,
        "valid_to": time,
        "corrects": refers,
        "retracts": refers,
        "choice": text,
    }
    parts = {
        "specversion": st.sampled_from(["1.0", "1.0", "1.0", "0.3"]),
        "id": text,
        "source": text,
        "type": text,
        "time": time,
        "data": st.fixed_dictionaries({}, optional=data) | json_,
    }
    good = st.builds(
        event, st.text("abc", min_size=1, max_size=3), attributes=st.just({"likes": 3})
    )
    return draw(st.fixed_dictionaries({}, optional=parts) | good | json_)


@pytest.mark.slowish
def test_a_stream_of_nearly_events_is_answered_and_loses_nothing(tmp_path: Path) -> None:
    publish(tmp_path)
    kinds = [STRUCTURED, BATCH, "application/json", "application/cloudevents+json; charset=x"]
    counted = {"accepted": 0, "duplicate": 0, "quarantined": 0}
    with client_of(tmp_path) as client:

        @settings(
            max_examples=300,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(
            events=st.lists(st.composite(event_like)(), min_size=1, max_size=5),
            kind=st.sampled_from(kinds),
            cut=st.integers(0, 400),
        )
        def check(events: list[Any], kind: str, cut: int) -> None:
            body = json.dumps(events if kind == BATCH else events[0]).encode("utf-8", "replace")
            headers = {"content-type": kind}
            if kind == "application/json":
                headers |= {"ce-id": f"é{cut}", "ce-source": "%F0%9F", "ce-specversion": "1.0"}
                headers = {k: v.encode().decode("latin-1") for k, v in headers.items()}
            for sent in (body, body[: len(body) - 1 - cut % len(body)]):
                raw = {k.encode(): v.encode("latin-1") for k, v in headers.items()}
                reply = client.post("/v1/facts", content=sent, headers=raw)
                assert reply.status_code in (200, 400, 415), reply.text
                if reply.status_code == 415:
                    continue
                content = reply.json()
                assert len(content["receipts"]) == sum(content[name] for name in counted)
                whole = sent == body and b"NaN" not in body and b"Infinity" not in body
                assert kind != BATCH or not whole or len(content["receipts"]) == len(events)
                for name in counted:
                    counted[name] += content[name]
                assert all(one["reason"] for one in content["receipts"]
                           if one["status"] == "quarantined")  # fmt: skip

        check()
        good = client.post("/v1/facts", json=event("last"), headers={"content-type": STRUCTURED})
        assert good.json()["accepted"] == 1
        assert client.post("/v1/predictions/likes", json={"draft": {}}).status_code == 200
        assert client.get("/v1/quarantine").status_code == 200
        assert client.get("/v1/facts?limit=1000").status_code == 200
    assert counted["quarantined"] > 100
    assert counted["accepted"] > 0
