"""Several processes: what dies starts again, and nothing that was promised is lost."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from api.processes import status as file
from api.processes.restarts import FIRST, LOOP, MOST, REST, delay, looping
from api.processes.status import PartStatus, Status, read, troubles
from tests.api.building import event, publish

ARGUMENTS = ("serve", "--workers", "2", "--port", "0", "--json")
PREDICT = ("POST", "/v1/predictions/likes", {"draft": {"breed": "pug"}})


def test_the_first_restart_is_soon_and_later_ones_wait_longer() -> None:
    waits = [delay(2.0 * n - 1, [2.0 * i for i in range(1, n + 1)]) for n in range(1, LOOP)]
    assert waits[0] == FIRST
    assert waits == sorted(waits)
    assert all(wait <= MOST for wait in waits)


def test_a_part_that_ran_long_starts_again_at_once_though_it_had_ended_before() -> None:
    assert delay(100.0, [90.0, 95.0, 200.0]) == FIRST


def test_many_ends_in_a_short_time_are_a_loop() -> None:
    quick = [float(i) for i in range(LOOP)]
    assert looping(quick)
    assert delay(quick[-1] - 0.1, quick) == REST
    assert not looping([20.0 * i for i in range(LOOP)])


def test_the_status_file_is_read_back(tmp_path: Path) -> None:
    said = Status(1, "http://x", 5.0, (PartStatus("recorder", "recorder", "running", 2, 0, "t"),))
    said.write(tmp_path / "s.json")
    assert read(tmp_path / "s.json") == said
    (tmp_path / "s.json").write_text('{"parts": 3}')
    assert read(tmp_path / "s.json") is None
    assert read(tmp_path / "none") is None


def test_troubles_name_what_ended_and_a_silent_supervisor() -> None:
    parts = (
        PartStatus("recorder", "recorder", "waiting", None, 1, "t", "killed by SIGKILL"),
        PartStatus("worker-0", "worker", "running", 3, 0, "t"),
    )
    said = Status(1, "http://x", 100.0, parts)
    assert troubles(said, 100.5) == ["recorder: waiting (killed by SIGKILL)"]
    assert "supervisor is gone" in troubles(said, 100.0 + 2 * file.SILENT)[-1]
    assert troubles(None, 0.0)


class Served:
    """A service of several processes."""

    def __init__(self, process: subprocess.Popen[str], address: str, var: Path) -> None:
        self.process = process
        self.var = var
        self.port = int(address.rpartition(":")[2])

    def ask(self, method: str, path: str, body: object = None, kind: str = "json") -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"content-type": f"application/{kind}"} if body is not None else {}
            raw = None if body is None else json.dumps(body)
            connection.request(method, path, raw, headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def quick(self) -> dict[str, dict[str, Any]]:
        """Return the parts as the file beside the data says: nobody needs to answer."""
        said = read(self.var / "sniffable" / file.FILE)
        assert said is not None
        return {part.name: asdict(part) for part in said.parts}

    def text(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def parts(self) -> dict[str, dict[str, Any]]:
        _, said = self.ask("GET", "/v1/status")
        return {part["name"]: part for part in said["parts"]}

    def until(self, wanted: Callable[[], bool], seconds: float = 150) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(OSError, http.client.HTTPException):
                if wanted():
                    return
            time.sleep(0.1)
        raise AssertionError("it did not happen")


@contextmanager
def serve(var: Path, *options: str, **environ: str) -> Iterator[Served]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WORLDS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", *ARGUMENTS, "--var", str(var), *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**clean, **environ},
    )
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, f"the server ended: {text}"
        text += line
    try:
        yield Served(process, json.loads(text)["address"], var)
    finally:
        with process.stdout:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    var = tmp_path_factory.mktemp("processes") / "var"
    publish(var)
    with serve(var) as found:
        yield found


@pytest.mark.slowish
@pytest.mark.parametrize("victim", ["worker-0", "recorder", "questions", "worker-1"])
def test_what_is_killed_starts_again_and_predictions_go_on(service: Served, victim: str) -> None:
    before = service.parts()[victim]
    answers: list[int] = []
    cut = []
    done = threading.Event()

    def predict() -> None:
        while not done.wait(0.01):
            try:
                answers.append(service.ask(*PREDICT)[0])
            except (OSError, http.client.HTTPException) as error:  # it was being answered by it
                cut.append(error)

    thread = threading.Thread(target=predict)
    thread.start()
    os.kill(before["pid"], signal.SIGKILL)
    service.until(lambda: service.parts()[victim]["restarts"] == before["restarts"] + 1)
    service.until(lambda: service.parts()[victim]["state"] == "running")
    done.set()
    thread.join(30)
    assert set(answers) == {200}
    assert len(answers) > 5
    # one thread asks: at most the request that the victim was answering is cut
    assert len(cut) <= victim.startswith("worker")
    after = service.parts()[victim]
    assert after["pid"] != before["pid"]
    assert after["reason"] == "killed by SIGKILL"


@pytest.mark.slowish
def test_no_acknowledged_fact_is_lost_when_the_recorder_is_killed_again_and_again(
    service: Served,
) -> None:
    acknowledged: list[str] = []
    refused = []
    for number in range(60):
        name = f"kill-{number}"
        if number % 20 == 10:
            recorder = service.parts()["recorder"]
            if recorder["pid"]:
                os.kill(recorder["pid"], signal.SIGKILL)
        given = event(name, entity=f"post:{name}")
        status, body = service.ask("POST", "/v1/facts", given, "cloudevents+json")
        if status == 200:
            assert body["receipts"][0]["status"] in {"accepted", "duplicate"}
            acknowledged.append(name)
        else:
            assert status == 503, body
            refused.append(name)
            service.until(lambda: service.ask("GET", "/v1/facts?limit=1")[0] == 200)
    assert len(acknowledged) > 30
    for name in [*acknowledged[:3], *acknowledged[-3:]]:
        _, found = service.ask("GET", f"/v1/facts?entity=post:{name}")
        assert len(found["facts"]) == 1
    service.until(lambda: service.ask("GET", "/health/ready")[1]["status"] == "ready")
    for name in acknowledged + refused:  # sent again, none is there twice
        given = event(name, entity=f"post:{name}")
        _, body = service.ask("POST", "/v1/facts", given, "cloudevents+json")
        status = body["receipts"][0]["status"]
        assert (
            status == "duplicate" if name in acknowledged else status in {"accepted", "duplicate"}
        )


@pytest.mark.slowish
def test_every_worker_tells_the_counts_of_all_and_events_tell_of_a_death(service: Served) -> None:
    for _ in range(20):
        service.ask(*PREDICT)
    text = service.text("/metrics")
    counted = [line for line in text.splitlines() if line.startswith("worlds_predictions_total")]
    assert float(counted[-1].split()[-1]) >= 20
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request("GET", "/v1/events")
    stream = connection.getresponse()
    assert stream.getheader("content-type", "").startswith("text/event-stream")
    pid = service.parts()["recorder"]["pid"]
    os.kill(pid, signal.SIGKILL)
    said = b""
    while b"event: process" not in said or not said.endswith(b"\r\n\r\n"):
        line = stream.readline()
        assert line
        said += line
    connection.close()
    assert b"killed by SIGKILL" in said
    service.until(lambda: service.ask("GET", "/health/ready")[1]["status"] == "ready")


def flood(service: Served, number: int = 120) -> None:
    """Send big bodies that nobody takes, all at once: little of them is held in memory."""
    body = b"[" + b" " * 3_900_000 + b"]"
    head = (
        b"POST /v1/facts HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        b"content-type: application/cloudevents-batch+json\r\ncontent-length: %d\r\n\r\n"
    ) % len(body)
    workers = [p["pid"] for name, p in service.parts().items() if name.startswith("worker")]
    before = sum(map(memory, workers))

    def send(answers: list[bytes]) -> None:
        with socket.create_connection(("127.0.0.1", service.port), 60) as peer:
            with suppress(ConnectionError):
                peer.sendall(head + body)
            with suppress(ConnectionError):
                answers.append(peer.recv(12))

    answers: list[bytes] = []
    threads = [threading.Thread(target=send, args=(answers,)) for _ in range(number)]
    for thread in threads:
        thread.start()
    most = before
    while any(thread.is_alive() for thread in threads):
        assert service.ask(*PREDICT)[0] == 200
        most = max(most, sum(map(memory, workers)))
        time.sleep(0.05)
    assert set(answers) <= {b"HTTP/1.1 503", b""}
    assert most - before < 2 * 150_000_000 < number * len(body)


def memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


@pytest.mark.slowish
def test_without_the_recorder_health_tells_and_facts_wait_or_are_refused(service: Served) -> None:
    pid = service.parts()["recorder"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        service.until(  # every worker has noticed
            lambda: (
                not any(
                    service.ask("GET", "/health/ready")[1]["facts"]["available"] for _ in range(10)
                )
            )
        )
        assert service.ask(*PREDICT)[0] == 200
        status, problem = service.ask("POST", "/v1/facts", event("stopped"), "cloudevents+json")
        assert status == 503
        assert "recorder" in problem["detail"]
        flood(service)
    finally:
        os.kill(pid, signal.SIGCONT)
    service.until(lambda: service.ask("GET", "/health/ready")[1]["status"] == "ready")


@pytest.mark.slowish
@pytest.mark.parametrize("victim", ["worker-0", "recorder"])
def test_what_stands_still_is_ended_and_starts_again(tmp_path: Path, victim: str) -> None:
    publish(tmp_path / "var")
    with serve(tmp_path / "var", WORLDS_HUNG_SECONDS="3") as service:
        pid = service.parts()[victim]["pid"]
        os.kill(pid, signal.SIGSTOP)
        # the worker that is left answers; only what the stopped one had taken already waits
        service.until(lambda: service.quick()[victim]["restarts"] == 1)
        service.until(lambda: service.quick()[victim]["state"] == "running")
        after = service.parts()[victim]
        assert after["pid"] != pid
        assert after["reason"].startswith("killed by SIGKILL, because it stood still for 3 s")
        assert service.ask(*PREDICT)[0] == 200
        assert {part["restarts"] for part in service.parts().values()} == {0, 1}


@pytest.mark.slowish
def test_a_second_server_on_the_same_data_says_so_and_leaves_the_first_alone(
    service: Served,
) -> None:
    public = service.var / "sniffable" / file.FILE
    mine = service.parts()
    with serve(service.var) as second:
        assert second.ask(*PREDICT)[0] == 200
        ready = second.ask("GET", "/health/ready")[1]
        assert ready["status"] == "degraded"
        assert any("held by process" in reason for reason in ready["reasons"])
        theirs = second.parts()
        time.sleep(2.5)
        for found, before in ((service.parts(), mine), (second.parts(), theirs)):
            assert [part["pid"] for part in found.values()] == [
                part["pid"] for part in before.values()
            ]
        said = read(public)
        assert said is not None
        assert said.address.endswith(f":{service.port}")
    said = read(public)
    assert said is not None
    assert said.address.endswith(f":{service.port}")
    assert service.ask(*PREDICT)[0] == 200
    assert service.ask("GET", "/health/ready")[1]["status"] == "ready"


@pytest.mark.slowish
def test_it_ends_clean_on_sigterm_and_a_killed_supervisor_is_replaced(tmp_path: Path) -> None:
    var = tmp_path / "var"
    publish(var)
    with serve(var) as first:
        pids = [part["pid"] for part in first.parts().values()]
        first.process.kill()
        first.process.wait(10)
        assert first.ask(*PREDICT)[0] == 200
        gone = "the supervisor is gone: nobody restarts what ends"
        first.until(lambda: gone in first.ask("GET", "/health/ready")[1]["reasons"])
        with serve(var) as second:
            assert second.ask(*PREDICT)[0] == 200
            assert not [pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists()]
            last = [part["pid"] for part in second.parts().values()]
    assert second.process.returncode == 0
    assert not [pid for pid in last if Path(f"/proc/{pid}/cmdline").exists()]
    assert not (var / "sniffable" / file.FILE).exists()
