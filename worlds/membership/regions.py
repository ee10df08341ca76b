"""Sets that facts may lie in: those of the facts room, and polygons, map cells and words."""

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

from facts.values import Box, Disc, OneOf, Range
from worlds.core.distributions import Floats
from worlds.membership.errors import GeometryError, GeoMissingError
from worlds.membership.plane import Outline

type Place = tuple[float, float]
"""Latitude and longitude in degrees."""

MOST_CELLS = 20_000


@dataclass(frozen=True)
class Polygon:
    """All places inside rings of (lat, lon); a ring inside another is a hole.

    Parameters
    ----------
    rings
        The corners of every ring in order; the last need not repeat the first.
    """

    rings: tuple[tuple[Place, ...], ...]

    @classmethod
    def of(cls, corners: Iterable[Sequence[float]]) -> "Polygon":
        """Return the polygon with one ring."""
        return cls((tuple((float(lat), float(lon)) for lat, lon in corners),))

    def __post_init__(self) -> None:
        _ = self.outline

    @cached_property
    def outline(self) -> Outline:
        """The rings on the plane."""
        return Outline(self.rings)

    def probs(self, lat: Floats, lon: Floats, radius95_m: Floats) -> Floats:
        """Return the probability that uncertain places lie inside."""
        return self.outline.probs(lat, lon, radius95_m)


@dataclass(frozen=True)
class MapCells:
    """All places inside some cells of the H3 grid, given by their names.

    Raises
    ------
    GeoMissingError
        If the h3 package is not installed.
    GeometryError
        If a name is no cell, or the cells are of different sizes.
    """

    cells: tuple[str, ...]

    def __post_init__(self) -> None:
        _ = self.parts

    @cached_property
    def parts(self) -> tuple[Polygon, ...]:
        """The outlines of the cells, joined where they touch."""
        h3 = map_cells()
        bad = [cell for cell in self.cells if not h3.is_valid_cell(cell)]
        if bad or not self.cells or len(self.cells) > MOST_CELLS:
            msg = f"needs 1 to {MOST_CELLS} H3 cells; got {len(self.cells)}, not cells: {bad[:3]}"
            raise GeometryError(msg)
        sizes = {h3.get_resolution(cell) for cell in self.cells}
        if len(sizes) > 1:
            msg = f"cells must have one resolution; got {sorted(sizes)}"
            raise GeometryError(msg)
        shape = h3.cells_to_h3shape(sorted(set(self.cells)), tight=False)
        return tuple(
            Polygon((tuple(poly.outer), *(tuple(hole) for hole in poly.holes))) for poly in shape
        )

    def probs(self, lat: Floats, lon: Floats, radius95_m: Floats) -> Floats:
        """Return the probability that uncertain places lie in one of the cells."""
        total: Floats = sum((part.probs(lat, lon, radius95_m) for part in self.parts), 0.0 * lat)
        return total.clip(0.0, 1.0)


@dataclass(frozen=True)
class Tagged:
    """All lists of words (`facts.Exact.listing`) that hold at least one of these words."""

    words: frozenset[str]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", frozenset(words))


type AnyRegion = Range | OneOf | Disc | Box | Polygon | MapCells | Tagged


def map_cells() -> ModuleType:
    """Return the h3 package.

    Raises
    ------
    GeoMissingError
        If it is not installed.
    """
    try:
        return importlib.import_module("h3")
    except ModuleNotFoundError:
        raise GeoMissingError from None


def cells_of(outline: Polygon, resolution: int) -> tuple[str, ...]:
    """Return the names of the cells whose middle lies in a polygon, sorted."""
    h3: Any = map_cells()
    outer, *holes = outline.rings
    return tuple(sorted(h3.h3shape_to_cells(h3.LatLngPoly(outer, *holes), resolution)))
