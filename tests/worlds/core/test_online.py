"""Weights and maps that move with every resolved forecast."""

import numpy as np
import pytest
from scipy import stats

from worlds.core.online import FLOOR, map_after, weights_after
from worlds.core.recalibration import Recalibration


def log_prob(y: int, means: tuple[float, ...]) -> np.ndarray:
    return np.asarray(stats.poisson.logpmf(y, means))


def test_weights_follow_the_model_that_becomes_right() -> None:
    rng = np.random.default_rng(1)
    weights, seen = np.array([0.5, 0.5]), []
    for mean in np.r_[np.full(150, 8.0), np.full(150, 13.0)]:
        weights = weights_after(weights, log_prob(rng.poisson(mean), (8.0, 13.0)), 1.0, 40.0)
        seen.append(weights[0])
        assert weights.sum() == pytest.approx(1)
        assert weights.min() >= FLOOR - 1e-12
    assert seen[149] > 0.7
    assert seen[299] < 0.3


def test_an_outcome_that_nobody_forecast_moves_no_weight() -> None:
    weights = np.array([0.3, 0.7])
    np.testing.assert_array_equal(
        weights_after(weights, np.array([-1.0, np.nan]), 1.0, 50.0), weights
    )


@pytest.mark.parametrize("factor", [0.6, 1.6])
def test_intervals_hold_again_after_the_errors_have_changed(factor: float) -> None:
    """Forecasts are standard normal, outcomes are not: without the map 90% hold 99% or 70%."""
    rng = np.random.default_rng(2)
    found, held = Recalibration.identity(), []
    for y in factor * rng.standard_normal(3000):
        level = stats.norm.cdf(y)
        moved = float(found.apply(level))
        held.append(0.05 <= moved <= 0.95)
        found = map_after(found, level, level, 1.0, strength=60.0)
    late = np.mean(held[400:])
    # 4 standard errors of 2,600 outcomes, and 1.5 points for a map that never stands still
    assert abs(late - 0.9) < 4 * np.sqrt(0.09 / 2600) + 0.015
    assert (np.diff(found.values) >= 0).all()


def test_a_map_that_is_right_stays_near_the_identity() -> None:
    rng = np.random.default_rng(3)
    found = Recalibration.identity()
    for level in rng.uniform(size=2000):
        found = map_after(found, level, level, 1.0, strength=100.0)
    # the memory is 100 forecasts: an empirical distribution of as many, smoothed, errs by .1
    assert np.abs(found.values - found.levels).max() < 0.15


def test_counts_are_spread_over_their_step() -> None:
    rng = np.random.default_rng(4)
    found = Recalibration.identity()
    for y in rng.poisson(0.7, 2000):
        below, upto = stats.poisson.cdf([y - 1, y], 0.7)
        found = map_after(found, below, upto, 1.0, strength=200.0)
    assert np.abs(found.values - found.levels).max() < 0.1


def test_what_is_not_known_changes_nothing() -> None:
    found = Recalibration.fit(np.random.default_rng(5).uniform(size=50))
    assert map_after(found, np.nan, np.nan, 1.0) is found
