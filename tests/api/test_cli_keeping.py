"""The commands that keep facts: what they print, what they refuse, what they leave."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.cli import worlds
from facts import Event, Exact, Store

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("WORLDS_VAR", "WORLDS_DOMAIN"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "var" / "sniffable" / "facts.duckdb"
    path.parent.mkdir(parents=True)
    with Store.open(path) as store:
        store.record(
            [Event("test", str(i), f"post:{i}", {"likes": Exact(i * 10)}, AT) for i in range(30)]
        )
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(worlds, ["facts", *arguments])
    assert result.exit_code == code, result.output
    return result


def run_json(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def test_an_archive_grows_by_what_is_new() -> None:
    first = run_json("seal", "archive")
    assert first["rows"] == 30
    assert run_json("backup", "archive")["rows"] == 0
    assert run_json("replicate", "replica", "--every", "0.1", "--times", "1")["rows"] == 30


def test_what_is_restored_is_what_was_sealed(home: Path) -> None:
    run("seal", "archive")
    restored = run_json("restore", "archive", "--into", "again")
    assert restored["rows"] == 30
    assert (home / "again" / "sniffable" / "facts.duckdb").is_file()
    assert "all holds" in run("verify", "--var", "again", "--archive", "archive").output
    assert "exists" in run("restore", "archive", "--into", "again", code=1).output


def test_a_flipped_byte_is_named_and_the_exit_code_says_so(home: Path) -> None:
    run("seal", "archive")
    (segment,) = home.glob("archive/segments/*/*.parquet")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    report = run_json("verify", "--only-archive", "--archive", "archive", code=1)
    assert not report["ok"]
    assert segment.name in str(report["problems"])


def test_what_is_erased_is_gone_from_file_and_archive() -> None:
    run("seal", "archive")
    assert run_json("erase", "--entity", "post:7", "--reason", "asked to", "--yes")["rows"] == 1
    assert "no fact is known" in run("show", "post:7", code=1).output
    assert "all holds" in run("verify", "--archive", "archive").output
    assert (
        "holds nothing of"
        in run("erase", "--entity", "post:7", "--reason", "again", "--yes", code=1).output
    )


def test_an_old_copy_does_not_bring_back_what_was_erased(home: Path) -> None:
    run("seal", "archive")
    shutil.copytree("archive", "copy")
    run("erase", "--entity", "post:7", "--reason", "asked to", "--yes")
    refused = run("restore", "copy", "--into", "again", code=1).output
    assert "holds the erased content" in refused
    assert not (home / "again" / "sniffable" / "facts.duckdb").exists()
    run("seal", "copy")
    run("restore", "copy", "--into", "again")
    assert "no fact is known" in run("show", "post:7", "--var", "again", code=1).output
    assert "all holds" in run("verify", "--var", "again", "--archive", "copy").output


def test_restoring_where_no_store_is_left_says_how_far_it_goes(home: Path) -> None:
    run("seal", "archive")
    shutil.rmtree("var")
    done = run("restore", "archive", "--into", "var")
    assert "30 rows restored" in done.output
    assert "the last recorded at 20" in done.output
    assert "erased later is not known" in done.output


def test_restoring_beside_a_store_in_use_says_so(home: Path) -> None:
    run("seal", "archive")
    with Store.open(home / "var" / "sniffable" / "facts.duckdb"):
        done = run("restore", "archive", "--into", "again")
    assert "could not be asked what was erased" in done.output


def test_erasing_asks_first() -> None:
    result = CliRunner().invoke(
        worlds, ["facts", "erase", "--entity", "post:7", "--reason", "x"], input="n\n"
    )
    assert result.exit_code == 1
    assert run("show", "post:7").output


def test_sql_sees_visible_facts_and_changes_nothing() -> None:
    found = run_json("sql", "SELECT count(*) AS n, sum(likes) AS total FROM posts")
    assert found == {"columns": ["n", "total"], "rows": [{"n": 30, "total": 4350.0}]}
    for forbidden in ("DELETE FROM facts", "COPY facts TO 'x.csv'", "SELECT 1; SELECT 2"):
        assert "Error" in run("sql", forbidden, code=1).output


def test_export_writes_a_file_others_read(home: Path) -> None:
    assert run_json("export", "likes.csv", "--attribute", "likes")["rows"] == 30
    assert (home / "likes.csv").read_text().count("\n") == 31
    assert "unknown type" in run("export", "likes.xls", code=1).output


def test_a_fact_names_who_sent_it() -> None:
    (found,) = run_json("trace", "--id", "7")["facts"]
    assert (found["entity"], found["source"], found["learned_by"]) == ("post:7", "test", [])
    assert "no fact fits" in run("trace", "--seq", "999", code=1).output
    assert "at least one" in run("trace", code=1).output
    assert "Error" in run("trace", "--release", code=1).output


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("seal", ""), 2, "name a path"),
        (("seal", "note"), 2, "is a file"),
        (("backup", "note/inside"), 1, "note/inside' cannot be used"),
        (("replicate", "ar", "--every", "nan"), 2, "finite"),
        (("replicate", "ar", "--every", "inf"), 2, "finite"),
        (("verify", "--archive", "nothere"), 1, "there is no archive here"),
        (("verify", "--archive", "note"), 1, "there is no archive here"),
        (("verify", "--only-archive", "--archive", "nothere"), 1, "there is no archive here"),
        (("verify", "--only-archive"), 1, "needs --archive"),
        (("restore", "nothere", "--into", "new"), 1, "no segments to restore"),
        (("restore", "ar", "--into", "note"), 1, "cannot be used"),
        (("restore", "ar", "--into", ""), 2, "name a path"),
        (("restore", "ar", "--into", "new", "--as-of", "1800-01-01T00:00:00Z"), 1, "ar begins at"),
        (("erase", "--entity", "", "--reason", "asked", "--yes"), 1, "exact name of an entity"),
        (("export", "x.txt"), 1, "unknown type"),
        (("sql", "SELECT * FROM read_text('note')"), 1, "Cannot access file"),
        (("sql", "SELECT 1) ; DROP TABLE log; --"), 1, "no SQL"),
        (("trace", "--release", "../../note"), 1, "not a release id"),
        (("list", "--domain", "../../x"), 1, "unknown domain"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    home: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    (home / "note").write_text("mine")
    run("seal", "ar")
    there = sorted(p.name for p in home.iterdir())
    assert said in run(*words, code=code).output
    assert sorted(p.name for p in home.iterdir()) == there, "a refusal leaves nothing behind"
    assert (home / "note").read_text() == "mine"


def test_erasing_reaches_a_copy_that_a_killed_learning_run_left(home: Path) -> None:
    left = home / "var" / "sniffable" / "exports" / "0011.duckdb"
    left.parent.mkdir()
    left.write_bytes((home / "var" / "sniffable" / "facts.duckdb").read_bytes())
    run("erase", "--entity", "post:7", "--reason", "asked to", "--yes")
    assert not left.exists()
