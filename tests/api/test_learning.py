import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
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


def scheduled(tmp_path: Path, now: list[datetime], code: str = "pass") -> Learning:
    folder = tmp_path / "exports"

    def write() -> Export:
        folder.mkdir(exist_ok=True)
        path = folder / "new.parquet"
        path.write_bytes(b"")
        return Export(path, NOW)

    line = [sys.executable, "-c", code]
    memory = tmp_path / "learning.json"
    return Learning(write, lambda _: line, 30.0, lambda: now[0], memory, folder)


def once(learning: Learning) -> Run:
    async def learn() -> Run:
        learning.start()
        return await learning.wait()

    return asyncio.run(learn())


def test_a_missed_run_is_due_at_once_after_a_restart(tmp_path: Path) -> None:
    now = [NOW]
    first = scheduled(tmp_path, now)
    assert first.due(3600) == 0  # nothing was ever learned
    assert once(first).state == "succeeded"
    assert first.due(3600) == 3600
    now[0] += timedelta(minutes=40)
    again = scheduled(tmp_path, now)  # a restart remembers
    assert again.last.state == "succeeded"
    assert again.due(3600) == 1200
    now[0] += timedelta(hours=5)
    assert scheduled(tmp_path, now).due(3600) == 0
    now[0] -= timedelta(days=400)  # a clock set back puts it off for one interval at most
    assert scheduled(tmp_path, now).due(3600) == 3600


def test_failures_are_tried_again_sooner_then_later(tmp_path: Path) -> None:
    now = [NOW]
    learning = scheduled(tmp_path, now, "import sys; sys.exit('no kibble')")
    waits = []
    for _ in range(4):
        assert once(learning).state == "failed"
        waits.append(learning.due(3600))
    assert waits == [60, 120, 240, 480]
    assert learning.due(30) == 30  # never later than the schedule


def test_what_a_killed_service_left_is_known_and_swept(tmp_path: Path) -> None:
    now = [NOW]
    (tmp_path / "exports").mkdir()
    left = tmp_path / "exports" / "left.parquet"
    left.write_bytes(b"x" * 100)
    running = b'{"state":"running","started_at":"2026-11-01T00:00:00+00:00","failures":0}'
    (tmp_path / "learning.json").write_bytes(running)
    learning = scheduled(tmp_path, now)
    assert learning.last.state == "failed"
    assert "service died" in str(learning.last.reason)
    assert learning.due(3600) == 0
    assert once(learning).state == "succeeded"
    assert not left.exists()
    (tmp_path / "learning.json").write_bytes(b"rubbish")
    assert scheduled(tmp_path, now).last == Run()


def test_staleness_is_two_intervals_without_success(tmp_path: Path) -> None:
    now = [NOW]
    learning = scheduled(tmp_path, now)
    assert learning.stale(3600, None) is None
    assert learning.stale(3600, NOW - timedelta(hours=3)) is not None
    once(learning)
    assert learning.stale(3600, NOW - timedelta(hours=3)) is None
    now[0] += timedelta(hours=2, seconds=1)
    assert learning.stale(3600, None) == "nothing was learned for 7,201 s; due every 3,600 s"
    assert learning.stale(0, None) is None


def test_a_schedule_runs_one_at_a_time_and_makes_up_for_what_it_missed(tmp_path: Path) -> None:
    count = tmp_path / "count"

    async def learn() -> None:
        code = f"open({str(count)!r}, 'a').write('x')"
        now = [NOW]
        learning = scheduled(tmp_path, now, code)
        task = asyncio.create_task(learning.every(3600.0))
        await asyncio.sleep(0)  # the schedule begins at once: nothing was ever learned
        await learning.wait()
        await asyncio.sleep(0.2)
        assert count.read_text() == "x"  # the next one is due in an hour
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await learning.close()

    asyncio.run(asyncio.wait_for(learn(), 30))
