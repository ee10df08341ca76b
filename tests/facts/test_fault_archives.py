"""Faults around the store: archives on a full disk or cut short by a kill, writers that race,
imports that are interrupted.

After each, the store and the archive open and verify, and what was said to be done is there.
"""

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from facts import Store, import_table, load_mapping
from facts.archive import backup, erase, read_manifest, replicate, restore, seal, verify
from tests.facts.conftest import START, Clock, event
from tests.facts.writer_process import numbered

ROOT = Path(__file__).parents[2]


def start(code: str, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


FULL = """
import sys, resource, signal
from facts import Store, FactsError, archive
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
work = getattr(archive, sys.argv[3])
with Store.open(sys.argv[1]) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), most))
    try:
        work(store, sys.argv[2])
    except (FactsError, OSError) as error:
        print("refused", error, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    print(archive.verify(store, sys.argv[2]).problems, flush=True)
    work(store, sys.argv[2])
    print(archive.verify(store, sys.argv[2]).problems, flush=True)
"""


@pytest.mark.slowish
@pytest.mark.parametrize("work", ["seal", "backup", "replicate"])
@pytest.mark.parametrize("room", [0, 700, 9_000])
def test_a_full_disk_leaves_a_whole_archive(tmp_path: Path, work: str, room: int) -> None:
    """The file-size limit of a process stands for the full disk: writing beyond it fails."""
    path, folder = tmp_path / "facts.duckdb", tmp_path / "archive"
    with Store.open(path) as store:
        store.record([numbered(i) for i in range(20)])
        seal(store, folder)
        store.record([numbered(i) for i in range(20, 4000)])
    done = start(FULL, path, folder, work, room)
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    refused, while_full, after = out.splitlines()
    assert refused.startswith("refused")
    assert while_full == after == "[]"
    assert not list(folder.rglob("*.part"))


KEEP = """
import sys
from pathlib import Path
from facts import Store
from facts.archive import replicate, seal, erase
from tests.facts.writer_process import numbered
store = Store.open(sys.argv[1])
at = len(store.reader().trace(source="app")) * 10
while True:
    store.record([numbered(i) for i in range(at, at + 30)])
    at += 30
    if sys.argv[3] == "erase":
        erase(store, f"post:{at // 30 % 50}", "asked to")
    else:
        {"seal": seal, "replicate": replicate}[sys.argv[3]](store, sys.argv[2])
    print(at, flush=True)
"""


def killed_while_keeping(folder: Path, work: str, seed: int) -> None:
    """Kill a process that seals, replicates or erases; check; go on; check."""
    path, archive = folder / "facts.duckdb", folder / "archive"
    chance = random.Random(seed)
    if work == "erase":
        with Store.open(path) as store:
            store.record([numbered(i) for i in range(200)])
            seal(store, archive)
    process = start(KEEP, path, archive, work)
    assert process.stdout is not None
    for _ in range(chance.randint(1, 4)):
        process.stdout.readline()
    time.sleep(chance.random() * 0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Store.open(path) as store:
        assert verify(store, archive).problems == []
        store.record([numbered(i) for i in range(1_000_000, 1_000_010)])
        seal(store, archive)
        assert verify(store, archive).problems == []
        replicate(store, archive)
        assert verify(store, archive).problems == []
        named = {s.file for s in read_manifest(archive).segments}
        assert {str(p.relative_to(archive)) for p in archive.rglob("*.parquet")} == named
        restore(archive, folder / "again.duckdb")
        with Store.open(folder / "again.duckdb") as again:
            assert again.reader().facts().equals(store.reader().facts())


@pytest.mark.slowish
@pytest.mark.parametrize("work", ["seal", "replicate", "erase"])
def test_a_killed_keeper_leaves_file_and_archive_whole(tmp_path: Path, work: str) -> None:
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        killed_while_keeping(folder, work, seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("work", ["seal", "replicate", "erase"])
def test_forty_killed_keepers_leave_file_and_archive_whole(tmp_path: Path, work: str) -> None:
    for seed in range(40):
        folder = tmp_path / str(seed)
        folder.mkdir()
        killed_while_keeping(folder, work, 100 + seed)
        shutil.rmtree(folder)


RACE = """
import sys, time
from facts import Store, StoreBusy
from tests.facts.writer_process import numbered
time.sleep(max(0, float(sys.argv[2]) - time.time()))
try:
    with Store.open(sys.argv[1]) as store:
        receipts = store.record([numbered(i) for i in range(50)])
        print("wrote", sum(r.status == "accepted" for r in receipts), flush=True)
        time.sleep(1.5)
except StoreBusy as error:
    print("busy", error, flush=True)
"""


@pytest.mark.slowish
@pytest.mark.parametrize("fresh", [True, False])
def test_of_two_writers_started_at_once_one_writes(tmp_path: Path, fresh: bool) -> None:
    path = tmp_path / "facts.duckdb"
    if not fresh:
        Store.open(path).close()
    both = [start(RACE, path, time.time() + 3) for _ in range(2)]
    said = sorted(process.communicate(timeout=60)[0] for process in both)
    assert said[0].startswith("busy facts.duckdb is held by process"), said
    assert said[1] == "wrote 50\n"
    with Store.open(path) as store:
        assert verify(store).problems == []
        statuses = {r.status for r in store.record([numbered(i) for i in range(50)])}
        assert statuses == {"duplicate"}


MAPPING = """
source = "/table"

[entity]
prefix = "post:"
column = "post"

[[events]]
name = "seen"
id = "{number}"
valid_from = { column = "at" }

[events.attributes]
likes = { column = "likes", type = "int" }
"""

IMPORT = """
import sys
from facts import Store, import_table, load_mapping
with Store.open(sys.argv[1]) as store:
    import_table(store, sys.argv[2], load_mapping(sys.argv[3]),
                 progress=lambda done, total: print(done, flush=True))
"""


def interrupted_import(folder: Path, rows: int) -> None:
    """Kill an import in the middle, twice, then let it run through; nothing is lost or twice."""
    path, table = folder / "facts.duckdb", folder / "table.csv"
    mapping = folder / "map.toml"
    mapping.write_text(MAPPING)
    at = pa.array(np.arange(rows) * 1_000_000 + 1_767_225_600_000_000).cast(
        pa.timestamp("us", "UTC")
    )
    columns = {
        "number": np.arange(rows),
        "post": np.arange(rows) % 997,
        "at": at.cast(pa.string()),
        "likes": np.arange(rows) % 40,
    }
    pacsv.write_csv(pa.table(columns), table)
    chance = random.Random(rows)
    for part in (0.3, 0.6):
        process = start(IMPORT, path, table, mapping)
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= rows * part:
                break
        time.sleep(chance.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with Store.open(path) as store:
        assert verify(store).problems == []
        held = store.reader().version()[2]
        assert 0 < held < rows
        report = import_table(store, table, load_mapping(mapping))
        assert (report.accepted, report.duplicate) == (rows - held, held)
        assert report.reasons == {}
        again = import_table(store, table, load_mapping(mapping))
        assert (again.accepted, again.duplicate) == (0, rows)
        found = store.reader().sql("SELECT count(*) AS n, sum(num) AS s FROM facts").to_pylist()
        assert found == [{"n": rows, "s": float(np.sum(np.arange(rows) % 40))}]
        assert verify(store).problems == []


@pytest.mark.slowish
def test_an_import_killed_twice_and_repeated(tmp_path: Path) -> None:
    interrupted_import(tmp_path, 60_000)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_import_of_a_million_rows_killed_twice_and_repeated(tmp_path: Path) -> None:
    interrupted_import(tmp_path, 1_000_000)


def test_a_clock_that_steps_over_restarts_keeps_time_growing(tmp_path: Path, clock: Clock) -> None:
    path, marks = tmp_path / "facts.duckdb", []
    for i, step in enumerate([0, -86_400, 3600, -5, 10 * 86_400, -20 * 86_400, 1]):
        clock.ahead(seconds=step)
        with Store.open(path, clock=clock) as store:
            store.record([event(str(i), likes=i)])
            marks.append(store.reader().last_recorded())
            seal(store, tmp_path / "archive")
            assert verify(store, tmp_path / "archive").problems == []
    assert marks == sorted(set(marks))  # type: ignore[type-var]
    with Store.open(path) as store:
        for i, mark in enumerate(marks):
            assert store.reader().facts(as_of=mark).num_rows == i + 1
        assert store.reader().facts(as_of=START).num_rows <= 1


@pytest.mark.slowish
def test_what_was_recovered_after_a_kill_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "facts.duckdb"
    process = start(KEEP, path, tmp_path / "archive", "seal")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Store.open(path):
        assert "was not closed" in caplog.text
        assert "transaction" in caplog.text
    caplog.clear()
    with Store.open(path):
        assert caplog.text == ""


def test_backups_of_an_empty_store_are_whole(tmp_path: Path, clock: Clock) -> None:
    with Store.open(tmp_path / "f.duckdb", clock=clock) as store:
        assert backup(store, tmp_path / "archive").rows == 0
        assert verify(store, tmp_path / "archive").ok
        with contextlib.suppress(ValueError):
            erase(store, "post:1", "asked")
        assert [p.name for p in (tmp_path / "archive").iterdir()] == [".lock"]
