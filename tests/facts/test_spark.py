"""Spark reads sealed segments like every other tool. Runs where PySpark and a Java machine are."""

import importlib.util
import shutil
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from facts import Store
from facts.archive import read_manifest, seal
from tests.facts.conftest import Clock, event

LACKS = [
    *(["pyspark"] if importlib.util.find_spec("pyspark") is None else []),
    *(["a Java virtual machine"] if shutil.which("java") is None else []),
]
pytestmark = [
    pytest.mark.skipif(bool(LACKS), reason=f"needs {' and '.join(LACKS)}"),
    pytest.mark.slowish,
    pytest.mark.filterwarnings("default"),
]
SUMS = (
    "SELECT attribute, kind, count(*) AS n, sum(num) AS total, min(valid_from) AS first,"
    " max(recorded_at) AS last FROM {} WHERE op <= 1 GROUP BY attribute, kind ORDER BY 1, 2"
)


def test_spark_reads_the_segments_as_duckdb_does(
    store: Store, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql import SparkSession

    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    breeds = {"kind": "categorical", "alternatives": {"pug": 0.4, "beagle": 0.6}}
    weight = {"kind": "normal", "mean": 8.5, "sd": 0.5}
    for day in range(3):
        clock.ahead(days=1)
        store.record([event(f"{day}.{i}", likes=i, breed=breeds, w=weight) for i in range(40)])
        store.record([event(f"{day}.c", likes=99, op="correct", refers=("app", f"{day}.3"))])
        store.quarantine(b"\x00\xff" + bytes([day]), f"broken {day}")
        seal(store, tmp_path / "archive")
    folder = tmp_path / "archive" / "segments"
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.warehouse.dir", str(tmp_path / "warehouse"))
        .getOrCreate()
    )
    try:
        frame = spark.read.parquet(str(folder))
        frame.createOrReplaceTempView("segments")
        theirs = [tuple(row) for row in spark.sql(SUMS.format("segments")).collect()]
        chance = frame.where("kind = 'categorical'").selectExpr("probs[0] AS p").collect()
        days = sorted(str(row["day"]) for row in frame.select("day").distinct().collect())
        raw = frame.where("raw IS NOT NULL").count()
    finally:
        spark.stop()
    pattern = str(folder / "*" / "*.parquet")
    ours = duckdb.sql(SUMS.format(f"read_parquet('{pattern}')")).fetchall()
    assert theirs == ours
    assert {row["p"] for row in chance} == {0.4}
    assert days == [s.day for s in read_manifest(tmp_path / "archive").segments]
    assert raw == 3
    assert ours[1][5] - ours[1][4] >= timedelta(days=2)
