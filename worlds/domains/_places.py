"""Places as coarse categories: a cell of the home region, or abroad. Never a coefficient.

A linear effect of latitude would extrapolate: a post from the other side of the Earth would get
a prediction out of all proportion. A cell has an effect that was seen there, or none yet.
"""

import math

from worlds.core.features import Alternatives

ABROAD = "abroad"
METRES_PER_DEGREE = 111_320.0
RADIUS95 = math.sqrt(2 * math.log(20))
"""95% radius of a circular normal distribution in units of its standard deviation."""
FAR = 9.0
"""Standard deviations beyond which a strip has no probability (1e-19)."""
LEAST = 0.02
MOST_CELLS = 3

type Box = tuple[int, int, int, int]
"""South, north, west and east edge of the home region in whole degrees."""


def region(place: tuple[float, float, float], home: Box) -> Alternatives:
    """Return the one-degree cells of the home region a place may lie in, and abroad.

    Parameters
    ----------
    place
        Latitude, longitude and 95% radius in metres; the error is taken as circular normal.
    home
        The home region.

    Returns
    -------
    Alternatives
        At most three cells, and ``abroad``; cells below 2% are left out.
    """
    lat, lon, radius = place
    sd_lat = max(radius / RADIUS95, 1.0) / METRES_PER_DEGREE
    sd_lon = sd_lat / max(math.cos(math.radians(lat)), 1e-3)
    south, north, west, east = home
    y, x = math.floor(lat), math.floor(lon)
    if south <= y < north and west <= x < east:
        gap = FAR * sd_lat, FAR * sd_lon
        if gap[0] < lat - y < 1 - gap[0] and gap[1] < lon - x < 1 - gap[1]:
            return ((f"n{y:02d}e{x:03d}", 1.0),)  # far from every edge
    rows = _strips(lat, sd_lat, south, north)
    columns = _strips(lon, sd_lon, west, east)
    inside = sum(rows.values()) * sum(columns.values())
    cells = [
        (f"n{y:02d}e{x:03d}", p * q)
        for y, p in rows.items()
        if p >= LEAST
        for x, q in columns.items()
        if p * q >= LEAST
    ]
    kept = sorted(cells, key=lambda pair: (-pair[1], pair[0]))[:MOST_CELLS]
    if 1 - inside >= LEAST or not kept:
        kept.append((ABROAD, max(1 - inside, 1e-12)))
    total = sum(prob for _, prob in kept)
    return tuple(sorted(((name, p / total) for name, p in kept), key=lambda pair: -pair[1]))


def _strips(centre: float, sd: float, first: int, last: int) -> dict[int, float]:
    """Return the probability of every one-degree strip that has any, between two degrees."""
    first = max(first, math.floor(centre - FAR * sd))
    last = min(last, math.ceil(centre + FAR * sd))
    below = [_below((edge - centre) / sd) for edge in range(first, last + 1)]
    return {first + i: below[i + 1] - below[i] for i in range(last - first)}


def _below(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))
