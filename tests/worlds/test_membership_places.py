"""Uncertain places in discs, boxes, polygons and map cells against sampling and each other."""

import numpy as np
import pytest

from facts import Point
from facts.values import Box, Disc
from worlds.core.distributions import Floats
from worlds.membership import GeometryError, MapCells, Polygon, cells_of, plane

RING = ((52.36, 4.87), (52.355, 4.93), (52.37, 4.91), (52.38, 4.94), (52.385, 4.86))
HOLE = ((52.368, 4.88), (52.372, 4.88), (52.372, 4.9))


def places(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, Floats]:
    lat, lon = 52.37 + rng.normal(0, 0.02, n), 4.9 + rng.normal(0, 0.03, n)
    return lat, lon, rng.choice([0.0, 10.0, 200.0, 3000.0, 20_000.0], n)


def test_discs_and_boxes_agree_with_the_values_themselves(rng: np.random.Generator) -> None:
    lat, lon, radius = places(rng, 400)
    points = [Point(*row) for row in zip(lat, lon, radius, strict=True)]
    disc = plane.in_disc(lat, lon, radius, (52.37, 4.9), 2000.0)
    assert disc == pytest.approx([p.prob(Disc(52.37, 4.9, 2000.0)) for p in points], abs=2e-9)
    box = plane.in_box(lat, lon, radius, (52.36, 52.38), (4.87, 4.93))
    expected = [p.prob(Box(52.36, 52.38, 4.87, 4.93)) for p in points]
    assert box == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("lon0", [180.0, -180.0, 179.95, -179.9, 0.0])
def test_regions_across_the_antimeridian(lon0: float, rng: np.random.Generator) -> None:
    n = 200
    lat = rng.normal(10, 0.05, n)
    lon = (lon0 + rng.normal(0, 0.1, n) + 180) % 360 - 180
    radius = rng.uniform(10, 20_000, n)
    points = [Point(*row) for row in zip(lat, lon, radius, strict=True)]
    west, east = ((lon0 + d + 180) % 360 - 180 for d in (-0.08, 0.11))
    box = plane.in_box(lat, lon, radius, (9.96, 10.03), (west, east))
    expected = [p.prob(Box(9.96, 10.03, west, east)) for p in points]
    assert box == pytest.approx(expected, abs=1e-10)
    ring = [(9.96, west), (9.96, east), (10.03, east), (10.03, west)]
    polygon = Polygon.of(ring).probs(lat, lon, radius)
    assert np.abs(polygon - box).max() < 2e-3, "edges of a polygon are straight, parallels are not"


def straight_into(polygon: Polygon, xy: Floats) -> Floats:
    inside = np.zeros(len(xy), int)
    for ring in polygon.outline.rings:
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            crosses = (y1 > xy[:, 1]) != (y2 > xy[:, 1])
            rise = y2 - y1 if y2 != y1 else 1.0
            inside += crosses & (xy[:, 0] < x1 + (xy[:, 1] - y1) / rise * (x2 - x1))
    return inside % 2


@pytest.mark.parametrize("rings", [(RING,), (RING[::-1],), (RING, HOLE), (RING, HOLE[::-1])])
def test_polygons_agree_with_sampling(
    rings: tuple[tuple[tuple[float, float], ...], ...], rng: np.random.Generator
) -> None:
    polygon, n = Polygon(rings), 20_000
    lat, lon, _ = places(rng, 12)
    radius = rng.choice([50.0, 400.0, 3000.0], 12)
    probs = polygon.probs(lat, lon, radius)
    for row in range(12):
        drawn = Point(lat[row], lon[row], radius[row]).sample(rng, n)
        share = straight_into(polygon, polygon.outline.project(drawn[:, 0], drawn[:, 1])).mean()
        noise = 4 * np.sqrt(max(probs[row] * (1 - probs[row]), 1 / n) / n)
        assert abs(share - probs[row]) < noise + 1e-4


def test_a_many_cornered_polygon_is_a_disc(rng: np.random.Generator) -> None:
    lat, lon, radius = places(rng, 60)
    turn = np.linspace(0, 2 * np.pi, 721)[:-1]
    north, east = np.degrees(1500 / plane.EARTH_M * np.array([np.cos(turn), np.sin(turn)]))
    ring = zip(52.37 + north, 4.9 + east / np.cos(np.radians(52.37)), strict=True)
    disc = plane.in_disc(lat, lon, radius, (52.37, 4.9), 1500.0)
    blurred = radius > 0
    found = Polygon.of(ring).probs(lat, lon, radius)
    assert np.abs(found - disc)[blurred & (radius > 20)].max() < 2e-3
    assert np.abs(found - disc)[radius == 20_000].max() < 1e-5


def test_corners_and_edges_share_their_probability() -> None:
    square = Polygon.of([(0, 0), (0, 0.1), (0.1, 0.1), (0.1, 0)])
    lat, lon = np.array([0.0, 0.0, 0.05, 0.05]), np.array([0.0, 0.05, 0.1, 0.05])
    found = square.probs(lat, lon, np.full(4, 100.0))
    assert found == pytest.approx([0.25, 0.5, 0.5, 1.0], abs=1e-4)


def test_a_polygon_may_hold_a_pole_and_a_box_may_not_near_one() -> None:
    cap = Polygon.of([(89.0, lon) for lon in (-120.0, 0.0, 120.0)])
    lat, lon = np.array([90.0, 89.99, -90.0]), np.array([0.0, 57.0, 0.0])
    assert cap.probs(lat, lon, np.full(3, 500.0)) == pytest.approx([1, 1, 0], abs=1e-12)
    with pytest.raises(GeometryError, match="over a pole"):
        plane.in_box(lat, lon, np.full(3, 5000.0), (80.0, 90.0), (0.0, 60.0))
    around = plane.in_box(lat, lon, np.full(3, 5000.0), (-10.0, 10.0), (0.0, 60.0))
    assert around.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("ring", "message"),
    [
        ([(0, 0), (0, 1)], "3 corners"),
        ([(0, 0), (0, 1), (95, 1)], "lat in"),
        ([(0, 0), (0, 60), (60, 0)], "1000 km"),
        ([(0, 0), (0, 120), (0, -120)], "around the earth"),
    ],
)
def test_bad_polygons_are_refused(ring: list[tuple[float, float]], message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        Polygon.of(ring)


def test_map_cells_share_a_place_out() -> None:
    h3 = pytest.importorskip("h3")
    home = h3.latlng_to_cell(52.37, 4.9, 10)
    around = tuple(h3.grid_disk(home, 4))
    lat, lon, radius = np.array([52.3702]), np.array([4.9003]), np.array([60.0])
    each = np.array([MapCells((cell,)).probs(lat, lon, radius)[0] for cell in around])
    assert each.sum() == pytest.approx(1, abs=1e-4)
    assert MapCells(around).probs(lat, lon, radius)[0] == pytest.approx(each.sum(), abs=1e-6)
    assert around[int(each.argmax())] == h3.latlng_to_cell(52.3702, 4.9003, 10)
    ringed = tuple(c for c in around if c != home)
    holed = MapCells(ringed).probs(lat, lon, radius)[0]
    assert holed == pytest.approx(each.sum() - each[around.index(home)], abs=1e-6)
    inside = cells_of(Polygon.of(RING), 10)
    assert len(inside) > 100
    with pytest.raises(GeometryError, match="not cells"):
        MapCells(("nonsense",))
    with pytest.raises(GeometryError, match="one resolution"):
        MapCells((home, h3.cell_to_parent(home, 9)))
