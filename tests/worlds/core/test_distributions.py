"""Distributions agree with SciPy and with enumeration, away from the centre."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from worlds.core.distributions import (
    CountMixture,
    Mixture,
    Multiple,
    PmfTable,
    Point,
    negative_binomial_logpmf,
)
from worlds.errors import QuestionError

MIXTURE = CountMixture.of([2.5, 40.0, 7.0], [1.5, 12.0, np.inf], [0.2, 0.5, 0.3])


def reference_cdf(k: np.ndarray) -> np.ndarray:
    return (
        0.2 * stats.nbinom.cdf(k, 1.5, 1.5 / 4.0)
        + 0.5 * stats.nbinom.cdf(k, 12.0, 12.0 / 52.0)
        + 0.3 * stats.poisson.cdf(k, 7.0)
    )


def test_cdf_of_a_mixture_agrees_with_scipy() -> None:
    k = np.array([-1, 0, 1, 6, 11, 39, 80, 200])
    np.testing.assert_allclose(MIXTURE.cdf(k), reference_cdf(k), rtol=1e-10, atol=1e-14)


def test_cdf_between_whole_numbers_is_that_below() -> None:
    assert MIXTURE.cdf(6.9) == MIXTURE.cdf(6.0)


@pytest.mark.parametrize("p", [1e-4, 0.03, 0.31, 0.5, 0.77, 0.99, 1 - 1e-6])
def test_quantile_is_the_smallest_value_that_reaches_the_level(p: float) -> None:
    q = float(MIXTURE.quantile(p))
    assert reference_cdf(np.array(q)) >= p > reference_cdf(np.array(q - 1))


def test_moments_agree_with_enumeration() -> None:
    k = np.arange(2000)
    pmf = np.diff(reference_cdf(k), prepend=0.0)
    mean = pmf @ k
    assert MIXTURE.mean() == pytest.approx(mean, rel=1e-9)
    assert MIXTURE.var() == pytest.approx(pmf @ (k - mean) ** 2, rel=1e-9)


@pytest.mark.parametrize("z", [0.0, 0.3, 0.9 + 0.2j, np.exp(2.1j)])
def test_generating_function_agrees_with_enumeration(z: complex) -> None:
    k = np.arange(2000)
    pmf = np.diff(reference_cdf(k), prepend=0.0)
    expected = np.sum(pmf * np.where(k == 0, 1.0, np.asarray(z, complex) ** k))
    assert MIXTURE.pgf(z) == pytest.approx(expected, abs=1e-12)


def test_log_pmf_agrees_with_scipy() -> None:
    k = np.array([0.0, 3.0, 250.0])
    found = negative_binomial_logpmf(k, np.array(31.0), np.array(0.7))
    np.testing.assert_allclose(found, stats.nbinom.logpmf(k, 0.7, 0.7 / 31.7), rtol=1e-10)


def test_thinning_is_the_binomial_choice_of_items() -> None:
    kept = MIXTURE.scaled(0.35)
    k, n = np.arange(120), np.arange(400)
    direct = [float(MIXTURE.pmf(n) @ stats.binom.pmf(x, n, 0.35)) for x in k]
    np.testing.assert_allclose(kept.pmf(k), direct, atol=1e-12)


def test_draws_follow_the_distribution(rng: np.random.Generator) -> None:
    n = 40_000
    draws = MIXTURE.sample(rng, n)
    for k in (0, 4, 20, 60):
        p = float(MIXTURE.cdf(k))
        assert abs((draws <= k).mean() - p) < 4 * np.sqrt(p * (1 - p) / n)  # false alarm 6e-5


@given(
    means=st.lists(st.floats(0, 1e6), min_size=1, max_size=4),
    size=st.floats(0.05, 1e5),
    p=st.floats(0.001, 0.999),
)
@settings(max_examples=80, deadline=None)
def test_quantile_inverts_the_cdf_for_any_mixture(
    means: list[float], size: float, p: float
) -> None:
    mixture = CountMixture.of(means, size)
    q = mixture.quantile(p)
    assert mixture.cdf(q) >= p
    assert q == 0 or mixture.cdf(q - 1) < p


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, 1e13])
def test_means_outside_the_support_are_refused(bad: float) -> None:
    with pytest.raises(QuestionError, match="means must lie in"):
        CountMixture.of([2.0, bad])


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf, 2e12])
def test_points_outside_the_support_are_refused(bad: float) -> None:
    with pytest.raises(QuestionError, match="must lie in"):
        Point(bad)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.2, np.nan])
def test_levels_outside_zero_and_one_are_refused(p: float) -> None:
    with pytest.raises(QuestionError, match="strictly between 0 and 1"):
        MIXTURE.quantile(p)


def test_table_agrees_with_the_mixture_it_was_read_from() -> None:
    table = PmfTable(0, MIXTURE.pmf(np.arange(600)))
    k = np.array([0, 3, 41, 100])
    np.testing.assert_allclose(table.cdf(k), MIXTURE.cdf(k), atol=1e-12)
    np.testing.assert_array_equal(
        table.quantile([0.1, 0.5, 0.99]), MIXTURE.quantile([0.1, 0.5, 0.99])
    )
    assert table.pgf(0.4 + 0.1j) == pytest.approx(complex(MIXTURE.pgf(0.4 + 0.1j)), abs=1e-12)


def test_mixture_of_points_takes_only_their_values() -> None:
    mixture = Mixture(
        np.array([0.25] * 4), tuple(Point(x) for x in (149500, 166750, 182000, 203000))
    )
    assert mixture.quantile([0.2, 0.25, 0.251, 0.75, 0.76]).tolist() == [
        149500,
        149500,
        166750,
        182000,
        203000,
    ]
    assert 1 - mixture.cdf(200000) == pytest.approx(0.25, abs=1e-15)


def test_quantile_of_a_mixture_of_unlike_parts_inverts_its_cdf() -> None:
    parts = (Multiple(CountMixture.of(30.0, 4.0), 23.0), Point(500.0), CountMixture.of(900.0, 2.0))
    mixture = Mixture(np.array([0.5, 0.2, 0.3]), parts)
    for p in (0.05, 0.4, 0.9, 0.999):
        q = float(mixture.quantile(p))
        assert mixture.cdf(q) >= p - 1e-12
        assert mixture.cdf(q * (1 - 1e-9) - 1e-9) < p


def test_multiples_reach_their_own_values_in_spite_of_rounding() -> None:
    base = CountMixture.of(50.0, 3.0)
    tripled = Multiple(base, 0.1)
    for k in range(100):
        assert tripled.cdf(k * 0.1) == base.cdf(k)
