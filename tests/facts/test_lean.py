"""A serving process records and reads without ever loading pandas, which still works if asked."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from datetime import UTC, datetime
from facts import Event, Exact, Store, without_pandas
without_pandas()
with Store.open(sys.argv[1]) as store:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    events = [Event("app", str(i), "post:1", {"likes": Exact(i)}, start) for i in range(50)]
    assert len(store.record(events)) == 50
    assert len(store.record([Event("app", "r", "p:1", {}, start, op="retract",
                                   refers=("app", "3"))])) == 1
    assert store.reader().facts().num_rows == 49
    table = store.reader().sql("SELECT num FROM facts ORDER BY num")
assert "pandas" not in sys.modules
print(type(table.to_pandas()).__module__, table.to_pandas()["num"].sum())
import pandas, pyarrow
print(pyarrow.array(pandas.Series([1.0, float("nan")])).null_count)
"""


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is not installed")
def test_recording_and_reading_load_no_pandas(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, tmp_path / "facts.duckdb"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["pandas", "1222.0", "1"]
