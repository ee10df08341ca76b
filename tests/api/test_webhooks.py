import asyncio
import base64
import hashlib
import hmac
import io
import json
import logging
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.errors import SettingsError
from api.events import Event
from api.logs import JsonFormatter
from api.webhooks import WAITING, Webhooks, read_secret
from tests.api.building import publish
from tests.api.conftest import client_of

SECRET = b"a secret of more than twenty-four bytes"
ALERT = Event("health-service-1", "health", "2026-11-21T00:00:00Z", {"status": "degraded"})


class Receiver:
    """Answers with the given statuses in turn, then always with the last."""

    def __init__(self, statuses: Sequence[int]) -> None:
        self.statuses = list(statuses)
        self.got: list[httpx.Request] = []

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 0:
            raise httpx.ConnectError("nobody there", request=request)
        return httpx.Response(status)


def deliver(receiver: Receiver, events: Sequence[Event], wanted: int) -> None:
    async def scene() -> None:
        hooks = Webhooks(
            ["http://receiver/x"], SECRET, receiver.client, lambda: 1_700_000_000.5, [0.0, 0.0]
        )
        for event in events:
            hooks.alert(event)
        task = asyncio.create_task(hooks.run())
        async with asyncio.timeout(10):
            while len(receiver.got) < wanted:  # noqa: ASYNC110 - what a receiver got is a list
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())


def test_an_alert_arrives_signed() -> None:
    receiver = Receiver([200])
    deliver(receiver, [ALERT], 1)
    (request,) = receiver.got
    name, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    signed = f"{name}.{stamp}.".encode() + request.content
    expected = base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    assert stamp == "1700000000"
    assert json.loads(request.content)["data"] == {"status": "degraded"}


@pytest.mark.parametrize("statuses", [[500, 200], [0, 503, 204]])
def test_it_is_tried_again_until_it_arrives(statuses: list[int]) -> None:
    receiver = Receiver(statuses)
    deliver(receiver, [ALERT], len(statuses))
    assert len(receiver.got) == len(statuses)
    assert len({request.headers["webhook-id"] for request in receiver.got}) == 1


def test_what_never_arrives_is_given_up_said_and_holds_up_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = Receiver([500, 500, 500, 200])
    later = Event("model-a-1", "model", "2026-11-21T00:00:01Z", {})
    with caplog.at_level(logging.ERROR):
        deliver(receiver, [ALERT, later], 4)
    assert "given up: it answered 500" in caplog.text
    assert receiver.got[-1].headers["webhook-id"].startswith("model-a-1")
    assert SECRET.decode() not in caplog.text


def test_a_new_release_is_no_alert_and_too_many_drop_the_oldest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks = Webhooks(["http://x"], SECRET, Receiver([200]).client)
    hooks.alert(Event("r", "release", "t", {}))
    (queue,) = hooks._queues.values()
    assert queue.empty()
    for number in range(WAITING + 1):
        hooks.alert(Event(str(number), "health", "t", {}))
    assert queue.qsize() == WAITING
    assert queue.get_nowait().id == "1"
    assert "alert 0 to http://x was dropped" in caplog.text


def test_the_secret_comes_from_a_file_and_is_never_said(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("whsec_" + base64.b64encode(b"k" * 32).decode() + "\n")
    assert read_secret(path) == b"k" * 32
    path.write_text("plain text that is long enough\n")
    assert read_secret(path) == b"plain text that is long enough"
    path.write_text("hush")
    with pytest.raises(SettingsError, match="shorter") as caught:
        read_secret(path)
    assert "hush" not in str(caught.value)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_secret(tmp_path / "none")


def test_a_degraded_service_tells_its_webhook(tmp_path: Path) -> None:
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    release = publish(tmp_path / "var")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{receiver.server_address[1]}/alerts"
        more = {"webhooks": address, "webhook_secret": str(secret)}
        with client_of(tmp_path / "var", **more):
            time.sleep(0.6)  # it has looked once
            pointer = tmp_path / "var" / "sniffable" / "snapshots" / "current"
            pointer.write_text("0" * len(release.id))
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and not got:
                time.sleep(0.05)
        receiver.shutdown()
        thread.join()
    assert got[0]["kind"] == "health"
    assert got[0]["data"]["status"] == "degraded"


def test_logs_are_json_lines_where_it_is_wanted() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log = logging.Logger("api")
    log.addHandler(handler)
    log.warning("two %s\nlines", "words")
    try:
        int("no")
    except ValueError:
        log.exception("it failed")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["level"], first["message"]) == ("warning", "two words\nlines")
    assert "ValueError: invalid literal" in second["traceback"]
