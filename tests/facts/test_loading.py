"""Bulk loading records the same facts as events do, whatever is known already."""

from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facts import Event, EventError, Exact, RollUp, Store, StoreError, bulk, chain, loading
from facts.archive import verify

START = datetime(2026, 3, 1, tzinfo=UTC)


def rows(count: int, start: int = 0, **more: object) -> pa.Table:
    columns: dict[str, object] = {
        "source": ["bulk"] * count,
        "id": [f"b{i}" for i in range(start, start + count)],
        "entity": [f"post:{i % 7}" for i in range(count)],
        "attribute": ["likes"] * count,
        "num": [float(i) for i in range(count)],
        "valid_from": pa.array([START] * count, pa.timestamp("us", "UTC")),
    }
    return pa.table({**columns, **more})


def test_bulk_rows_are_the_same_facts_as_events(store: Store, tmp_path: Path) -> None:
    table = rows(100)
    assert store.load(table) == (100, 0)
    events = [
        Event("bulk", r["id"], r["entity"], {"likes": Exact(r["num"])}, r["valid_from"])
        for r in table.to_pylist()
    ]
    assert {r.status for r in store.record(events)} == {"duplicate"}
    with Store.open(tmp_path / "events.duckdb", clock=lambda: START) as other:
        other.record(events)
        assert other.reader().version() == store.reader().version()


def test_bulk_duplicates_are_found_inside_and_outside(store: Store) -> None:
    store.record([Event("bulk", "b3", "post:3", {"likes": Exact(3)}, START)])
    table = pa.concat_tables([rows(10), rows(5), rows(5, 20)])
    assert store.load(table) == (14, 6)
    assert store.load(table) == (0, 20)
    assert store.reader().facts().num_rows == 15


def test_bulk_rows_obey_earlier_references(store: Store) -> None:
    for name in ("b3", "b4"):
        gone = ("bulk", name)
        store.record([Event("app", f"r{name}", "post:1", {}, START, op="retract", refers=gone)])
    store.load(rows(10))
    assert store.reader().facts().num_rows == 8
    assert store.check_derived() == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sparkle": [1] * 3}, "unknown columns sparkle"),
        ({"num": [1.0, float("nan"), 2.0]}, "row 1"),
        ({"num": [1.0, None, 2.0]}, "row 1"),
        ({"entity": ["a", "", "c"]}, "'entity' must have 1 to"),
        ({"id": ["a", None, "c"]}, "'id' must not be empty; row 1"),
        ({"kind": ["exact", "normal", "exact"]}, "row 1"),
        ({"kind": ["exact", "mystery", "exact"]}, "unknown value kind"),
        ({"num2": [None, 5.0, None]}, "row 1"),
        ({"valid_from": [1, 2, 3]}, "timestamps with a time zone"),
        ({"entity": ["a", "b\x00", "c"]}, "NUL"),
        ({"choice": [None, "b\x00", "c"]}, "NUL"),
        ({"entity": ["a", "é" * 1001, "c"]}, "'entity' must have 1 to 1000 characters; row 1"),
        ({"extra": [None, "[1]", None]}, "JSON objects; row 1"),
        ({"extra": [None, None, "{"]}, "JSON objects; row 2"),
    ],
)
def test_broken_bulk_rows_are_refused_whole(
    store: Store, more: dict[str, object], message: str
) -> None:
    with pytest.raises(EventError, match=message):
        store.load(rows(3, **more))
    assert store.reader().facts().num_rows == 0


def test_a_table_is_judged_by_its_own_rows_only(store: Store) -> None:
    whole = rows(3, entity=["b\x00", "é" * 1000, "c\x00"], id=["x\x00", "y", "z\x00"])
    assert store.load(whole.slice(1, 1)) == (1, 0)
    assert store.reader().entities() == ["é" * 1000]


loads = st.lists(
    st.tuples(st.booleans(), st.lists(st.integers(0, 30), min_size=1, max_size=30)), max_size=5
)


@pytest.mark.slowish
@settings(max_examples=60, deadline=None)
@given(loads, st.sets(st.integers(0, 30), max_size=4), st.integers(1, 9))
def test_loads_and_events_in_turn_leave_what_events_alone_would(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[bool, list[int]]],
    gone: set[int],
    piece: int,
) -> None:
    folder = tmp_path_factory.mktemp("turns")
    bad = [
        Event("app", f"r{i}", "post:1", {}, START, op="retract", refers=("bulk", f"b{i}"))
        for i in sorted(gone)
    ]
    clock = lambda: START  # noqa: E731
    with (
        Store.open(folder / "a.duckdb", clock=clock) as ours,
        Store.open(folder / "b.duckdb", clock=clock) as plain,
        patch.object(loading, "PIECE", piece),
        patch.object(bulk, "AT_ONCE", piece),
    ):
        for store in (ours, plain):
            store.declare_rollup(RollUp("hourly", "likes"))
            store.record(bad)
        for in_bulk, numbers in parts:
            table = pa.concat_tables([rows(1, i) for i in numbers])
            events = [
                Event("bulk", r["id"], r["entity"], {"likes": Exact(r["num"])}, r["valid_from"])
                for r in table.to_pylist()
            ]
            new = sum(r.status == "accepted" for r in plain.record(events))
            if in_bulk:
                assert ours.load(table) == (new, len(numbers) - new)
            else:
                assert sum(r.status == "accepted" for r in ours.record(events)) == new
        assert ours.reader().version() == plain.reader().version()
        assert ours.reader().facts().equals(plain.reader().facts())
        assert ours.reader().rollup("hourly").equals(plain.reader().rollup("hourly"))
        assert verify(ours).problems == []


def test_a_load_that_fails_on_the_way_records_nothing(store: Store) -> None:
    store.load(rows(5))

    def broken(table: pa.Table) -> bytes:
        raise MemoryError("no room")

    with (
        patch.object(loading, "PIECE", 4),
        patch.object(chain, "digest_table", broken),
        pytest.raises((StoreError, MemoryError)),
    ):
        store.load(rows(10, 5))
    assert store.reader().facts().num_rows == 5
    assert store.load(rows(10, 5)) == (10, 0)
    assert verify(store).problems == []
