"""Intake: duplicates, receipts, quarantine and release, the bounded queue."""

import itertools
import json
import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts import (
    Event,
    EventError,
    IntakeFull,
    QueryError,
    RawBad,
    Store,
    StoreClosed,
    event_json,
    parse_event,
)
from facts.identity import Identities, hash_key, hash_keys
from tests.facts.conftest import START, Clock, event


def test_a_duplicate_is_found_however_old_it_is(store: Store) -> None:
    events = [event(f"e{i}", f"post:{i}", likes=i) for i in range(5000)]
    store.record(events)
    chance = random.Random(4)
    again = [*events, event("new", likes=1)]
    chance.shuffle(again)
    receipts = store.record(again)
    assert sum(r.status == "duplicate" for r in receipts) == 5000
    assert store.record([events[0]])[0].status == "duplicate"
    assert store.reader().facts().num_rows == 5001


def test_duplicates_are_known_after_a_restart(tmp_path: Path) -> None:
    events = [event(f"e{i}", likes=i) for i in range(100)]
    with Store.open(tmp_path / "f.duckdb") as store:
        store.record(events)
    with Store.open(tmp_path / "f.duckdb") as store:
        assert {r.status for r in store.record(events)} == {"duplicate"}
        assert store.record([event("e5", likes=5)])[0].tx is None


def test_a_duplicate_within_one_group_is_found(store: Store) -> None:
    receipts = store.record([event("e", likes=1), event("e", likes=1), event("f", likes=1)])
    assert [r.status for r in receipts] == ["accepted", "duplicate", "accepted"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"likes": 2}, "likes (value)"),
        ({"likes": "1"}, "likes (value)"),
        ({"entity": "post:2", "likes": 1}, "likes (entity)"),
        ({"hours": 1, "likes": 1}, "likes (valid_from)"),
        ({"valid_to": START + timedelta(days=1), "likes": 1}, "likes (valid_to)"),
        ({"choice": "c", "likes": 1}, "likes (choice)"),
        ({"extra": {"mood": "odd"}, "likes": 1}, "likes (extra)"),
        ({"op": "correct", "refers": ("app", "z"), "likes": 1}, "likes (op, refers_source"),
        ({"likes": {"kind": "normal", "mean": 1, "sd": 2}}, "likes (value)"),
        ({"likes": 1, "breed": {"kind": "categorical", "alternatives": {"a": 1}}}, "breed (value)"),
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_a_duplicate_with_other_content_is_told_so(
    store: Store, changed: dict[str, object], named: str, together: bool
) -> None:
    breed = {"kind": "categorical", "alternatives": {"a": 0.5, "b": 0.5}}
    first, again = event("e", likes=1, breed=breed), event("e", **changed)  # type: ignore[arg-type]
    if together:
        receipts = store.record([first, again, first])
    else:
        receipts = [store.record([x])[0] for x in (first, again, first)]
    assert [r.status for r in receipts] == ["accepted", "duplicate", "duplicate"]
    assert named in (receipts[1].reason or "")
    assert "stays in force" in (receipts[1].reason or "")
    assert (receipts[0].reason, receipts[2].reason) == (None, None)
    assert store.reader().facts(attribute="likes").column("num").to_pylist() == [1.0]


def test_a_known_fact_that_comes_changed_beside_a_new_one_is_told(store: Store) -> None:
    store.record([event("e", likes=1)])
    (receipt,) = store.record([event("e", likes=2, shares=3)])
    assert receipt.status == "accepted"
    assert "likes (value) differs" in (receipt.reason or "")


def test_another_envelope_is_not_other_content(store: Store) -> None:
    for trace in ("00-ab", "00-cd"):
        extra = {"mood": "odd", "event": {"traceparent": trace}}
        (receipt,) = store.record([event("e", likes=1, extra=extra)])
        assert receipt.reason is None


def test_many_changed_duplicates_are_found_among_many(store: Store) -> None:
    store.record([event(f"e{i}", likes=i, shares=1) for i in range(3000)])
    again = [event(f"e{i}", likes=i + (i % 7 == 0), shares=1) for i in reversed(range(3000))]
    receipts = store.record(again)
    told = {r.id for r in receipts if r.reason is not None}
    assert told == {f"e{i}" for i in range(3000) if i % 7 == 0}


def test_new_attributes_of_a_known_event_are_added(store: Store) -> None:
    store.record([event("e", likes=1)])
    (receipt,) = store.record([event("e", likes=1, shares=2)])
    assert receipt.status == "accepted"
    assert sorted(store.reader().facts().column("attribute").to_pylist()) == ["likes", "shares"]


def test_same_id_of_another_source_is_another_event(store: Store) -> None:
    one = event("e", likes=1)
    other = Event("web", "e", one.entity, one.attributes, one.valid_from)
    assert [r.status for r in store.record([one, other])] == ["accepted", "accepted"]


def test_recorded_time_grows_even_when_the_clock_steps_back(store: Store, clock: Clock) -> None:
    times = []
    for hours in (0, 5, -9, 0, 1):
        clock.ahead(hours=hours)
        store.record([event(str(len(times)), likes=1)])
        times.append(store.reader().last_recorded())
    assert all(a < b for a, b in itertools.pairwise(times))  # type: ignore[operator]


def test_a_full_queue_refuses_whole_submissions(tmp_path: Path) -> None:
    gate = threading.Event()

    def slow_clock() -> datetime:
        gate.wait(20)
        return datetime.now(UTC)

    with Store.open(tmp_path / "f.duckdb", clock=slow_clock, limit=10) as store:
        first = store.submit([event("a", likes=1)])
        second = store.submit([event(f"b{i}", likes=1) for i in range(6)])
        with pytest.raises(IntakeFull, match="of 10 items") as refused:
            store.submit([event(f"c{i}", likes=1) for i in range(4)])
        assert (refused.value.limit, refused.value.retry_after) == (10, 1.0)
        third = store.submit([event(f"c{i}", likes=1) for i in range(3)])
        gate.set()
        assert all(r.status == "accepted" for f in (first, second, third) for r in f.result())
        store.record([event("d", likes=1)])
        assert store.reader().facts().num_rows == 11
        assert store.waiting == 0


def test_a_closed_store_takes_and_gives_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "f.duckdb")
    reader = store.reader()
    future = store.submit([event("a", likes=1)])
    store.close()
    store.close()
    assert future.result()[0].status == "accepted"
    for use in (lambda: store.record([event("b", likes=1)]), store.reader, reader.facts):
        with pytest.raises(StoreClosed, match="open it again"):
            use()


def test_what_cannot_be_understood_is_kept_with_its_bytes(store: Store, clock: Clock) -> None:
    raw = b"\x80\x00 not even text"
    receipt = store.quarantine(raw, "is not JSON", "app")
    assert (receipt.status, receipt.reason) == ("quarantined", "is not JSON")
    assert store.quarantine(raw, "is not JSON", "app").status == "duplicate"
    (held,) = store.reader().quarantined()
    assert (held["raw"], held["reason"], held["source"]) == (raw, "is not JSON", "app")
    assert held["recorded_at"] == clock.now


def test_quarantine_is_released_with_what_it_means(store: Store, clock: Clock) -> None:
    store.quarantine(b"{}", "no data", "app", "x")
    (held,) = store.reader().quarantined()
    before = store.reader().last_recorded()
    clock.ahead(hours=1)
    with pytest.raises(QueryError, match="still cannot be read"):
        store.release(held["seq"])
    assert store.release(held["seq"], [event("x", likes=1)], note="told by phone")[0].tx
    reader = store.reader()
    assert reader.quarantined() == []
    assert len(reader.quarantined(released=True)) == 1
    assert len(reader.quarantined(as_of=before)) == 1
    assert reader.facts().num_rows == 1
    with pytest.raises(QueryError, match="not in quarantine"):
        store.release(held["seq"], [])


def test_bytes_that_can_be_read_meanwhile_release_themselves(store: Store) -> None:
    store.quarantine(event_json(event("x", likes=1)), "the attribute was unknown then")
    (held,) = store.reader().quarantined()
    assert store.release(held["seq"])[0].status == "accepted"


def test_a_refused_event_stays_in_quarantine(store: Store) -> None:
    store.record([event("a", likes=1, op="correct", refers=("app", "b"))])
    store.record([event("b", likes=1, op="correct", refers=("app", "a"))])
    (held,) = store.reader().quarantined()
    with pytest.raises(QueryError, match=r"stays in quarantine.*circle"):
        store.release(held["seq"])
    assert len(store.reader().quarantined()) == 1


def test_unknown_things_are_kept(store: Store) -> None:
    raw = {
        "specversion": "1.0",
        "id": "1",
        "source": "app",
        "type": "like",
        "traceparent": "00-ab",
        "time": "2026-03-01T01:00:00+01:00",
        "data": {"entity": "post:1", "attribute": "likes", "value": 3, "mood": ["odd", 1]},
    }
    store.record([parse_event(raw)])
    (row,) = store.reader().facts().to_pylist()
    assert row["valid_from"] == START
    assert json.loads(row["extra"]) == {"mood": ["odd", 1], "event": {"traceparent": "00-ab"}}


def test_the_form_a_value_came_in_is_kept(store: Store) -> None:
    store.record([event("1", weight={"kind": "normal", "mean": 20, "expanded": 1, "k": 2})])
    (row,) = store.reader().facts().to_pylist()
    assert row["num2"] == 0.5
    assert json.loads(row["extra"])["form"]["expanded"] == 1


def test_an_event_survives_its_json_form() -> None:
    whole = event("1", weight=3.5, breed="pug", op="correct", refers=("web", "7"), choice="c")
    assert parse_event(json.loads(event_json(whole))) == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ""}, "source must be a non-empty string"),
        ({"id": 7}, "id must be a non-empty string"),
        ({"data": None}, "data must be an object"),
        ({"data": {"entity": "e", "value": 1}}, "needs its attribute's name"),
        ({"data": {"entity": "e", "attribute": "a"}}, "has no value"),
        ({"data": {"entity": "e", "attributes": {}}}, "at least one attribute"),
        ({"data": {"entity": "e", "attributes": [1]}}, "must map names"),
        ({"time": "2026-03-01T00:00:00"}, "must have a time zone"),
        ({"time": "yesterday"}, "RFC 3339"),
        ({"time": None}, "needs valid_from"),
        ({"time": "0001-01-01T00:00:00+10:00"}, "years 1 to 9999"),
        ({"data": {"entity": "e", "attribute": "a", "value": None}}, "attribute 'a'"),
        (
            {"data": {"entity": "e", "attribute": "a", "value": 1, "valid_to": "2020-01-01T00Z"}},
            "valid_to must be after",
        ),
        ({"data": {"entity": "e", "corrects": 3, "attribute": "a", "value": 1}}, "corrects must"),
        (
            {"data": {"entity": "e", "corrects": "x", "retracts": "y", "value": 1}},
            "either corrects or retracts",
        ),
        (
            {"id": "same", "data": {"entity": "e", "retracts": "same"}},
            "cannot refer to itself",
        ),
        ({"data": {"entity": "x" * 2000, "attribute": "a", "value": 1}}, "at most 1000"),
    ],
)
def test_a_broken_event_says_what_is_wrong(change: dict[str, object], message: str) -> None:
    good = {"source": "app", "id": "1", "time": "2026-03-01T00:00:00Z"}
    data = {"entity": "e", "attribute": "a", "value": 1}
    with pytest.raises(EventError, match=message):
        parse_event({**good, "data": data, **change})


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=40)), min_size=1, max_size=40))
def test_the_hash_of_one_and_of_many_agree(keys: list[tuple[str, str]]) -> None:
    keys = [(s.encode("utf-8", "ignore").decode(), i) for s, i in keys]
    keys = [(s, i.encode("utf-8", "ignore").decode()) for s, i in keys]
    arrays = [pa.array([k[at] for k in keys], pa.string()) for at in (0, 1)]
    assert hash_keys(*arrays).tolist() == [hash_key(*k) for k in keys]
    assert hash_keys(*(a.slice(1) for a in arrays)).tolist() == [hash_key(*k) for k in keys[1:]]


def test_identities_find_exactly_what_was_added(rng: np.random.Generator) -> None:
    ids, added = Identities(), set()
    for size in (3, 1000, 1, 50, 20_000, 7, 300):
        fresh = rng.integers(0, 2**63, size).astype(np.uint64)
        first = len(added) + 1
        added |= set(fresh.tolist())
        if size < 10:
            for i, h in enumerate(fresh.tolist()):
                ids.add_one(h, first + i, first + i)
        else:
            ids.add_many(fresh, first, first + size)
    asked = np.concatenate(
        [np.array(sorted(added), dtype=np.uint64), rng.integers(0, 2**63, 500).astype(np.uint64)]
    )
    found, span = ids.find_many(asked)
    assert found.tolist() == [h in added for h in asked.tolist()]
    assert span == (1, len(added) + 0) or span is not None
    for h in asked.tolist()[::997]:
        assert (ids.find_one(h) is not None) == (h in added)


def test_raw_bad_items_and_events_mix_in_one_group(store: Store) -> None:
    receipts = store.record(
        [RawBad(b"1", "bad"), event("a", likes=1), RawBad(b"1", "bad"), event("b", likes=2)]
    )
    assert [r.status for r in receipts] == ["quarantined", "accepted", "duplicate", "accepted"]
    assert [len(store.reader().trace(tx=1)), store.reader().version()[2]] == [3, 2]
