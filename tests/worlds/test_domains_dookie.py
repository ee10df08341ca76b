"""Dog dirt: truth recovered from the simulator, calibration, cities apart, routes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import facts
from worlds.core.distributions import Floats
from worlds.domains.dookie import DOMAIN, City, Refused, area, features, learn, streets
from worlds.membership import Members, MembershipError, Polygon, count
from worlds.simulators import dookie as simulator
from worlds.simulators import write

pytest.importorskip("h3")

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAYS = 21
SEEDS = (1, 2, 3, 4, 5, 6)


def rows_of(hidden: simulator.CityTruth, days: int = DAYS) -> Floats:
    rows = hidden.rows[:, [0, 2, 3, 4, 5]].copy()
    rows[:, 0] += NOW.timestamp() / 86_400 - days
    return rows


@cache
def learned() -> list[tuple[simulator.CityTruth, City]]:
    return [
        (hidden, learn(name, rows_of(hidden), NOW))
        for seed in SEEDS
        for name, hidden in simulator.truth(seed, DAYS).items()
    ]


@pytest.mark.slowish
def test_rates_are_recovered() -> None:
    """Over 12 fits the mean error of each rate is within 4 of its standard errors of nothing."""
    for name, most in {"appear": 0.5, "removed": 0.5, "hit": 0.2, "false_alarm": 1.3}.items():
        off = np.array(
            [np.log(getattr(c.rates, name) / getattr(h.rates, name)) for h, c in learned()]
        )
        assert abs(off.mean()) < 4 * off.std(ddof=1) / np.sqrt(len(off)) + 0.02, name
        assert np.abs(off).max() < most, name


@pytest.mark.slowish
def test_when_it_says_30_percent_about_30_percent_are_dirty() -> None:
    stated, dirty = [], []
    for hidden, city in learned():
        stated += [city.dirty(cell) for cell in hidden.cells]
        dirty += [hidden.dirty(index, float(DAYS)) for index in range(len(hidden.cells))]
    p, truth = np.array(stated), np.array(dirty, float)
    assert len(p) == 12 * 91
    for low, high in [(0, 0.05), (0.05, 0.15), (0.15, 0.35), (0.35, 0.65), (0.65, 1.01)]:
        inside = (p >= low) & (p < high)
        n = int(inside.sum())
        noise = 4 * np.sqrt((p[inside] * (1 - p[inside])).sum()) / n
        assert n > 15
        assert abs(p[inside].mean() - truth[inside].mean()) < noise + 0.02
    brier, base = float(((p - truth) ** 2).mean()), float(truth.mean() * (1 - truth.mean()))
    assert brier < 0.8 * base


@pytest.mark.slowish
def test_the_number_in_a_neighbourhood_covers_the_truth() -> None:
    """With 12 cities and 80% intervals, 5 to 12 hold the truth (binomial, false alarm 0.4%)."""
    held = 0
    for hidden, city in learned():
        lat, lon = hidden.rows[:, 2], hidden.rows[:, 3]
        ring = [(lat.min(), lon.min()), (lat.min(), lon.max()), (lat.max(), lon.max())]
        inside = Polygon.of([*ring, (lat.max(), lon.min())])
        answer = city.expected(inside)
        probs = [city.dirty(cell) for cell in hidden.cells]
        number = sum(hidden.dirty(i, float(DAYS)) for i in range(91))
        low, high = count(Members(np.array(probs))).interval(0.8)
        assert answer.mean() >= sum(probs) - 1e-9
        held += low <= number <= high
    assert 5 <= held <= 12


@pytest.fixture
def store(tmp_path: Path) -> Iterator[facts.Store]:
    with facts.Store.open(tmp_path / "facts.duckdb") as opened:
        yield opened


@pytest.mark.slowish
def test_one_city_cannot_harm_another(store: facts.Store) -> None:
    write(store, simulator.simulate(7, 4, NOW))
    clean = store.reader().last_recorded()
    before = streets(store.reader(), now=NOW)
    rng = np.random.default_rng(3)
    nonsense = [
        facts.Event(
            "broken",
            str(i),
            f"{'sighting' if i % 3 else 'passage'}:x{i}",
            {
                "place": facts.Point(
                    float(rng.uniform(-90, 90)), float(rng.uniform(-180, 180)), 1e6
                ),
                "city": facts.Exact("utrecht" if i % 2 else "atlantis"),
            },
            NOW - timedelta(hours=float(rng.uniform(1, 90))),
        )
        for i in range(2400)
    ]
    store.record(nonsense)
    after = streets(store.reader(), now=NOW)
    assert set(before) == {"amsterdam", "utrecht"}
    home, still = before["amsterdam"], after["amsterdam"]
    assert isinstance(home, City)
    assert isinstance(still, City)
    assert (home.rates, dict(home.cells)) == (still.rates, dict(still.cells))
    assert np.array_equal(home.probs, still.probs)
    assert isinstance(after["utrecht"], Refused)
    assert isinstance(after["atlantis"], Refused)
    assert "within 40 km" in after["utrecht"].reason
    then = streets(store.reader(), now=NOW, as_of=clean)
    assert set(then) == {"amsterdam", "utrecht"}
    assert isinstance(then["utrecht"], City)


def test_a_few_bad_places_are_left_out_and_counted(store: facts.Store) -> None:
    write(store, simulator.simulate(7, 4, NOW))
    place = {"place": facts.Point(0, 0, 5), "city": facts.Exact("Utrecht")}
    store.record([facts.Event("broken", "1", "sighting:far", place, NOW - timedelta(days=1))])
    found = streets(store.reader(), now=NOW)["utrecht"]
    assert isinstance(found, City)
    assert found.ignored == 1


@pytest.mark.slowish
def test_fresh_reports_move_a_cell_and_time_forgets() -> None:
    hidden = simulator.truth(1, 6)["amsterdam"]
    rows = rows_of(hidden, 6)
    lat, lon = rows[0, 1:3]
    day = NOW.timestamp() / 86_400
    fresh = np.array([[day - 0.01 * k, lat, lon, 5.0, 1.0] for k in (3, 2, 1)])
    quiet = fresh * (1, 1, 1, 1, 0)
    plain, seen, unseen = (
        learn("amsterdam", np.vstack(parts), NOW)
        for parts in ([rows], [rows, fresh], [rows, quiet])
    )
    assert seen.dirty_at(lat, lon) > 0.9
    assert unseen.dirty_at(lat, lon) < 0.05
    later = learn("amsterdam", np.vstack([rows, fresh]), NOW + timedelta(days=200))
    assert later.dirty_at(lat, lon) == pytest.approx(later.rates.usual, abs=1e-6)
    assert plain.dirty_at(10.0, 10.0) == plain.rates.usual


def test_routes_through_a_city(rng: np.random.Generator) -> None:
    city = learn("amsterdam", rows_of(simulator.truth(2, 6)["amsterdam"], 6), NOW)
    south, north, middle = (52.3635, 4.8950), (52.3665, 4.8950), (52.3650, 4.8965)
    ways = {"straight": [south, north], "around": [south, middle, north], "short": [south, middle]}
    first, *others = compared = city.routes(ways, rng)
    assert {route.name for route in compared} == set(ways)
    assert all(first.dirty.mean() <= other.dirty.mean() for other in others)
    for route in compared:
        assert route.clean == pytest.approx(city.clean(ways[route.name]), abs=1e-12)
        assert route.regret >= 0
    assert city.clean(ways["short"]) >= city.clean(ways["around"])
    with pytest.raises(MembershipError, match="at least one place"):
        city.clean([])
    with pytest.raises(MembershipError, match="no street cell"):
        city.expected(Polygon.of([(52.365, 4.895), (52.365, 4.89501), (52.36501, 4.895)]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:20], "20 of 20 passages"),
        (lambda rows: rows * (1, 1, 1, 1000, 1), "0 of"),
        (lambda rows: rows * (1, 1, 1, 1, 0), "with and without sighting"),
    ],
)
def test_a_city_that_cannot_carry_a_model_says_why(
    change: Callable[[Floats], Floats], message: str
) -> None:
    rows = rows_of(simulator.truth(1, 3)["utrecht"], 3)
    with pytest.raises(MembershipError, match=message):
        learn("utrecht", change(rows), NOW)


def test_the_simulator_is_the_same_for_the_same_seed_and_true_to_its_rates() -> None:
    first, again = (list(simulator.simulate(5, 2, NOW)) for _ in range(2))
    assert first == again
    assert first != list(simulator.simulate(6, 2, NOW))
    kinds = [event.entity.partition(":")[0] for event in first]
    assert kinds == sorted(kinds, reverse=True), "sightings first"
    assert all(event.valid_from <= NOW for event in first)
    hidden = simulator.truth(5, 400, per_day=20)["utrecht"]
    dirty = np.array([hidden.dirty(int(cell), day) for day, cell in hidden.rows[:, :2]])
    share = hidden.rates.usual
    for state, chance in ((True, hidden.rates.hit), (False, hidden.rates.false_alarm)):
        n = int((dirty == state).sum())
        assert abs(hidden.rows[dirty == state, 5].mean() - chance) < 4 * np.sqrt(0.25 / n)
    assert abs(dirty.mean() - share) < 4 * np.sqrt(share * (1 - share) / (91 * 400 * 0.15))


def test_areas_share_an_uncertain_place_out() -> None:
    assert area((52.365, 4.895, 10.0)) == (("5236,489", 1.0),)
    shared = dict(area((52.365, 4.9, 100.0)))
    assert shared == pytest.approx({"5236,489": 0.5, "5236,490": 0.5}, abs=1e-6)
    assert sum(p for _, p in area((89.9, 10, 4e7))) == pytest.approx(1)
    assert features({"city": "Den Haag"}).categories["city"] == (("den_haag", 1.0),)
    assert DOMAIN.quantity("count").name == "sightings"
