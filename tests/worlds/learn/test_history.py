from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from facts import Categorical, Event, Exact, Interval, Normal, Store, Value
from worlds.core.features import Features
from worlds.domain import Domain, load_domain
from worlds.learn import history

DAY = timedelta(days=1)
FIRST = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
CLOCK = datetime(2026, 6, 1, tzinfo=UTC)
DOMAIN = replace(load_domain("dogposts"), label_ripens=timedelta(days=1))


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = CLOCK

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store.open(tmp_path / "facts.duckdb", clock=clock) as opened:
        yield opened


def post(number: int, at: datetime, **values: Value) -> Event:
    facts = {"text_length": Exact(80), **values}
    return Event("app", f"p{number}", f"post:{number}", facts, at)


def likes(number: int, at: datetime, value: Value | int, name: str = "l") -> Event:
    made = Exact(value) if isinstance(value, int) else value
    return Event("app", f"{name}{number}", f"post:{number}", {"likes": made}, at)


def read(
    store: Store, domain: Domain = DOMAIN, as_of: datetime | None = None, **options: datetime
) -> history.History:
    """Read what is known; where no `until` is named, without the last day with a thing."""
    known = as_of or CLOCK + DAY
    if "until" not in options:
        options["until"] = history.read(domain, store.reader(), as_of=known).until - DAY
    return history.read(domain, store.reader(), as_of=known, **options)


def record(store: Store, events: Sequence[Event]) -> None:
    assert {receipt.status for receipt in store.record(events)} == {"accepted"}


def test_counts_are_aligned_closed_open_and_include_zeros(store: Store) -> None:
    midnight = datetime(2026, 5, 6, tzinfo=UTC)
    moments = [
        FIRST,
        midnight - timedelta(microseconds=1),
        midnight,
        midnight + timedelta(hours=23),
        midnight + 3 * DAY + timedelta(hours=5),
    ]
    record(store, [post(i, at) for i, at in enumerate(moments)])
    found = history.read(DOMAIN, store.reader(), as_of=CLOCK + DAY)
    assert found.until == datetime(2026, 5, 10, tzinfo=UTC)  # the end of the last day seen
    assert found.counts.start == datetime(2026, 5, 5, tzinfo=UTC)  # the first one was cut
    assert found.counts.y.tolist() == [1, 2, 0, 0, 1]
    assert found.counts.end == found.until
    assert len(found.items) == 5


def test_a_period_that_was_not_over_when_the_facts_were_read_is_left_out(
    store: Store, clock: Clock
) -> None:
    clock.now = datetime(2026, 5, 9, 13, tzinfo=UTC)
    record(store, [post(i, datetime(2026, 5, 5 + i, 12, tzinfo=UTC)) for i in range(5)])
    found = history.read(DOMAIN, store.reader(), as_of=clock.now + timedelta(hours=1))
    assert found.until == datetime(2026, 5, 9, tzinfo=UTC)
    assert len(found.items) == 4


def test_a_period_that_begins_with_the_first_thing_is_complete(store: Store) -> None:
    start = datetime(2026, 5, 5, tzinfo=UTC)
    record(store, [post(0, start), post(1, start + DAY)])
    assert read(store).counts.y.tolist() == [1]


def test_until_is_held_down_to_a_period_and_nothing_later_is_seen(store: Store) -> None:
    record(store, [post(i, FIRST + i * DAY) for i in range(6)])
    found = read(store, until=datetime(2026, 5, 7, 13, tzinfo=UTC))
    assert found.until == datetime(2026, 5, 7, tzinfo=UTC)
    assert found.counts.y.tolist() == [1, 1]
    assert len(found.items) == 3
    later = read(store, until=datetime(2026, 5, 12, tzinfo=UTC))
    assert later.counts.y.tolist() == [1, 1, 1, 1, 1, 0, 0]  # somebody knows they were empty


def test_labels_are_the_last_known_value_observed_when_ripe(store: Store) -> None:
    record(store, [post(i, FIRST + timedelta(minutes=i)) for i in range(5)])
    record(
        store,
        [
            likes(0, FIRST + timedelta(hours=1), 7),  # too early
            likes(1, FIRST + timedelta(hours=1), 7),
            likes(1, FIRST + 2 * DAY, 30, "late"),
            likes(2, FIRST + timedelta(minutes=2) + DAY, Normal(40.4, 3.0)),
            likes(3, FIRST + 2 * DAY, Interval(10, 20)),
            post(9, FIRST + 4 * DAY),
        ],
    )
    found = read(store).items
    assert np.isnan(found.label[0])
    assert found.label[1:4].tolist() == [30, 40, 15]
    assert np.isnan(found.label[4])


def test_labels_of_things_that_were_not_ripe_by_until_are_not_used(store: Store) -> None:
    record(store, [post(0, FIRST), likes(0, FIRST + 2 * DAY, 9)])
    assert np.isnan(read(store, until=FIRST + timedelta(hours=20)).items.label).all()
    assert read(store, until=FIRST + 2 * DAY).items.label.tolist() == [9]


def test_nothing_recorded_after_as_of_is_read(store: Store, clock: Clock) -> None:
    record(store, [post(0, FIRST), post(1, FIRST + 3 * DAY), likes(0, FIRST + DAY, 5)])
    known = clock.now
    clock.now += DAY
    again = Event(
        "app", "fix", "post:0", {"likes": Exact(50)}, FIRST + DAY, op="correct",
        refers=("app", "l0"),
    )  # fmt: skip
    record(store, [again, post(2, FIRST + timedelta(hours=1)), post(3, FIRST + 9 * DAY)])
    before, after = read(store, as_of=known), read(store, as_of=clock.now)
    assert before.items.label.tolist() == [5]
    assert after.items.label[0] == 50
    assert (len(before.items), len(after.items)) == (1, 3)
    assert (len(before.counts), len(after.counts)) == (2, 8)


def test_a_retracted_thing_never_was(store: Store, clock: Clock) -> None:
    record(store, [post(i, FIRST + i * DAY) for i in range(4)])
    clock.now += DAY
    record(store, [Event("app", "r", "post:1", {}, FIRST, op="retract", refers=("app", "p1"))])
    assert read(store, as_of=clock.now).counts.y.tolist() == [0, 1]


def test_features_are_what_held_when_the_thing_began(store: Store) -> None:
    pug = Categorical(("pug", "other"), (0.8, 0.2))
    beagle = Categorical(("beagle", "other"), (0.9, 0.1))
    edited = Event("app", "e0", "post:0", {"breed": beagle}, FIRST + timedelta(hours=2))
    record(store, [edited, post(0, FIRST, breed=pug), post(1, FIRST + 3 * DAY)])
    (found,) = read(store).items.features
    assert dict(found.categories)["breed"] == (("pug", 0.8), ("other", 0.2))


def test_shares_count_labels_by_their_probability(store: Store) -> None:
    pug = Categorical(("pug", "beagle", "other"), (0.5, 0.3, 0.2))
    day = datetime(2026, 5, 5, 12, tzinfo=UTC)
    record(store, [post(i, day + timedelta(minutes=i), breed=pug) for i in range(4)])
    record(store, [post(8, FIRST), post(9, day + 2 * DAY)])
    labels, soft = read(store).counts.shares["breed"]
    assert labels == ("beagle", "other", "pug")
    assert soft == pytest.approx(np.array([[1.2, 0.8, 2.0], [0, 0, 0]]))


def test_the_extractor_finds_when_a_thing_began(store: Store) -> None:
    seen: list[object] = []

    def features(row: dict[str, object]) -> Features:
        seen.append(row["posted_at"])
        return Features()

    record(store, [post(0, FIRST), post(1, FIRST + 3 * DAY)])
    read(store, replace(DOMAIN, features=features), until=FIRST + DAY)  # type: ignore[arg-type]
    assert seen == [FIRST]


def test_other_entities_and_things_known_only_by_labels_do_not_count(store: Store) -> None:
    other = Event("app", "x", "poster:1", {"age": Exact(3)}, FIRST)
    record(store, [other, likes(7, FIRST, 3), post(0, FIRST + DAY), post(1, FIRST + 3 * DAY)])
    assert len(read(store).items) == 1


def test_an_empty_store_is_an_empty_history(store: Store) -> None:
    found = read(store)
    assert len(found.counts) == 0
    assert len(found.items) == 0
    assert not found.simulated


def test_simulated_facts_are_known_as_such(store: Store) -> None:
    event = Event("simulator:dogs?seed=1", "p", "post:1", {"text_length": Exact(1)}, FIRST)
    record(store, [event])
    assert read(store).simulated


def test_what_became_valid_after_until_is_not_learned_from(store: Store) -> None:
    late = Event("app", "x", "post:0", {"hashtags": Exact("late")}, FIRST + timedelta(hours=1))
    record(
        store,
        [
            post(0, FIRST),
            likes(0, FIRST + 2 * DAY, 10),
            likes(0, FIRST + 20 * DAY, 9999, "m"),
            late,
            post(1, FIRST + 5 * DAY),
        ],
    )
    found = history.read(DOMAIN, store.reader(), as_of=CLOCK + DAY, until=FIRST + 4 * DAY)
    assert found.items.label.tolist() == [10]
    assert "late" not in str(found.items.features[0])
    freely = history.read(DOMAIN, store.reader(), as_of=CLOCK + 40 * DAY)
    assert freely.items.label[0] in {10, 9999}


def test_one_event_from_antiquity_makes_no_million_periods(store: Store) -> None:
    record(store, [post(0, datetime(1, 1, 1, tzinfo=UTC)), post(1, FIRST), post(2, FIRST + DAY)])
    found = history.read(DOMAIN, store.reader(), as_of=CLOCK + DAY)
    assert len(found.counts) == history.MOST_PERIODS
    assert found.counts.y.sum() == 2


def test_a_thing_far_before_all_others_does_not_say_when_counting_began() -> None:
    hours = np.datetime64("2026-05-04T00:00", "us") + np.arange(400) * np.timedelta64(1, "h")
    unset = np.datetime64("1970-01-01T00:00", "us")
    assert history.strays(hours) == 0
    assert history.strays(np.concatenate([[unset], hours])) == 1
    assert history.strays(np.concatenate([[unset] * 4, hours])) == 4
    assert history.strays(np.concatenate([[unset] * 5, hours])) == 0  # more than one in a hundred
    assert history.strays(np.concatenate([[unset], hours[:50]])) == 0  # too few to tell
    late = np.concatenate([hours[:3], hours + np.timedelta64(10, "D")])
    assert history.strays(late) == 0  # a pause that is shorter than what follows
