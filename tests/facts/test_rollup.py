"""Roll-ups equal recomputation from the facts, at every time, under corrections and retractions."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facts import Categorical, Event, Exact, QueryError, Reader, RollUp, Store, fact_value
from tests.facts.conftest import START, Clock, event

HOURLY = RollUp("likes_hourly", "likes", "hour")
BY_ENTITY = RollUp("likes_daily", "likes", "day", "entity")
BREEDS = RollUp("breeds", "breed", "day", "label")
ALL = RollUp("all_daily", "*", "day", "entity")
REST = RollUp("rest_hourly", "*-likes", "hour", "prefix")
EVERY = (HOURLY, BY_ENTITY, BREEDS, ALL, REST)


def recomputed(reader: Reader, rollup: RollUp, as_of: datetime) -> dict[tuple[datetime, str], Any]:
    width = {"hour": timedelta(hours=1), "day": timedelta(days=1)}[rollup.bucket]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    found: dict[tuple[datetime, str], list[float]] = {}
    for row in reader.facts(as_of=as_of).to_pylist():
        if rollup.attribute not in (row["attribute"], "*", "*-likes"):
            continue
        if rollup.attribute == "*-likes" and row["attribute"] == "likes":
            continue
        value = fact_value(row)
        bucket = epoch + (row["valid_from"] - epoch) // width * width
        if rollup.by == "label":
            assert isinstance(value, Categorical)
            parts = [(label, (p, 0.0, 0.0, p * (1 - p))) for label, p in value.alternatives.items()]
        else:
            x, v = value.expectation() or 0.0, value.variance() or 0.0
            if "*" in rollup.attribute:
                x = v = 0.0
            dim = {"entity": row["entity"], "prefix": row["entity"].split(":")[0] + ":", "": ""}
            parts = [(dim[rollup.by], (1.0, x, x * x, v))]
        for dim, sums in parts:
            kept = found.setdefault((bucket, dim), [0.0] * 4)
            for i, x in enumerate(sums):
                kept[i] += x
    return {key: pytest.approx(sums, abs=1e-6) for key, sums in found.items() if sums[0] > 1e-9}


def read(reader: Reader, rollup: RollUp, as_of: datetime) -> dict[tuple[datetime, str], Any]:
    rows = reader.rollup(rollup.name, as_of=as_of).to_pylist()
    return {
        (r["bucket"], r["dim"]): [r[k] for k in ("n", "total", "squares", "sum_var")] for r in rows
    }


def history(seed: int) -> list[list[Event]]:
    chance = random.Random(seed)
    values = [
        lambda: Exact(chance.randint(0, 50)),
        lambda: {"kind": "normal", "mean": chance.random() * 9, "sd": chance.random()},
        lambda: {"kind": "interval", "lo": 1, "hi": 1 + chance.random()},
        lambda: {"kind": "samples", "values": [chance.random() for _ in range(3)]},
    ]
    groups, names = [], []
    for group in range(12):
        events = []
        for i in range(chance.choice([1, 3, 20])):
            name = f"{group}.{i}"
            more: dict[str, Any] = {}
            if names and chance.random() < 0.45:
                more = {"op": chance.choice(["correct", "retract"])}
                more["refers"] = ("app", chance.choice(names))
            p = chance.random()
            if more.get("op") != "retract":
                more["likes"] = chance.choice(values)()
                breeds = {"pug": p, "beagle": 1 - p}
                more["breed"] = {"kind": "categorical", "alternatives": breeds}
            hours = chance.uniform(-30, 30)
            events.append(event(name, f"post:{chance.randint(1, 3)}", hours=hours, **more))
            names.append(name)
        groups.append(events)
    return groups


@pytest.mark.parametrize("seed", range(4))
def test_rollups_equal_recomputation_at_every_time(
    store: Store, clock: Clock, tmp_path: Path, seed: int
) -> None:
    store.declare_rollup(HOURLY)
    marks = []
    for i, group in enumerate(history(seed)):
        clock.ahead(minutes=7)
        if i == 6:
            for late in EVERY[1:]:
                store.declare_rollup(late)
        store.record(group)
        marks.append(clock.now)
    reader = store.reader()
    for rollup in EVERY:
        for mark in marks:
            assert read(reader, rollup, mark) == recomputed(reader, rollup, mark)
    assert store.check_derived() == []
    store.rebuild_derived()
    for rollup in EVERY:
        assert read(reader, rollup, marks[5]) == recomputed(reader, rollup, marks[5])


def test_rollups_outlive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "again.duckdb"
    with Store.open(path) as store:
        store.declare_rollup(HOURLY)
        store.record([event("1", likes=3)])
    with Store.open(path) as store:
        store.record([event("2", likes=4)])
        (row,) = store.reader().rollup("likes_hourly").to_pylist()
    assert (row["bucket"], row["n"], row["total"], row["squares"]) == (START, 2, 7, 25)


def test_a_rollup_is_declared_once(store: Store) -> None:
    store.declare_rollup(HOURLY)
    store.declare_rollup(HOURLY)
    with pytest.raises(QueryError, match="choose another name"):
        store.declare_rollup(RollUp("likes_hourly", "shares"))
    with pytest.raises(QueryError, match="declared are: likes_hourly"):
        store.reader().rollup("likes_weekly")
    with pytest.raises(QueryError, match="has one attribute"):
        RollUp("x", "*", "day", "label")
    with pytest.raises(QueryError, match="week"):
        RollUp("x", "likes", "week")  # type: ignore[arg-type]  # what a config file could say


def test_the_first_bucket_of_each_dimension(store: Store, clock: Clock) -> None:
    store.declare_rollup(ALL)
    store.record([event("1", "post:1", likes=1, hours=30), event("2", "post:2", likes=1)])
    before = clock.now
    clock.ahead(hours=1)
    store.record([event("3", "post:1", likes=1), event("4", "dog:1", likes=1)])
    store.record([event("5", "post:2", op="retract", refers=("app", "2"))])
    reader, day = store.reader(), timedelta(days=1)

    def first(**options: Any) -> list[tuple[str, datetime]]:
        rows = reader.first_buckets("all_daily", **options).to_pylist()
        return [(row["dim"], row["bucket"]) for row in rows]

    assert first(prefix="post:") == [("post:1", START)]
    assert first(as_of=before) == [("post:2", START), ("post:1", START + day)]
    assert reader.rollups() == ["all_daily"]
    assert reader.sources("dog:") == ["app"]
    with pytest.raises(QueryError, match="declared are: all_daily"):
        reader.first_buckets("nope")
