"""The simulated Sniffable: seeded, in order, calibrated where it says so, visible as simulated."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

import facts
from worlds.simulators import is_simulated, sniffable, source_name, write
from worlds.simulators.truth import (
    ABROAD_EFFECT,
    ABROAD_FROM,
    BREEDS,
    CITIES,
    HASHTAGS,
    HOURS,
    LIKES_SIZE,
    LOOKS,
    Truth,
)

END = datetime(2026, 11, 20, 12, 34, tzinfo=UTC)
SEED, DAYS = 7, 21


@pytest.fixture(scope="module")
def events() -> list[facts.Event]:
    return list(sniffable.simulate(SEED, DAYS, END))


@pytest.fixture(scope="module")
def hidden() -> Truth:
    return sniffable.truth(SEED, DAYS, END)


@pytest.fixture(scope="module")
def long_past() -> Truth:
    """Fourteen weeks at four times the rate: enough for tight tolerances."""
    return sniffable.truth(11, 98, END, per_hour=60.0)


def likes_of(events: Sequence[facts.Event]) -> dict[str, list[facts.Event]]:
    found: dict[str, list[facts.Event]] = defaultdict(list)
    for event in events:
        if "likes" in event.attributes:
            found[event.entity].append(event)
    return found


def test_the_same_seed_gives_the_same_events(events: list[facts.Event]) -> None:
    assert list(sniffable.simulate(SEED, DAYS, END)) == events
    assert list(sniffable.simulate(SEED, DAYS, END.replace(minute=1))) == events
    other = list(islice(sniffable.simulate(SEED + 1, DAYS, END), 50))
    assert [e.attributes for e in other] != [e.attributes for e in events[:50]]


def test_it_stays_small_enough_for_a_first_run(events: list[facts.Event]) -> None:
    posts = {event.entity for event in events}
    amount = sum(len(event.attributes) for event in events)
    assert 5_000 < len(posts) < 12_000
    assert 30_000 < amount < 60_000


def test_ids_are_unique_and_every_source_is_visibly_simulated(events: list[facts.Event]) -> None:
    assert len({(event.source, event.id) for event in events}) == len(events)
    assert all(is_simulated(event.source) for event in events)
    assert events[0].source.startswith("simulator:sniffable?seed=7&")
    assert not is_simulated("app")
    assert source_name("x", seed=1, end="a b") == "simulator:x?seed=1&end=a+b"


def test_two_pasts_never_share_a_pupdate(events: list[facts.Event]) -> None:
    later = {e.entity for e in sniffable.simulate(SEED, DAYS, END + timedelta(hours=1))}
    assert not later & {event.entity for event in events}


def test_events_come_in_order_and_none_from_the_future(events: list[facts.Event]) -> None:
    times = [event.valid_from for event in events]
    assert times == sorted(times)
    assert times[0] >= END.replace(minute=0) - timedelta(days=DAYS)
    assert times[-1] <= END.replace(minute=0)
    assert times[-1] > END.replace(minute=0) - timedelta(hours=1)


def test_likes_are_counted_three_times_and_only_when_due(
    events: list[facts.Event], hidden: Truth
) -> None:
    posted = {e.entity: e.valid_from for e in events if "text_length" in e.attributes}
    counted = likes_of(events)
    limit = END.replace(minute=0)
    assert len(posted) == len(hidden.posted)
    for entity, begin in posted.items():
        looks = counted.get(entity, [])
        due = [hours for hours in LOOKS if begin + timedelta(hours=hours) <= limit]
        assert [e.valid_from - begin for e in looks] == [timedelta(hours=h) for h in due]
        values = [e.attributes["likes"].value for e in looks]  # type: ignore[attr-defined]
        assert values == sorted(values)
        assert all(first.valid_to == second.valid_from for first, second in pairwise(looks))
    young = sum(begin > limit - timedelta(hours=24) for begin in posted.values())
    assert young == sum(len(counted.get(entity, [])) < 3 for entity in posted) > 100


def test_the_last_count_is_the_true_one(events: list[facts.Event], hidden: Truth) -> None:
    final = [looks[-1] for looks in likes_of(events).values() if len(looks) == 3]
    values = {e.entity: e.attributes["likes"].value for e in final}  # type: ignore[attr-defined]
    for entity, value in islice(values.items(), 200):
        assert value == hidden.likes[int(entity.rpartition("-")[2])]


def test_stated_breeds_are_right_as_often_as_they_say(long_past: Truth) -> None:
    """In five bands of stated probability, within 4.5 standard errors (false alarm 3e-5)."""
    sure, right = long_past.stated[:, 0], long_past.breed == long_past.shown
    for low, high in pairwise(np.quantile(sure, np.linspace(0, 1, 6))):
        band = (sure >= low) & (sure <= high)
        p = sure[band].mean()
        error = np.sqrt((sure[band] * (1 - sure[band])).mean() / band.sum())
        assert abs(right[band].mean() - p) < 4.5 * error


def test_the_stated_alternatives_sum_to_one(events: list[facts.Event]) -> None:
    shown = [e.attributes["breed"] for e in events if "breed" in e.attributes]
    for value in shown:
        assert isinstance(value, facts.Categorical)
        assert 2 <= len(value.labels) <= 4
        assert sum(value.probs) == pytest.approx(1, abs=1e-9)
    assert len(shown) / sum("text_length" in e.attributes for e in events) == pytest.approx(
        0.9, abs=0.02
    )


def test_pupdates_follow_the_profile_and_are_overdispersed(long_past: Truth) -> None:
    """Pearson chi-square is far above Poisson's 1; the mean ratio is within 4 standard errors."""
    ratio = long_past.counts / long_past.rate
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio))
    pearson = ((long_past.counts - long_past.rate) ** 2 / long_past.rate).mean()
    assert pearson > 2
    hour = (long_past.start.hour + np.arange(len(long_past.counts))) % 24
    night, evening = long_past.counts[hour == 3].mean(), long_past.counts[hour == 19].mean()
    assert evening / night == pytest.approx(HOURS[19] / HOURS[3], rel=0.25)


def test_likes_scatter_around_their_mean_as_a_negative_binomial(long_past: Truth) -> None:
    """E (y - m)^2 = m + m^2 / r; the mean of (y - m) / m within 4.5 standard errors."""
    gap = (long_past.likes - long_past.mean) / long_past.mean
    assert abs(gap.mean()) < 4.5 * gap.std() / np.sqrt(len(gap))
    excess = gap**2 - 1 / long_past.mean
    assert abs(excess.mean() - 1 / LIKES_SIZE) < 4.5 * excess.std() / np.sqrt(len(gap))


def test_effects_of_breed_hashtags_and_place_are_those_declared(long_past: Truth) -> None:
    """Least squares on the true log means finds every declared effect to the last digit."""
    hour = np.floor(long_past.posted).astype(int)
    columns = [long_past.breed == i for i in range(1, len(BREEDS))]
    columns += [*long_past.tags.T, long_past.photo, long_past.city >= ABROAD_FROM]
    design = np.column_stack([*columns, (long_past.length - 75) / 45]).astype(float)
    # what all pupdates of one hour share drops out when its mean is taken away
    counts = np.bincount(hour)

    def within(x: np.ndarray) -> np.ndarray:
        return x - (np.bincount(hour, x) / np.maximum(counts, 1))[hour]

    effects, *_ = np.linalg.lstsq(
        np.column_stack([within(column) for column in design.T]),
        within(np.log(long_past.mean)),
        rcond=None,
    )
    breeds = np.array([effect for _, effect in BREEDS.values()])
    np.testing.assert_allclose(effects[: len(breeds) - 1], breeds[1:] - breeds[0], atol=1e-8)
    tags = [effect for _, effect in HASHTAGS.values()]
    np.testing.assert_allclose(effects[len(breeds) - 1 :][: len(tags)], tags, atol=1e-8)
    assert effects[-2] == pytest.approx(ABROAD_EFFECT)


def test_the_burst_triples_the_likes(long_past: Truth) -> None:
    first, last = long_past.burst
    inside = (long_past.posted >= first) & (long_past.posted < last)
    around = (np.abs(long_past.posted - (first + last) / 2) < 15) & ~inside
    assert long_past.mean[inside].mean() / long_past.mean[around].mean() == pytest.approx(
        3, rel=0.4
    )


def test_places_lie_within_their_radius_95_times_in_100(long_past: Truth) -> None:
    """Distance over radius, within 4.5 standard errors of a proportion of 0.95."""
    given = long_past.city >= 0
    real, place = long_past.real_place[given], long_past.place[given]
    north = (place[:, 0] - real[:, 0]) * 111_320
    latitudes = np.array([city[0] for city in CITIES.values()])[long_past.city[given]]
    east = (place[:, 1] - real[:, 1]) * 111_320 * np.cos(np.radians(latitudes))
    inside = np.hypot(north, east) <= place[:, 2]
    assert abs(inside.mean() - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / given.sum())


def test_an_ambiguous_hashtag_means_the_same_for_everybody(events: list[facts.Event]) -> None:
    meant = [e for e in events if "hashtag_meaning" in e.attributes]
    assert {event.choice for event in meant} == {"hashtag:adorabull"}
    tagged = [e for e in events if "hashtags" in e.attributes]
    carriers = {e.entity for e in tagged if "adorabull" in e.attributes["hashtags"].as_list()}  # type: ignore[attr-defined]
    assert {event.entity for event in meant} == carriers
    assert len(carriers) > 200


class Memory:
    """A store that keeps what it is given."""

    def __init__(self) -> None:
        self.known: set[tuple[str, str]] = set()
        self.batches: list[int] = []

    def record(self, items: Sequence[facts.Event]) -> list[facts.Receipt]:
        self.batches.append(len(items))
        receipts = []
        for item in items:
            key = (item.source, item.id)
            status = "duplicate" if key in self.known else "accepted"
            self.known.add(key)
            receipts.append(facts.Receipt(item.source, item.id, status, None, 1))
        return receipts


def test_writing_goes_in_batches_with_progress_and_is_harmless_twice(
    events: list[facts.Event],
) -> None:
    store, seen = Memory(), []
    written = write(store, iter(events[:1000]), batch=300, progress=seen.append)
    assert store.batches == [300, 300, 300, 100]
    assert seen == [300, 600, 900, 1000]
    assert (written.events, written.accepted, written.duplicate) == (1000, 1000, 0)
    again = write(store, events[:1000], batch=300)
    assert (again.accepted, again.duplicate, again.quarantined) == (0, 1000, 0)


def test_the_store_takes_every_simulated_event(events: list[facts.Event], tmp_path: Path) -> None:
    with facts.Store.open(tmp_path / "facts.duckdb") as store:
        written = write(store, events[:4000], batch=1500)
        table = store.reader().facts()
    assert written.accepted == written.events == 4000
    expected = Counter(name for event in events[:4000] for name in event.attributes)
    assert Counter(table.column("attribute").to_pylist()) == expected
    assert all(is_simulated(source) for source in set(table.column("source").to_pylist()))
