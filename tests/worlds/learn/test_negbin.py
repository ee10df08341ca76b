import numpy as np
import pytest
from scipy import optimize, stats

from tests.worlds.learn.made import negbin as draw
from worlds.learn import negbin


@pytest.mark.parametrize(("mean", "size"), [(3.0, 1.7), (40.0, 0.6), (0.4, 9.0)])
def test_score_and_information_are_derivatives_of_the_likelihood(mean: float, size: float) -> None:
    k = np.arange(4000.0)
    log_mean, h = np.log(mean), 1e-4

    def logpmf(eta: float) -> np.ndarray:
        return stats.nbinom.logpmf(k, size, size / (size + np.exp(eta)))

    slope = (logpmf(log_mean + h) - logpmf(log_mean - h)) / (2 * h)
    assert negbin.score(k, np.array(mean), size) == pytest.approx(slope, abs=1e-5, rel=1e-5)
    expected = stats.nbinom.pmf(k, size, size / (size + mean)) @ slope**2
    assert negbin.information(np.array(mean), size) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("reach", [0.5, 1.5, 4.0])
@pytest.mark.parametrize(("mean", "size"), [(0.3, 2.0), (6.0, 0.8), (900.0, 2.5)])
def test_bounded_scores_are_zero_on_average_and_bounded(
    mean: float, size: float, reach: float
) -> None:
    k = np.arange(40_000.0)
    pmf = stats.nbinom.pmf(k, size, size / (size + mean))
    found = negbin.bounded_score(k, np.full(len(k), mean), size, reach)
    assert pmf @ found == pytest.approx(0, abs=1e-7 * size)
    assert found.max() == found[-1]
    sd = np.sqrt(mean + mean**2 / size)
    assert found.max() <= (reach * sd + 1 + mean) / (1 + mean / size)


def test_without_bound_the_score_is_the_plain_one() -> None:
    y, mean = np.array([0.0, 3, 50]), np.array([1.0, 4, 9])
    assert negbin.bounded_score(y, mean, 2.0, np.inf) == pytest.approx(negbin.score(y, mean, 2.0))


def test_likely_size_is_the_maximum_of_the_exact_likelihood(rng: np.random.Generator) -> None:
    mean = rng.uniform(2, 60, 400)
    y = draw(rng, mean, 1.8)
    weight = rng.uniform(0.2, 1, 400)

    def cost(log_size: float) -> float:
        size = np.exp(log_size)
        prior = 0.5 * ((log_size - 2.0) / 4.0) ** 2
        return prior - weight @ stats.nbinom.logpmf(y, size, size / (size + mean))

    best = optimize.minimize_scalar(cost, bounds=(-3, 6), method="bounded", options={"xatol": 1e-7})
    assert negbin.likely_size(y, mean, weight) == pytest.approx(np.exp(best.x), rel=1e-3)


def test_moment_size_recovers_the_size(rng: np.random.Generator) -> None:
    mean = rng.uniform(20, 60, 40_000)
    found = negbin.moment_size(draw(rng, mean, 2.5), mean, np.ones(40_000))
    # the excess is a mean of squares with relative error about sqrt(8 / n): 4 errors are 6 %
    assert found == pytest.approx(2.5, rel=0.06)


@pytest.mark.parametrize("y", [np.zeros(5), np.full(9, 7.0)])
def test_counts_without_excess_are_poisson(y: np.ndarray) -> None:
    mean = np.full(len(y), max(y.mean(), 1e-9))
    assert negbin.moment_size(y, mean, np.ones(len(y))) == negbin.LARGEST_SIZE


def test_sizes_stay_within_bounds_whatever_the_counts() -> None:
    wild = np.array([0.0, 0, 0, 0, 1e9])
    for found in (
        negbin.moment_size(wild, np.full(5, 1e-9), np.ones(5)),
        negbin.likely_size(wild, np.full(5, 10.0)),
        negbin.likely_size(np.zeros(3), np.full(3, 0.5)),
    ):
        assert negbin.SMALLEST_SIZE <= found <= negbin.LARGEST_SIZE
