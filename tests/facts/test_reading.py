"""Reading: what holds at a moment, choices, lineage, and read-only SQL."""

from datetime import timedelta

import polars as pl
import pyarrow as pa
import pytest

from facts import Interval, QueryError, Store
from tests.facts.conftest import START, Clock, event

HOUR = timedelta(hours=1)


@pytest.fixture
def posts(store: Store, clock: Clock) -> Store:
    breed = {"kind": "categorical", "alternatives": {"pug": 0.7, "beagle": 0.3}}
    store.record([event("1", likes=3, title="a", good=True, breed=breed)])
    store.record([event("2", "post:2", likes=5, title="b", good=False, weight=Interval(1, 2))])
    clock.ahead(hours=1)
    store.record([event("3", likes=8, hours=2), event("4", "dog:1", odd_name=1)])
    return store


def test_the_latest_valid_fact_holds_at_a_moment(posts: Store) -> None:
    reader = posts.reader()
    for hours, likes in ((0, 3), (1.9, 3), (2, 8)):
        table = reader.at(START + hours * HOUR, entity="post:1", attribute="likes")
        assert table.column("num").to_pylist() == [likes]
    assert reader.at(START - HOUR).num_rows == 0


def test_what_ended_does_not_hold(store: Store) -> None:
    store.record([event("1", likes=1)])
    store.record([event("2", likes=2, hours=1, valid_to=START + 2 * HOUR)])
    reader = store.reader()
    seen = [reader.at(START + h * HOUR).column("num").to_pylist() for h in (0, 1, 2)]
    assert seen == [[1], [2], [1]]


def test_choices_are_declared_and_revised_by_facts(store: Store, clock: Clock) -> None:
    def means(name: str, p: float, **more: object) -> None:
        meaning = {"kind": "categorical", "alternatives": {"adorabull": p, "adorable": 1 - p}}
        store.record([event(name, "choice:#adorabull", meaning=meaning, **more)])

    means("1", 0.5)
    first = clock.now
    clock.ahead(days=1)
    means("2", 0.9)
    store.record([event("3", "post:7", tagged="yes", choice="#adorabull")])
    reader = store.reader()
    assert reader.choices()["#adorabull"].alternatives["adorabull"] == pytest.approx(0.9)
    assert reader.choices(first)["#adorabull"].alternatives["adorabull"] == 0.5
    (row,) = reader.facts(entity="post:7").to_pylist()
    assert row["choice"] == "#adorabull"
    store.record([event("4", "choice:x", op="retract", refers=("app", "2"))])
    assert reader.choices()["#adorabull"].alternatives["adorabull"] == 0.5


def test_lineage_leads_from_a_source_to_its_facts_and_what_changed_them(posts: Store) -> None:
    posts.record([event("c", likes=4, op="correct", refers=("app", "1"))])
    rows = posts.reader().trace(source="app", id="1")
    assert {(r["op"], r["tx"], r["attribute"]) for r in rows} >= {("assert", 1, "likes")}
    assert rows[0]["referred_by"] == [(11, "correct")]
    (tx,) = posts.reader().transactions(first=4)
    assert (tx["first_seq"], tx["rows"]) == (rows[0]["referred_by"][0][0], 1)
    assert tx["chain"] == posts.reader().version()[1]
    with pytest.raises(QueryError, match="at least one of"):
        posts.reader().trace()


def test_sql_sees_the_facts_as_known_then(posts: Store) -> None:
    reader = posts.reader()
    count = "SELECT count(*) AS n FROM facts"
    assert reader.sql(count).to_pylist() == [{"n": 10}]
    assert reader.sql(count, as_of=START + HOUR / 2).to_pylist() == [{"n": 8}]
    posts.record([event("r", op="retract", refers=("app", "1"))])
    assert reader.sql(count).to_pylist() == [{"n": 6}]
    found = reader.sql("SELECT num FROM facts WHERE entity = ? ORDER BY seq", ["post:1"])
    assert pl.DataFrame(pl.from_arrow(found))["num"].to_list() == [8.0]


def test_an_entity_prefix_is_a_wide_table(posts: Store) -> None:
    rows = posts.reader().sql("SELECT * FROM posts ORDER BY entity").to_pylist()
    assert [(r["entity"], r["likes"], r["title"], r["good"]) for r in rows] == [
        ("post:1", 8.0, "a", True),
        ("post:2", 5.0, "b", False),
    ]
    assert dict(rows[0]["breed"]) == {"pug": 0.7, "beagle": 0.3}
    assert rows[1]["weight"] == {"lo": 1.0, "hi": 2.0}
    joined = "SELECT d.odd_name, sum(p.likes) AS s FROM dogs d, posts p GROUP BY 1"
    assert posts.reader().sql(joined).to_pylist() == [{"odd_name": 1.0, "s": 13.0}]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM log",
        "UPDATE log SET num = 1",
        "INSERT INTO meta VALUES ('a', 'b')",
        "DROP TABLE log",
        "CREATE TABLE t AS SELECT 1",
        "COPY log TO 'x.csv'",
        "ATTACH 'x.duckdb'",
        "SET threads = 1",
        "PRAGMA database_list",
        "INSTALL httpfs",
        "SELECT 1; DELETE FROM log",
        "SELECT 1) ; DELETE FROM log; --",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "WITH x AS (DELETE FROM log RETURNING *) SELECT * FROM x",
        "CALL force_checkpoint()",
        "SELECT nonsense(",
        "",
        "SELECT * FROM nowhere",
    ],
)
def test_sql_cannot_write_or_reach_outside(posts: Store, query: str) -> None:
    before = posts.reader().version()
    with pytest.raises(QueryError):
        posts.reader().sql(query)
    reader = posts.reader()
    assert reader.version() == before
    assert posts.record([event("after", likes=1)])[0].status == "accepted"
    assert posts.reader().facts().num_rows == 11


def test_a_query_that_takes_too_long_is_broken_off(posts: Store) -> None:
    reader = posts.reader()
    slow = "SELECT sum(a.range * b.range) FROM range(100000000) a, range(1000) b"
    with pytest.raises(QueryError, match=r"longer than 0\.2 s"):
        reader.sql(slow, seconds=0.2)
    assert reader.sql("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_naive_times_are_refused(posts: Store) -> None:
    naive = START.replace(tzinfo=None)
    reader = posts.reader()
    for wrong in (
        lambda: reader.facts(as_of=naive),
        lambda: reader.facts(valid_from=naive),
        lambda: reader.at(naive),
        lambda: reader.facts(columns=["nope"]),
    ):
        with pytest.raises(QueryError):
            wrong()


def test_entities_and_attributes_are_listed(posts: Store) -> None:
    reader = posts.reader()
    assert reader.entities("post:") == ["post:1", "post:2"]
    assert reader.entities(as_of=START + HOUR / 2) == ["post:1", "post:2"]
    assert "odd_name" in reader.attributes()
    assert reader.first_recorded() == START


@pytest.mark.parametrize(
    "conditions",
    [{}, {"attribute": "likes"}, {"attribute": ["odd"]}, {"entity": "post:3"}, {"as_of": START}],
)
def test_pages_together_are_what_is_read_at_once(
    store: Store, clock: Clock, conditions: dict[str, object]
) -> None:
    store.record([event(str(i), f"post:{i % 7}", likes=i, shares=i) for i in range(60)])
    clock.ahead(hours=1)
    store.record([event(f"o{i}", "post:3", odd=i) for i in range(3)])
    store.record([event(f"c{i}", likes=9, op="correct", refers=("app", str(i))) for i in range(20)])
    store.record([event(f"r{i}", op="retract", refers=("app", f"c{i}")) for i in range(0, 20, 2)])
    reader = store.reader()
    whole = reader.facts(**conditions)  # type: ignore[arg-type]
    for size in (1, 7, 1000):
        parts, after = [], 0
        while (part := reader.page(after, size, **conditions)).num_rows:  # type: ignore[arg-type]
            assert part.num_rows <= size
            parts.append(part)
            after = part.column("seq")[-1].as_py()
        assert pa.concat_tables(parts).combine_chunks().equals(whole.combine_chunks())
    assert reader.page(10**9, 5).num_rows == 0


def test_quarantine_is_read_in_pages(store: Store) -> None:
    for i in range(5):
        store.quarantine(bytes([i]), "odd")
    store.release(2, [])
    reader = store.reader()
    first = reader.quarantined(limit=2)
    assert [row["seq"] for row in first] == [1, 3]
    assert [row["seq"] for row in reader.quarantined(after=3, limit=9)] == [4, 5]


@pytest.mark.slowish
def test_a_page_of_a_large_log_takes_little_memory(store: Store) -> None:
    count = 1_000_000
    us = 1_767_225_600_000_000
    table = pa.table(
        {
            "source": pa.repeat("/app", count),
            "id": pa.array(range(count)).cast(pa.string()),
            "entity": pa.repeat("post:1", count),
            "attribute": pa.repeat("likes", count),
            "num": pa.array(range(count)).cast(pa.float64()),
            "valid_from": pa.repeat(pa.scalar(us, pa.timestamp("us", "UTC")), count),
        }
    )
    store.load(table)
    reader = store.reader()
    before = pa.total_allocated_bytes()
    for after in (0, count // 2, count - 200):
        for conditions in ({}, {"attribute": "likes"}, {"entity": "post:1"}):
            page = reader.page(after, 100, **conditions)  # type: ignore[arg-type]
            assert page.column("num").to_pylist() == list(range(after, after + 100))
            assert page.nbytes < 100_000
    assert pa.total_allocated_bytes() - before < 1_000_000
