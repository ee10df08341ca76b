"""A disk that takes nothing more: predictions go on, facts are refused, health says so."""

import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.building import event, publish

ROOM = 3_000_000
"""Bytes that a file of the service may have: a fact file begins below that."""
PREDICT = ("POST", "/v1/predictions/likes", {"draft": {"breed": "pug"}})
BAN = {"action": "ban", "by": "ann", "reason": "why", "until": "2036-01-01T00:00:00Z"}


class Served:
    """A server whose files cannot grow beyond a limit, until it is lifted."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid, self.port = pid, port

    def ask(self, method: str, path: str, body: object = None, kind: str = "json") -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"content-type": f"application/{kind}"} if body is not None else {}
            connection.request(
                method, path, json.dumps(body) if body is not None else None, headers
            )
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def room(self, size: int) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def serve(var: Path) -> Iterator[Served]:
    command = [sys.executable, "-m", "api.cli", "serve", "--port", "0", "--json", "--var", str(var)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, text
        text += line
    try:
        yield Served(process.pid, int(json.loads(text)["address"].rpartition(":")[2]))
    finally:
        process.send_signal(signal.SIGTERM)
        with process.stdout:
            process.wait(60)


def batch(number: int) -> list[dict[str, Any]]:
    note = os.urandom(3_000).hex()
    return [
        event(f"{number}-{i}", entity=f"post:{number}-{i}", attributes={"note": note + str(i)})
        for i in range(20)
    ]


@pytest.mark.slowish
def test_a_full_disk_costs_facts_their_place_and_nothing_else(tmp_path: Path) -> None:
    var = tmp_path / "var"
    publish(var)
    with serve(var) as service:
        deadline = time.monotonic() + 60
        while service.ask("GET", "/health/ready")[1]["status"] != "ready":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        service.room(ROOM)
        statuses, taken = [], []
        for number in range(60):
            status, said = service.ask("POST", "/v1/facts", batch(number), "cloudevents-batch+json")
            statuses.append(status)
            if status == 200:
                taken.append(number)
            elif statuses.count(status) == 3:
                break
        assert set(statuses) == {200, 503}, statuses
        assert "nothing of the submission was recorded" in said["detail"]
        ready = service.ask("GET", "/health/ready")[1]
        assert ready["status"] == "degraded"
        assert any("facts: nothing can be recorded" in reason for reason in ready["reasons"])
        assert all(service.ask(*PREDICT)[0] == 200 for _ in range(5))
        path = "/v1/models/likes_per_pupdate.learned/override"
        decided = service.ask("POST", path, BAN)[0]  # a little may fit still: all or nothing
        assert decided in (200, 503)
        listed = service.ask("GET", "/v1/overrides")[1]["overrides"]
        assert len(listed) == (decided == 200)
        service.room(resource.RLIM_INFINITY)
        while service.ask("POST", "/v1/facts", event("later"), "cloudevents+json")[0] != 200:
            assert time.monotonic() < deadline + 60
            time.sleep(0.2)
        while service.ask("GET", "/health/ready")[1]["status"] != "ready":
            assert time.monotonic() < deadline + 60
            time.sleep(0.2)
        for number in taken:  # what was acknowledged is there
            found = service.ask("GET", f"/v1/facts?entity=post:{number}-7")[1]
            assert len(found["facts"]) == 1
