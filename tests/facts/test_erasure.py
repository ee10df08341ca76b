"""Erasing an entity: its content is nowhere any more, and everything still verifies."""

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from facts import ArchiveError, QueryError, RollUp, Store
from facts.archive import (
    erase,
    erased_since,
    read_manifest,
    replicate,
    restore,
    seal,
    verify,
)
from facts.archive.sweep import reading
from tests.facts.conftest import Clock, event

PRIVATE = "Rosalind-Schnauzer-4711"
ENTITY = f"dog:{PRIVATE}"


def every_byte(*roots: Path) -> bytes:
    found = b""
    for root in roots:
        for path in [root] if root.is_file() else root.rglob("*"):
            if path.is_file():
                found += path.read_bytes()
                if path.suffix == ".parquet":
                    found += str(pq.read_table(path, partitioning=None).to_pydict()).encode()
    return found


@pytest.fixture
def filled(store: Store, clock: Clock, tmp_path: Path) -> Store:
    store.declare_rollup(RollUp("weights", "weight", by="entity"))
    seal(store, tmp_path / "archive")
    for day in range(3):
        clock.ahead(days=1)
        mine = event(f"{PRIVATE}-{day}", ENTITY, weight=7 + day, note=f"{PRIVATE} was here {day}")
        others = [event(f"other-{day}.{i}", f"dog:{i}", weight=i) for i in range(20)]
        store.record([mine, *others])
        store.record([event(f"single-{PRIVATE}-{day}", ENTITY, weight=1, extra={"who": PRIVATE})])
    fix = event(f"fix-{PRIVATE}", ENTITY, weight=5, op="correct", refers=("app", f"{PRIVATE}-0"))
    store.record([fix, event("x", "dog:3", weight=9, op="correct", refers=("app", "other-1.3"))])
    store.quarantine(f"broken line about {ENTITY}".encode(), f"no weight of {ENTITY}")
    seal(store, tmp_path / "archive")
    replicate(store, tmp_path / "replica")
    return store


def test_the_content_is_gone_from_file_segments_and_replica(filled: Store, tmp_path: Path) -> None:
    roots = (filled.path, tmp_path / "archive", tmp_path / "replica")
    assert PRIVATE.encode() in every_byte(*roots[1:])
    before = filled.reader().facts()
    done = erase(filled, ENTITY, "asked by the owner")
    assert done.missed == {}
    assert len(done.archives) == 2
    assert verify(filled, tmp_path / "archive").problems == []
    assert verify(filled, tmp_path / "replica").ok
    assert verify(None, tmp_path / "archive").ok
    reader = filled.reader()
    assert reader.facts(entity=ENTITY).num_rows == 0
    others = [row for row in before.to_pylist() if row["entity"] != ENTITY]
    assert reader.facts().to_pylist() == others
    assert not any(PRIVATE in r["dim"] for r in reader.rollup("weights").to_pylist())
    filled.close()
    wal = filled.path.with_name(filled.path.name + ".wal")
    assert not wal.exists()
    assert PRIVATE.encode() not in every_byte(*roots)


def test_an_old_as_of_does_not_bring_it_back(filled: Store, clock: Clock) -> None:
    then = clock.now
    clock.ahead(days=1)
    erase(filled, ENTITY, "asked by the owner")
    assert filled.reader().facts(as_of=then, entity=ENTITY).num_rows == 0
    assert all(row["kind"] for row in filled.reader().facts(as_of=then).to_pylist())


def test_a_late_duplicate_does_not_bring_it_back(filled: Store) -> None:
    erase(filled, ENTITY, "asked by the owner")
    late = event(f"{PRIVATE}-0", ENTITY, weight=7, note=f"{PRIVATE} was here 0")
    (receipt,) = filled.record([late])
    assert (receipt.status, receipt.tx) == ("duplicate", None)
    assert "erased" in (receipt.reason or "")


def test_the_tombstone_says_why(filled: Store) -> None:
    done = erase(filled, ENTITY, "asked by the owner")
    rows = filled.reader().trace(tx=filled.reader().version()[0])
    assert [(r["op"], r["text"], r["entity"]) for r in rows] == [
        ("erase", "asked by the owner", done.token)
    ]


def test_the_store_goes_on_after_an_erasure(filled: Store, tmp_path: Path) -> None:
    reader = filled.reader()
    erase(filled, ENTITY, "asked by the owner")
    assert filled.record([event("later", "dog:2", weight=3)])[0].status == "accepted"
    assert filled.record([event("other-0.1", "dog:1", weight=1)])[0].status == "duplicate"
    assert reader.facts(entity="dog:2").num_rows == 4
    erase(filled, "dog:2", "asked again")
    assert verify(filled, tmp_path / "archive").problems == []
    restore(tmp_path / "archive", tmp_path / "again.duckdb")
    with Store.open(tmp_path / "again.duckdb") as again:
        assert verify(again, tmp_path / "archive").problems == []
        assert again.reader().facts().equals(filled.reader().facts())


def test_an_archive_that_was_away_is_cleaned_by_the_next_seal(
    filled: Store, tmp_path: Path
) -> None:
    (tmp_path / "replica").rename(tmp_path / "away")
    done = erase(filled, ENTITY, "asked by the owner")
    assert list(done.missed) == [str(tmp_path / "replica")]
    (tmp_path / "away").rename(tmp_path / "replica")
    replicate(filled, tmp_path / "replica")
    assert verify(filled, tmp_path / "replica").ok
    assert PRIVATE.encode() not in every_byte(tmp_path / "replica")
    assert any(s.rewritten for s in read_manifest(tmp_path / "replica").segments)


def test_an_old_copy_is_not_restored_beside_the_store_that_erased(
    filled: Store, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path / "archive", tmp_path / "copy")
    assert erased_since(filled, tmp_path / "copy") == frozenset()
    erase(filled, ENTITY, "asked by the owner")
    assert erased_since(filled, tmp_path / "copy")
    with pytest.raises(ArchiveError, match="holds the erased content"):
        restore(tmp_path / "copy", tmp_path / "again.duckdb", present=filled)
    seal(filled, tmp_path / "copy")
    assert PRIVATE.encode() not in every_byte(tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "again.duckdb", present=filled)
    assert PRIVATE.encode() not in every_byte(tmp_path / "again.duckdb")


def test_a_crash_while_erasing_leaves_the_old_or_the_new_file(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the new file is in its place: everything is as before, and can be repeated."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from facts import Store, erasing\n"
        "from facts.archive import erase\n"
        "at = sys.argv[3]\n"
        "if at == 'copy':\n"
        "    erasing._copy = lambda *a: os._exit(9)\n"
        "elif at == 'replace':\n"
        "    Path.replace = lambda *a: os._exit(9)\n"
        "elif at == 'archives':\n"
        "    Store.archives = lambda *a, n=[]: os._exit(9) if n.append(1) or len(n) > 1 else []\n"
        "erase(Store.open(sys.argv[1]), sys.argv[2], 'asked')\n"
    )
    path = filled.path
    filled.close()
    for at in ("copy", "replace", "archives"):
        words = [sys.executable, "-c", code, str(path), ENTITY, at]
        done = subprocess.run(words, cwd=Path(__file__).parents[2], check=False)
        assert done.returncode == 9
        with Store.open(path) as store:
            whole = [str(p) for p in verify(store).problems]
            left = store.reader().facts(entity=ENTITY).num_rows
        if at == "archives":
            assert left == 0
            assert PRIVATE.encode() not in every_byte(path)
            assert PRIVATE.encode() in every_byte(tmp_path / "archive")
        else:
            assert left > 0
        assert whole == []
    with Store.open(path) as store:
        again = erase(store, ENTITY, "asked")
        assert (again.rows, len(again.archives)) == (0, 2)
        assert PRIVATE.encode() not in every_byte(tmp_path / "archive", tmp_path / "replica")
        with pytest.raises(QueryError, match="holds nothing of"):
            erase(store, ENTITY, "asked")


def test_a_changed_row_is_still_found_after_an_erasure(filled: Store, tmp_path: Path) -> None:
    import duckdb

    erase(filled, ENTITY, "asked by the owner")
    filled.close()
    with duckdb.connect(str(filled.path)) as con:
        con.execute("UPDATE log SET num = 1000 WHERE entity = 'dog:7' AND tx = 1")
    with Store.open(filled.path) as store:
        assert any("transaction 1 " in str(p) for p in verify(store).problems)


def test_what_cannot_be_erased_is_refused(filled: Store) -> None:
    with pytest.raises(QueryError, match="holds nothing of"):
        erase(filled, "dog:nobody", "no reason")
    with pytest.raises(QueryError, match="does not name"):
        erase(filled, ENTITY, f"{ENTITY} asked")
    assert filled.record([event("still", "dog:1", weight=1)])[0].status == "accepted"


@pytest.mark.parametrize(
    "raw",
    [
        '{"entity": "dog:Zoë/1"',
        '{"entity": "dog:Zo\\u00eb/1"',
        '{"entity": "dog:Zo\\u00EB\\/1"',
        "a line about dog:Zoë/1",
    ],
)
def test_quarantined_input_goes_however_it_spells_the_name(store: Store, raw: str) -> None:
    store.record([event("1", "dog:Zoë/1", likes=1)])
    store.quarantine(raw.encode(), "broken")
    store.quarantine(b"about dog:Zo", "broken")
    erase(store, "dog:Zoë/1", "asked")
    assert [row["raw"] for row in store.reader().quarantined()] == [None, b"about dog:Zo"]
    assert verify(store).problems == []


def test_what_a_killed_process_left_in_an_archive_is_swept_with_its_content(
    store: Store, tmp_path: Path
) -> None:
    """A segment that was joined but not named, and half-written files, may hold what is erased."""
    archive = tmp_path / "archive"
    store.record([event("a", "post:secret", likes=1), event("b", "post:2", likes=2)])
    seal(store, archive)
    (day,) = archive.glob("segments/day=*")
    (segment,) = day.glob("*.parquet")
    left = [
        day / "000001-1-9.parquet",
        day / ".000002.parquet.77.part",
        archive / ".manifest.jsonl.77.part",
    ]
    for path in left:
        path.write_bytes(segment.read_bytes())
    mine = archive / "notes.parquet"
    mine.write_bytes(b"mine")
    erase(store, "post:secret", "asked to")
    assert [path for path in left if path.exists()] == []
    assert mine.exists()
    assert verify(store, archive).problems == []


def test_what_is_being_read_is_not_swept(store: Store, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    for i in range(3):
        store.record([event(str(i), likes=i)])
        replicate(store, archive)
    (day,) = archive.glob("segments/day=*")
    left = day / "000001-1-9.parquet"
    left.write_bytes(b"")
    with reading(archive):
        seal(store, archive)
        assert left.exists()
    seal(store, archive)
    assert not left.exists()
