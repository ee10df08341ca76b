"""Forecasts from a table, as a user asks for them."""

import numpy as np
import pytest

from worlds.errors import FitError, UnknownNameError
from worlds.learn.columns import Layout
from worlds.learn.forecaster import MODELS, Forecaster

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def table(rng: np.random.Generator, n: int) -> tuple[dict[str, object], np.ndarray]:
    breed = rng.choice(["pug", "boxer", "husky"], n)
    tagged = rng.uniform(size=n) < 0.3
    length = rng.gamma(4.0, 20.0, n)
    mean = np.exp(3 + 0.5 * (breed == "pug") + 0.6 * tagged + 0.2 * (length - 80) / 40)
    columns: dict[str, object] = {
        "breed": breed.tolist(),
        "hashtags": [["puppy"] if on else [] for on in tagged],
        "length": length,
        "posted": np.datetime64("2026-01-01") + (np.arange(n) * 3600).astype("timedelta64[s]"),
    }
    return columns, rng.poisson(mean * rng.gamma(2, 0.5, n)).astype(float)


def head(columns: dict[str, object], rows: slice) -> dict[str, object]:
    return {name: column[rows] for name, column in columns.items()}  # type: ignore[index]


def test_columns_are_told_apart_by_what_is_in_them(rng: np.random.Generator) -> None:
    columns, _ = table(rng, 20)
    layout = Layout.of(columns, time="posted")
    assert layout == Layout("posted", ("breed",), ("hashtags",), ("length",))
    features = layout.features({**columns, "length": [None] * 20})
    assert "length" not in features[0].numbers
    assert features[0].categories["breed"][0][1] == 1.0


def test_what_is_no_table_is_refused(rng: np.random.Generator) -> None:
    columns, y = table(rng, 20)
    with pytest.raises(FitError, match="no column 'day'"):
        Forecaster.fit(columns, y, time="day")
    with pytest.raises(FitError, match="20 rows"):
        Forecaster.fit(columns, y[:5], time="posted")
    with pytest.raises(FitError, match="one length"):
        Forecaster.fit({**columns, "length": [1.0]}, y)
    with pytest.raises(UnknownNameError):
        Forecaster.fit(columns, y, models=("oracle",))


@pytest.mark.slowish
def test_the_pool_covers_and_beats_knowing_nothing(rng: np.random.Generator) -> None:
    columns, y = table(rng, 1600)
    found = Forecaster.fit(head(columns, slice(1000)), y[:1000], time="posted")
    assert set(found.weights) == set(MODELS)
    assert found.declined == {}
    quantiles = found.quantiles(head(columns, slice(1000, None)), LEVELS)
    held = y[1000:]
    inside = float(((held >= quantiles[:, 0]) & (held <= quantiles[:, 4])).mean())
    assert 0.9 - 4 * np.sqrt(0.09 / 600) < inside < 0.97
    plain = np.quantile(y[:1000], LEVELS)
    losses = [
        float(np.maximum(LEVELS * gap, (LEVELS - 1) * gap).mean())
        for gap in (held[:, None] - quantiles, held[:, None] - plain)
    ]
    assert losses[0] < 0.93 * losses[1]


@pytest.mark.parametrize("n", [0, 1, 5, 30])
def test_tiny_tables_are_forecast_from(rng: np.random.Generator, n: int) -> None:
    columns, y = table(rng, n)
    found = Forecaster.fit(columns, y, time="posted" if n else None)
    quantiles = found.quantiles({"breed": ["pug", "borzoi"]}, LEVELS)
    assert quantiles.shape == (2, 5)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert quantiles.min() >= 0
    assert sum(found.weights.values()) == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_forecasts(rng: np.random.Generator) -> None:
    columns, y = table(rng, 120)
    names = ("historical", "recent", "local")
    first, second = (
        Forecaster.fit(columns, y, time="posted", models=names, seed=4) for _ in range(2)
    )
    rows = head(columns, slice(5))
    assert np.array_equal(first.quantiles(rows, LEVELS), second.quantiles(rows, LEVELS))


def test_labels_not_known_yet_and_order_do_not_matter(rng: np.random.Generator) -> None:
    columns, y = table(rng, 150)
    names = ("historical", "local")
    later = np.where(np.arange(150) < 120, y, np.nan)
    found = Forecaster.fit(columns, later, time="posted", models=names)
    order = rng.permutation(150)
    mixed = {
        name: [column[i] for i in order] if isinstance(column, list) else column[order]  # type: ignore[index]
        for name, column in columns.items()
    }
    again = Forecaster.fit(mixed, later[order], time="posted", models=names)
    rows = head(columns, slice(120, 124))
    assert np.allclose(found.quantiles(rows, LEVELS), again.quantiles(rows, LEVELS), atol=1.0)


@pytest.mark.slowish
def test_fifty_thousand_rows_take_seconds(rng: np.random.Generator) -> None:
    import time

    columns, y = table(rng, 50_000)
    begin = time.process_time()
    Forecaster.fit(columns, y, time="posted")
    # 10 s on a quiet machine; processor time is counted, half as much again for a loaded one
    assert time.process_time() - begin < 15
