"""The order in which a service starts, and how its processes end."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from api.processes import supervisor
from api.processes.supervisor import Part, Supervisor
from api.settings import Settings
from tests.api.building import publish


class Quiet(Supervisor):
    """A supervisor that takes notes of what it would start, and starts nothing."""

    def __init__(self, folder: Path, listener: socket.socket, *, proven_after: float) -> None:
        super().__init__(Settings(workers=2), folder, listener, "nowhere", lambda *_: None)
        self.begun: list[tuple[str, float]] = []
        self._began = time.monotonic()
        self._proven_after = proven_after

    def _start(self, part: Part) -> None:
        part.restarts += 1
        part.process = SimpleNamespace(pid=0)  # type: ignore[assignment]
        self.begun.append((part.role, time.monotonic() - self._began))

    def _look(self, part: Part) -> bool:
        if part.process is None:
            return super()._look(part)
        part.proven = part.proven or time.monotonic() - self._began > self._proven_after
        self._ending = all(one.process for one in self._parts)
        return False

    def _end(self) -> None:
        """Nothing runs."""


def started(folder: Path, proven_after: float) -> list[tuple[str, float]]:
    with socket.socket() as listener:
        quiet = Quiet(folder, listener, proven_after=proven_after)
        quiet.run()
    return quiet.begun


def test_workers_start_first_and_the_others_once_they_are_up(tmp_path: Path) -> None:
    begun = started(tmp_path, proven_after=0.2)
    assert [role for role, _ in begun[:2]] == ["worker", "worker"]
    assert {role for role, _ in begun[2:]} == {"recorder", "questions"}
    assert all(at >= 0.2 for _, at in begun[2:])


def test_the_others_do_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "HEAD_START", 0.3)
    begun = started(tmp_path, proven_after=60.0)
    assert len(begun) == 4
    assert all(at >= 0.3 for _, at in begun[2:])


@pytest.mark.slowish
def test_the_first_prediction_comes_after_few_seconds_of_work_and_the_end_is_quiet(
    tmp_path: Path,
) -> None:
    var = tmp_path / "var"
    publish(var)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "serve", "--workers", "1", "--port", str(port)],
        env={**os.environ, "WORLDS_VAR": str(var)},
        stderr=subprocess.PIPE,
    )
    try:
        body = json.dumps({"draft": {"breed": "pug"}}).encode()
        head = b"POST /v1/predictions/likes HTTP/1.1\r\nhost: localhost"
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as one:
                one.sendall(b"%s\r\ncontent-length: %d\r\n\r\n%s" % (head, len(body), body))
                assert b" 200 " in one.recv(100)
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        parts = json.loads((var / "sniffable" / "serving.json").read_text())["parts"]
        assert {part["name"] for part in parts if part["state"] == "waiting"} <= {
            "recorder",
            "questions",
        }
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"leaked" not in said
