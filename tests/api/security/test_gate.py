"""Who gets in: every route, every scope, every wrong key; and where keys may never show up."""

import base64
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from api.app import create_app
from api.errors import LimitError, SettingsError
from api.security import keys
from api.security.gate import Gate
from api.security.keys import By, Limits
from api.security.needs import SCOPES, need
from api.settings import Settings, load_settings
from tests.api.building import NOW, event, publish
from tests.api.conftest import HERE, Client

BY = By("ada", "a test", datetime.now(UTC))
PREDICT = "/v1/predictions/likes"
QUESTION = "/v1/questions/likes_next_hour"
TRIES: list[tuple[str, str, str, Any]] = [
    ("POST", PREDICT, "predict", {"draft": {}}),
    ("GET", QUESTION, "query", None),
    ("POST", QUESTION, "query", {}),
    ("GET", "/v1/models", "query", None),
    ("GET", "/v1/facts", "query", None),
    ("POST", "/v1/facts", "facts:write", event()),
    ("POST", "/v1/learn", "operate", None),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def tokens(path: Path) -> dict[str, str]:
    return {scope: keys.create(path, scope, (scope,), BY)[1] for scope in SCOPES}


@pytest.fixture
def client(tmp_path: Path, path: Path, tokens: dict[str, str]) -> Iterator[Client]:
    publish(tmp_path / "var")
    yield from opened(tmp_path, path)


def opened(tmp_path: Path, path: Path, **more: Any) -> Iterator[Client]:
    settings = Settings(var=str(tmp_path / "var"), keys=str(path), **more)
    with TestClient(create_app(settings, now=lambda: NOW), base_url=HERE) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def send(client: Client, method: str, path: str, body: Any, token: str | None = None) -> Any:
    headers = bearer(token) if token else {}
    if path == "/v1/facts" and body is not None:
        headers["content-type"] = "application/cloudevents+json"
    content = None if body is None else msgspec.json.encode(body)
    if content is not None:
        headers.setdefault("content-type", "application/json")
    return client.request(method, path, content=content, headers=headers)


@pytest.mark.parametrize(("method", "route", "scope", "body"), TRIES)
def test_each_route_takes_its_scope_and_no_other(
    client: Client, tokens: dict[str, str], method: str, route: str, scope: str, body: Any
) -> None:
    for held, token in tokens.items():
        reply = send(client, method, route, body, token)
        if held in (scope, "admin"):
            assert reply.status_code in (200, 202, 503), reply.text
            continue
        assert reply.status_code == 403
        assert reply.json()["type"] == "/problems#forbidden"
        assert reply.headers["www-authenticate"].endswith(f'scope="{scope}"')


def test_no_route_answers_without_a_key_but_one(client: Client) -> None:
    free = {"/health/live", "/v2/health/live"}
    seen = 0
    for route in client.app.routes:
        path = route.path.replace("{", "").replace("}", "").replace(":str", "")
        for method in getattr(route, "methods", None) or ["POST"]:
            if method == "OPTIONS":
                continue
            reply = client.request(method, path)
            assert (reply.status_code != 401) is (route.path in free), (method, path)
            if reply.status_code == 401:
                assert reply.headers["www-authenticate"].startswith('Bearer realm="worlds"')
            seen += 1
    assert seen > 20


@pytest.mark.parametrize("token", ["x", "worlds_00000000_" + "A" * 43, "\xe9", ""])
def test_wrong_keys_are_told_nothing(client: Client, token: str) -> None:
    for path, method in ((PREDICT, "POST"), ("/v1/models", "GET")):
        reply = client.request(method, path, headers={"authorization": f"Bearer {token}".encode()})
        assert reply.status_code == 401
        assert reply.json()["type"] == "/problems#unauthorized"


@pytest.mark.parametrize("header", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_has_no_case(client: Client, tokens: dict[str, str], header: str) -> None:
    headers = {"authorization": f"{header} {tokens['query']}"}
    assert client.get("/v1/models", headers=headers).status_code == 200


def test_other_ways_to_show_a_key(client: Client, tokens: dict[str, str]) -> None:
    assert client.get("/v1/models", headers={"x-api-key": tokens["query"]}).status_code == 200
    basic = base64.b64encode(f"anybody:{tokens['admin']}".encode()).decode()
    headers = {"authorization": f"Basic {basic}"}
    assert client.get("/docs", headers=headers).status_code == 200
    # A browser sends it along when a foreign page posts: it does not count there.
    assert client.post("/v1/learn", headers=headers).status_code == 401
    assert client.get("/docs", headers={"authorization": "Basic %%%"}).status_code == 401
    page = client.get("/docs", headers={"accept": "text/html"})
    assert "Basic" in page.headers["www-authenticate"]


def test_a_running_server_follows_the_file(client: Client, path: Path) -> None:
    gate: Gate = client.app.state.service.gate
    key, token = keys.create(path, "late", ("query",), BY)
    gate._look_at = 0  # half a second later
    assert client.get("/v1/models", headers=bearer(token)).status_code == 200
    keys.revoke(path, key.id, BY)
    gate._look_at = 0
    assert client.get("/v1/models", headers=bearer(token)).status_code == 401


def test_both_keys_of_a_rotation_work_for_a_while(path: Path) -> None:
    now = datetime.now(UTC)
    _, first = keys.create(path, "app", ("predict",), BY)
    _, _, second = keys.rotate(path, "app", timedelta(hours=1), By("ada", "", now))
    clock = [now.timestamp()]
    gate = Gate(path, clock=lambda: clock[0])
    for token in (first, second):
        gate.admit(scope_of(token), need("POST", PREDICT))
    clock[0] += 3601
    gate.admit(scope_of(second), need("POST", PREDICT))
    with pytest.raises(Exception, match="expired"):
        gate.admit(scope_of(first), need("POST", PREDICT))


def scope_of(token: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    shown = (b"authorization", b"Bearer " + token.encode())
    return {"method": "POST", "headers": [(b"host", b"localhost"), shown, *headers], "state": {}}


def test_a_file_that_breaks_leaves_the_keys_in_force(
    client: Client, path: Path, tokens: dict[str, str]
) -> None:
    gate: Gate = client.app.state.service.gate
    good = path.read_bytes()
    for break_it in (lambda: path.write_text("{"), path.unlink, lambda: path.chmod(0o666)):
        break_it()
        gate._look_at = 0
        assert client.get("/v1/models", headers=bearer(tokens["query"])).status_code == 200
        assert "stay in force" in str(gate.trouble)
        path.write_bytes(good)
        path.chmod(0o600)
        gate._look_at = 0
        assert client.get("/v1/models", headers=bearer(tokens["query"])).status_code == 200
        assert gate.trouble is None


def test_a_start_without_usable_keys_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(SettingsError, match="worlds keys create"):
        create_app(Settings(var=str(tmp_path), keys=str(path)))
    path.write_text("[]")
    with pytest.raises(SettingsError, match="cannot be understood"):
        create_app(Settings(var=str(tmp_path), keys=str(path)))


def test_only_keys_open_the_service_to_others(path: Path) -> None:
    with pytest.raises(SettingsError, match="there are no keys"):
        load_settings({}, host="0.0.0.0")  # noqa: S104 - this is what is refused
    assert load_settings({}, host="0.0.0.0", keys=str(path)).host == "0.0.0.0"  # noqa: S104


def test_limits_are_told_and_kept(tmp_path: Path, path: Path) -> None:
    publish(tmp_path / "var")
    limits = Limits(rate=0.01, burst=3, cost=0.01, cost_burst=4)
    _, token = keys.create(path, "app", ("predict", "query"), BY, limits=limits)
    for client in opened(tmp_path, path):
        reply = send(client, "POST", PREDICT, {"draft": {}}, token)
        assert reply.status_code == 200
        assert reply.headers["ratelimit-policy"].startswith('"requests";q=3;w=300')
        assert reply.headers["ratelimit"].startswith('"requests";r=2;t=100')
        assert send(client, "POST", QUESTION, {}, token).status_code == 200  # two cost units
        assert send(client, "POST", "/v1/query", {"formula": "pupdates"}, token).status_code == 429
        assert send(client, "POST", PREDICT, {"draft": {}}, token).status_code == 200
        reply = send(client, "POST", PREDICT, {"draft": {}}, token)
        assert reply.status_code == 429
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["type"] == "/problems#limited"
        assert int(reply.headers["retry-after"]) == pytest.approx(100, abs=2)
        assert '"requests";r=0' in reply.headers["ratelimit"]


def test_two_processes_share_the_limits(tmp_path: Path, path: Path) -> None:
    _, token = keys.create(path, "app", ("predict",), BY, limits=Limits(rate=0.01, burst=4))
    gates = [Gate(path), Gate(path)]
    let_in = 0
    for i in range(10):
        try:
            gates[i % 2].admit(scope_of(token), need("POST", PREDICT))
        except LimitError:
            continue
        let_in += 1
    assert let_in == 4


def test_long_bodies_cost_more(path: Path) -> None:
    limits = Limits(cost=0.001, cost_burst=100)
    _, token = keys.create(path, "app", ("predict",), BY, limits=limits)
    gate = Gate(path)
    for header, units in (
        ((b"content-length", b"100"), 0),
        ((b"content-length", b"40960"), 10),
        ((b"transfer-encoding", b"chunked"), 10),
    ):
        scope = scope_of(token, header)
        gate.admit(scope, need("POST", PREDICT))
        told = dict(scope["state"]["worlds.used"])[b"ratelimit"]
        assert told.startswith(b'"cost";r=%d;' % (100 - units))
        os.truncate(path.with_name("keys.json.used"), 0)
        gate = Gate(path)


HOSTS: list[tuple[str, bytes, bool]] = [
    ("", b"localhost:8000", True), ("", b"127.0.0.1", True), ("", b"[::1]:80", True),
    ("", b"a.localhost", True), ("", b"evil.example", False), ("", b"127.0.0.1.b.example", False),
    ("", b"\xff", False), ("worlds.example", b"worlds.example:443", True),
    ("worlds.example", b"WORLDS.example", True), ("worlds.example", b"localhost", False),
    ("*.example, other", b"a.b.example", True), ("*.example, other", b"example", False),
    ("*.example, other", b"other", True), ("*", b"any", True),
]  # fmt: skip


@pytest.mark.parametrize(("allowed", "host", "good"), HOSTS)
def test_hosts(tmp_path: Path, allowed: str, host: bytes, good: bool) -> None:
    settings = Settings(var=str(tmp_path), hosts=allowed)
    with TestClient(create_app(settings, now=lambda: NOW), base_url=HERE) as client:
        for method, path in (("GET", "/health/live"), ("POST", PREDICT)):
            body = b'{"draft": {}}' if method == "POST" else None
            reply = client.request(method, path, headers={"host": host}, content=body)
            assert reply.status_code == (200 if good else 400), reply.text
            assert good or reply.json()["type"] == "/problems#bad-request"


def test_keys_are_nowhere(
    client: Client,
    tmp_path: Path,
    tokens: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    bodies = []
    wrong = "worlds_00000000_" + "secret" * 7
    for token in (*tokens.values(), wrong):
        for method, path, _, body in (*TRIES, ("GET", f"/nope?key={wrong[:9]}", "", None)):
            reply = send(client, method, path, body, token)
            bodies.append(f"{reply.headers} {reply.text}")
        bodies.append(client.get("/v1/models", headers={"x-api-key": token}).text)
        bodies.append(send(client, "POST", QUESTION, {"given": {"x": "y"}}, token).text)
    said = "".join([*bodies, caplog.text, *capfd.readouterr(), repr(client.app.state.service.gate)])
    files = b"".join(f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())
    for token in (*tokens.values(), wrong):
        assert token not in said
        assert token.split("_", 2)[2] not in said
        assert token.encode() not in files


def test_every_answer_has_the_headers(client: Client, tokens: dict[str, str]) -> None:
    admin = tokens["admin"]
    for method, path, body, token in (
        ("POST", PREDICT, {"draft": {}}, admin),
        ("POST", PREDICT, {"draft": 3}, admin),
        ("POST", PREDICT, {}, None),
        ("GET", "/v1/models", None, admin),
        ("GET", "/docs", None, admin),
        ("GET", "/nope", None, None),
        ("PUT", PREDICT, None, None),
        ("GET", "/health/live", None, None),
    ):
        headers = send(client, method, path, body, token).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"]
    page = send(client, "GET", "/docs", None, admin).headers
    assert page["referrer-policy"] == "no-referrer"
    assert "'self'" in page["content-security-policy"]


def test_other_pages_may_ask_only_if_they_are_named(tmp_path: Path) -> None:
    origin = {"origin": "https://a.example"}
    asking = {**origin, "access-control-request-method": "POST"}
    for cors, allowed in (("", False), ("https://a.example", True), ("https://b.example", False)):
        settings = Settings(var=str(tmp_path), cors=cors)
        with TestClient(create_app(settings, now=lambda: NOW), base_url=HERE) as client:
            reply = client.get("/health/live", headers=origin)
            assert (reply.headers.get("access-control-allow-origin") is not None) is allowed
            reply = client.options("/v1/query", headers=asking)
            assert (reply.headers.get("access-control-allow-origin") is not None) is allowed
