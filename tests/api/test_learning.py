import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from api.errors import LearnError
from api.facts_desk import Export
from api.learning import Learning, Run, command

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def run(tmp_path: Path, code: str, deadline: float = 30.0, starts: int = 1) -> Run:
    export = tmp_path / "facts.parquet"

    def write() -> Export:
        export.write_bytes(b"facts")
        return Export(export, NOW)

    def line(found: Export) -> Sequence[str]:
        return [sys.executable, "-c", code, str(found.path)]

    async def learn() -> Run:
        learning = Learning(write, line, deadline, lambda: NOW)
        for _ in range(starts):
            assert learning.start().state == "running"
        return await learning.wait()

    found = asyncio.run(learn())
    assert not export.exists()
    return found


def test_a_good_run(tmp_path: Path) -> None:
    count = tmp_path / "count"
    read = "import sys; assert open(sys.argv[1]).read() == 'facts'"
    code = f"{read}; open({str(count)!r}, 'a').write('x')"
    found = run(tmp_path, code, starts=3)
    assert (found.state, found.reason, found.as_of) == ("succeeded", None, NOW.isoformat())
    assert count.read_text() == "x"


def test_a_failing_run_says_why(tmp_path: Path) -> None:
    found = run(tmp_path, "import sys; sys.exit('the facts make no sense')")
    assert found.state == "failed"
    assert found.reason == "learning ended with code 1: the facts make no sense"


def test_a_run_that_dies_says_so(tmp_path: Path) -> None:
    found = run(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert found.reason == "learning ended with code -9: it said nothing"


def test_a_run_past_its_deadline_is_stopped(tmp_path: Path) -> None:
    found = run(tmp_path, "import time; time.sleep(60)", deadline=0.3)
    assert found.state == "failed"
    assert "deadline of 0.3 s" in str(found.reason)


def test_an_export_that_fails_is_a_failed_run() -> None:
    def write() -> Export:
        raise LearnError("there are no facts to learn from")

    async def learn() -> Run:
        learning = Learning(write, lambda _: [], 1.0, lambda: NOW)
        learning.start()
        return await learning.wait()

    assert asyncio.run(learn()).reason == "there are no facts to learn from"


def test_closing_stops_the_run(tmp_path: Path) -> None:
    export = tmp_path / "facts.parquet"
    export.write_bytes(b"")

    async def learn() -> Run:
        learning = Learning(
            lambda: Export(export, NOW),
            lambda _: [sys.executable, "-c", "import time; time.sleep(60)"],
            60.0,
            lambda: NOW,
        )
        learning.start()
        await asyncio.sleep(0.3)
        await learning.close()
        return learning.last

    found = asyncio.run(learn())
    assert found.state == "failed"
    assert "service stopped" in str(found.reason)


def test_the_command_line_of_learning() -> None:
    found = command(Path("var"), "sniffable", Export(Path("x.parquet"), NOW))
    assert found[1:] == [
        *("-m", "worlds.learn", "--var", "var", "--domain", "sniffable"),
        *("--as-of", "2026-11-02T00:00:00+00:00", "--facts", "x.parquet", "--json"),
        *("--parent", str(os.getpid())),
    ]
