import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from facts import Store
from worlds.learn.__main__ import BUSY, main
from worlds.publish import SnapshotStore
from worlds.simulators import write
from worlds.simulators.sniffable import simulate

END = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("var")
    with Store.open(root / "sniffable" / "facts.duckdb") as store:
        write(store, simulate(3, 4, END, per_hour=4.0))
    return root


@pytest.fixture
def owned(var: Path) -> Iterator[Store]:
    with Store.open(var / "sniffable" / "facts.duckdb") as store:
        yield store


def arguments(var: Path, *more: str) -> list[str]:
    return ["--var", str(var), "--domain", "sniffable", *more]


@pytest.mark.slowish
def test_the_report_is_json_on_standard_output(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(var, "--json")) == 0
    out = capsys.readouterr().out
    report = json.loads(out)
    assert report["simulated"] is True
    current = SnapshotStore(var / "sniffable" / "snapshots").current_id()
    assert report["release"] == current
    names = {(line["quantity"], line["model"]) for line in report["models"]}
    assert ("likes_per_pupdate", "learned") in names
    assert main(arguments(var)) == 0
    assert current in capsys.readouterr().out  # the same facts: the same release


@pytest.mark.slowish
def test_an_export_is_learned_from_while_somebody_owns_the_facts(
    var: Path, tmp_path: Path, owned: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(owned.reader().facts(), tmp_path / "facts.parquet")
    assert main(arguments(var, "--facts", str(tmp_path / "facts.parquet"), "--json")) == 0
    assert json.loads(capsys.readouterr().out)["items"] > 50


def test_busy_facts_are_a_clear_message(
    var: Path, owned: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(var)) == BUSY
    said = capsys.readouterr().err
    assert "in use" in said
    assert "stop it" in said


def test_two_runs_at_a_time_are_one_too_many(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fcntl

    with (var / "sniffable" / "learning.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(arguments(var)) == BUSY
    assert "another learning run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--domain", "catnip"], "unknown domain 'catnip'"),
        (["--facts", "/nowhere.parquet"], "no export of facts"),
    ],
)
def test_what_cannot_work_is_said_and_nothing_is_published(
    tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(tmp_path), *more]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("*/snapshots"))


def test_no_facts_at_all_say_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tmp_path)) == 1
    assert "import" in capsys.readouterr().err


@pytest.mark.slowish
def test_the_module_runs_as_a_process_of_its_own(var: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "worlds.learn", *arguments(var, "--json", "--seed", "5")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout)["domain"] == "sniffable"


@pytest.mark.slowish
def test_pymc_is_not_imported_unless_asked_for(var: Path) -> None:
    code = (
        "import sys; from worlds.learn.__main__ import main; "
        f"main({arguments(var)!r}); "
        "print([m for m in ('pymc', 'nutpie', 'arviz', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip().endswith("[]")
