"""Traces: which requests, what a span says, and that nobody waits for the collector."""

import asyncio
import importlib.util
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import tracing
from api.app import create_app
from api.errors import SettingsError
from api.server import Server, configured, service_of
from api.settings import Settings
from api.tracing import MOST, Tracing, asks
from tests.api.building import publish
from tests.api.test_imports import loaded

if importlib.util.find_spec("opentelemetry") is None:
    pytest.skip("OpenTelemetry is not installed (the extra otel)", allow_module_level=True)

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
UNTRACED = f"00-{TRACE}-b7ad6b7169203331-00"
PREDICT = "/v1/predictions/likes"
BODY = {"draft": {"breed": "pug"}}


def spans_of(
    var: Path, requests: list[tuple[str, str, dict[str, str]]], share: float, **given: Any
) -> list[Any]:
    publish(var)
    exporter = InMemorySpanExporter()
    traced = Tracing(exporter, share, "all", **given)
    app = traced.around(create_app(Settings(var=str(var), prediction_log=0)))

    async def scene() -> None:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost"
        ) as client:
            for method, path, headers in requests:
                body = BODY if method == "POST" else None
                await client.request(method, path, json=body, headers=headers)
        await traced.close()

    asyncio.run(scene())
    return list(exporter.get_finished_spans())


def test_a_span_tells_route_and_status_and_no_secrets(tmp_path: Path) -> None:
    headers = {"authorization": "Bearer a-key"}
    path = "/v1/questions/nonsense?level=0.123"
    requests = [("POST", PREDICT, headers), ("GET", path, headers), ("GET", "/nowhere", headers)]
    first, second, third = spans_of(tmp_path, requests, 1.0)
    assert first.name == f"POST {PREDICT}"
    assert first.attributes["http.response.status_code"] == 200
    assert first.resource.attributes["worlds.role"] == "all"
    assert second.name.startswith("GET /v1/questions/{")
    assert second.attributes["http.response.status_code"] == 404
    assert third.name == "GET"
    for span in (first, second, third):
        assert not any(word in span.to_json() for word in ("a-key", "0.123", "nonsense", "nowhere"))


def test_callers_decide_and_their_trace_goes_on(tmp_path: Path) -> None:
    requests = [
        ("POST", PREDICT, {"traceparent": CALLER}),
        ("POST", PREDICT, {}),
        ("POST", PREDICT, {"traceparent": "nonsense"}),
    ]
    [span] = spans_of(tmp_path, requests, 0.0)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert spans_of(tmp_path, [("POST", PREDICT, {"traceparent": UNTRACED})], 1.0) == []


def test_by_chance_a_share_is_traced_and_never_more_than_so_many_a_second(tmp_path: Path) -> None:
    draws = iter([0.09, 0.11, 0.5, 0.0])
    requests = [("POST", PREDICT, {})] * 4
    assert len(spans_of(tmp_path, requests, 0.1, chance=lambda: next(draws))) == 2
    greedy = [("GET", "/health/live", {"traceparent": CALLER})] * (MOST + 5)
    assert len(spans_of(tmp_path, greedy, 0.0, clock=lambda: 7.0)) == MOST


@pytest.mark.parametrize(
    "text", [b"", b"00", b"00-a-b", b"00-a-b-zz", b"00-a-b-", b"\xff-\xff-1-\xff"]
)
def test_what_is_no_trace_asks_for_none(text: bytes) -> None:
    assert not asks(text)


def test_without_an_address_nothing_of_it_is_loaded_and_a_wrong_one_is_refused() -> None:
    assert loaded("import api.app, api.server", ("opentelemetry",)) == ""
    with pytest.raises(SettingsError, match="is no address"):
        tracing.check("localhost:4318")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"possible-worlds\[otel\]"):
        tracing.check("http://127.0.0.1:4318/v1/traces")


@contextmanager
def collector(*, hangs: bool) -> Iterator[tuple[str, list[bytes], threading.Event]]:
    got: list[bytes] = []
    let_go = threading.Event()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            if hangs:
                let_go.wait(30)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/traces", got, let_go
        finally:
            let_go.set()
            server.shutdown()
            thread.join()


async def serving(server: Server, work: Any) -> None:
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await work(client)
    server.should_exit = True
    await task


def traced_server(var: Path, address: str) -> Server:
    publish(var)
    settings = Settings(var=str(var), port=0, otel=address, otel_share=1.0, prediction_log=0)
    app = create_app(settings)
    config = configured(app, settings)
    config.port = 0
    return Server(config, service_of(app))


def test_spans_reach_a_collector(tmp_path: Path) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        assert (await client.post(PREDICT, json=BODY)).status_code == 200

    with collector(hangs=False) as (address, got, _):
        asyncio.run(serving(traced_server(tmp_path, address), ask))
    assert PREDICT.encode() in b"".join(got)
    assert b"possible-worlds" in b"".join(got)


@pytest.mark.slowish
def test_a_collector_that_hangs_delays_no_answer_and_the_end_by_seconds_at_most(
    tmp_path: Path,
) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        for _ in range(20):
            assert (await client.post(PREDICT, json=BODY, timeout=5)).status_code == 200
            await asyncio.sleep(0.1)

    with collector(hangs=True) as (address, got, _):
        began = time.monotonic()
        asyncio.run(serving(traced_server(tmp_path, address), ask))
        assert time.monotonic() - began < 20
    assert got
