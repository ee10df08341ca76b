"""Facts as queries: how many lie in a set, and what they bring, when membership is uncertain.

>>> import numpy as np
>>> from worlds.membership import Choice, Members, count
>>> tagged = Members(
...     np.array([1.0, 1.0, 0.9, 0.8]),
...     group=np.array([1, 1, 1, 0]),
...     conditions=((), (("hashtag:adorabull", frozenset({"adorable"})),)),
...     choices={"hashtag:adorabull": Choice(
...         "hashtag:adorabull", {"adorable": 0.65, "adorabull": 0.35})},
... )
>>> round(float(count(tagged).prob(">= 2")), 3)
0.65
"""

from worlds.membership.choices import Choice
from worlds.membership.counts import Tallied, count
from worlds.membership.errors import GeometryError, GeoMissingError, MembershipError
from worlds.membership.members import Members, both, matching, members, together
from worlds.membership.observed import Seen, given
from worlds.membership.reading import probabilities
from worlds.membership.regions import MapCells, Polygon, Tagged, cells_of
from worlds.membership.totals import mean_value, total

__all__ = [
    "Choice",
    "GeoMissingError",
    "GeometryError",
    "MapCells",
    "Members",
    "MembershipError",
    "Polygon",
    "Seen",
    "Tagged",
    "Tallied",
    "both",
    "cells_of",
    "count",
    "given",
    "matching",
    "mean_value",
    "members",
    "probabilities",
    "together",
    "total",
]
