"""Clients that are slow, silent, or send no HTTP: they are closed, and nobody else feels them."""

import contextlib
import json
import logging
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from api.cli.run import serving
from api.connections import origin
from api.settings import Settings
from tests.api.building import publish

PREDICT = "/v1/predictions/likes"
BODY = b'{"draft": {}}'
HEAD = (
    b"POST /v1/predictions/likes HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
)
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
PATIENCE = 1.0


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    var = tmp_path_factory.mktemp("connections")
    publish(var)
    with serving(Settings(var=str(var), port=0, client_seconds=PATIENCE)) as found:
        yield found


def connect(address: str) -> socket.socket:
    place = urlsplit(address)
    return socket.create_connection((place.hostname or "", place.port or 0), timeout=10)


def talk(address: str, sent: bytes, wait: float = 10.0) -> bytes:
    """Send bytes, return everything that comes back until the server closes or says no more."""
    with connect(address) as peer:
        peer.settimeout(wait)
        with contextlib.suppress(ConnectionError):
            peer.sendall(sent)
        found = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while part := peer.recv(65536):
                found += part
        return found


def works(address: str) -> None:
    reply = httpx.post(f"{address}{PREDICT}", json={"draft": {}})
    assert reply.status_code == 200


def seconds_until_closed(peer: socket.socket) -> tuple[float, bytes]:
    peer.settimeout(10)
    began, found = time.monotonic(), b""
    with contextlib.suppress(ConnectionError):
        while part := peer.recv(65536):
            found += part
    return time.monotonic() - began, found


@pytest.mark.slowish
@pytest.mark.parametrize("sent", [b"", b"GET /health/live HT", HEAD], ids=["none", "line", "head"])
def test_a_request_that_never_comes_is_not_waited_for(address: str, sent: bytes) -> None:
    with connect(address) as peer:
        peer.sendall(sent)
        waited, found = seconds_until_closed(peer)
    assert PATIENCE * 0.5 < waited < PATIENCE + 3
    assert found == b""
    works(address)


@pytest.mark.slowish
def test_bytes_now_and_then_do_not_help(address: str) -> None:
    with connect(address) as peer:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 10:
                peer.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - began < PATIENCE + 3


@pytest.mark.slowish
@pytest.mark.parametrize("path", [PREDICT, "/v1/questions/likes_next_hour", "/v1/facts"])
def test_a_body_that_never_ends_gets_a_problem(
    address: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind = b"application/cloudevents+json" if path == "/v1/facts" else b"application/json"
    head = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: %s\r\n" % (path.encode(), kind)
    with connect(address) as peer:
        peer.sendall(head + b'content-length: 1000\r\n\r\n{"draft"')
        waited, found = seconds_until_closed(peer)
    assert waited < PATIENCE + 3
    assert found.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert json.loads(found.partition(b"\r\n\r\n")[2])["type"] == "/problems#timeout"
    works(address)
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR], caplog.text


@pytest.mark.slowish
def test_an_answer_nobody_takes_is_given_up(address: str) -> None:
    many = b"".join([b"GET /static/rapidoc-min.js HTTP/1.1\r\nhost: localhost\r\n\r\n"] * 40)
    with connect(address) as peer:
        peer.sendall(many)
        time.sleep(PATIENCE + 2.5)
        waited, found = seconds_until_closed(peer)
    assert waited < 5
    assert len(found) < 40 * 800_000
    works(address)


@pytest.mark.slowish
def test_a_connection_that_does_its_part_stays(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        for _ in range(8):
            reply = client.post(PREDICT, json={"draft": {}})
            assert reply.status_code == 200
            time.sleep(0.3)


MALFORMED: dict[str, bytes] = {
    "noise": bytes(range(256)),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 300,
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "version 9": b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: localhost\r\nhost: b\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nhost : localhost\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nhost: localhost\r\nnonsense\r\n\r\n",
    "nul in header": b"GET / HTTP/1.1\r\nhost: localhost\r\nx: a\x00b\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nhost: localhost\n\n",
    "long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
    "negative length": HEAD + b"content-length: -1\r\n\r\n",
    "two lengths": HEAD + b"content-length: 3\r\ncontent-length: 13\r\n\r\n" + BODY,
    "length and chunks": HEAD
    + b"content-length: 13\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    "bad chunk": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "endless chunk": HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\nabc",
    "unknown coding": HEAD + b"transfer-encoding: gzip\r\n\r\nabc",
    "upgrade": b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    "websocket": b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n"
    b"upgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "connect": b"CONNECT a:1 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "absolute": b"GET http://other/ HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "path of bytes": b"GET /\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "bad percent": b"GET /%zz%c0%ae HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "more after": WHOLE + b"\x00\x01 nonsense\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_http_gets_no_5xx(
    address: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = talk(address, MALFORMED[name], wait=PATIENCE + 3)
    statuses = [int(line.split()[1]) for line in found.split(b"\r\n") if line[:7] == b"HTTP/1."]
    assert all(status < 500 for status in statuses), found[:500]
    if b"bad-http" in found:
        assert b"content-type: application/problem+json" in found
        assert b"x-content-type-options: nosniff" in found
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR], caplog.text
    works(address)


def test_a_request_hidden_behind_another_is_not_answered(address: str) -> None:
    hidden = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
    for head in (
        b"content-length: 13\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"content-length: 13\r\ncontent-length: 0\r\n\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    ):
        found = talk(address, HEAD + head + hidden, wait=PATIENCE + 3)
        assert b'{"status":"live"}' not in found or found.count(b"HTTP/1.1 ") < 2, (head, found)


@pytest.mark.parametrize("wish", ["h2c", "websocket"])
def test_the_wish_for_another_protocol_means_nothing(address: str, wish: str) -> None:
    body = b'{"draft": {"breed": "pug"}, "note": "\r\nupgrade: kept"}'
    head = (
        "POST /v1/predictions/likes HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json"
        f"\r\nConnection: Upgrade, close\r\nUpgrade: {wish}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    for told in (talk(address, head.encode() + body), talk(address, head.encode() + body)):
        assert told.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))
        assert b"truncated" not in told
    good = b'{"draft": {"breed": "pug"}}'
    sent = head.replace(f"length: {len(body)}", f"length: {len(good)}").encode() + good
    assert talk(address, sent).startswith(b"HTTP/1.1 200")


def test_a_huge_body_is_cut_off(address: str) -> None:
    piece = b"x" * 65536
    with connect(address) as peer:
        peer.sendall(HEAD + b"content-length: 99999999999\r\n\r\n")
        sent, began = 0, time.monotonic()
        with contextlib.suppress(ConnectionError, TimeoutError):
            while time.monotonic() - began < 10:
                sent += peer.send(piece)
        waited = time.monotonic() - began
        found = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            found = peer.recv(65536)
    assert waited < PATIENCE + 4
    assert not found or found.startswith(b"HTTP/1.1 413")
    works(address)


def served(tmp_path: Path, **settings: object) -> tuple["subprocess.Popen[str]", str]:
    environment = {f"WORLDS_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "api.cli", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--var", str(tmp_path)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    text = ""
    while "}" not in text:
        line = process.stdout.readline()
        assert line, "the server ended"
        text += line
    return process, str(json.loads(text)["address"])


def memory(pid: int) -> float:
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1]) / 1024


def stop(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=30)
    finally:
        process.kill()


@pytest.mark.slowish
def test_ten_thousand_silent_connections_harm_nobody(tmp_path: Path) -> None:
    publish(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_000
    if hard != resource.RLIM_INFINITY and hard < wanted + 500:
        wanted = hard - 500  # as many as this machine lets two processes open
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 500), hard))
    process, address = served(tmp_path, client_seconds=20)
    peers: list[socket.socket] = []
    try:
        with httpx.Client(base_url=address, timeout=10) as client:
            assert client.post(PREDICT, json={"draft": {}}).status_code == 200
            before, slowest = memory(process.pid), 0.0
            for i in range(wanted):
                peers.append(connect(address))
                if i % 100 == 0:
                    began = time.monotonic()
                    assert client.post(PREDICT, json={"draft": {}}).status_code == 200
                    slowest = max(slowest, time.monotonic() - began)
            grown = memory(process.pid) - before
            latencies = []
            for _ in range(200):
                began = time.monotonic()
                assert client.post(PREDICT, json={"draft": {}}).status_code == 200
                latencies.append(time.monotonic() - began)
        assert slowest < 2
        assert sorted(latencies)[100] < 0.1
        assert grown < wanted * 0.03  # 30 kB each
        print(f"{wanted} connections: {grown:.0f} MB, slowest {slowest:.3f} s")
        works(address)
        # And in the end they are gone.
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline and not closed(peers[0]):
            time.sleep(0.5)
        assert closed(peers[0])
    finally:
        for peer in peers:
            peer.close()
        stop(process)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slowish
def test_one_address_cannot_take_all(tmp_path: Path) -> None:
    publish(tmp_path)
    process, address = served(tmp_path, connections=60, connections_each=20, client_seconds=600)
    port = urlsplit(address).port or 0
    peers: list[socket.socket] = []
    try:
        with contextlib.ExitStack() as held:
            for _ in range(20):  # all of them did their part: none of them makes room
                one = held.enter_context(httpx.Client(base_url=address))
                assert one.post(PREDICT, json={"draft": {}}).status_code == 200
            found = talk(address, WHOLE, wait=5)
            assert found.startswith(b"HTTP/1.1 503")
            assert b"your address has as many connections" in found
            elsewhere = socket.create_connection(("127.0.0.1", port), 10, ("127.0.0.9", 0))
            with elsewhere:
                elsewhere.sendall(WHOLE)
                assert elsewhere.recv(100).startswith(b"HTTP/1.1 200")
        time.sleep(0.5)
        for _ in range(50):  # these never send anything: the oldest of them make room
            peers.append(connect(address))  # noqa: PERF401 - closed below, whatever happens
        time.sleep(0.5)
        assert sum(closed(peer) for peer in peers) == 30
        assert not closed(peers[-1])
        works(address)
    finally:
        for peer in peers:
            peer.close()
        stop(process)


@pytest.mark.parametrize(
    ("client", "local", "counted"),
    [
        (None, True, None),
        (("127.0.0.1", 5), True, None),
        (("127.0.0.1", 5), False, "127.0.0.1"),
        (("::1", 5), True, None),
        (("::ffff:192.0.2.7", 5), True, "192.0.2.7"),
        (("192.0.2.7", 5), True, "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 5), True, "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5), True, "fe80::/64"),
        (("/a/socket", 0), True, "/a/socket"),
    ],
)
def test_connections_are_counted_by_address_and_of_ipv6_by_network(
    client: tuple[str, int] | None, local: bool, counted: str | None
) -> None:
    assert origin(client, local) == counted


@pytest.mark.parametrize("text", [b"x: " + b"a" * 1000 + b"\r\n", b"x" * 1000, b"a: b\r\n"])
def test_a_head_without_end_is_cut_off(address: str, text: bytes) -> None:
    with connect(address) as peer:
        peer.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n")
        sent, began = 0, time.monotonic()
        with contextlib.suppress(ConnectionError, TimeoutError):
            while time.monotonic() - began < 5:
                sent += peer.send(text * 5)
        assert time.monotonic() - began < 3
        assert sent < 16_000_000
    works(address)


def closed(peer: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(peer, selectors.EVENT_READ)
        return bool(selector.select(0))


@pytest.mark.slowish
def test_the_oldest_silent_connection_makes_room(tmp_path: Path) -> None:
    publish(tmp_path)
    process, address = served(tmp_path, connections=50, client_seconds=600)
    peers: list[socket.socket] = []
    try:
        for _ in range(200):
            peers.append(connect(address))  # noqa: PERF401 - closed below, whatever happens
        works(address)
        time.sleep(0.5)
        assert sum(closed(peer) for peer in peers) >= 150
        assert closed(peers[0])
        assert not closed(peers[-1])
    finally:
        for peer in peers:
            peer.close()
        stop(process)
