"""Facts in, decisions out: joined with outcomes, replayed after a restart, whatever the clock."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from facts import Event, Exact, Store
from tests.worlds.watch.making import (
    HISTORICAL,
    LEARNED,
    LIKES,
    NOW,
    RIPENS,
    forecast,
    label,
    served,
)
from worlds.watch.join import GRACE, Join
from worlds.watch.overrides import Override
from worlds.watch.record import SOURCE, Faults, Forecast
from worlds.watch.watch import Watch, ended, override_event

NAME = (LIKES, "learned")
SNAPSHOTS = {(LIKES, "historical"): HISTORICAL, NAME: LEARNED}
RIPE = NOW + RIPENS


class Clock:
    """Monotone seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "facts.duckdb") as found:
        yield found


def watching(clock: Clock | None = None) -> Watch:
    return Watch("likes", RIPENS, clock=clock or Clock())


def look(watch: Watch, store: Store, events: Sequence[Event] = (), after: float = 0.0) -> list[str]:
    """Record events, read, decide, record what was decided, read it back; return the moves."""
    now = RIPE + timedelta(seconds=after)
    with store.reader() as reader:
        if events:
            store.record(list(events))
        watch.read(reader, now)
        made = watch.decide(SNAPSHOTS, now)
        if made:
            store.record(made)
            watch.read(reader, now)
    return [f"{e.entity} {next(iter(e.attributes.values())).to_json()['value']}" for e in made]


def fault(number: int, count: int = 1, at: float = 0.0) -> Event:
    when = RIPE + timedelta(seconds=at)
    kinds = {"raised": count}
    return Faults(f"f{number}", LIKES, "learned", LEARNED, when, kinds, "raised: x").event()


def test_a_forecast_survives_its_facts() -> None:
    made = forecast(
        1, {"historical": 3.0, "learned": 4.0}, experiment=("e", "a"), shadows={"e/b": (1.0,) * 27}
    )
    event = made.event()
    assert Forecast.read(event.id, event.valid_from, event.extra) == made
    assert Forecast.read("x", NOW, {"levels": 3}) is None


def test_the_wrong_model_is_quarantined_and_the_right_one_stays(store: Store) -> None:
    rng, watch = np.random.default_rng(1), watching()
    events = list(served(rng, {"historical": 3.0, "learned": 5.5}, 3.0, range(150)))
    assert look(watch, store, events) == [f"model:{LIKES}/learned quarantined"]
    board = watch.board()
    assert board.state(*NAME) == "quarantined"
    assert board.state(LIKES, "historical") == "live"
    assert "evidence" in board.models[NAME].reason
    assert look(watch, store) == []


def test_a_label_that_is_not_ripe_is_no_outcome(store: Store) -> None:
    watch = watching()
    early = label(1, 3.0, RIPE - timedelta(minutes=1))
    look(watch, store, [forecast(1, {"learned": 3.0}).event(), early])
    assert watch.join.met == 0
    look(watch, store, [Event("app", "late", "post:1", {"likes": Exact(9)}, RIPE)])
    assert watch.join.met == 1
    assert watch.book.of(*NAME).scored == 1


def test_forecasts_of_the_default_are_nobodys(store: Store) -> None:
    watch = watching()
    made = forecast(1, {"default": 3.0}, snapshots={"default": None})
    look(watch, store, [made.event(), label(1, 3.0)])
    assert watch.join.met == 1
    assert list(watch.book) == []


def test_a_restart_stands_where_the_process_stood(store: Store) -> None:
    rng, watch = np.random.default_rng(2), watching()
    for start in range(0, 240, 40):
        levels = {"historical": 3.0, "learned": 5.5}
        look(watch, store, list(served(rng, levels, 3.0, range(start, start + 40))))
    again = watching()
    with store.reader() as reader:
        again.read(reader, RIPE)
    assert again.board() == watch.board()
    assert again.board().state(*NAME) == "quarantined"
    assert again.book.to_json() == watch.book.to_json()
    assert (again.forecasts, again.join.met) == (watch.forecasts, watch.join.met)
    assert look(again, store) == []


def test_faults_move_it_at_once_and_only_another_snapshot_brings_it_back(store: Store) -> None:
    clock = Clock()
    watch = watching(clock)
    assert look(watch, store, [fault(1)]) == [f"model:{LIKES}/learned probation"]
    assert look(watch, store, [fault(2, 2)]) == [f"model:{LIKES}/learned quarantined"]
    clock.now += 5000
    assert look(watch, store, after=5000) == []
    SNAPSHOTS[NAME] = "c" * 16
    try:
        assert look(watch, store, after=5000) == [f"model:{LIKES}/learned probation"]
        clock.now += 5000
        rng = np.random.default_rng(3)
        known = {"historical": HISTORICAL, "learned": "c" * 16}
        later = RIPE + timedelta(seconds=5001)
        events: list[Event] = []
        for k, event in enumerate(served(rng, {"historical": 3.0}, 3.0, range(500, 560))):
            number = 500 + k // 2
            made = forecast(number, {"historical": 3.0, "learned": 3.0}, at=later, snapshots=known)
            value = event.attributes.get("likes")
            outcome = float(value.to_json()["value"]) if value else 0.0
            events.append(made.event() if not value else label(number, outcome, later + RIPENS))
        assert look(watch, store, events, after=90_000) == [f"model:{LIKES}/learned live"]
        assert watch.board().models == {}
    finally:
        SNAPSHOTS[NAME] = LEARNED


def test_old_faults_are_forgotten(store: Store) -> None:
    clock = Clock()
    watch = watching(clock)
    look(watch, store, [fault(1), fault(2)])
    clock.now += watch.rules.fault_memory.total_seconds() + 1
    assert look(watch, store, [fault(3, at=601)], after=601) == []
    assert watch.board().state(*NAME) == "probation"


@pytest.mark.parametrize("jump", [-86_400.0 * 30, 86_400.0 * 30])
def test_a_clock_that_jumps_moves_nobody(store: Store, jump: float) -> None:
    """A probation of ten minutes is neither cut short nor prolonged by a clock a month off."""
    clock = Clock()
    watch = watching(clock)
    look(watch, store, [fault(1)])
    clock.now += 30
    look(watch, store, after=jump)
    assert watch.board().state(*NAME) == "probation"
    assert watch.seen(NAME, LEARNED).elapsed == timedelta(seconds=30)


def override(until: timedelta) -> Override:
    return Override("o1", *NAME, "ban", "mae", "because", RIPE, RIPE + until)


def test_overrides_end_by_themselves_and_are_facts(store: Store) -> None:
    watch = watching()
    look(watch, store, [override_event(override(timedelta(seconds=60)))])
    assert [one.id for one in watch.board().overrides] == ["o1"]
    assert look(watch, store, after=61) == [f"model:{LIKES}/learned o1"]
    assert watch.board().overrides == ()
    again = watching()
    with store.reader() as reader:
        again.read(reader, RIPE)
        said = [
            row["attribute"] for row in reader.facts(entity=f"model:{LIKES}/learned").to_pylist()
        ]
    assert again.board().overrides == ()
    assert said == ["watch.override", "watch.override_ended"]


def test_an_override_taken_back(store: Store) -> None:
    watch, one = watching(), override(timedelta(days=1))
    look(watch, store, [override_event(one), ended(one, RIPE, "a mistake", "mae")])
    assert watch.board().overrides == ()


def test_facts_of_others_and_of_other_versions_move_nobody(store: Store) -> None:
    extra = {"reason": "x", "snapshot": None, "relapses": 0}
    entity = f"model:{LIKES}/learned"
    value = {"watch.standing": Exact("retired")}
    watch = watching()
    look(
        watch,
        store,
        [
            Event("somebody", "1", entity, value, RIPE, extra=extra),
            Event(SOURCE, "2", entity, value, RIPE, extra={"said": "otherwise"}),
        ],
    )
    assert watch.board().models == {}


def test_waiting_is_bounded() -> None:
    join = Join(RIPENS, most=10)
    for k in range(25):
        join.forecast(forecast(k, {"learned": 3.0}))
    assert (len(join.waiting), join.refused) == (10, 15)
    assert join.expire(NOW + RIPENS + GRACE + timedelta(seconds=1)) == 10
    assert join.waiting == {}


def test_the_last_forecast_of_an_entity_counts() -> None:
    join = Join(RIPENS)
    for hours in (0, 1):
        join.forecast(forecast(1, {"learned": 3.0}, at=NOW + timedelta(hours=hours)))
    assert join.outcome("post:1", RIPE) is None
    there = join.outcome("post:1", RIPE + timedelta(hours=1))
    assert there is not None
    assert (there.first.at, there.last.at) == (NOW, NOW + timedelta(hours=1))


def test_decisions_are_known_before_the_evidence_is_read(store: Store) -> None:
    rng, watch = np.random.default_rng(2), watching()
    look(watch, store, list(served(rng, {"historical": 3.0, "learned": 5.5}, 3.0, range(150))))
    early = Watch("likes", RIPENS, clock=Clock(), decisions=True)
    with store.reader() as reader:
        assert early.read(reader, RIPE)
    assert early.board() == watch.board()
    assert early.board().state(*NAME) == "quarantined"
    assert early.forecasts == 0


def test_a_long_log_is_read_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worlds.watch.watch.PAGE", 50)
    rng, watch = np.random.default_rng(2), watching()
    store.record(list(served(rng, {"historical": 3.0}, 3.0, range(100))))
    with store.reader() as reader:
        looks = 1
        while not watch.read(reader, RIPE, 1):
            looks += 1
    assert looks == 5
    assert watch.join.met == 100


def test_labels_from_before_the_first_forecast_are_not_read(store: Store) -> None:
    store.record([label(k, 3.0) for k in range(30)])
    watch = watching()
    look(watch, store)
    assert watch.seq == 30
    look(watch, store, [forecast(1, {"learned": 3.0}).event(), label(100, 3.0)])
    assert (watch.forecasts, watch.join.met) == (1, 0)
