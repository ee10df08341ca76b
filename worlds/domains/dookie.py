"""Dookie: dog dirt on the streets. Sightings with uncertain positions, and walks that saw none.

Two kinds of questions. How many sightings a day, and for how many hours they lie, are quantities
with competing models as in every domain. Whether a street cell is dirty *now* is a hidden state,
filtered from who passed and what they saw: `streets` builds it for every city on its own.

Facts: entities ``sighting:...`` (somebody saw dirt) and ``passage:...`` (somebody walked there and
saw none), each with ``place`` (a point with its 95% radius) and ``city``.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow.compute as pc

from worlds.core.distributions import Point
from worlds.core.features import Alternatives, Features, FeatureSpec
from worlds.core.outcome import Outcome, World
from worlds.core.questions import Amount, Quantity, Question, SumOver
from worlds.domain import Domain, DraftField
from worlds.domains import _reading as read
from worlds.domains._streets import (
    CITY_M,
    ELSEWHERE,
    RESOLUTION,
    City,
    Refused,
    learn,
    placed,
    streets,
)
from worlds.errors import QuestionError, UnknownNameError
from worlds.membership.counts import count
from worlds.membership.members import Members
from worlds.membership.observed import given as observed
from worlds.membership.plane import EARTH_M, SIGMAS_95, distances_m
from worlds.membership.regions import Place, Polygon, cells_of, map_cells
from worlds.membership.views import observations
from worlds.view import Part, Reading, View, Viewed, moment, places

__all__ = ["DOMAIN", "RESOLUTION", "City", "Refused", "learn", "placed", "streets"]

MOST_WALKS = 12
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
AREA = 0.01
"""Side of an area in degrees."""
METRES_PER_DEGREE = math.radians(EARTH_M)

SPEC = FeatureSpec(categories=("area", "city", "surface", "weekday"), version="1")


def features(row: Mapping[str, object]) -> Features:
    """Return what models see of a sighting, from a row of facts or a draft. Never raises."""
    place = read.position(row.get("place"))
    seen = read.moment(row.get("posted_at"))
    derived = {
        "area": area(place) if place else (),
        "city": read.alternatives(row.get("city")),
        "surface": read.alternatives(row.get("surface")),
        "weekday": read.certain(WEEKDAYS[seen.weekday()] if seen else None),
    }
    return Features(read.settled(row, derived, nameable=("weekday",)))


def area(place: tuple[float, float, float]) -> Alternatives:
    """Return the areas of about a square kilometre a place may lie in; at most three by name."""
    lat, lon, radius = place
    sd = max(radius / SIGMAS_95, 1.0) / METRES_PER_DEGREE
    rows = _strips(lat, sd)
    columns = _strips(lon, sd / max(math.cos(math.radians(lat)), 1e-3))
    cells = {f"{y},{x}": p * q for y, p in rows.items() for x, q in columns.items()}
    ranked = sorted(cells.items(), key=lambda pair: (-pair[1], pair[0]))[:3]
    kept = {name: prob for name, prob in ranked if prob >= 0.02}
    rest = 1 - sum(kept.values())
    if rest >= 0.02 or not kept:
        kept[ELSEWHERE] = rest
    total = sum(kept.values())
    return tuple(sorted(((n, p / total) for n, p in kept.items()), key=lambda pair: -pair[1]))


def _strips(centre: float, sd: float) -> dict[int, float]:
    """Return the probability of the strips of 0.01 degrees around a coordinate."""
    first = math.floor(centre / AREA)
    edges = [(first + k) * AREA for k in range(-2, 4)]
    below = [0.5 * math.erfc((centre - edge) / sd / math.sqrt(2)) for edge in edges]
    return {first - 2 + k: below[k + 1] - below[k] for k in range(5)}


KEPT = 4
_KEPT: dict[tuple[str, datetime], dict[str, City | Refused]] = {}


def known_streets(reading: Reading, where: Mapping[str, str]) -> dict[str, City | Refused]:
    """Return the streets at the time asked for (``at``), computed once per facts and time.

    Without a time, that of the last passage known: what holds then is what the facts tell.

    Raises
    ------
    QuestionError
        If nobody passed anywhere.
    """
    if "at" in where:
        now = moment(where["at"], "at")
    else:
        table = reading.facts(attribute="place", columns=("valid_from",))
        if not table.num_rows:
            msg = "no sighting and no passage is known yet"
            raise QuestionError(msg)
        last: datetime = pc.max(table["valid_from"]).as_py()
        now = last.astimezone(UTC) + timedelta(seconds=1)
    key = (reading.version[1], now)
    if key not in _KEPT:
        while len(_KEPT) >= KEPT:
            _KEPT.pop(next(iter(_KEPT)), None)
        _KEPT[key] = streets(reading, now=now, as_of=reading.as_of)
    else:
        reading.facts(attribute="city", columns=("valid_from",))
    return _KEPT[key]


def _city_of(found: Mapping[str, City | Refused], cell: str) -> City:
    """Return the city whose streets a cell belongs to: that with the nearest middle.

    Raises
    ------
    QuestionError
        If it is far from every city, or the city has no model.
    """
    h3: Any = map_cells()
    here = h3.cell_to_latlng(cell)
    cities = [city for city in found.values() if isinstance(city, City)]
    away = [_away(city, [here])[0] for city in cities]
    if not away or min(away) > CITY_M:
        known = ", ".join(city.name for city in cities) or "none"
        refused = "; ".join(each.reason for each in found.values() if isinstance(each, Refused))
        msg = f"{cell} lies in no city whose streets are known; known: {known}. {refused}".strip()
        raise QuestionError(msg)
    return cities[int(np.argmin(away))]


def _away(city: City, spots: Sequence[Place]) -> list[float]:
    """Return how far places are from the middle of a city."""
    lat, lon = np.array(spots, float).T
    return [float(x) for x in distances_m(lat, lon, *city.middle)]


def _told(city: City) -> dict[str, Any]:
    rates = city.rates
    return {
        "city": city.name,
        "passages": city.passages,
        "ignored": city.ignored,
        "rates": {
            "appear_per_day": rates.appear,
            "removed_per_day": rates.removed,
            "seen_if_there": rates.hit,
            "seen_if_not": rates.false_alarm,
            "usual": rates.usual,
        },
    }


def _dirty_now(reading: Reading, where: Mapping[str, str], given: Mapping[str, object]) -> Viewed:
    """Look up one street cell, by name or by a place in it."""
    del given
    h3: Any = map_cells()
    if ("cell" in where) == ("place" in where):
        msg = "name a street cell, or a place in it: cell=8b1969526480fff or place=52.365,4.895"
        raise QuestionError(msg)
    if "cell" in where:
        cell = where["cell"].strip().lower()
        if not h3.is_valid_cell(cell) or h3.get_resolution(cell) != RESOLUTION:
            msg = f"cell takes an H3 cell of resolution {RESOLUTION}; got {where['cell'][:40]!r}"
            raise QuestionError(msg)
    else:
        spots = places(where["place"], "place")
        if len(spots) != 1:
            msg = f"place takes one place, such as 52.365,4.895; got {len(spots)}"
            raise QuestionError(msg)
        cell = h3.latlng_to_cell(*spots[0], RESOLUTION)
    found = known_streets(reading, where)
    city = _city_of(found, cell)
    prob = city.dirty(cell)
    worlds = [
        World({"street cell": name}, p, Point(value), {})
        for name, p, value in (("dirty", prob, 1.0), ("clean", 1 - prob, 0.0))
        if p > 0
    ]
    outcome = Outcome(tuple(sorted(worlds, key=lambda one: -one.weight)), "dirty cells")
    notes = () if cell in city.cells else ("nobody passed this cell: it is as usual in the city",)
    return Viewed(outcome, city.now, city.now, {"cell": cell, **_told(city)}, notes)


def _dirty_cells(reading: Reading, where: Mapping[str, str], given: Mapping[str, object]) -> Viewed:
    """Count the dirty cells of a neighbourhood, or of all that anybody passed in a city."""
    if ("area" in where) == ("city" in where):
        msg = "name a city, or an area: city=utrecht or area=lat,lon;lat,lon;lat,lon"
        raise QuestionError(msg)
    found = known_streets(reading, where)
    if "city" in where:
        name = read.label(where["city"]) or ""
        if name not in found:
            raise UnknownNameError("city", name, found)
        named = found[name]
        if isinstance(named, Refused):
            raise QuestionError(named.reason)
        city, answer = named, count(Members(named.probs), unit="dirty cells")
    else:
        outline = Polygon.of(places(where["area"], "area"))
        inside = cells_of(outline, RESOLUTION)
        if not inside:
            msg = "the area holds no middle of a street cell: make it larger (a cell is 50 m wide)"
            raise QuestionError(msg)
        city = _city_of(found, inside[0])
        answer = city.expected(outline)
    if "count" in given:
        answer = observed(answer, *observations(given["count"]))
    return Viewed(answer, city.now, city.now, _told(city))


def _best_walk(reading: Reading, where: Mapping[str, str], given: Mapping[str, object]) -> Viewed:
    """Compare walks, each a name with its places; answer with the one that is best to expect."""
    del given
    ways = {name: places(text, name) for name, text in where.items() if name != "at"}
    if not 1 <= len(ways) <= MOST_WALKS:
        msg = f"name 1 to {MOST_WALKS} walks: north=52.365,4.895;52.367,4.899"
        raise QuestionError(msg)
    found = known_streets(reading, where)
    h3: Any = map_cells()
    first = next(iter(ways.values()))[0]
    city = _city_of(found, h3.latlng_to_cell(*first, RESOLUTION))
    far = [name for name, way in ways.items() if max(_away(city, way)) > CITY_M]
    if far:
        msg = (
            f"{far[0]!r} leaves {city.name}: a walk stays within {CITY_M / 1000:g} km of its middle"
        )
        raise QuestionError(msg)
    ranked = city.routes(ways, np.random.default_rng(0))
    listed = [
        {
            "walk": route.name,
            "expected_dirty_cells": float(route.dirty.mean()),
            "prob_clean": float(route.clean),
            "prob_best": float(route.best),
            "regret": float(route.regret),
            "error_bound": max(route.best.error, route.regret.error),
            "method": route.best.method,
        }
        for route in ranked
    ]
    best = ranked[0]
    details = {"walks": listed, **_told(city)}
    notes = (f"the walk with the fewest dirty cells to expect is {best.name!r}",)
    return Viewed(best.dirty, city.now, city.now, details, notes)


AT = Part("at", "When; the time of the last passage where left out", "2026-09-30T18:00:00Z")
VIEWS = (
    View(
        "dirty_now",
        "dirty cells",
        "Is this street cell dirty now?",
        _dirty_now,
        (
            Part("cell", "The street cell, an H3 cell of resolution 11", "8b1969526480fff"),
            Part("place", "Or a place in it: latitude, longitude", "52.365,4.895"),
            AT,
        ),
        threshold=0,
    ),
    View(
        "dirty_cells",
        "dirty cells",
        "How many street cells of a neighbourhood are dirty now?",
        _dirty_cells,
        (
            Part("area", "Corners of the neighbourhood", "52.36,4.89;52.37,4.89;52.365,4.9"),
            Part("city", "Or all cells that anybody passed in a city", "utrecht"),
            AT,
        ),
        given=("count",),
    ),
    View(
        "best_walk",
        "dirty cells",
        "On which walk are the fewest dirty cells to expect?",
        _best_walk,
        (
            Part("NAME", "A walk under any name: its places", "52.365,4.895;52.367,4.899"),
            AT,
        ),
        attributes=True,
        threshold=0,
    ),
)

DOMAIN = Domain(
    name="dookie",
    title="Dookie",
    text="Dog dirt on the streets: how much of it is seen, how long it lies, where it lies now.",
    entity="sighting",
    grain="day",
    quantities=(
        Quantity(
            name="sightings",
            unit="sightings",
            role="count",
            per="day",
            usual=(5, 120),
            text="Sightings of dog dirt in a day.",
        ),
        Quantity(
            name="hours_lying",
            unit="hours",
            role="size",
            per="sighting",
            usual=(2, 200),
            text="Hours that seen dirt goes on lying before it is gone.",
        ),
    ),
    questions=(
        Question(
            name="hours_of_dirt_next_day",
            formula=SumOver("hours_lying", "sightings"),
            unit="hours",
            text="For how many hours will the dirt seen in the next day lie in all?",
            threshold=1500,
        ),
        Question(
            name="sightings_next_day",
            formula=Amount("sightings"),
            unit="sightings",
            text="How many sightings will there be in the next day?",
            threshold=40,
        ),
    ),
    label="hours_lying",
    label_ripens=timedelta(days=7),
    features=features,
    spec=SPEC,
    draft=(
        DraftField("city", "text", "City", "amsterdam"),
        DraftField(
            "place",
            "place",
            "Where, with the radius that holds 95% of the error",
            {"lat": 52.365, "lon": 4.895, "radius95_m": 20},
        ),
        DraftField("posted_at", "time", "When it was seen", "2026-11-20T19:30:00+00:00"),
        DraftField("surface", "text", "What it lies on", "pavement"),
    ),
    models={
        "sightings": ("historical", "seasonal", "streaming", "learned"),
        "hours_lying": ("historical", "learned"),
    },
    shares=("city", "surface"),
    simulate="worlds.simulators.dookie:simulate",
    views=VIEWS,
)
