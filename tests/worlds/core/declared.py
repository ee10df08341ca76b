"""Quantities, choices and drivers of every kind, for tests of formulas."""

import numpy as np

from worlds.core.compound import Severity
from worlds.core.distributions import CountMixture
from worlds.core.laws import Atoms, Lognormals, Normals
from worlds.core.model import Choice, Driver, Model, Unknown
from worlds.core.shapes import Triangular, Uniform


def one(mean: float, size: float) -> Severity:
    return Severity(np.ones(1), (CountMixture.of(mean, size),))


MODEL = Model.of(
    Choice("season", {"peak": 0.3, "calm": 0.7}),
    Choice("who", {"a": 0.5, "b": 0.5}),
    Driver("campaign", Uniform(1, 2)),
    Unknown(
        "posts",
        {"peak": CountMixture.of(9.0, 20.0), "calm": CountMixture.of(4.0, 10.0)},
        unit="posts",
        by="season",
    ),
    Unknown(
        "visits",
        {"peak": CountMixture.of(90.0, 20.0), "calm": CountMixture.of(40.0, 10.0)},
        unit="visits",
        by="season",
        drivers=("campaign",),
    ),
    Unknown("likes", {"a": one(23.0, 1.6), "b": one(28.0, 2.0)}, unit="likes/post", by="who"),
    Unknown("shares", one(3.0, 1.6), unit="shares/visit", drivers=("campaign",)),
    Unknown("spend", Lognormals.of(100, 0.3), unit="EUR", drivers=("campaign",)),
    Unknown("price", Lognormals.of(0.02, 0.3), unit="EUR/like"),
    Unknown("x", {"peak": Normals.of(5, 2), "calm": Normals.of(3, 1)}, by="season"),
    Unknown("y", Uniform(1, 3)),
    Unknown("z", Triangular(1, 2, 4)),
    Unknown("k", Atoms.of([1, 2, 5], [0.2, 0.5, 0.3])),
    formulas={"total": "sum(likes, posts)", "income": "total * price"},
)
