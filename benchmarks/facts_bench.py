"""The fact store against bare DuckDB: every bound is a ratio of two times of the same round.

Rounds alternate between ours and the bare form, and the median of their ratios counts, so that
a busy machine slows both. The facts have generated ids, 50,000 entities, and (for the reads) one in
twenty corrected or retracted.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from facts import Event, Exact, RollUp, Store
from facts.layout import FILE_COLUMNS, INSERT_LOG, create_log

START = datetime(2026, 1, 1, tzinfo=UTC)
ENTITIES = 50_000
HOURLY = "SELECT time_bucket(INTERVAL 1 HOUR, valid_from) AS h, count(*) AS n FROM facts GROUP BY 1"


def seconds(work: Callable[[], object]) -> float:
    """Return how long one run takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(ours: Callable[[], object], bare: Callable[[], object], rounds: int) -> float:
    """Return the median ratio of alternating rounds."""
    ours(), bare()
    return statistics.median(seconds(ours) / seconds(bare) for _ in range(rounds))


def columns(count: int, first: int, rng: np.random.Generator) -> pa.Table:
    """Return facts as columns: likes of posts, one a second."""
    us = 1_767_225_600_000_000 + np.arange(first, first + count) * 1_000_000
    return pa.table(
        {
            "source": pa.repeat("/app/likes", count),
            "id": [f"like-{i:09d}" for i in range(first, first + count)],
            "entity": [f"post:{e}" for e in rng.integers(0, ENTITIES, count)],
            "attribute": pa.repeat("likes", count),
            "num": rng.poisson(23, count).astype(float),
            "valid_from": pa.array(us).cast(pa.timestamp("us", "UTC")),
        }
    )


def event(name: str, i: int) -> Event:
    """Return one like as an event."""
    return Event("/app/likes", name, f"post:{i % 500}", {"likes": Exact(i % 40)}, START)


def bare_file(path: Path) -> duckdb.DuckDBPyConnection:
    """Return a bare DuckDB file with a table as wide as ours."""
    con = duckdb.connect(str(path), config={"enable_external_access": False})
    con.execute(create_log())
    return con


def rows_of(store: Store, first: int, last: int) -> pa.Table:
    """Return rows as the file has them, for the bare insert of the same."""
    chosen = ", ".join(FILE_COLUMNS)
    return store.reader()._table(
        f"SELECT {chosen} FROM log WHERE seq BETWEEN ? AND ?",  # noqa: S608 constants
        [first, last],
    )


def writing(folder: Path, quick: bool) -> dict[str, float]:
    """Measure single events, groups, and commits with roll-ups."""
    numbers = iter(range(10**9))
    with Store.open(folder / "w.duckdb") as store, bare_file(folder / "bare.duckdb") as con:
        store.record([event("first", 0)])
        row = list(rows_of(store, 1, 1).to_pylist()[0].values())
        row = [v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in row]
        found = {
            "single durable event / bare insert": ratio(
                lambda: store.record([event(f"s{next(numbers)}", 1)]),
                lambda: con.execute(INSERT_LOG, row),
                60 if quick else 300,
            )
        }
        groups = 5 if quick else 20
        sent = [[event(f"{g}.{i}", i) for i in range(10_000)] for g in range(groups)]
        took = [seconds(lambda group=group: store.record(group)) for group in sent]  # type: ignore[misc]
        found["facts/s in groups of 10,000"] = 10_000 / statistics.median(took)
    found["commit of 1,000 with roll-up / without"] = rollup_cost(folder, 10 if quick else 40)
    return found


def rollup_cost(folder: Path, rounds: int) -> float:
    """Return the ratio of a commit with a roll-up to one without."""
    with Store.open(folder / "r.duckdb") as rolled, Store.open(folder / "p.duckdb") as plain:
        rolled.declare_rollup(RollUp("hourly", "likes", "hour"))
        names = iter(range(10**9))

        def commit(store: Store) -> None:
            store.record([event(f"{next(names)}", i) for i in range(1000)])

        return ratio(lambda: commit(rolled), lambda: commit(plain), rounds)


def bulk(folder: Path, quick: bool) -> dict[str, float]:
    """Measure bulk loading against the bare insert of the same rows, and the bytes per fact."""
    rng = np.random.default_rng(1)
    size, rounds = (200_000, 3) if quick else (1_000_000, 5)
    found = []
    path = folder / "b.duckdb"
    with Store.open(path) as store, bare_file(folder / "bare2.duckdb") as con:
        for k in range(rounds + 1):
            table = columns(size, k * size, rng)
            ours = seconds(lambda: store.load(table))  # noqa: B023 run at once
            rows = rows_of(store, k * size + 1, (k + 1) * size)
            bare = seconds(lambda: con.from_arrow(rows).insert_into("log"))  # noqa: B023
            found.append(bare / ours)
        known = store.load(table)
    assert known == (0, size)
    return {
        "bare insert / bulk load with duplicates checked": statistics.median(found[1:]),
        "bytes per fact": path.stat().st_size / (size * (rounds + 1)),
    }


def fill(path: Path, count: int) -> None:
    """Fill a store, one fact in twenty corrected or retracted."""
    rng = np.random.default_rng(2)
    with Store.open(path) as store:
        store.declare_rollup(RollUp("hourly", "likes", "hour"))
        for first in range(0, count, 100_000):
            store.load(columns(min(100_000, count - first), first, rng))
        for first in range(0, count // 20, 10_000):
            store.record([fix(20 * i) for i in range(first, min(first + 10_000, count // 20))])


def fix(i: int) -> Event:
    """Return the correction or retraction of one fact."""
    refers = ("/app/likes", f"like-{i:09d}")
    when = START + timedelta(seconds=i)
    if i % 40:
        return Event("fix", str(i), "post:1", {}, when, op="retract", refers=refers)
    return Event("fix", str(i), "post:1", {"likes": Exact(i)}, when, op="correct", refers=refers)


def reading(path: Path, rounds: int) -> dict[str, float]:
    """Measure as-of reads against a plain scan's sum, in the same file."""
    with Store.open(path) as store:
        reader = store.reader()

        def plain() -> object:
            return reader._rows("SELECT sum(num) FROM log")

        return {
            "as-of read of one entity / plain sum": ratio(
                lambda: reader.facts(entity="post:77"), plain, rounds
            ),
            "as-of count and sum of all / plain sum": ratio(
                lambda: reader.sql("SELECT count(*), sum(num) FROM facts"), plain, rounds
            ),
            "as-of counts per hour / plain sum": ratio(lambda: reader.sql(HOURLY), plain, rounds),
            "counts per hour from the roll-up / plain sum": ratio(
                lambda: reader.rollup("hourly"), plain, rounds
            ),
            "_one": statistics.median(
                seconds(lambda: reader.facts(entity="post:77")) for _ in range(rounds)
            ),
            "_all": statistics.median(
                seconds(lambda: reader.sql("SELECT count(*), sum(num) FROM facts"))
                for _ in range(rounds)
            ),
        }


BOUNDS = {
    "single durable event / bare insert": (1.5, "most"),
    "facts/s in groups of 10,000": (150_000, "least"),
    "commit of 1,000 with roll-up / without": (2.0, "most"),
    "bare insert / bulk load with duplicates checked": (0.6, "least"),
    "bytes per fact": (30, "most"),
    "as-of read of one entity / plain sum": (3.0, "most"),
    "as-of count and sum of all / plain sum": (15.0, "most"),
    "as-of counts per hour / plain sum": (15.0, "most"),
    "counts per hour from the roll-up / plain sum": (6.0, "most"),
    "ten times the facts: one entity": (12.0, "most"),
    "ten times the facts: all": (12.0, "most"),
    "seconds to open ten times the facts": (1.0, "most"),
}


def main(quick: bool = True) -> dict[str, Any]:
    """Measure everything; quick takes a tenth of the facts."""
    count = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {**writing(folder, quick), **bulk(folder, quick)}
        fill(folder / "one.duckdb", count)
        fill(folder / "ten.duckdb", 10 * count)
        one = reading(folder / "one.duckdb", 5 if quick else 15)
        ten = reading(folder / "ten.duckdb", 3)
        opening = seconds(lambda: Store.open(folder / "ten.duckdb").close())
    found |= {what: value for what, value in one.items() if not what.startswith("_")}
    found["ten times the facts: one entity"] = ten["_one"] / one["_one"]
    found["ten times the facts: all"] = ten["_all"] / one["_all"]
    found["seconds to open ten times the facts"] = opening
    bounds = [
        {
            "what": what,
            "value": found[what],
            "bound": bound,
            "passed": found[what] <= bound if sense == "most" else found[what] >= bound,
        }
        for what, (bound, sense) in BOUNDS.items()
    ]
    return {"facts": count, "measured": found, "bounds": bounds}
