"""A copy of the file for another process: whole, between two commits, with roll-ups."""

import threading
from pathlib import Path

import pytest

from facts import RollUp, Store, StoreError
from facts.archive import verify
from tests.facts.writer_process import numbered


def test_a_copy_made_while_writing_is_a_whole_store(store: Store, tmp_path: Path) -> None:
    store.declare_rollup(RollUp("hourly", "likes"))
    store.record([numbered(i) for i in range(300)])
    stop = threading.Event()

    def write() -> None:
        at = 300
        while not stop.is_set():
            store.record([numbered(i) for i in range(at, at + 20)])
            at += 20

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [tmp_path / f"{i}.duckdb" for i in range(5)]
        for path in copies:
            store.copy(path)
    finally:
        stop.set()
        writer.join()
    reader = store.reader()
    for path in copies:
        with Store.open(path, create=False) as copied:
            assert verify(copied).problems == []
            theirs = copied.reader()
            as_of = theirs.last_recorded()
            assert theirs.version() == reader.version(as_of)
            assert theirs.facts().equals(reader.facts(as_of=as_of))
            assert theirs.rollup("hourly").equals(reader.rollup("hourly", as_of=as_of))


def test_a_copy_replaces_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "there.duckdb").write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        store.copy(tmp_path / "there.duckdb")
    with pytest.raises(StoreError, match="exists already"):
        store.copy(store.path)
    assert (tmp_path / "there.duckdb").read_text() == "mine"


def test_a_copy_that_cannot_be_written_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.record([numbered(i) for i in range(100)])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.copy_file_range", full)
    with pytest.raises(OSError, match="No space left"):
        store.copy(tmp_path / "copy.duckdb")
    assert [p.name for p in tmp_path.glob("copy*")] == []
    monkeypatch.undo()
    store.copy(tmp_path / "copy.duckdb")


def test_a_copy_across_file_systems_is_read_and_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.record([numbered(i) for i in range(100)])

    def across(*_: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.copy_file_range", across)
    store.copy(tmp_path / "copy.duckdb")
    with Store.open(tmp_path / "copy.duckdb", create=False) as copied:
        assert copied.reader().version() == store.reader().version()
