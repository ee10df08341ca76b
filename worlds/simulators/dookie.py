"""Seeded streets with dog dirt: walkers pass cells, see or miss what lies there, place it roughly.

The truth behind (rates, and which cells are dirty at the end) is what `truth` returns to tests.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facts import Event, Exact, Point
from worlds.core.distributions import Floats
from worlds.domains.dookie import RESOLUTION
from worlds.membership.plane import EARTH_M, SIGMAS_95
from worlds.membership.presence import Rates
from worlds.membership.regions import Place, map_cells
from worlds.simulators.writing import source_name

CITIES: Mapping[str, tuple[Place, Rates]] = {
    "amsterdam": ((52.3650, 4.8950), Rates(0.10, 0.50, 0.85, 0.03)),
    "utrecht": ((52.0900, 5.1200), Rates(0.05, 0.25, 0.75, 0.02)),
}
RINGS = 5
"""Cells within this many steps of the middle of a city belong to it."""
PER_DAY = 150.0
SURFACES = ("grass", "pavement", "playground")
MEDIAN_RADIUS_M = 14.0


@dataclass(frozen=True, slots=True, eq=False)
class CityTruth:
    """One simulated city.

    Parameters
    ----------
    rates
        The true rates.
    cells
        Names of its cells.
    changes
        For every cell the days (from the start) at which it changed, and whether it began dirty.
    rows
        Array (n, 6): day, true cell, latitude, longitude, 95% radius, report, of every passage.
    """

    rates: Rates
    cells: tuple[str, ...]
    changes: tuple[tuple[bool, Floats], ...]
    rows: Floats

    def dirty(self, cell: int, day: float) -> bool:
        """Return whether a cell was dirty on a day (a fraction) after the start."""
        began, at = self.changes[cell]
        return began != bool(np.searchsorted(at, day, side="right") % 2)

    def gone(self, cell: int, day: float) -> float:
        """Return when what lies in a dirty cell is removed; infinite if after the end."""
        at = self.changes[cell][1]
        index = int(np.searchsorted(at, day, side="right"))
        return float(at[index]) if index < len(at) else math.inf


def truth(seed: int, days: int, *, per_day: float = PER_DAY) -> dict[str, CityTruth]:
    """Return the hidden truth of every city; each has its own stream of random numbers."""
    return {
        name: _city(name, np.random.default_rng([seed, zlib.crc32(name.encode())]), days, per_day)
        for name in CITIES
    }


def _city(name: str, rng: np.random.Generator, days: int, per_day: float) -> CityTruth:
    h3: Any = map_cells()
    middle, rates = CITIES[name]
    cells = tuple(sorted(h3.grid_disk(h3.latlng_to_cell(*middle, RESOLUTION), RINGS)))
    changes = tuple(_changes(rates, days, rng) for _ in cells)
    blank = CityTruth(rates, cells, changes, np.zeros((0, 6)))
    rows = []
    for day in np.sort(rng.uniform(0, days, rng.poisson(per_day * days))):
        cell = int(rng.integers(len(cells)))
        chance = rates.hit if blank.dirty(cell, float(day)) else rates.false_alarm
        seen = rng.uniform() < chance
        lat, lon, radius = _fix(_somewhere(h3, cells[cell], rng), rng)
        rows.append((float(day), cell, lat, lon, radius, float(seen)))
    return CityTruth(rates, cells, changes, np.array(rows).reshape(-1, 6))


def _changes(rates: Rates, days: int, rng: np.random.Generator) -> tuple[bool, Floats]:
    began = bool(rng.uniform() < rates.usual)
    at: list[float] = []
    now, dirty = 0.0, began
    while True:
        now += rng.exponential(1 / (rates.removed if dirty else rates.appear))
        if now >= days:
            return began, np.array(at)
        at.append(now)
        dirty = not dirty


def _somewhere(h3: Any, cell: str, rng: np.random.Generator) -> Place:
    """Return an even draw from a cell."""
    corners: NDArray[np.float64] = np.array(h3.cell_to_boundary(cell))
    low, high = corners.min(0), corners.max(0)
    while True:
        lat, lon = rng.uniform(low, high).tolist()
        if h3.latlng_to_cell(lat, lon, RESOLUTION) == cell:
            return lat, lon


def _fix(place: Place, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return what a phone says of a place: off by a circular normal whose size it knows."""
    radius = round(float(MEDIAN_RADIUS_M * np.exp(0.4 * rng.standard_normal())), 1)
    north, east = rng.standard_normal(2) * radius / SIGMAS_95 / EARTH_M
    lat = place[0] + math.degrees(north)
    lon = place[1] + math.degrees(east / math.cos(math.radians(place[0])))
    return round(lat, 6), round(lon, 6), radius


def source(seed: int, days: int, end: datetime, *, per_day: float = PER_DAY) -> str:
    """Return the source that the facts of `simulate` with the same arguments carry."""
    return source_name("dookie", seed=seed, days=days, per_day=per_day, end=_last(end).isoformat())


def _last(end: datetime) -> datetime:
    return end.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def simulate(seed: int, days: int, end: datetime, *, per_day: float = PER_DAY) -> Iterator[Event]:
    """Yield the events that walkers in two cities would have sent in the `days` before `end`.

    First all sightings in order of time with the report of their removal, then the passages that
    saw nothing.

    Parameters
    ----------
    seed
        Same seed and arguments: same events, to the last digit.
    days
        Length of the past.
    end
        Aware; the past ends at the last full hour before it.
    per_day
        Passages a day and city, on average.

    Yields
    ------
    Event
        ``sighting:...`` with place, city and surface, later with ``hours_lying``;
        ``passage:...`` with place and city.
    """
    name = source(seed, days, end, per_day=per_day)
    mark = f"{zlib.crc32(name.encode()):08x}"
    start = _last(end) - timedelta(days=days)
    cities = truth(seed, days, per_day=per_day)
    passed = sorted(
        (row[0], city, index)
        for city, hidden in cities.items()
        for index, row in enumerate(hidden.rows.tolist())
    )
    for kind in ("sighting", "passage"):
        for day, city, index in passed:
            row = cities[city].rows[index]
            if (row[5] > 0) == (kind == "sighting"):
                entity = f"{kind}:{mark}-{city}-{index:06d}"
                at = start + timedelta(days=day)
                yield from _told(name, entity, at, city, row, cities[city], days)


def _told(
    name: str, entity: str, at: datetime, city: str, row: Floats, hidden: CityTruth, days: int
) -> Iterator[Event]:
    cell = int(row[1])
    place = Point(float(row[2]), float(row[3]), float(row[4]))
    if not entity.startswith("sighting"):
        yield Event(name, entity, entity, {"place": place, "city": Exact(city)}, at)
        return
    surface = SURFACES[zlib.crc32(hidden.cells[cell].encode()) % len(SURFACES)]
    told = {"place": place, "city": Exact(city), "surface": Exact(surface)}
    yield Event(name, entity, entity, told, at)
    gone = hidden.gone(cell, float(row[0])) if hidden.dirty(cell, float(row[0])) else float(row[0])
    if gone <= days:
        hours = Exact(round((gone - float(row[0])) * 24))
        counted = at + max(timedelta(days=gone - float(row[0])), timedelta(days=7))
        if counted <= at + timedelta(days=days - float(row[0])):
            yield Event(name, f"{entity}/gone", entity, {"hours_lying": hours}, counted)
