import numpy as np
import pytest
import scoringrules

from worlds.core.distributions import CountMixture, Point
from worlds.learn.scoring import Scores, collect, crps, score

NO_TIME = np.array([], "datetime64[us]")


def table(below: list[float], upto: list[float]) -> Scores:
    n = len(below)
    zeros = np.zeros(n)
    at = np.zeros(n, "datetime64[us]")
    return Scores(at, zeros, zeros, zeros, np.array(below), np.array(upto))


@pytest.mark.parametrize("outcome", [0.0, 3.0, 25.0])
def test_crps_on_small_ranges_is_the_sum_over_whole_numbers(outcome: float) -> None:
    forecast = CountMixture.of([2.0, 9.0], [1.5, np.inf], [0.6, 0.4])
    k = np.arange(3000)
    want = ((forecast.cdf(k) - (k >= outcome)) ** 2).sum()
    assert crps(forecast, outcome, np.random.default_rng(1)) == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("outcome", [0.0, 4000.0, 90_000.0])
def test_crps_on_large_ranges_agrees_with_an_ensemble(outcome: float) -> None:
    forecast = CountMixture.of([5000.0, 9000.0], [1.7, 3.0], [0.5, 0.5])
    levels = (np.arange(20_000) + 0.5) / 20_000
    ensemble = forecast.quantile(levels)
    want = scoringrules.crps_ensemble(outcome, ensemble)
    rng = np.random.default_rng(1)
    found = np.array([crps(forecast, outcome, rng) for _ in range(200)])
    assert abs(found.mean() - want) < 4 * found.std() / np.sqrt(200)
    assert found.std() < 0.15 * want


def test_crps_of_a_point_is_the_distance() -> None:
    assert crps(Point(12.0), 5.0, np.random.default_rng(1)) == pytest.approx(7.0)


def test_score_gives_probability_and_its_place() -> None:
    forecast = CountMixture.of(4.0, 2.0)
    log_score, _, below, upto = score(forecast, 3.0, np.random.default_rng(1))
    assert np.exp(log_score) == pytest.approx(float(forecast.pmf(np.array(3.0))))
    assert upto - below == pytest.approx(np.exp(log_score))
    assert below == pytest.approx(float(forecast.cdf(2.0)))


def test_coverage_counts_the_part_of_a_step_that_lies_inside() -> None:
    assert table([0.2], [0.3]).coverage(0.5) == pytest.approx(0.5)
    assert table([0.4], [0.45]).coverage(0.5) == pytest.approx(1.0)
    assert table([0.0], [1.0]).coverage(0.9) == pytest.approx(0.9)
    assert table([0.99], [1.0]).coverage(0.9) == 0.0


def test_coverage_of_the_truth_is_its_level_even_for_tiny_counts(rng: np.random.Generator) -> None:
    truth = CountMixture.of(0.7, 1.2)
    n = 4000
    rows = [score(truth, float(y), rng) for y in truth.sample(rng, n)]
    made = collect(np.zeros(n, "datetime64[us]"), np.zeros(n), rows)
    for level in (0.5, 0.9):
        # each term lies in [0, 1]: its error is below sqrt(level (1 - level) / n)
        assert abs(made.coverage(level) - level) < 4 * np.sqrt(level * (1 - level) / n)


def test_declined_forecasts_are_left_out() -> None:
    rows = [(np.nan,) * 4, (-1.0, 2.0, 0.1, 0.5)]
    made = collect(np.zeros(2, "datetime64[us]"), np.array([1.0, 2.0]), rows).made
    assert len(made) == 1
    assert made.outcome.tolist() == [2.0]


def test_no_forecasts_are_no_error() -> None:
    empty = collect(NO_TIME, np.zeros(0), [])
    assert len(empty) == 0
    assert np.isnan(empty.coverage(0.5))
