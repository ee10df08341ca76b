"""How probably uncertain places lie in a region: circular normals over discs, boxes, polygons.

The error of a place is an isotropic normal with a given 95% radius on the plane that touches the
earth there. Discs are asked by great-circle distance, boxes along their parallels and meridians as
seen from the place, polygons on the azimuthal equidistant plane around their middle, which is true
to scale along rays and within (d / 6371 km)^2 / 6 across them: 4e-5 at 100 km.
"""

import numpy as np
import scipy
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.membership.errors import GeometryError

EARTH_M = 6_371_008.8
SIGMAS_95 = float(np.sqrt(-2 * np.log(0.05)))
"""95% radius of a circular normal in standard deviations: 2.4477."""
REACH = 7.0
"""Nothing is expected farther away than this many standard deviations (2e-11)."""
QUADRATURE_ERROR = 1e-9
NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)
FARTHEST_M = 1_000_000.0
"""Polygons reach at most this far from their middle."""
BLOCK = 1 << 15


def unit_vectors(lat: Floats, lon: Floats) -> Floats:
    """Return places in degrees as unit vectors, array (..., 3)."""
    phi, lam = np.radians(lat), np.radians(lon)
    across = np.cos(phi)
    return np.stack([across * np.cos(lam), across * np.sin(lam), np.sin(phi)], axis=-1)


def distances_m(lat: Floats, lon: Floats, lat0: float, lon0: float) -> Floats:
    """Return great-circle distances from one place in metres (haversine), elementwise."""
    phi = np.radians(lat)
    half = np.sin((phi - np.radians(lat0)) / 2) ** 2
    half += np.cos(phi) * np.cos(np.radians(lat0)) * np.sin(np.radians(lon - lon0) / 2) ** 2
    return np.asarray(2 * EARTH_M * np.arcsin(np.sqrt(np.minimum(half, 1.0))))


def in_disc(
    lat: Floats, lon: Floats, radius95_m: Floats, centre: tuple[float, float], radius_m: float
) -> Floats:
    """Return the probability of lying within `radius_m` metres of a place, array (n,).

    Away from the edge it is 0 or 1 within 2e-11; near it, 48 Gauss-Legendre points along the line
    through both centres (error below 1e-9).
    """
    sigma = np.asarray(radius95_m, float) / SIGMAS_95
    probs = np.zeros(len(sigma))
    close = in_sight(lat, lon, sigma, centre, radius_m)
    away = distances_m(lat[close], lon[close], *centre)
    spread = sigma[close]
    probs[close] = away <= radius_m
    near = np.flatnonzero((np.abs(away - radius_m) < REACH * spread) & (radius_m > 0))
    for start in range(0, near.size, BLOCK // 16):
        rows = near[start : start + BLOCK // 16]
        found = disc_probs(away[rows] / spread[rows], radius_m / spread[rows])
        probs[close[rows]] = found
    return probs


def in_sight(
    lat: Floats, lon: Floats, sigma: Floats, centre: tuple[float, float], reach_m: float
) -> NDArray[np.intp]:
    """Return the rows of places that may lie within a distance of a place; few others.

    Great-circle distance is at least that of the parallels, and on a band of parallels at
    least that of the meridians at its narrower end.
    """
    metres = np.pi / 180 * EARTH_M
    reach = sigma * (REACH / metres) + (reach_m * 1.001 + 1.0) / metres
    rows = np.flatnonzero(np.abs(lat - centre[0]) <= reach)
    widest = float(reach[rows].max(initial=0.0))
    edge = abs(centre[0]) + widest
    if edge >= 89 or widest > 30:
        return rows
    turn = np.abs(lon[rows] - centre[1])
    turn = np.minimum(turn, 360 - turn)
    return np.asarray(rows[turn * np.cos(np.radians(edge)) <= 1.05 * reach[rows]])


def disc_probs(offset: Floats, radius: Floats) -> Floats:
    """Return the probability of a standard planar normal in discs, all in standard deviations."""
    low = np.maximum(-radius, offset - 9.0)
    high = np.minimum(radius, offset + 9.0)
    start = np.arcsin(np.clip(low / radius, -1, 1))
    end = np.arcsin(np.clip(high / radius, -1, 1))
    theta = np.multiply.outer((end - start) / 2, NODES) + ((end + start) / 2)[:, None]
    half = radius[:, None] * np.cos(theta)
    x = radius[:, None] * np.sin(theta) - offset[:, None]
    density = np.exp(-0.5 * x * x) * scipy.special.erf(half / np.sqrt(2)) * half
    total = density @ WEIGHTS * (end - start) / np.sqrt(8 * np.pi)
    return np.asarray(np.where(high > low, np.clip(total, 0.0, 1.0), 0.0))


def in_box(
    lat: Floats,
    lon: Floats,
    radius95_m: Floats,
    parallels: tuple[float, float],
    meridians: tuple[float, float],
) -> Floats:
    """Return the probability of lying between two parallels and two meridians (closed form).

    A box from 170 to -170 crosses the antimeridian.

    Raises
    ------
    GeometryError
        If a place that may lie in the box reaches over a pole, where meridians meet.
    """
    sigma = np.asarray(radius95_m, float) / SIGMAS_95
    metres = np.pi / 180 * EARTH_M
    south, north = parallels
    reach = REACH * sigma / metres
    polar = (np.abs(lat) + reach > 90) & (lat + reach > south) & (lat - reach < north)
    span = meridians[1] - meridians[0]
    span = span if span >= 0 else span + 360
    if span < 360 and (polar & (sigma > 0)).any():
        row = int(np.flatnonzero(polar & (sigma > 0))[0])
        msg = (
            f"a place at {lat[row]:.6g}, {lon[row]:.6g} with a 95% radius of"
            f" {radius95_m[row]:.6g} m reaches over a pole, where a box of meridians has no"
            " meaning; ask with a disc or a polygon"
        )
        raise GeometryError(msg)
    up = _between(lat, south, north, sigma / metres)
    rows = np.flatnonzero(up)
    if span >= 360 or rows.size == 0:
        return up
    spread = sigma[rows] / (metres * np.maximum(np.cos(np.radians(lat[rows])), 1e-12))
    west = (meridians[0] - lon[rows] + 180) % 360 - 180
    turns = (-360.0, 0.0, 360.0) if float((spread * REACH).max()) + span > 180 else (0.0,)
    wrapped = [*turns, -360.0] if len(turns) == 1 and (west + span > 180).any() else list(turns)
    along = sum(_between(0.0, west + turn, west + turn + span, spread) for turn in wrapped)
    up[rows] *= np.minimum(along, 1.0)
    return up


def _between(at: Floats | float, low: Floats | float, high: Floats | float, sd: Floats) -> Floats:
    """Return P(low <= x <= high) for normals, accurate in both tails; sd 0 is a number."""
    below, above = np.subtract(at, low), np.subtract(high, at)
    probs = np.asarray((below >= 0) & (above >= 0), float)
    far = REACH * sd
    near = np.flatnonzero(((np.abs(below) < far) | (np.abs(above) < far)) & (sd > 0))
    a, b = -below[near] / sd[near], above[near] / sd[near]
    upper = a > 0
    a, b = np.where(upper, -b, a), np.where(upper, -a, b)
    probs[near] = scipy.special.ndtr(b) - scipy.special.ndtr(a)
    return probs


class Outline:
    """A region bounded by rings of places, seen on the plane around its middle.

    Parameters
    ----------
    rings
        Rings of (lat, lon) in degrees. A ring inside another is a hole, and so on inwards
        (even-odd); rings must not cross.

    Raises
    ------
    GeometryError
        If a ring has fewer than three corners, a corner is no place, or the region reaches
        farther than 1,000 km from its middle.
    """

    def __init__(self, rings: tuple[tuple[tuple[float, float], ...], ...]) -> None:
        if not rings or any(len(ring) < 3 for ring in rings):
            msg = f"a polygon needs rings of at least 3 corners; got {[len(r) for r in rings]}"
            raise GeometryError(msg)
        corners = [np.asarray(ring, float) for ring in rings]
        every = np.concatenate(corners)
        lat, lon = every[:, 0], every[:, 1]
        if not ((np.abs(lat) <= 90) & (np.abs(lon) <= 180)).all():
            msg = "corners of a polygon must have lat in [-90, 90] and lon in [-180, 180]"
            raise GeometryError(msg)
        middle = unit_vectors(lat, lon).mean(0)
        if np.linalg.norm(middle) < 0.5:
            msg = "a polygon must not go around the earth"
            raise GeometryError(msg)
        self.middle = middle / np.linalg.norm(middle)
        self.centre = (
            float(np.degrees(np.arcsin(self.middle[2]))),
            float(np.degrees(np.arctan2(self.middle[1], self.middle[0]))),
        )
        self._east, self._north = _axes(self.middle)
        flat = [self.project(ring[:, 0], ring[:, 1]) for ring in corners]
        self.reach_m = max(float(np.hypot(*ring.T).max()) for ring in flat)
        if self.reach_m > FARTHEST_M:
            msg = f"a polygon reaches at most {FARTHEST_M / 1000:g} km from its middle; this one"
            raise GeometryError(f"{msg} reaches {self.reach_m / 1000:.0f} km")
        self.rings = tuple(_oriented(flat, index) for index in range(len(flat)))

    def project(self, lat: Floats, lon: Floats) -> Floats:
        """Return places on the plane, metres east and north of the middle, array (n, 2)."""
        v = unit_vectors(lat, lon)
        east, north, up = v @ self._east, v @ self._north, v @ self.middle
        across = np.hypot(east, north)
        scale = EARTH_M * np.arctan2(across, up) / np.maximum(across, 1e-300)
        return np.stack([east * scale, north * scale], axis=-1)

    def probs(self, lat: Floats, lon: Floats, radius95_m: Floats) -> Floats:
        """Return the probability of lying inside, array (n,); exact on the plane.

        The integral of a circular normal over the triangle between its middle and an edge is an
        angle less Owen's T function (Owen 1956, doi:10.1214/aoms/1177728074); the signed triangles
        of all edges add up to the region.
        """
        sigma = np.asarray(radius95_m, float) / SIGMAS_95
        probs = np.zeros(len(sigma))
        near = in_sight(lat, lon, sigma, self.centre, self.reach_m * 1.01)
        edges = sum(len(ring) for ring in self.rings)
        step = max(1, 8 * BLOCK // edges)
        for start in range(0, near.size, step):
            rows = near[start : start + step]
            places = self.project(lat[rows], lon[rows])
            probs[rows] = _in_rings(places, np.maximum(sigma[rows], 1e-6), self.rings)
        return probs


def _axes(up: Floats) -> tuple[Floats, Floats]:
    pole = np.array([0.0, 0.0, 1.0]) if abs(up[2]) < 0.999 else np.array([1.0, 0.0, 0.0])
    east = np.cross(pole, up)
    east /= np.linalg.norm(east)
    return east, np.cross(up, east)


def _oriented(rings: list[Floats], index: int) -> Floats:
    """Return a ring counter-clockwise, or clockwise if it is a hole."""
    ring = rings[index]
    x, y = ring.T
    area = float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    others = [other for i, other in enumerate(rings) if i != index]
    hole = sum(_holds(other, ring[0]) for other in others) % 2 == 1
    return ring if (area > 0) != hole else ring[::-1]


def _holds(ring: Floats, place: Floats) -> bool:
    """Return whether a place lies in a ring (crossings of a ray)."""
    (x, y), (x2, y2) = ring.T, np.roll(ring, -1, axis=0).T
    crosses = (y > place[1]) != (y2 > place[1])
    rise = np.where(y2 != y, y2 - y, 1.0)
    return bool((crosses & (place[0] < x + (place[1] - y) / rise * (x2 - x))).sum() % 2)


def _in_rings(places: Floats, sigma: Floats, rings: tuple[Floats, ...]) -> Floats:
    """Return the probability inside: 0 or 1 away from all edges, triangles near one."""
    x, y = np.ascontiguousarray(places.T)
    parity = np.zeros(len(places), bool)
    gap = np.full(len(places), np.inf)
    for ring in rings:
        for start, end in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            _pass_edge(x, y, start, end - start, parity, gap)
    inside = parity.astype(float)
    near = np.flatnonzero(gap < (REACH * sigma) ** 2)
    total = np.zeros(near.size)
    for ring in rings:
        a = (ring[None] - places[near, None]) / sigma[near, None, None]
        total += _triangles(a, np.roll(a, -1, axis=1)).sum(1)
    inside[near] = np.clip(total, 0.0, 1.0)
    return inside


def _pass_edge(
    x: Floats, y: Floats, start: Floats, along: Floats, parity: NDArray[np.bool_], gap: Floats
) -> None:
    """Flip the parity of places whose ray crosses an edge; lower their squared distance to it."""
    right, up = x - start[0], y - start[1]
    length = float(along @ along)
    share = (right * along[0] + up * along[1]) * (1 / length if length > 0 else 0.0)
    np.clip(share, 0.0, 1.0, out=share)
    np.minimum(gap, (right - share * along[0]) ** 2 + (up - share * along[1]) ** 2, out=gap)
    if along[1] != 0:
        crosses = (up < 0) != (up < along[1])
        parity ^= crosses & (right < up * (along[0] / along[1]))


def _triangles(a: Floats, b: Floats) -> Floats:
    """Return the signed normal probability of triangles (origin, a, b), arrays (..., 2)."""
    along = b - a
    length = np.hypot(along[..., 0], along[..., 1])
    safe = np.where(length > 0, length, 1.0)
    height = (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]) / safe
    first = (a * along).sum(-1) / safe
    second = (b * along).sum(-1) / safe
    h = np.abs(height)
    angle = np.arctan2(second, h) - np.arctan2(first, h)
    part = angle / (2 * np.pi)
    close: NDArray[np.bool_] = (h < 8.5) & (h > 0)
    rows = close & (first < 8.5) & (second > -8.5)
    tall = h[rows]
    with np.errstate(over="ignore"):
        owen = scipy.special.owens_t(tall, second[rows] / tall) - scipy.special.owens_t(
            tall, first[rows] / tall
        )
    part[rows] -= owen
    return np.asarray(np.where((length > 0) & (h > 0), np.sign(height) * part, 0.0))
