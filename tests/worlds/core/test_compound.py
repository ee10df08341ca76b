"""Compound sums agree with convolution, with closed forms and with simulation."""

import numpy as np
import pytest
from scipy import signal, stats

from worlds.core.compound import SeriesSum, Severity, compound, shortened, upper_end
from worlds.core.distributions import Count, CountMixture, Mixture, PmfTable, Point, polynomial
from worlds.errors import QuestionError


def one(part: Count) -> Severity:
    return Severity(np.ones(1), (part,))


def by_convolution(count: CountMixture, item: CountMixture, size: int, most: int) -> np.ndarray:
    """Return the cdf of the sum on 0..size-1 by summing convolution powers of the pmf."""
    pmf = item.pmf(np.arange(size))
    power = np.zeros(size)
    power[0] = 1.0
    total = np.zeros(size)
    for n in range(most):
        total += float(count.pmf(n)) * power
        power = signal.fftconvolve(power, pmf)[:size]
    return np.cumsum(total)


def test_small_sums_agree_with_convolution() -> None:
    count, item = CountMixture.of([1.5, 6.0], [2.0, 9.0], [0.6, 0.4]), CountMixture.of(3.0, 0.6)
    found = compound(count, one(item))
    assert isinstance(found, PmfTable)
    np.testing.assert_allclose(
        found.cdf(np.arange(400)), by_convolution(count, item, 400, 80), atol=1e-9
    )


@pytest.mark.parametrize(("mean", "size"), [(700.0, 1.6), (2500.0, 0.5), (1500.0, 40.0)])
def test_large_sums_agree_with_convolution(mean: float, size: float) -> None:
    """A few items of hundreds of likes: many atoms, heavy tails, an infinite slope at zero."""
    count, item = CountMixture.of(2.0, 8.0), CountMixture.of(mean, size)
    found = compound(count, one(item))
    assert isinstance(found, SeriesSum)
    span = int(12 * mean)
    reference = by_convolution(count, item, span, 30)
    k = np.unique(np.concatenate([[0, 1, 2, 5], np.linspace(10, span - 1, 200).astype(int)]))
    assert np.abs(found.cdf(k) - reference[k]).max() < found.error
    assert found.error < 1e-4


def test_sum_of_negative_binomials_given_their_number_is_negative_binomial() -> None:
    found = compound(Point(6500), one(CountMixture.of(23.0, 1.6)))
    exact = stats.nbinom(6500 * 1.6, 1.6 / 24.6)
    for p in (0.001, 0.05, 0.5, 0.95, 0.999):
        assert abs(float(found.quantile(p)) - exact.ppf(p)) <= 1
    k = exact.ppf([0.0001, 0.3, 0.999]).astype(int)
    np.testing.assert_allclose(found.cdf(k), exact.cdf(k), atol=2e-6)


def test_moments_are_closed_forms() -> None:
    severity = Severity(
        np.array([0.3, 0.7]), (CountMixture.of(20.0, 1.6), CountMixture.of(31.0, 2.0))
    )
    count = CountMixture.of(6500.0, 50.0)
    found = compound(count, severity)
    second = 0.0
    for weight, m, r in ((0.3, 20.0, 1.6), (0.7, 31.0, 2.0)):
        var_s = 6500 * (m + m * m / r) + (6500 + 6500**2 / 50) * m * m
        second += weight * (var_s + (6500 * m) ** 2)
    mean = 6500 * (0.3 * 20 + 0.7 * 31)
    assert found.mean() == pytest.approx(mean, rel=1e-12)
    assert found.var() == pytest.approx(second - mean**2, rel=1e-9)


def test_shared_parameters_make_the_sum_wider_than_independent_ones() -> None:
    """The trap: parameters that all posts share do not average out over the posts."""
    low, high = CountMixture.of(15.0, 1.6), CountMixture.of(31.0, 1.6)
    shared = compound(Point(6500), Severity(np.array([0.5, 0.5]), (low, high)))
    independent = compound(Point(6500), one(CountMixture.of([15.0, 31.0], 1.6, [0.5, 0.5])))
    assert shared.mean() == pytest.approx(independent.mean())
    width = [float(np.ptp(d.quantile([0.05, 0.95]))) for d in (shared, independent)]
    assert width[0] > 15 * width[1]


def test_the_product_of_means_is_not_the_sum() -> None:
    """The trap: N times the mean likes hides the spread from post to post."""
    count, item = CountMixture.of(3.0, 5.0), CountMixture.of(20.0, 0.5)
    total = compound(count, one(item))
    product = compound(count, one(Point(20.0)))
    assert total.mean() == pytest.approx(product.mean())
    assert total.var() > 2 * product.var()


@pytest.mark.slowish
def test_large_sums_agree_with_simulation(rng: np.random.Generator) -> None:
    parts = tuple(CountMixture.of([8000.0 * f, 40000.0 * f], [1.6, 0.8]) for f in (0.8, 1.3))
    severity = Severity(np.array([0.4, 0.6]), parts)
    count = CountMixture.of([1.0, 3.0], 8.0)
    found = compound(count, severity)
    n = 40_000
    draws = severity.sample_sum(count.sample(rng, n), rng)
    for p in (0.3, 0.6, 0.95, 0.99):
        q = float(found.quantile(p))
        level = float(found.cdf(q))
        assert abs((draws <= q).mean() - level) < 4 * np.sqrt(level * (1 - level) / n)


def test_points_multiply_exactly() -> None:
    assert compound(Point(6500), one(Point(23))) == Point(149500)
    assert compound(Point(3), one(Point(2.5))) == Point(7.5)


def test_a_known_size_times_a_random_count_keeps_the_lattice_of_the_count() -> None:
    count = CountMixture.of(40.0, 3.0)
    found = compound(count, one(Point(23.0)))
    assert float(found.quantile(0.7)) == 23 * float(count.quantile(0.7))
    mixed = compound(count, Severity(np.array([0.5, 0.5]), (Point(20.0), Point(30.0))))
    assert isinstance(mixed, Mixture)
    assert mixed.cdf(600) == pytest.approx(0.5 * count.cdf(30) + 0.5 * count.cdf(20))


def test_nothing_happens_when_nothing_comes() -> None:
    assert compound(Point(0), one(CountMixture.of(20.0, 1.0))) == Point(0)
    assert compound(CountMixture.of(0.0), one(CountMixture.of(20.0, 1.0))) == Point(0)
    assert compound(CountMixture.of(5.0), one(CountMixture.of(0.0))) == Point(0)


def test_a_broken_number_of_items_is_refused() -> None:
    with pytest.raises(QuestionError, match="must be whole"):
        compound(Point(2.5), one(CountMixture.of(3.0)))


@pytest.mark.parametrize("size", [0.3, 2.0, np.inf])
def test_the_upper_end_leaves_out_less_than_stated(size: float) -> None:
    count, item = CountMixture.of(4.0, 3.0), CountMixture.of(6.0, size)
    total = compound(count, one(item))
    end = upper_end(count, one(item), (total.mean(), total.var()))
    reference = by_convolution(count, item, int(end) + 1, 120)
    assert 1 - reference[-1] < 1e-9


def test_draws_follow_the_series(rng: np.random.Generator) -> None:
    found = compound(CountMixture.of(2.0, 8.0), one(CountMixture.of(9000.0, 1.2)))
    n = 20_000
    draws = found.sample(rng, n)
    for k in (0.0, 2000.0, 30_000.0):
        p = float(found.cdf(k))
        assert abs((draws <= k).mean() - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_many_components_and_few_things_become_a_table(rng: np.random.Generator) -> None:
    shares = rng.beta(1, 20, 16)
    wide = CountMixture.of(20.0 * rng.uniform(0.5, 2, 20), 4.0).spread(shares, np.full(16, 1 / 16))
    one = Severity(np.full(2, 0.5), (CountMixture.of(9.0, 1.2), CountMixture.of(14.0, 1.2)))
    short = shortened(wide)
    assert isinstance(short, PmfTable)
    assert np.allclose(short.pmf(np.arange(80)), wide.pmf(np.arange(80)), atol=1e-11)
    found = compound(wide, one)
    z = np.exp(2j * np.pi * np.arange(4096) / 4096)
    exact = np.fft.ifft(np.conj(sum(0.5 * wide.pgf(part.pgf(z)) for part in one.parts))).real
    k = np.array([0, 3, 10, 40, 90])
    assert np.abs(found.cdf(k) - np.cumsum(exact)[k]).max() < 1e-8
    huge = CountMixture.of(np.linspace(5e5, 6e5, 20), 400.0)
    assert shortened(huge) is huge


@pytest.mark.parametrize("degree", [1, 2, 5, 50, 700])
def test_polynomials_in_blocks_are_polynomials(degree: int, rng: np.random.Generator) -> None:
    coefficients = rng.dirichlet(np.ones(degree))
    z = np.exp(1j * rng.uniform(0, 6, (3, 7))) * rng.uniform(0, 1, (3, 7))
    assert np.allclose(polynomial(coefficients, z), np.polyval(coefficients[::-1], z), atol=1e-14)
    assert polynomial(coefficients, 1.0) == pytest.approx(1)
