"""Learning from a roll-up sees exactly what it sees when it reads every fact."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facts import Categorical, Event, Exact, Reader, Store
from worlds.begins import begins
from worlds.domain import load_domain
from worlds.learn import history

DAY = timedelta(days=1)
FIRST = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
CLOCK = datetime(2026, 6, 1, tzinfo=UTC)
DOMAIN = replace(load_domain("dogposts"), label_ripens=timedelta(days=1))
HOURLY = replace(DOMAIN, name="hours", grain="hour")


class Plain:
    """A reader without roll-ups, which also notes how much was read."""

    def __init__(self, reader: Reader) -> None:
        self.facts, self.version = reader.facts, reader.version
        self.last_recorded = reader.last_recorded


class Counting(Reader):
    """A reader that notes how many rows learning took."""

    def facts(self, **conditions: Any) -> Any:  # type: ignore[override]
        found = super().facts(**conditions)
        self.taken = getattr(self, "taken", 0) + found.num_rows
        return found


def random_events(chance: random.Random, count: int) -> list[Event]:
    found = []
    for i in range(count):
        number = chance.randint(0, 60)
        at = FIRST + timedelta(minutes=chance.randint(0, 40 * 24 * 60))
        values: dict[str, Any] = {"text_length": Exact(chance.randint(10, 200))}
        more: dict[str, Any] = {}
        kind = chance.random()
        if kind < 0.3:
            values = {"likes": Exact(chance.randint(0, 99))}
        elif kind < 0.5:
            p = chance.choice([0.2, 0.7])
            values["breed"] = Categorical(("pug", "other"), (p, 1 - p))
        if found and chance.random() < 0.25:
            more = {"op": chance.choice(["correct", "retract"])}
            more["refers"] = ("app", f"e{chance.randrange(len(found))}")
        entity = chance.choice([f"post:{number}"] * 9 + [f"poster:{number}"])
        source = chance.choice(["app"] * 50 + ["simulator:x?seed=1"])
        found.append(Event(source if not more else "app", f"e{i}", entity, values, at, **more))
    return found


def same(a: history.History, b: history.History) -> None:
    assert (a.until, a.simulated) == (b.until, b.simulated)
    assert (a.counts.start, a.counts.step) == (b.counts.start, b.counts.step)
    assert a.counts.y.tolist() == b.counts.y.tolist()
    assert a.counts.shares.keys() == b.counts.shares.keys()
    for name, (labels, soft) in a.counts.shares.items():
        assert labels == b.counts.shares[name][0]
        assert np.array_equal(soft, b.counts.shares[name][1])
    assert a.items.features == b.items.features
    assert np.array_equal(a.items.at, b.items.at)
    assert np.array_equal(a.items.label, b.items.label, equal_nan=True)
    assert a.items.label_at.astype(str).tolist() == b.items.label_at.astype(str).tolist()


@pytest.mark.slowish
@pytest.mark.parametrize("seed", range(6))
def test_both_ways_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    now = [CLOCK]
    with Store.open(tmp_path / "facts.duckdb", clock=lambda: now[0]) as store:
        for domain in (DOMAIN, HOURLY):
            store.declare_rollup(begins(domain))
        marks = []
        events = random_events(chance, 240)
        while events:
            size = chance.randint(1, 60)
            store.record(events[:size])
            events = events[size:]
            marks.append(now[0])
            now[0] += timedelta(hours=chance.randint(1, 90))
        reader = store.reader()
        compared = 0
        for most in (5, 17, 50, 1000):
            monkeypatch.setattr(history, "MOST_ITEMS", most)
            for domain in (DOMAIN, HOURLY):
                for mark in (marks[0], marks[len(marks) // 2], now[0]):
                    for until in (None, FIRST + timedelta(days=chance.uniform(1, 45))):
                        options: dict[str, Any] = {"as_of": mark, "until": until}
                        rolled = history.read(domain, reader, **options)
                        same(rolled, history.read(domain, Plain(reader), **options))
                        compared += len(rolled.counts) > 0
        assert compared > 20


def test_a_roll_up_saves_reading_what_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_ITEMS", 20)
    with Store.open(tmp_path / "facts.duckdb", clock=lambda: CLOCK) as store:
        store.declare_rollup(begins(DOMAIN))
        values = {"text_length": Exact(1), "hashtags": Exact("x")}
        hours = timedelta(hours=1)
        store.record(
            [Event("a", f"{i}", f"post:{i}", values, FIRST + i * hours) for i in range(600)]
        )
        reader = store.reader()
        reader.__class__ = Counting
        found = history.read(DOMAIN, reader, as_of=CLOCK + DAY)
        assert found.counts.y.sum() == 600 - 15  # without the first, cut day
        assert reader.taken < 200  # type: ignore[attr-defined]
