"""What goes wrong: killed writers, full disks, torn files, two writers, redelivery in any order."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from facts import (
    RollUp,
    Store,
    StoreBusy,
    StoreDamaged,
    WriteFailed,
    import_table,
    load_mapping,
)
from facts.archive import read_manifest, restore, seal, verify
from facts.reader import fact_value
from tests.facts.conftest import Clock, event
from tests.facts.writer_process import numbered

ROOT = Path(__file__).parents[2]


def start_writer(path: Path, said: Path, first: int, count: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "tests.facts.writer_process", path, said, first, count]
    return subprocess.Popen([str(w) for w in words], cwd=ROOT, stderr=subprocess.DEVNULL)


def acknowledged(said: Path) -> list[int]:
    """Return the acknowledged numbers; the last line may be torn by the kill."""
    lines = said.read_text().split("\n")[:-1] if said.exists() else []
    return [int(line.split()[0]) for line in lines]


def kill_while_loading(folder: Path, seed: int) -> int:
    """Kill a writer at a random moment; check, retry, check again; return what was acknowledged."""
    path, said = folder / "facts.duckdb", folder / "said"
    if seed % 2:
        with Store.open(path) as store:
            store.declare_rollup(RollUp("hourly", "likes"))
            store.declare_rollup(RollUp("others", "*-likes", "day", "entity"))
    writer = start_writer(path, said, 0, 1_000_000)
    chance = random.Random(seed)
    deadline = time.monotonic() + 60
    goal = chance.randint(0, 600)
    while len(acknowledged(said)) < goal and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(chance.random() * 0.02)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    known = acknowledged(said)
    with Store.open(path) as store:
        report = verify(store)
        assert report.problems == []
        rows = store.reader().trace(source="app")
        held: dict[int, int] = {}
        for row in rows:
            number = int(row["id"][1:])
            assert fact_value(row) == numbered(number).attributes[row["attribute"]]
            held[number] = held.get(number, 0) + 1
        assert set(known) <= held.keys(), "an acknowledged fact is lost"
        for number, facts in held.items():
            assert facts == len(numbered(number).attributes), "an event is torn or twice"
        resent = [numbered(i) for i in range(max(held, default=0) + 50)]
        statuses = [r.status for r in store.record(resent)]
        assert statuses == ["duplicate" if i in held else "accepted" for i in range(len(resent))]
        assert len(store.reader().trace(source="app")) == sum(len(e.attributes) for e in resent)
        assert store.check_derived() == []
    return len(known)


@pytest.mark.slowish
def test_five_killed_writers_lose_nothing(tmp_path: Path) -> None:
    for seed in range(5):
        folder = tmp_path / str(seed)
        folder.mkdir()
        kill_while_loading(folder, seed)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_killed_writers_lose_nothing(tmp_path: Path) -> None:
    counts = []
    for seed in range(200):
        folder = tmp_path / str(seed)
        folder.mkdir()
        counts.append(kill_while_loading(folder, 1000 + seed))
    assert sum(c > 0 for c in counts) > 150


@pytest.mark.slowish
def test_a_second_process_hears_who_holds_the_file_and_how_to_read(tmp_path: Path) -> None:
    path = tmp_path / "facts.duckdb"
    with Store.open(path) as store:
        store.record([event("a", likes=1)])
        code = (
            "import sys; from facts import Store, StoreBusy\n"
            "try: Store.open(sys.argv[1])\n"
            "except StoreBusy as error: print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert f"process {os.getpid()}" in done.stdout
        assert "Parquet" in done.stdout
        with pytest.raises(StoreBusy, match="already open in this process"):
            Store.open(path)
    Store.open(path).close()


@pytest.mark.slowish
def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    """The file-size limit of a process stands for the full disk: writing beyond it fails."""
    path = tmp_path / "facts.duckdb"
    code = (
        "import sys, resource, signal\n"
        "from facts import Store, FactsError\n"
        "from tests.facts.writer_process import numbered\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store = Store.open(sys.argv[1])\n"
        "store.record([numbered(i) for i in range(100)])\n"
        "most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, most))\n"
        "at, failed = 100, 0\n"
        "while failed < 3 and at < 200_000:\n"
        "    try:\n"
        "        store.record([numbered(i) for i in range(at, at + 100)])\n"
        "        at += 100\n"
        "        print(at, flush=True)\n"
        "    except FactsError as error:\n"
        "        failed += 1\n"
        "        print('refused', type(error).__name__, flush=True)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))\n"
        "for _ in range(3):\n"
        "    try:\n"
        "        store.record([numbered(i) for i in range(at, at + 100)])\n"
        "        print('going on', store.reader().facts().num_rows, flush=True)\n"
        "        break\n"
        "    except FactsError as error:\n"
        "        print('still', error, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = done.stdout.split("\n")
    assert any(line.startswith("refused") for line in lines), done.stdout + done.stderr
    assert any(line.startswith("going on") for line in lines), done.stdout + done.stderr
    durable = max([100, *(int(line) for line in lines if line.isdigit())])
    with Store.open(path) as store:
        assert verify(store).problems == []
        resent = [numbered(i) for i in range(durable + 300)]
        statuses = [r.status for r in store.record(resent)]
        assert statuses[: durable + 100] == ["duplicate"] * (durable + 100)
        assert verify(store).problems == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_failed_commit_leaves_nothing_and_the_writer_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.record([event("a", likes=1)])
    recorder = store._recorder
    good = recorder._write

    def fail(plan: object) -> None:
        good(plan)  # type: ignore[arg-type]  # a Plan
        msg = "no space left on device"
        raise duckdb.IOException(msg)

    def refuse(_plan: object) -> None:
        msg = "no space left on device"
        raise duckdb.IOException(msg)

    monkeypatch.setattr(recorder, "_write", refuse)
    with pytest.raises(WriteFailed, match="no space left"):
        store.record([event("b", likes=2), event("c", likes=1, op="correct", refers=("app", "a"))])
    monkeypatch.setattr(recorder, "_write", fail)
    with pytest.raises(WriteFailed):
        store.record([event("d", likes=2)])
    monkeypatch.setattr(recorder, "_write", good)
    resent = [event("b", likes=2), event("c", likes=1, op="correct", refers=("app", "a"))]
    assert [r.status for r in store.record([*resent, event("d", likes=2)])] == [
        "accepted",
        "accepted",
        "duplicate",
    ]
    assert verify(store).problems == []


def test_one_bad_submission_does_not_spoil_its_neighbours(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = store._recorder.plan

    def plan(items: object) -> object:
        if any(getattr(i, "id", "") == "poison" for i in items):  # type: ignore[attr-defined]
            msg = "cannot plan this"
            raise ArithmeticError(msg)
        return good(items)  # type: ignore[arg-type]

    monkeypatch.setattr(store._recorder, "plan", plan)
    gate = store._intake.run(lambda: time.sleep(0.05))
    futures = [store.submit([event(name, likes=1)]) for name in ("a", "poison", "b")]
    gate.result()
    assert futures[0].result()[0].status == "accepted"
    assert futures[2].result()[0].status == "accepted"
    with pytest.raises(ArithmeticError):
        futures[1].result()


@pytest.mark.slowish
def test_a_broken_log_ahead_of_the_file_is_said_or_survived(tmp_path: Path) -> None:
    path, said = tmp_path / "facts.duckdb", tmp_path / "said"
    writer = start_writer(path, said, 0, 1_000_000)
    while len(acknowledged(said)) < 200:
        time.sleep(0.01)
    writer.kill()
    writer.wait()
    wal = Path(f"{path}.wal")
    content = wal.read_bytes()
    for broken in (content[: len(content) // 2], content[:-3], b"\x00" * 64 + content[64:]):
        wal.write_bytes(broken)
        copy = tmp_path / f"copy{len(broken)}{broken[0]}.duckdb"
        copy.write_bytes(path.read_bytes())
        Path(f"{copy}.wal").write_bytes(broken)
        with contextlib.suppress(StoreDamaged), Store.open(copy) as store:
            assert verify(store).problems == []
            store.record([numbered(i) for i in range(300)])
            assert verify(store).problems == []


@pytest.mark.slowish
def test_redelivered_and_reordered_batches_give_the_same_facts(tmp_path: Path) -> None:
    events = [numbered(i) for i in range(400)]
    seen = []
    for seed in range(3):
        chance = random.Random(seed)
        with Store.open(tmp_path / f"{seed}.duckdb") as store:
            store.declare_rollup(RollUp("hourly", "likes"))
            sent = [*events, *chance.sample(events, 200)]
            if seed:
                chance.shuffle(sent)
            while sent:
                size = chance.randint(1, 60)
                store.record(sent[:size])
                sent = sent[size:]
            table = store.reader().facts(columns=["entity", "attribute", "num", "id"])
            seen.append(
                (
                    sorted(map(str, table.to_pylist())),
                    store.reader().rollup("hourly").to_pylist(),
                )
            )
            assert store.check_derived() == []
    assert seen[0] == seen[1] == seen[2]


def test_an_interrupted_import_is_repeated(tmp_path: Path, dog_posts: Path) -> None:
    part = tmp_path / "part.csv"
    whole = dog_posts.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with Store.open(tmp_path / "f.duckdb") as store:
        first = import_table(store, part, load_mapping("dogposts"))
        assert first.quarantined <= 1
        again = import_table(store, dog_posts, load_mapping("dogposts"))
        assert again.accepted + again.duplicate == 4350
        assert again.duplicate == first.accepted
        assert len(store.reader().entities("post:")) == 2175


def test_a_clock_that_steps_keeps_reads_in_order(store: Store, clock: Clock) -> None:
    steps = [0, -3600, 10, -86_400, 0, 7200]
    seen = []
    for i, step in enumerate(steps):
        clock.ahead(seconds=step)
        store.record([event(str(i), likes=i)])
        seen.append(store.reader().last_recorded())
    for i, when in enumerate(seen):
        assert store.reader().facts(as_of=when).num_rows == i + 1
    assert verify(store).problems == []


def test_a_torn_segment_is_named_and_the_rest_still_restores(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    for day in range(3):
        store.record([event(f"{day}.{i}", likes=i) for i in range(50)])
        clock.ahead(days=1)
        seal(store, tmp_path / "archive")
    torn = tmp_path / "archive" / read_manifest(tmp_path / "archive").segments[2].file
    torn.write_bytes(torn.read_bytes()[:200])
    named = [p.where for p in verify(None, tmp_path / "archive").problems]
    assert any(where.endswith(torn.name) for where in named)
    with pytest.raises(StoreDamaged):
        restore(tmp_path / "archive", tmp_path / "new.duckdb")
    first_two = datetime(2026, 3, 2, 12, tzinfo=UTC)
    torn.unlink()
    seal_again = tmp_path / "fresh"
    seal(store, seal_again, through=first_two)
    assert restore(seal_again, tmp_path / "new.duckdb") == 100
