"""Models of counts meet what happened: a forecast a period, an outcome once it is known."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from facts import Event, Exact, Store
from worlds.core.forms import CountPath
from worlds.domain import load_domain
from worlds.publish import Release
from worlds.watch.periods import PAUSE, Periods
from worlds.watch.watch import Watch

DOMAIN = load_domain("sniffable")
START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LENGTH = 100


def path(mean: float) -> CountPath:
    ones = np.ones((LENGTH, 1))
    return CountPath(START, HOUR, ones, mean * ones, 50 * ones, {})


FORMS = {"r" * 16: path(20.0), "w" * 16: path(60.0)}
MODELS = {"pupdates": {"right": "r" * 16, "wrong": "w" * 16}}
WEIGHTS = {"pupdates": {"right": 0.5, "wrong": 0.5}}
RELEASE = Release(DOMAIN.name, START, START, MODELS, WEIGHTS)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "facts.duckdb") as found:
        yield found


def posts(hour: int, count: int) -> list[Event]:
    """Return posts of an hour; each also has a label that begins no thing."""
    begin = START + hour * HOUR
    made = []
    for k in range(count):
        name = f"post:{hour}-{k}"
        at = begin + k * HOUR / max(count, 1)
        made.append(Event("app", name, name, {"text_length": Exact(k)}, at))
        made.append(Event("app", f"{name}/l", name, {"likes": Exact(3)}, at + HOUR))
    return made


def look(watch: Watch, periods: Periods, store: Store, now: datetime) -> list[Event]:
    with store.reader() as reader:
        watch.read(reader, now)
        made = periods.events(reader, RELEASE, now)
        if made:
            store.record(made)
            watch.read(reader, now)
    return made


@pytest.mark.slowish
def test_the_wrong_model_is_found_and_the_right_one_stays(store: Store) -> None:
    rng = np.random.default_rng(1)
    clock = Clock()
    watch = Watch("likes", timedelta(hours=24), clock=clock)
    periods = Periods(DOMAIN, watch, FORMS.get)
    for hour in range(60):
        clock.now += 3600
        look(watch, periods, store, START + hour * HOUR + HOUR / 2)
        store.record(posts(hour, int(rng.negative_binomial(50, 50 / 70))))
    assert watch.periods.met >= 58
    names = {("pupdates", "right"): "r" * 16, ("pupdates", "wrong"): "w" * 16}
    moved = [event.entity for event in watch.decide(names, START + 60 * HOUR)]
    assert moved == ["model:pupdates/wrong"]
    again = Watch("likes", timedelta(hours=24), clock=Clock())
    with store.reader() as reader:
        again.read(reader, START + 60 * HOUR)
    assert again.book.to_json() == watch.book.to_json()


def test_a_period_is_forecast_once_for_a_release(store: Store) -> None:
    watch = Watch("likes", timedelta(hours=24), clock=Clock())
    periods = Periods(DOMAIN, watch, FORMS.get)
    (made,) = look(watch, periods, store, START + HOUR / 2)
    assert made.extra["of"] == f"period:pupdates/{START.isoformat()}"
    assert look(watch, periods, store, START + 0.6 * HOUR) == []
    after_restart = Periods(DOMAIN, watch, FORMS.get)
    assert look(watch, after_restart, store, START + 0.7 * HOUR) == []


def test_silence_of_the_source_is_nobodys_fault(store: Store) -> None:
    clock = Clock()
    watch = Watch("likes", timedelta(hours=24), clock=clock)
    periods = Periods(DOMAIN, watch, FORMS.get)
    look(watch, periods, store, START + HOUR / 2)
    store.record(posts(0, 5))
    look(watch, periods, store, START + 3.5 * HOUR)
    assert watch.periods.met == 0  # nothing was seen to begin later
    store.record(posts(3, 1))
    look(watch, periods, store, START + 3.6 * HOUR)
    assert watch.periods.met == 0  # not asked again so soon
    clock.now += PAUSE + 1
    made = look(watch, periods, store, START + 3.7 * HOUR)
    assert [one.attributes["watch.outcome"] for one in made][:1] == [Exact(5)]
    assert watch.periods.met == 1


def test_nothing_is_forecast_beyond_the_horizon_or_before_its_begin(store: Store) -> None:
    watch = Watch("likes", timedelta(hours=24), clock=Clock())
    periods = Periods(DOMAIN, watch, FORMS.get)
    assert look(watch, periods, store, START - HOUR) == []
    assert look(watch, periods, store, START + (LENGTH + 5) * HOUR) == []
