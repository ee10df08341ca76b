"""Weights of size models from what they forecast on trial."""

import numpy as np
import pytest

from worlds.core.distributions import CountMixture
from worlds.core.lattice import GRID
from worlds.learn import backtest
from worlds.learn.size_pool import FLOOR, SizeScores, crps_weights, filled, pool_sizes


def tables(means: np.ndarray, size: float) -> np.ndarray:
    return np.array([CountMixture.of(m, size).cdf(GRID) for m in means], np.float32)


def scores(made: np.ndarray, outcome: np.ndarray, declined: int = 0) -> SizeScores:
    at = np.arange(len(outcome)).astype("datetime64[us]")
    upto = np.array([np.interp(y, GRID, row) for y, row in zip(outcome, made, strict=True)])
    below = np.array([np.interp(y - 1, GRID, row) for y, row in zip(outcome, made, strict=True)])
    log_score = np.log(np.maximum(upto - below, 1e-12))
    log_score[:declined] = np.nan
    return SizeScores(at, outcome, log_score, np.zeros(len(outcome)), below, upto, made)


def test_the_true_model_gets_the_weight(rng: np.random.Generator) -> None:
    means = np.exp(rng.normal(3, 0.8, 1500))
    y = rng.poisson(means * rng.gamma(2, 0.5, 1500)).astype(float)
    right, low, wide = tables(means, 2.0), tables(means * 0.4, 2.0), tables(means * 0 + 30, 0.5)
    found = pool_sizes({"right": scores(right, y), "low": scores(low, y), "wide": scores(wide, y)})
    assert found.weights["right"] > 0.85
    assert min(found.weights.values()) >= FLOOR - 1e-9
    assert sum(found.weights.values()) == pytest.approx(1.0)
    assert np.abs(found.recalibration.values - found.recalibration.levels).max() < 0.06


def test_the_best_mixture_is_found_where_no_model_is_true(rng: np.random.Generator) -> None:
    n = 2000
    kind = rng.uniform(size=n) < 0.35
    y = rng.poisson(np.where(kind, 10.0, 200.0)).astype(float)
    parts = np.array([tables(np.full(n, 10.0), 1e6), tables(np.full(n, 200.0), 1e6)])
    share = crps_weights(parts, y, np.ones(n))
    assert share[0] == pytest.approx(kind.mean(), abs=0.04)
    grid = np.linspace(FLOOR, 1 - FLOOR, 97)
    cost = [
        float((((w * parts[0] + (1 - w) * parts[1] - (y[:, None] <= GRID)) ** 2)[:, :-1]
               @ np.diff(GRID)).mean())
        for w in grid
    ]  # fmt: skip
    assert share[0] == pytest.approx(grid[int(np.argmin(cost))], abs=0.02)


def test_too_wide_pools_are_made_narrower(rng: np.random.Generator) -> None:
    y = rng.poisson(100 * rng.gamma(8, 1 / 8, 1500)).astype(float)
    found = pool_sizes({"wide": scores(tables(np.full(1500, 100.0), 1.5), y)})
    low, high = found.recalibration.invert([0.05, 0.95])
    assert low > 0.08
    assert high < 0.92


def test_who_declined_neither_gains_nor_loses(rng: np.random.Generator) -> None:
    means = np.exp(rng.normal(3, 0.8, 600))
    y = rng.poisson(means).astype(float)
    made = tables(means, 20.0)
    found = pool_sizes({"all": scores(made, y), "later": scores(made.copy(), y, declined=300)})
    assert found.weights["later"] == pytest.approx(0.5, abs=0.1)
    holes = filled([made, np.full_like(made, np.nan)], np.array([[True, False]] * 600))
    assert np.array_equal(holes[0], holes[1])


def test_without_forecasts_weights_are_equal() -> None:
    none = scores(np.zeros((0, len(GRID)), np.float32), np.zeros(0))
    found = pool_sizes({"a": none, "b": none})
    assert found.weights == {"a": 0.5, "b": 0.5}
    assert not found.recalibration.changes


@pytest.mark.parametrize("mean", [0.4, 9.0, 300.0])
def test_crps_of_a_table_is_the_sum_over_whole_numbers(mean: float) -> None:
    from worlds.core.lattice import CdfTable

    counts = CountMixture.of(mean, 1.5)
    table = CdfTable(counts.cdf(GRID), (counts.mean(), counts.var()))
    k = np.arange(20_000)
    for y in (0.0, 3.0, 50.0, 700.0):
        exact = float(((counts.cdf(k) - (k >= y)) ** 2).sum())
        assert backtest.table_crps(table, y) == pytest.approx(exact, rel=0.02, abs=0.02)
