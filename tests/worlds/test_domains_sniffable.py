"""What the extractor of Sniffable makes of places, times and breeds."""

import numpy as np
import pytest

from worlds.domains._places import region
from worlds.domains.sniffable import HOME, features


def at(lat: float, lon: float, radius: float) -> dict[str, float]:
    place = {"lat": lat, "lon": lon, "radius95_m": radius}
    return dict(features({"place": place}).categories.get("region", ()))


def test_a_precise_place_is_its_cell() -> None:
    assert at(52.37, 4.9, 20) == {"n52e004": pytest.approx(1.0)}


def test_a_place_abroad_is_abroad_however_far() -> None:
    for lat, lon in [(38.7, -9.1), (-33.9, 18.4), (90, 0), (-90, 180), (52.4, 20)]:
        assert at(lat, lon, 100) == {"abroad": 1.0}


def test_an_uncertain_place_is_several_cells_with_their_probabilities() -> None:
    found = at(52.0, 4.5, 5_000)
    assert found["n52e004"] == pytest.approx(0.5, abs=1e-6)
    assert found["n51e004"] == pytest.approx(0.5, abs=1e-6)


def test_cells_have_the_probability_that_sampling_gives(rng: np.random.Generator) -> None:
    """Circular normal whose 95% radius is 40 km; 2e5 draws, 4.5 standard errors."""
    lat, lon, radius = 51.9, 5.1, 40_000.0
    sd = radius / np.sqrt(2 * np.log(20))
    n = 200_000
    north = lat + rng.normal(0, sd, n) / 111_320
    east = lon + rng.normal(0, sd, n) / (111_320 * np.cos(np.radians(lat)))
    cells = [f"n{y:02.0f}e{x:03.0f}" for y, x in zip(np.floor(north), np.floor(east), strict=True)]
    labels, counts = np.unique(cells, return_counts=True)
    drawn = dict(zip(labels, counts / n, strict=True))
    found = dict(region((lat, lon, radius), HOME))
    assert len(found) == 3
    kept = sum(drawn[name] for name in found)
    for name, prob in found.items():
        p = drawn[name] / kept
        assert abs(prob - p) < 4.5 * np.sqrt(p * (1 - p) / n)


def test_a_place_known_to_half_the_world_is_nearly_surely_abroad() -> None:
    found = at(52.0, 5.0, 5_000_000)
    assert found["abroad"] > 0.98


@pytest.mark.parametrize("place", [{"lat": 91, "lon": 0}, {"lat": 0, "lon": 181}, {"lat": 1}, "x"])
def test_no_place_on_earth_is_unknown(place: object) -> None:
    assert "region" not in features({"place": place}).categories


def test_hour_and_weekday_are_those_in_utc() -> None:
    found = features({"posted_at": "2026-11-20T23:30:00-05:00"}).categories
    assert found["hour"] == (("04", 1.0),)
    assert found["weekday"] == (("sat", 1.0),)


def test_breeds_are_written_in_one_way() -> None:
    breed = {"Golden Retriever": 0.5, "golden_retriever": 0.2, "Lab": 0.2}
    found = dict(features({"breed": breed}).categories["breed"])
    assert found == {
        "golden_retriever": pytest.approx(0.7),
        "labrador_retriever": pytest.approx(0.2),
        "other": pytest.approx(0.1),
    }


def test_a_breed_implies_a_photo_unless_denied() -> None:
    assert features({"breed": "pug"}).categories["photo"] == (("photo", 1.0),)
    assert features({}).categories["photo"] == (("no_photo", 1.0),)
    denied = features({"breed": "pug", "has_photo": False})
    assert denied.categories["photo"] == (("no_photo", 1.0),)


def test_many_alternatives_are_folded_into_other() -> None:
    breed = {f"breed {i}": 0.1 for i in range(10)}
    found = dict(features({"breed": breed}).categories["breed"])
    assert len(found) == 6
    assert found["other"] == pytest.approx(0.5)
