"""Reads by both times agree with the plain-Python model over random histories."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facts import Event, Exact, Interval, Reader, Store, fact_value, shade
from tests.facts.model import Model, Shown

NAMED = ("source", "id", "entity", "attribute")
START = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    """A clock that stands still, jumps ahead and steps back."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


ids = st.sampled_from([("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("b", "2"), ("b", "3")])
hours = st.integers(-48, 48).map(lambda h: START + timedelta(hours=h))


@st.composite
def events(draw: st.DrawFn) -> Event:
    source, name = draw(ids)
    op = draw(st.sampled_from(["assert", "assert", "correct", "correct", "retract"]))
    names = draw(st.lists(st.sampled_from("xyz"), unique=True, min_size=op != "retract"))
    values = {n: draw(st.integers(0, 9).map(Exact)) for n in names}
    start = draw(hours)
    end = draw(st.none() | st.integers(1, 48).map(lambda h: start + timedelta(hours=h)))
    refers = None
    if op != "assert":
        refers = draw(ids.filter(lambda k: k != (source, name)))
    entity = draw(st.sampled_from(["post:1", "post:2"]))
    return Event(source, name, entity, values, start, end, op=op, refers=refers)


groups = st.lists(
    st.tuples(st.integers(-3, 3), st.lists(events(), min_size=1, max_size=12)),
    min_size=1,
    max_size=6,
)


def shown(reader: Reader, as_of: datetime) -> set[Shown]:
    rows = reader.facts(as_of=as_of).to_pylist()
    found = {(*(r[k] for k in NAMED), fact_value(r), r["valid_from"], r["valid_to"]) for r in rows}
    assert len(found) == len(rows), "a fact was read twice"
    return found


def by_sql(reader: Reader, as_of: datetime) -> set[tuple[str, ...]]:
    found = reader.sql("SELECT source, id, entity, attribute FROM facts", as_of=as_of)
    return set(zip(*found.to_pydict().values(), strict=True))


def check(history: list[tuple[int, list[Event]]], reopen_at: int, folder: Path) -> None:
    clock, model, marks = Clock(), Model(), []
    path = folder / "facts.duckdb"
    store = Store.open(path, clock=clock)
    try:
        for i, (hours_on, group) in enumerate(history):
            if i == reopen_at:
                store.close()
                store = Store.open(path, clock=clock)
            clock.now += timedelta(hours=hours_on)
            receipts = store.record(group)
            with_time = store.reader().last_recorded()
            assert with_time is not None
            for receipt, event in zip(receipts, group, strict=True):
                expected = model.record(with_time, event)
                kept_aside = (expected, receipt.status) == ("quarantined", "duplicate")
                assert receipt.status == expected or kept_aside
            marks.append(with_time)
        assert marks == sorted(marks)
        reader = store.reader()
        for mark in marks:
            for at in (mark, mark - timedelta(microseconds=1), mark + timedelta(minutes=1)):
                expected = model.visible(at)
                for few in (0, shade.FEW):
                    with patch.object(shade, "FEW", few):
                        assert shown(reader, at) == expected
                        assert by_sql(reader, at) == {row[:4] for row in expected}
    finally:
        store.close()


@pytest.mark.slowish
@settings(max_examples=12, deadline=None)
@given(groups, st.integers(0, 5))
def test_as_of_reads_agree_with_the_model(
    history: list[tuple[int, list[Event]]], reopen_at: int
) -> None:
    with TemporaryDirectory() as folder:
        check(history, reopen_at, Path(folder))


@pytest.mark.slowish
@settings(max_examples=80, deadline=None)
@given(groups, st.integers(0, 5))
def test_as_of_reads_agree_with_the_model_over_more_histories(
    history: list[tuple[int, list[Event]]], reopen_at: int
) -> None:
    with TemporaryDirectory() as folder:
        check(history, reopen_at, Path(folder))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=1000, deadline=None)
@given(groups, st.integers(0, 5))
def test_as_of_reads_agree_with_the_model_over_many_histories(
    history: list[tuple[int, list[Event]]], reopen_at: int
) -> None:
    with TemporaryDirectory() as folder:
        check(history, reopen_at, Path(folder))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock):  # noqa: ANN201 yields
    with Store.open(tmp_path / "facts.duckdb", clock=clock) as store:
        yield store


def likes(name: str, count: int, **more: object) -> Event:
    return Event("app", name, "post:1", {"likes": Exact(count)}, START, **more)  # type: ignore[arg-type]


def numbers(store: Store, as_of: datetime | None = None) -> list[float]:
    return sorted(store.reader().facts(as_of=as_of).column("num").to_pylist())


def test_retracting_a_correction_shows_the_corrected_fact_again_from_then_on(
    store: Store, clock: Clock
) -> None:
    hour = timedelta(hours=1)
    for event in (
        likes("e", 10),
        likes("c", 12, op="correct", refers=("app", "e")),
        Event("app", "r", "post:1", {}, START, op="retract", refers=("app", "c")),
    ):
        clock.now += hour
        store.record([event])
    seen = [numbers(store, START + i * hour) for i in range(4)]
    assert seen == [[], [10], [12], [10]]


def test_a_corrected_correction_does_not_bring_back_the_first_fact(store: Store) -> None:
    store.record([likes("e", 10), likes("c", 12, op="correct", refers=("app", "e"))])
    store.record([likes("k", 13, op="correct", refers=("app", "c"))])
    assert numbers(store) == [13]


def test_an_attribute_that_a_correction_of_a_correction_adds_is_seen(store: Store) -> None:
    store.record([likes("e", 10), likes("c", 12, op="correct", refers=("app", "e"))])
    more = {"likes": Exact(13), "shares": Exact(5)}
    store.record([Event("app", "k", "post:1", more, START, op="correct", refers=("app", "c"))])
    assert numbers(store) == [5, 13]
    store.record([Event("app", "r", "post:1", {}, START, op="retract", refers=("app", "k"))])
    assert numbers(store) == [12]


def test_an_attribute_added_below_takes_the_place_of_the_first_value(store: Store) -> None:
    both = {"likes": Exact(10), "shares": Exact(3)}
    store.record([Event("app", "e", "post:1", both, START)])
    store.record([likes("c", 12, op="correct", refers=("app", "e"))])
    assert numbers(store) == [3, 12]
    more = {"shares": Exact(5)}
    store.record([Event("app", "k", "post:1", more, START, op="correct", refers=("app", "c"))])
    assert numbers(store) == [5, 12]
    store.record([Event("app", "r", "post:1", {}, START, op="retract", refers=("app", "c"))])
    assert numbers(store) == [3, 10]


def test_the_last_correction_of_a_fact_wins_and_gives_way_when_retracted(store: Store) -> None:
    store.record([likes("e", 10)])
    store.record([likes("c1", 11, op="correct", refers=("app", "e"))])
    store.record([likes("c2", 12, op="correct", refers=("app", "e"))])
    assert numbers(store) == [12]
    store.record([Event("app", "r", "post:1", {}, START, op="retract", refers=("app", "c2"))])
    assert numbers(store) == [11]


def test_a_retraction_may_arrive_before_what_it_takes_back(store: Store, clock: Clock) -> None:
    store.record([Event("app", "r", "post:1", {}, START, op="retract", refers=("app", "e"))])
    clock.now += timedelta(hours=1)
    store.record([likes("e", 10)])
    assert numbers(store) == []


def test_a_retraction_can_name_single_attributes(store: Store) -> None:
    both = {"likes": Exact(3), "shares": Exact(4)}
    store.record([Event("app", "e", "post:1", both, START)])
    one = {"likes": Exact(True)}
    store.record([Event("app", "r", "post:1", one, START, op="retract", refers=("app", "e"))])
    assert store.reader().facts().column("attribute").to_pylist() == ["shares"]


def test_a_circle_of_corrections_goes_to_quarantine(store: Store) -> None:
    store.record([likes("a", 1, op="correct", refers=("app", "b"))])
    (receipt,) = store.record([likes("b", 2, op="correct", refers=("app", "a"))])
    assert receipt.status == "quarantined"
    assert "circle" in (receipt.reason or "")
    assert numbers(store) == [1]


@pytest.mark.slowish
def test_a_long_chain_of_corrections_is_followed(store: Store) -> None:
    chain = [likes("0", 0)]
    chain += [likes(str(i), i, op="correct", refers=("app", str(i - 1))) for i in range(1, 900)]
    store.record(chain)
    assert numbers(store) == [899]


def test_valid_time_is_closed_open(store: Store) -> None:
    day = timedelta(days=1)
    store.record([Event("app", "e", "post:1", {"x": Interval(1, 2)}, START, START + day)])
    reader = store.reader()
    assert reader.facts(valid_from=START + day).num_rows == 0
    assert reader.facts(valid_from=START + day - timedelta(microseconds=1)).num_rows == 1
    assert reader.facts(valid_to=START).num_rows == 0
    assert reader.facts(valid_to=START + timedelta(microseconds=1)).num_rows == 1
