"""Street cells that are dirty or not: a hidden state, learned for every city on its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np

from worlds.core.distributions import Floats
from worlds.core.estimate import Estimate
from worlds.domains import _reading as read
from worlds.membership.counts import Tallied, count
from worlds.membership.errors import MembershipError
from worlds.membership.members import FactSource, Members
from worlds.membership.plane import distances_m
from worlds.membership.presence import Passages, Rates, Streets, fit_rates
from worlds.membership.regions import MapCells, Place, Polygon, cells_of, map_cells
from worlds.membership.routes import Route, compare

RESOLUTION = 11
"""H3 resolution of a street cell: about 50 m across."""
CELL_M = 50.0
VAGUEST_M = 250.0
"""A place with a larger 95% radius says nothing about a single cell."""
CITY_M = 40_000.0
"""A place farther from the middle of its city's places is a mistake."""
FEWEST = 40
ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Refused:
    """A city without a model, and why. The others are not touched by it."""

    city: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class City:
    """What is known of one city's street cells as of a time.

    Parameters
    ----------
    name
        Of the city.
    rates
        How its cells change and how well its people see, learned from this city alone.
    cells
        Street cells somebody may have passed, with their place in `probs`.
    probs
        Array (C,): probability that a cell is dirty at `now`.
    now
        The time these hold for.
    passages, ignored
        How many passages were used, and how many were too vague or far off.
    middle
        Latitude and longitude of the middle of its passages.
    """

    name: str
    rates: Rates
    cells: Mapping[str, int]
    probs: Floats = field(repr=False)
    now: datetime
    passages: int
    ignored: int
    middle: Place = (0.0, 0.0)

    def dirty(self, cell: str) -> float:
        """Return the probability that a street cell is dirty; nobody passed: the usual one."""
        index = self.cells.get(cell)
        return self.rates.usual if index is None else float(self.probs[index])

    def dirty_at(self, lat: float, lon: float) -> float:
        """Return the probability that the street cell of a place is dirty."""
        return self.dirty(map_cells().latlng_to_cell(lat, lon, RESOLUTION))

    def expected(self, neighbourhood: Polygon) -> Tallied:
        """Return how many cells of a neighbourhood are dirty, as a distribution.

        Raises
        ------
        MembershipError
            If no cell has its middle inside.
        """
        inside = cells_of(neighbourhood, RESOLUTION)
        if not inside:
            msg = f"no street cell has its middle in {str(neighbourhood)[:80]}"
            raise MembershipError(msg)
        probs = np.array([self.dirty(cell) for cell in inside])
        return count(Members(probs), unit="dirty cells")

    def route(self, places: Sequence[Place]) -> frozenset[str]:
        """Return the street cells on a way along some places.

        Raises
        ------
        MembershipError
            If there is no place.
        """
        if not places:
            raise MembershipError("a route needs at least one place")
        h3: Any = map_cells()
        stops = [h3.latlng_to_cell(lat, lon, RESOLUTION) for lat, lon in places]
        way = {stops[0]}
        for here, there in pairwise(stops):
            way.update(h3.grid_path_cells(here, there))
        return frozenset(way)

    def routes(self, ways: Mapping[str, Sequence[Place]], rng: np.random.Generator) -> list[Route]:
        """Compare walking routes, the one with the fewest dirty cells to expect first."""
        cells = {name: self.route(places) for name, places in ways.items()}
        every = frozenset().union(*cells.values())
        return compare(cells, {cell: self.dirty(cell) for cell in every}, rng)

    def clean(self, places: Sequence[Place]) -> Estimate:
        """Return the probability of a walk along some places without a dirty cell."""
        probs = np.array([self.dirty(cell) for cell in sorted(self.route(places))])
        return Estimate(float(np.prod(1 - probs)), method="exact", error=1e-15)


def streets(
    source: FactSource, *, now: datetime, as_of: datetime | None = None
) -> dict[str, City | Refused]:
    """Return every city's street cells now, as known at a time; each learned on its own.

    Parameters
    ----------
    source
        Usually ``store.reader()``.
    now
        When the cells are asked for; passages later than this are not looked at.
    as_of
        Nothing recorded later is read; default: everything known.

    Returns
    -------
    dict
        By city; a city whose facts cannot carry a model is `Refused`.
    """
    found: dict[str, City | Refused] = {}
    for city, rows in sorted(_by_city(source, now, as_of).items()):
        try:
            found[city] = learn(city, np.array(rows), now)
        except (MembershipError, FloatingPointError, np.linalg.LinAlgError) as error:
            found[city] = Refused(city, str(error))
    return found


def _by_city(
    source: FactSource, now: datetime, as_of: datetime | None
) -> dict[str, list[tuple[float, ...]]]:
    """Return (day, lat, lon, radius, seen) of every passage by city, in order of time."""
    columns = ("entity", "attribute", "kind", "num", "num2", "num3", "text", "valid_from")
    table = source.facts(as_of=as_of, attribute=("place", "city"), valid_to=now, columns=columns)
    cities: dict[str, str] = {}
    places: dict[str, tuple[float, ...]] = {}
    for row in table.to_pylist():
        entity = row["entity"]
        kind = entity.partition(":")[0]
        if kind not in {"sighting", "passage"}:
            continue
        if row["attribute"] == "city" and row["text"]:
            cities[entity] = read.label(row["text"]) or ELSEWHERE
        elif row["attribute"] == "place" and row["kind"] == "point":
            day = row["valid_from"].astimezone(UTC).timestamp() / 86_400
            seen = float(kind == "sighting")
            places[entity] = (day, row["num"], row["num2"], row["num3"], seen)
    found: dict[str, list[tuple[float, ...]]] = {}
    for entity, place in sorted(places.items(), key=lambda pair: (pair[1], pair[0])):
        found.setdefault(cities.get(entity, ELSEWHERE), []).append(place)
    return found


def learn(city: str, rows: Floats, now: datetime) -> City:
    """Return the model of one city.

    Parameters
    ----------
    city
        Its name.
    rows
        Array (n, 5): day, latitude, longitude, 95% radius in metres and report (0 or 1) of every
        passage, in order of time.
    now
        When the cells are asked for.

    Raises
    ------
    MembershipError
        If the passages are too few, too vague, too far apart, or all alike.
    """
    middle = float(np.median(rows[:, 1])), float(np.median(rows[:, 2]))
    away = distances_m(rows[:, 1], rows[:, 2], *middle)
    good = (away <= CITY_M) & (rows[:, 3] <= VAGUEST_M)
    used = rows[good]
    if len(used) < FEWEST or len(used) < 0.5 * len(rows):
        msg = (
            f"{city}: {len(used)} of {len(rows)} passages lie within {CITY_M / 1000:g} km of the"
            f" others and within {VAGUEST_M:g} m; needs {FEWEST} and half of all"
        )
        raise MembershipError(msg)
    if used[:, 4].min() == used[:, 4].max():
        msg = f"{city}: needs passages with and without sighting; all {len(used)} are alike"
        raise MembershipError(msg)
    cells, passages = placed(used)
    rates = fit_rates(passages, len(cells))
    state = Streets.untouched(rates, len(cells), float(used[0, 0]))
    state.follow(passages)
    probs = state.now(now.timestamp() / 86_400)
    return City(city, rates, cells, probs, now, len(used), len(rows) - len(used), middle)


def placed(rows: Floats) -> tuple[dict[str, int], Passages]:
    """Return the cells that passages may have been in, and the passages over these cells."""
    h3: Any = map_cells()
    homes = [h3.latlng_to_cell(lat, lon, RESOLUTION) for lat, lon in rows[:, 1:3]]
    rings = np.ceil(rows[:, 3] * 1.25 / CELL_M).astype(int)
    groups: dict[tuple[str, int], list[int]] = {}
    for index, key in enumerate(zip(homes, rings.tolist(), strict=True)):
        groups.setdefault(key, []).append(index)
    index_of: dict[str, int] = {}
    shapes: dict[str, MapCells] = {}
    cells: list[Any] = [None] * len(rows)
    weights: list[Any] = [None] * len(rows)
    for (home, ring), members in sorted(groups.items()):
        around = sorted(h3.grid_disk(home, ring))
        for cell in around:
            index_of.setdefault(cell, len(index_of))
            shapes.setdefault(cell, MapCells((cell,)))
        spots = rows[members, 1:4].T
        share = np.array([shapes[cell].probs(*spots) for cell in around])
        share /= np.maximum(share.sum(0), 1e-300)
        numbers = np.array([index_of[cell] for cell in around])
        for column, member in enumerate(members):
            likely = share[:, column] > 1e-4
            cells[member] = numbers[likely]
            weights[member] = share[likely, column] / share[likely, column].sum()
    return index_of, Passages(rows[:, 0], rows[:, 4] > 0, cells, weights)
