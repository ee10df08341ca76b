"""The README is true: its commands run, its tables are complete, its example is exact."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from worlds.domain import shipped

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line
]
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
MADE_ELSEWHERE = (
    "make run",
    "make test",
    "make check",
    "make bench",
    "make serve",
    "make test-slow",
)
"""Run by hand and by the continuous integration: they would run these tests again."""
SERVES = ".venv/bin/worlds serve"
NEEDS_DATA = ("make run DATA=posts.csv", ".venv/bin/worlds import posts.csv")
"""A table of the reader's: importing is tested in tests/facts and tests/api."""


def worlds(*arguments: str, var: Path) -> str:
    """Run the command line and return what it printed."""
    found = subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        env={**os.environ, "WORLDS_VAR": str(var)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data directory after the main job."""
    path = tmp_path_factory.mktemp("readme") / "var"
    printed = worlds("run", "--once", var=path)
    assert "Possible worlds" in printed
    return path


@pytest.fixture(scope="module")
def server(var: Path) -> Iterator[str]:
    """Serve what the main job prepared on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "serve", "--port", "0"],
        env={**os.environ, "WORLDS_VAR": str(var)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(240, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found.group(0)
                break
        else:
            pytest.fail("the server said no address: " + "".join(lines))
    finally:
        process.terminate()
        process.wait(30)
        watchdog.cancel()
        if process.stdout is not None:
            process.stdout.close()


def test_every_command_is_known_to_this_test() -> None:
    for command in COMMANDS:
        plain = command.split("  #")[0].strip()
        assert plain in MADE_ELSEWHERE or plain.startswith(
            (*NEEDS_DATA, ".venv/bin/worlds ", "curl -s http://127.0.0.1:8000")
        ), plain


def asked() -> list[str]:
    return [
        c
        for c in COMMANDS
        if c.startswith(".venv/bin/worlds ") and not c.startswith((*NEEDS_DATA, SERVES))
    ]


@pytest.mark.slowish
@pytest.mark.parametrize("command", asked())
def test_commands_run(command: str, var: Path) -> None:
    words = [re.sub("^var/", f"{var}/", word) for word in shlex.split(command)[1:]]
    assert worlds(*words, var=var).strip()


@pytest.mark.slowish
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(SERVES)])
def test_it_serves(command: str, var: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", *shlex.split(command)[1:], "--port", "0"],
        env={**os.environ, "WORLDS_VAR": str(var)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        watchdog = threading.Timer(240, process.kill)
        watchdog.start()
        said = next((line for line in process.stdout if "Serving on" in line), "")
        watchdog.cancel()
        process.terminate()
        process.stdout.read()
    assert "Serving on http://127.0.0.1:" in said
    assert process.returncode == 0


@pytest.mark.slowish
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("curl")])
def test_requests_are_answered(command: str, server: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    words = shlex.split(command.replace("http://127.0.0.1:8000", server))
    found = subprocess.run(
        [*words, "--fail-with-body"], capture_output=True, text=True, check=False, timeout=60
    )
    assert found.returncode == 0, found.stdout
    assert json.loads(found.stdout)


@pytest.mark.slowish
@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_run(program: str, var: Path, tmp_path: Path) -> None:
    (tmp_path / "var").symlink_to(var)
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    if "6500" in program:
        assert found.stdout.split("\n")[1] == "0.25"


def test_every_question_is_in_the_table() -> None:
    for domain in shipped():
        for question in domain.questions:
            assert f"| `{question.name}` | {domain.name} | {question.unit} |" in README


def test_every_room_is_in_the_architecture() -> None:
    for room in (
        "facts",
        "worlds",
        "api",
        "notebooks",
        "core",
        "forms",
        "learn",
        "publish",
        "domains",
    ):
        assert re.search(rf"^ *{room}/(?: |$)", README, re.MULTILINE), room


def test_files_it_names_are_there() -> None:
    for name in re.findall(r"`((?:facts|worlds|api|notebooks|tests|benchmarks)/[\w/.]+)`", README):
        assert (ROOT / name).exists(), name
