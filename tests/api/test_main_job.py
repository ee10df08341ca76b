"""The main job end to end, and the server as a process of its own."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.building import publish

WORLDS = [sys.executable, "-m", "api.cli"]
ROOT = Path(__file__).parents[2]
ENV = {**{k: v for k, v in os.environ.items() if not k.startswith("WORLDS_")},
       "PYTHONPATH": str(ROOT)}  # fmt: skip


def worlds(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WORLDS, *arguments], cwd=home, env=ENV, capture_output=True, text=True, check=False
    )


@contextmanager
def served(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [*WORLDS, "serve", "--port", "0", *arguments],
        cwd=home,
        env=ENV,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"http://127.0.0.1:(\d+)", said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        yield process, int(found.group(1))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def request(port: int, method: str, path: str, content: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        body = None if content is None else json.dumps(content)
        connection.request(method, path, body, {"content-type": "application/json"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def wait_for(port: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            assert request(port, "GET", "/health/live")[0] == 200
        except ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.mark.slowish
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_ends_cleanly(tmp_path: Path, number: int) -> None:
    publish(tmp_path / "var")
    with served(tmp_path) as (process, port):
        wait_for(port)
        status, found = request(port, "POST", "/v1/predictions/likes", {"draft": {}})
        assert (status, found["path"]) == (200, "models")
        busy = worlds(tmp_path, "facts", "list")
        assert busy.returncode == 1
        assert "/v1/facts" in busy.stderr
        assert "Traceback" not in busy.stderr
        assert worlds(tmp_path, "ask", "--json").returncode == 0
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in said


@pytest.mark.slowish
def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with served(tmp_path) as (_, port):
        found = worlds(tmp_path, "serve", "--port", str(port), "--var", "other")
    assert found.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in found.stderr


@pytest.mark.slow
def test_the_main_job_and_learning_while_serving(tmp_path: Path) -> None:
    done = worlds(tmp_path, "run", "--once")
    assert done.returncode == 0, done.stderr
    for part in ("Possible worlds", "simulated", "95% interval", "over HTTP", "Method"):
        assert part in done.stdout
    with served(tmp_path) as (_, port):
        wait_for(port)
        before = request(port, "GET", "/health/ready")[1]["predictions"]["release"]
        assert request(port, "POST", "/v1/learn")[0] == 202
        deadline = time.monotonic() + 300
        while request(port, "GET", "/v1/learn")[1]["state"] == "running":
            assert time.monotonic() < deadline
            assert request(port, "POST", "/v1/predictions/likes", {"draft": {}})[0] == 200
            time.sleep(0.5)
        run = request(port, "GET", "/v1/learn")[1]
        assert run["state"] == "succeeded", run
        time.sleep(1.5)
        ready = request(port, "GET", "/health/ready")[1]
        assert ready["status"] == "ready"
        assert ready["predictions"]["release"]
        assert before


@pytest.mark.slow
def test_real_posts_find_their_domain(tmp_path: Path, dog_posts: Path) -> None:
    done = worlds(tmp_path, "run", "--once", "--json", "--data", str(dog_posts))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["question"], found["simulated"]) == ("likes_next_day", False)
    assert (tmp_path / "var" / "dogposts" / "facts.duckdb").is_file()
