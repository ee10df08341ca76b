"""Forecasts and outcomes for tests of watching: negative binomials, known to be right or wrong."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from facts import Event, Exact
from worlds.core.lattice import CdfTable, LogMean, NegBinLattice
from worlds.watch.record import Forecast
from worlds.watch.sketch import sketch

NOW = datetime(2026, 11, 2, tzinfo=UTC)
SIZE, SD = 1.6, 0.3
LATTICE = NegBinLattice(SIZE)
RIPENS = timedelta(hours=24)
HISTORICAL, LEARNED = "a" * 16, "b" * 16
LIKES = "likes_per_pupdate"


def table(level: float, sd: float = SD) -> CdfTable:
    """Return the forecast of a count whose log mean is normal."""
    return LATTICE.mix([LogMean(1.0, level, sd)])


def draw(rng: np.random.Generator, level: float, n: int) -> np.ndarray[Any, Any]:
    """Return counts that `table(level)` forecasts perfectly."""
    means = np.exp(level + SD * rng.standard_normal(n))
    return rng.negative_binomial(SIZE, SIZE / (SIZE + means)).astype(float)


def forecast(
    number: int,
    levels: Mapping[str, float],
    *,
    at: datetime = NOW,
    snapshots: Mapping[str, str | None] | None = None,
    **more: Any,
) -> Forecast:
    """Return a served forecast; the first model is the whole answer."""
    models = {name: sketch(table(level)) for name, level in levels.items()}
    first = next(iter(models))
    known = {"historical": HISTORICAL, "learned": LEARNED}
    said: dict[str, Any] = {
        "id": f"p{number}",
        "quantity": LIKES,
        "entity": f"post:{number}",
        "served_at": at,
        "at": at,
        "pool": models[first],
        "models": models,
        "weights": {name: 1.0 if name == first else 0.0 for name in models},
        "snapshots": snapshots or {name: known.get(name) for name in models},
    }
    return Forecast(**{**said, **more})


def label(number: int, likes: float, at: datetime = NOW + RIPENS) -> Event:
    """Return the outcome of a post."""
    return Event("app", f"l{number}", f"post:{number}", {"likes": Exact(likes)}, at)


def served(
    rng: np.random.Generator, levels: Mapping[str, float], truth: float, numbers: range
) -> Iterator[Event]:
    """Yield forecasts and their outcomes, as they would be recorded."""
    for number, outcome in zip(numbers, draw(rng, truth, len(numbers)), strict=True):
        yield forecast(number, levels).event()
        yield label(number, outcome)
