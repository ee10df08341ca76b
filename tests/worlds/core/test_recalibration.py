"""The map of cumulative probabilities: monotone, invertible, right where the truth is known."""

import json

import numpy as np
import pytest
from scipy import stats

from worlds.core.recalibration import KNOTS, Recalibration
from worlds.errors import SnapshotError

LEVELS = np.linspace(0, 1, 401)


def test_no_forecasts_change_nothing() -> None:
    nothing = Recalibration.fit([])
    assert not nothing.changes
    np.testing.assert_array_equal(nothing.apply(LEVELS), LEVELS)
    assert not Recalibration.fit([np.nan, np.nan]).changes


def test_it_learns_the_distribution_of_the_transforms(rng: np.random.Generator) -> None:
    truth = stats.beta(2.0, 2.0)  # outcomes in the middle: the forecasts were too wide
    n = 20_000
    found = Recalibration.fit(truth.rvs(n, random_state=rng))
    inner = KNOTS[1:-1]
    # 5 standard errors of an empirical cdf, and the pull of 60 forecasts at most 0.25 wide
    bound = 5 * np.sqrt(0.25 / n) + 60 / n * 0.25
    assert np.abs(found.apply(inner) - truth.cdf(inner)).max() < bound
    assert found.forecasts == n


def test_few_forecasts_stay_near_the_identity() -> None:
    found = Recalibration.fit([0.5] * 6)
    assert np.abs(found.apply(LEVELS) - LEVELS).max() <= 6 / 66


def test_uniform_transforms_leave_the_map_alone(rng: np.random.Generator) -> None:
    n = 5_000
    found = Recalibration.fit(rng.uniform(size=n))
    assert np.abs(found.apply(LEVELS) - LEVELS).max() < 2.2 / np.sqrt(n)  # Kolmogorov, p = 1e-4


def test_counts_without_randomisation_are_the_mean_of_randomised_ones(
    rng: np.random.Generator,
) -> None:
    y = rng.poisson(2.0, 300)
    upto, below = stats.poisson(2.3).cdf(y), stats.poisson(2.3).cdf(y - 1)
    exact = Recalibration.fit_between(below, upto)
    draws = rng.uniform(np.tile(below, 400), np.tile(upto, 400))
    many = Recalibration.fit(draws, weights=np.full(len(draws), 1 / 400))
    assert np.abs(exact.values - many.values).max() < 5 * np.sqrt(0.25 / len(draws))


def test_weights_count_forecasts(rng: np.random.Generator) -> None:
    pits = rng.uniform(size=50) ** 2
    twice = Recalibration.fit(np.concatenate([pits, pits]))
    np.testing.assert_allclose(twice.values, Recalibration.fit(pits, weights=[2.0] * 50).values)


def test_inverse_and_json(rng: np.random.Generator) -> None:
    found = Recalibration.fit(rng.beta(3, 1, 500))
    np.testing.assert_allclose(found.apply(found.invert(LEVELS)), LEVELS, atol=1e-12)
    again = Recalibration.from_json(json.loads(json.dumps(found.to_json())))
    np.testing.assert_array_equal(again.values, found.values)
    assert again.forecasts == found.forecasts


def test_slopes_make_a_distribution(rng: np.random.Generator) -> None:
    found = Recalibration.fit(rng.beta(3, 3, 500))
    cdf = stats.nbinom(4, 0.1).cdf(np.arange(-1, 2000))
    times = found.slope(cdf[:-1], cdf[1:])
    np.testing.assert_allclose(np.cumsum(times * np.diff(cdf)), found.apply(cdf[1:]), atol=1e-9)
    assert found.slope(0.5, 0.5) == pytest.approx(np.diff(found.apply([0.5, 0.6]))[0] / 0.1)


@pytest.mark.parametrize(
    "obj",
    [
        {},
        {"levels": [0, 1], "values": ["a", 1]},
        {"levels": [0, 0.5, 1], "values": [0, 1]},
        {"levels": [0, 0.5, 1], "values": [0, 1.2, 1]},
        {"levels": [0, 0.7, 0.6, 1], "values": [0, 0.1, 0.2, 1]},
        {"levels": [0, 1], "values": [0, float("nan")]},
    ],
)
def test_what_is_no_map_is_refused(obj: dict[str, object]) -> None:
    with pytest.raises(SnapshotError, match=r"levels"):
        Recalibration.from_json(obj)
