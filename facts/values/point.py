"""Points: a place on earth with the radius that holds it with 95 % probability."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from facts.errors import ValueKindError
from facts.values.base import Box, Cells, Disc, Forms, Region, Value, finite, take, wrong_region
from facts.values.normal import normal_between

EARTH_M = 6_371_008.8
SIGMAS_95 = math.sqrt(-2 * math.log(0.05))
SIGMAS_68 = math.sqrt(-2 * math.log(0.32))
NODES = 64


@cache
def _rule() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights of Gauss-Legendre quadrature."""
    return np.polynomial.legendre.leggauss(NODES)


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance of two places in metres (haversine)."""
    a, b = math.radians(lat1), math.radians(lat2)
    h = math.sin((b - a) / 2) ** 2
    h += math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(min(1.0, h)))


def disc_prob(offset: float, radius: float) -> float:
    """Return the probability that a standard two-dimensional normal lies in a disc.

    The disc has the given radius and its centre lies ``offset`` from the mean, both in standard
    deviations. Integrates along the line through both centres with 64 Gauss-Legendre points on the
    part within 9 standard deviations; absolute error below 1e-9.
    """
    lo, hi = max(-radius, offset - 9.0), min(radius, offset + 9.0)
    if hi <= lo:
        return 0.0
    start, end = math.asin(lo / radius), math.asin(hi / radius)
    nodes, weights = _rule()
    theta = (end - start) / 2 * nodes + (end + start) / 2
    x = radius * np.sin(theta)
    half = radius * np.cos(theta)
    across = np.array([math.erf(h / math.sqrt(2)) for h in half])
    density = np.exp(-0.5 * (x - offset) ** 2) / math.sqrt(2 * math.pi)
    total = float(np.sum(weights * density * across * half) * (end - start) / 2)
    return min(1.0, max(0.0, total))


@dataclass(frozen=True)
class Point(Value):
    """A place in degrees (WGS 84) with its 95 % radius in metres, as W3C Geolocation states it.

    The error is an isotropic normal on the plane that touches the earth there: the radius that
    holds it with probability p is ``sigma * sqrt(-2 ln(1 - p))``. The JSON form also takes
    ``radius68_m``, as phones report it, which is converted; the form it came in is kept.
    Meant for radii up to some hundred kilometres.
    """

    kind: ClassVar[str] = "point"
    forms: ClassVar[Forms] = (("lat", "lon", "radius95_m"), ("lat", "lon", "radius68_m"))
    lat: float
    lon: float
    radius95_m: float
    came_as: Mapping[str, Any] | None = field(default=None, compare=False, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        lat = finite("point", "lat", self.lat)
        lon = finite("point", "lon", self.lon)
        radius = finite("point", "radius95_m", self.radius95_m)
        if not -90 <= lat <= 90:
            msg = f"point: lat must lie in [-90, 90] degrees; got {self.lat!r}"
            raise ValueKindError(msg)
        if not -180 <= lon <= 180:
            msg = f"point: lon must lie in [-180, 180] degrees; got {self.lon!r}"
            raise ValueKindError(msg)
        if radius < 0:
            msg = f"point: radius95_m must not be negative; got {self.radius95_m!r}"
            raise ValueKindError(msg)
        for name, number in (("lat", lat), ("lon", lon), ("radius95_m", radius)):
            object.__setattr__(self, name, number)

    @property
    def form(self) -> Mapping[str, Any] | None:
        """The 68 % radius, where it came with one."""
        return self.came_as

    @property
    def sigma_m(self) -> float:
        """The standard deviation along each axis, in metres."""
        return self.radius95_m / SIGMAS_95

    def to_json(self) -> dict[str, Any]:
        """Return ``{"kind": "point", "lat": ..., "lon": ..., "radius95_m": ...}``."""
        where = {"lat": self.lat, "lon": self.lon, "radius95_m": self.radius95_m}
        return {"kind": "point", **where}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Build from ``lat``, ``lon`` and ``radius95_m`` or ``radius68_m``."""
        if "radius68_m" in obj:
            lat, lon, radius = take("point", obj, "lat", "lon", "radius68_m")
            radius = finite("point", "radius68_m", radius)
            return cls(lat, lon, radius * SIGMAS_95 / SIGMAS_68, came_as=dict(obj))
        return cls(*take("point", obj, "lat", "lon", "radius95_m"))

    def cells(self) -> Cells:
        """Return latitude, longitude and radius in ``num``, ``num2`` and ``num3``."""
        return Cells(num=self.lat, num2=self.lon, num3=self.radius95_m)

    @classmethod
    def from_cells(cls, cells: Cells) -> Self:
        """Read back the column form."""
        return cls(cells.num, cells.num2, cells.num3)  # type: ignore[arg-type]  # checked there

    def prob(self, region: Region) -> float:
        """Return the probability of lying in a disc or box.

        A box is seen on the plane that touches the earth at the point.
        """
        if isinstance(region, Disc):
            away = distance_m(self.lat, self.lon, region.lat, region.lon)
            if self.sigma_m == 0:
                return float(away <= region.radius_m)
            if region.radius_m <= 0:
                return 0.0
            return disc_prob(away / self.sigma_m, region.radius_m / self.sigma_m)
        if isinstance(region, Box):
            return self._in_box(region)
        raise wrong_region("point", region, "a Disc or a Box")

    def _in_box(self, box: Box) -> float:
        width = box.lon_hi - box.lon_lo
        width = width if width >= 0 else width + 360
        west = (box.lon_lo - self.lon + 180) % 360 - 180
        south, north = box.lat_lo - self.lat, box.lat_hi - self.lat
        if self.sigma_m == 0:
            return float(south <= 0 <= north and (west <= 0 <= west + width or width >= 360))
        metres = math.pi / 180 * EARTH_M / self.sigma_m
        up = normal_between(south * metres, north * metres)
        if width >= 360:
            return min(1.0, max(0.0, up))
        scale = metres * math.cos(math.radians(self.lat))
        turns = (west - 360, west, west + 360)
        along = sum(normal_between(w * scale, (w + width) * scale) for w in turns)
        return min(1.0, max(0.0, up * min(1.0, along)))

    def sample(self, rng: np.random.Generator, size: int) -> NDArray[Any]:
        """Draw places; returns latitude and longitude, shape ``(size, 2)``, in degrees."""
        north, east = rng.normal(0.0, self.sigma_m, (2, size))
        lat = self.lat + np.degrees(north / EARTH_M)
        shrink = max(math.cos(math.radians(self.lat)), 1e-12)
        lon = self.lon + np.degrees(east / (EARTH_M * shrink))
        over = np.abs(lat) > 90
        lat = np.where(over, np.sign(lat) * 180 - lat, lat)
        lon = np.where(over, lon + 180, lon)
        return np.column_stack([lat, (lon + 180) % 360 - 180])

    @classmethod
    def examples(cls) -> Sequence[Value]:
        """Return an exact, an ordinary, a southern and an antimeridian place."""
        return [cls(52.5, 13.4, 0), cls(52.5, 13.4, 25), cls(-33.9, 151.2, 1e4), cls(0, 180, 50)]
