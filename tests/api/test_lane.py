"""The short way and the ordinary way of a prediction tell the same, and charge once."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from api.app import create_app
from api.security import keys
from api.security.keys import By, Limits
from api.server import configured, service_of
from api.settings import Settings
from tests.api.building import NOW, publish

PATH = "/v1/predictions/likes"
JSON = (b"content-type", b"application/json")
BY = By("ada", "a test", NOW)
DRAFT = {"breed": {"pug": 0.7, "beagle": 0.3}, "hashtags": ["zoomies"], "text_length": 80}


class Both:
    """The application by both ways, and how often the ordinary one was taken."""

    def __init__(self, var: Path, **settings: Any) -> None:
        chosen = Settings(**{"var": str(var), **settings})
        app = create_app(chosen, now=lambda: NOW)
        self.service = service_of(app)
        self.ordinary = 0

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            self.ordinary += 1
            await app(scope, receive, send)

        self.app = app
        self.lane = app.state["lane"].beside(counted)
        self.served = configured(app, chosen).app

    def ask(
        self,
        app: Any,
        body: bytes | Iterable[bytes],
        *headers: tuple[bytes, bytes],
        method: str = "POST",
    ) -> tuple[int, dict[str, str], bytes]:
        parts = [body] if isinstance(body, bytes) else list(body)
        messages = [
            {"type": "http.request", "body": part, "more_body": k < len(parts) - 1}
            for k, part in enumerate(parts)
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": PATH,
            "raw_path": PATH.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), *headers],
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        asyncio.run(app(scope, receive, send))
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], told, content


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    var = tmp_path_factory.mktemp("lane") / "var"
    publish(var)
    return Both(var, body_limit=20_000)


def request(**more: Any) -> bytes:
    return json.dumps({"draft": DRAFT, **more}).encode()


def without_id(content: bytes) -> Any:
    found = json.loads(content)
    for one in (found, *found.get("predictions", ())):
        one.pop("id", None)
    return found


GOOD = [
    request(),
    request(thresholds=[0, 7, 31, 32, 100, 1e5, 5e9], levels=[0.3, 0.99], worlds=True),
    request(at="2026-12-01T00:00:00Z"),
    b'{"draft": {}}',
    b'{"draft": {"breed": "borzoi", "colour": "red", "text_length": 1e9, "hashtags": null}}',
    json.dumps({"drafts": [DRAFT, {}]}).encode(),
]
BAD = [
    b"",
    b"{",
    b"[]",
    b'{"draft": 3}',
    b'{"draft": {"text_length": "long"}}',
    b'{"draft": {"breed": {"pug": 0.7}}}',
    b'{"draft": {"entity": 7}}',
    b'{"drafts": []}',
    request(levels=[2]),
    request(thresholds=["abc"]),
    request(at="yesterday"),
    b'{"draft": {"text_length": NaN}}',
    b"{" + b" " * 30_000 + b"}",
    b"\xff\xfe",
]


@pytest.mark.parametrize("body", GOOD)
def test_what_is_right_takes_the_short_way(both: Both, body: bytes) -> None:
    before = both.ordinary
    status, told, content = both.ask(both.lane, body, JSON)
    assert both.ordinary == before
    ordinary = both.ask(both.app, body, JSON)
    assert (status, told) == (200, {**ordinary[1], "content-length": str(len(content))})
    assert without_id(content) == without_id(ordinary[2])


@pytest.mark.parametrize("body", BAD)
def test_what_is_wrong_is_explained_as_ever(both: Both, body: bytes) -> None:
    before = both.ordinary
    found = both.ask(both.lane, body, JSON)
    assert both.ordinary == before + 1
    assert found[0] >= 400
    assert found[1]["content-type"] == "application/problem+json"
    assert found == both.ask(both.app, body, JSON)


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        (((b"content-type", b"text/plain"),), "POST"),
        ((JSON, (b"origin", b"http://elsewhere")), "POST"),
        ((JSON, (b"transfer-encoding", b"chunked"), (b"content-length", b"9")), "POST"),
        ((JSON,), "GET"),
        ((JSON,), "OPTIONS"),
        ((JSON, (b"content-type", b"application/json; charset=utf-8")), "POST"),
    ],
)
def test_what_asks_for_more_goes_the_ordinary_way(
    both: Both, headers: tuple[tuple[bytes, bytes], ...], method: str
) -> None:
    before = both.ordinary
    found = both.ask(both.lane, request(), *headers, method=method)
    assert both.ordinary == before + 1
    other = both.ask(both.app, request(), *headers, method=method)
    assert (found[0], found[1].keys()) == (other[0], other[1].keys())


def test_a_body_in_parts_is_read_from_its_beginning(both: Both) -> None:
    body, before = request(), both.ordinary
    status, _, content = both.ask(both.lane, [body[:9], body[9:30], body[30:]], JSON)
    assert (status, both.ordinary) == (200, before + 1)
    assert without_id(content) == without_id(both.ask(both.app, body, JSON)[2])


def test_a_client_that_leaves_is_no_fault(both: Both) -> None:
    before = both.ordinary
    assert both.ask(both.lane, [], JSON) == both.ask(both.app, [], JSON)
    assert both.ordinary == before + 1


def test_both_ways_are_counted_once(both: Both) -> None:
    def counted() -> tuple[float, float]:
        text = {
            (sample.labels["route"], sample.labels["status"]): sample.value
            for family in both.service.metrics.collect()
            for sample in family.samples
            if sample.name == "worlds_requests_total"
        }
        return text["predict", "2xx"], text["predict", "4xx"]

    good, bad = counted()
    both.ask(both.served, request(), JSON)
    both.ask(both.served, b"{", JSON)
    assert counted() == (good + 1, bad + 1)


def test_what_is_refused_is_neither_logged_nor_counted(both: Both) -> None:
    def told() -> tuple[int, float]:
        held = both.service.log
        return held._named.seen + held._unnamed.seen, both.service.metrics.event("predictions")

    before = told()
    bad = {"drafts": [{"entity": "post:1", "text_length": 80}, {"text_length": "x"}]}
    assert both.ask(both.served, json.dumps(bad).encode(), JSON)[0] == 400
    assert told() == before
    both.ask(both.served, json.dumps({"drafts": [DRAFT, {}]}).encode(), JSON)
    assert told() == (before[0] + 2, before[1] + 2)


def test_keys_are_asked_for_and_charged_once(tmp_path: Path) -> None:
    publish(tmp_path / "var")
    path = tmp_path / "keys.json"
    limits = Limits(rate=0.001, burst=3)
    _, token = keys.create(path, "app", ("predict",), BY, limits=limits)
    found = Both(tmp_path / "var", keys=str(path))
    shown = (b"authorization", b"Bearer " + token.encode())
    assert found.ask(found.lane, request(), JSON)[0] == 401
    status, told, _ = found.ask(found.lane, request(), JSON, shown)
    assert (status, "ratelimit" in told) == (200, True)
    assert found.ask(found.lane, b"{", JSON, shown)[0] == 400  # one of three, not two
    assert found.ask(found.lane, request(), JSON, shown)[0] == 200
    status, told, _ = found.ask(found.lane, request(), JSON, shown)
    assert (status, "retry-after" in told) == (429, True)


def test_other_names_of_the_service_are_refused(both: Both) -> None:
    status, _, content = both.ask(both.lane, request(), JSON, (b"host", b"evil.example"))
    assert status == 400
    assert b"not called" in content
