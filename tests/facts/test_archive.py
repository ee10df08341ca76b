"""The archive: sealing, verification that names what is wrong, restoring, replicas, export."""

import json
import shutil
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from facts import ArchiveError, RollUp, Store, StoreDamaged
from facts.archive import (
    Replicator,
    backup,
    export,
    merge,
    read_manifest,
    replicate,
    restore,
    seal,
    sweep,
    verify,
)
from tests.facts.conftest import START, Clock, event


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def filled(store: Store, clock: Clock, folder: Path) -> Store:
    """Three recorded days of facts, corrections and quarantine, sealed after each day."""
    store.declare_rollup(RollUp("likes_hourly", "likes"))
    for day in range(3):
        clock.now = START + timedelta(days=day)
        breeds = {"kind": "categorical", "alternatives": {"pug": 0.4, "beagle": 0.6}}
        store.record([event(f"{day}.{i}", likes=i, breed=breeds) for i in range(40)])
        clock.ahead(hours=1)
        store.record([event(f"{day}.c", likes=99, op="correct", refers=("app", f"{day}.3"))])
        store.record([event(f"{day}.r", op="retract", refers=("app", f"{day}.4"))])
        store.quarantine(b"\x00\xff" + bytes([day]), f"broken {day}")
        seal(store, folder)
    return store


def said(store: Store | None, folder: Path | None) -> str:
    return "\n".join(map(str, verify(store, folder).problems))


def change_store(path: Path, statement: str) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute(statement)


def test_a_sound_store_and_archive_verify(filled: Store, folder: Path) -> None:
    report = verify(filled, folder)
    assert report.ok, said(filled, folder)
    assert (report.rows, report.segments) == (3 * 83, 3)
    assert report.head == filled.reader().version()[1]
    assert [s.day for s in read_manifest(folder).segments] == [
        "2026-03-01",
        "2026-03-02",
        "2026-03-03",
    ]


def test_sealing_again_adds_nothing(filled: Store, folder: Path) -> None:
    before = read_manifest(folder)
    assert seal(filled, folder).rows == 0
    assert read_manifest(folder) == before


def test_any_flipped_byte_of_a_segment_is_found(filled: Store, folder: Path) -> None:
    segment = read_manifest(folder).segments[1]
    path = folder / segment.file
    good = path.read_bytes()
    for at in range(0, len(good), max(1, len(good) // 60)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert segment.file in said(None, folder)
    path.write_bytes(good[: len(good) // 2])
    assert segment.file in said(None, folder)
    path.write_bytes(good)
    assert verify(None, folder).ok


@pytest.mark.slowish
def test_any_flipped_byte_of_the_manifest_is_found(filled: Store, folder: Path) -> None:
    path = folder / "manifest.jsonl"
    good = path.read_bytes()
    for at in range(0, len(good), 7):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert not verify(None, folder).ok, at


def test_missing_and_reordered_segments_are_named(filled: Store, folder: Path) -> None:
    first, second, _ = read_manifest(folder).segments
    (folder / second.file).rename(folder / "aside")
    assert f"{second.file}: is missing" in said(None, folder)
    shutil.copy(folder / first.file, folder / second.file)
    assert second.file in said(None, folder)
    (folder / "aside").rename(folder / second.file)
    lines = (folder / "manifest.jsonl").read_text().splitlines(keepends=True)
    (folder / "manifest.jsonl").write_text(lines[1] + lines[0] + lines[2])
    assert "reordered" in said(None, folder)
    (folder / "manifest.jsonl").write_text(lines[0] + lines[2])
    assert "missing or reordered" in said(None, folder)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE log SET num = 41 WHERE seq = 100", "rows 84 to 163"),
        ("UPDATE log SET text = 'nicer' WHERE seq = 83", "rows 83 to 83"),
        ("UPDATE log SET probs = [0.5, 0.5] WHERE seq = 2", "rows 1 to 80"),
        ("DELETE FROM log WHERE seq = 101", "transaction 5"),
        ("DELETE FROM log WHERE tx = 2", "transactions are missing"),
        ("UPDATE log SET recorded_at = recorded_at + INTERVAL 1 SECOND WHERE tx = 3", "tx|trans"),
        ("INSERT INTO log SELECT * REPLACE (seq + 900 AS seq) FROM log WHERE seq = 9", "row"),
        ("UPDATE shadow SET step = -step", "shadow"),
        ("DELETE FROM shadow", "shadow"),
        ("UPDATE rollup SET total = total + 1", "rollup"),
        ("UPDATE log SET chain = NULL WHERE tx = 12", "rows are missing"),
    ],
)
def test_a_row_changed_behind_the_writers_back_is_named(
    filled: Store, folder: Path, statement: str, named: str
) -> None:
    path = filled.path
    filled.close()
    change_store(path, statement)
    with Store.open(path) as store:
        found = said(store, None)
        assert any(word in found for word in named.split("|")), found


def test_with_the_archive_the_row_and_column_are_named(filled: Store, folder: Path) -> None:
    path = filled.path
    filled.close()
    change_store(path, "UPDATE log SET num = 41.5 WHERE seq = 99")
    change_store(path, "DELETE FROM log WHERE tx = (SELECT max(tx) FROM log)")
    with Store.open(path) as store:
        found = said(store, folder)
    assert "row 99: differs" in found
    assert "num=41.5" in found
    assert "row 249: is missing" in found


def test_a_restored_store_is_the_same(filled: Store, folder: Path, tmp_path: Path) -> None:
    assert restore(folder, tmp_path / "new.duckdb") == 249
    with Store.open(tmp_path / "new.duckdb") as again:
        assert again.reader().version() == filled.reader().version()
        assert again.reader().facts().equals(filled.reader().facts())
        assert again.record([event("1.7", likes=7)])[0].status == "duplicate"
        assert verify(again, folder).ok
        again.record([event("new", likes=1)])
        assert verify(again, folder).ok


def test_restoring_to_a_point_in_time(filled: Store, folder: Path, tmp_path: Path) -> None:
    at = START + timedelta(days=1, minutes=30)
    restore(folder, tmp_path / "old.duckdb", as_of=at)
    with Store.open(tmp_path / "old.duckdb") as old:
        assert old.reader().facts().equals(filled.reader().facts(as_of=at))
        assert verify(old).ok


def test_a_damaged_archive_is_not_restored(filled: Store, folder: Path, tmp_path: Path) -> None:
    path = folder / read_manifest(folder).segments[0].file
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreDamaged, match="nothing was restored"):
        restore(folder, tmp_path / "new.duckdb")
    assert not (tmp_path / "new.duckdb").exists()
    with pytest.raises(ArchiveError, match="exists"):
        restore(folder, filled.path)


def test_a_backup_taken_while_writing_is_whole(store: Store, folder: Path) -> None:
    futures = []
    for i in range(200):
        futures.append(store.submit([event(str(i), likes=i)]))
        if i % 40 == 39:
            futures[i // 2].result()
            backup(store, folder)
            assert verify(None, folder).ok
    for future in futures:
        future.result()
    backup(store, folder)
    assert verify(store, folder).ok
    assert read_manifest(folder).last_seq == 200


def test_a_replica_follows_by_itself(store: Store, folder: Path) -> None:
    with Replicator(store, folder, seconds=0.05) as replica:
        for i in range(50):
            store.record([event(str(i), likes=i)])
    assert replica.error is None
    assert read_manifest(folder).last_seq == 50
    assert verify(store, folder).ok


def test_a_replica_keeps_few_files_and_the_same_facts(
    store: Store, clock: Clock, folder: Path, tmp_path: Path
) -> None:
    for i in range(150):
        clock.ahead(minutes=20)
        store.record([event(str(i), likes=i)])
        replicate(store, folder)
        if i % 50 == 20:
            assert verify(store, folder).problems == []
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.parquet"))
    assert files == sorted(s.file for s in read_manifest(folder).segments)
    assert len(files) < 20
    assert verify(store, folder).problems == []
    seal(store, folder)
    restore(folder, tmp_path / "new.duckdb")
    with Store.open(tmp_path / "new.duckdb") as again:
        assert again.reader().facts().equals(store.reader().facts())


def test_a_crash_while_joining_leaves_a_whole_replica(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.record([event("0", likes=0)])
    replicate(store, folder)
    for i, point in enumerate(("write_segment", "write_manifest", "sweep"), 1):
        store.record([event(f"{i}.{k}", likes=i) for k in range(4**i)])
        with monkeypatch.context() as patch:

            def crash(*_: object) -> None:
                raise InterruptedError

            patch.setattr(merge, point, crash)
            with pytest.raises(InterruptedError):
                replicate(store, folder)
        assert verify(store, folder).problems == []
        store.record([event(f"{i}.", likes=i)])
        replicate(store, folder)
        assert verify(store, folder).problems == []
        named = {s.file for s in read_manifest(folder).segments}
        assert {str(p.relative_to(folder)) for p in folder.rglob("*.parquet")} == named


def test_a_damaged_segment_is_not_joined_away(store: Store, folder: Path) -> None:
    store.record([event("0", likes=0)])
    replicate(store, folder)
    path = folder / read_manifest(folder).segments[0].file
    path.write_bytes(path.read_bytes() + b"x")
    store.record([event("1", likes=1)])
    replicate(store, folder)
    assert verify(store, folder).problems[0].where.endswith(path.name)


def test_a_replica_being_read_only_grows(store: Store, folder: Path) -> None:
    for i in range(2):
        store.record([event(str(i), likes=i)])
        replicate(store, folder)
    files = read_manifest(folder).segments
    with sweep.reading(folder):
        for i in range(2, 4):
            store.record([event(str(i), likes=i)])
            replicate(store, folder)
        assert read_manifest(folder).segments[: len(files)] == files
        assert verify(store, folder).ok
    store.record([event("4", likes=4)])
    replicate(store, folder)
    assert len(read_manifest(folder).segments) < 4


def test_a_replica_says_how_far_it_is_behind(store: Store, folder: Path, tmp_path: Path) -> None:
    store.record([event("0", likes=0)])
    with Replicator(store, folder, seconds=0.2) as replica:
        time.sleep(0.6)
        assert replica.behind < 10
        assert replica.error is None
    (tmp_path / "file").write_text("in the way")
    with Replicator(store, tmp_path / "file", seconds=0.05) as replica:
        time.sleep(0.3)
        assert "s behind, at most 0.05" in (replica.trouble or "")
        assert "file" in (replica.error or "")


def test_an_archive_of_another_store_is_refused(
    filled: Store, folder: Path, tmp_path: Path
) -> None:
    with Store.open(tmp_path / "other.duckdb") as other:
        other.record([event("x", likes=1)])
        with pytest.raises(ArchiveError, match="does not continue this store"):
            seal(other, folder)


def test_a_crash_between_segment_and_manifest_heals(filled: Store, folder: Path) -> None:
    lines = (folder / "manifest.jsonl").read_text().splitlines(keepends=True)
    (folder / "manifest.jsonl").write_text("".join(lines[:2]))
    (folder / read_manifest(folder).segments[1].file).with_name("leftover.part").write_bytes(b"x")
    seal(filled, folder)
    assert verify(filled, folder).ok
    assert read_manifest(folder).last_seq == 249


def test_every_tool_reads_the_segments(filled: Store, folder: Path) -> None:
    pattern = str(folder / "segments" / "*" / "*.parquet")
    likes = duckdb.read_parquet(pattern).filter("attribute = 'likes'")
    (count,) = likes.aggregate("sum(num)").fetchall()
    expected = 3 * (sum(range(40)) + 99)
    assert count[0] == expected
    frame = pl.read_parquet(pattern).filter(pl.col("attribute") == "likes")
    assert frame["num"].sum() == expected
    paths = [folder / s.file for s in read_manifest(folder).segments]
    assert sum(pq.ParquetFile(p).metadata.num_rows for p in paths) == 249


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
def test_export_writes_the_visible_facts(filled: Store, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    count = export(filled, path, attribute="likes")
    assert count == filled.reader().facts(attribute="likes").num_rows
    readers = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".arrow": pl.read_ipc}
    assert len(readers[suffix](path)) == count


def test_an_unknown_export_type_is_refused(filled: Store, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"\.xlsx"):
        export(filled, tmp_path / "out.xlsx")


def test_the_manifest_says_what_is_in_each_segment(filled: Store, folder: Path) -> None:
    lines = [json.loads(x) for x in (folder / "manifest.jsonl").read_text().splitlines()]
    assert [(x["first_seq"], x["last_seq"]) for x in lines] == [(1, 83), (84, 166), (167, 249)]
    assert [x["previous"] for x in lines[1:]] == [x["hash"] for x in lines[:-1]]
