"""Counting only some of the things, against enumeration."""

import numpy as np
import pytest
from scipy import stats

from worlds.core.distributions import Count, CountMixture, PmfTable, Point
from worlds.core.path_total import PathTotal
from worlds.core.thinning import binomial, thin
from worlds.errors import QuestionError

SHARES = np.array([0.07, 0.4, 0.93])
WEIGHTS = np.array([0.2, 0.5, 0.3])


def enumerated(probs: np.ndarray, start: int = 0) -> np.ndarray:
    """Return the law of the number taken, thing by thing."""
    top = start + len(probs)
    out = np.zeros(top)
    k = np.arange(top)
    for n, p in enumerate(probs, start):
        for share, w in zip(SHARES, WEIGHTS, strict=True):
            out += w * p * stats.binom.pmf(k, n, share)
    return out


@pytest.mark.parametrize("size", [1, 2, 3, 31, 64, 65, 200])
@pytest.mark.parametrize("start", [0, 1, 17])
def test_tables_agree_with_enumeration(size: int, start: int, rng: np.random.Generator) -> None:
    probs = rng.dirichlet(np.ones(size))
    found = thin(PmfTable(start, probs), SHARES, WEIGHTS)
    k = np.arange(start + size)
    assert np.allclose(found.pmf(k), enumerated(probs, start), atol=1e-13)
    assert found.mean() == pytest.approx((start + probs @ np.arange(size)) * (SHARES @ WEIGHTS))


def test_a_long_table_keeps_its_moments(rng: np.random.Generator) -> None:
    probs = rng.dirichlet(np.ones(6000))
    found = thin(PmfTable(100, probs), np.array([0.3]), np.ones(1))
    mean, var = PmfTable(100, probs).mean(), PmfTable(100, probs).var()
    assert found.mean() == pytest.approx(0.3 * mean, rel=1e-10)
    assert found.var() == pytest.approx(0.09 * var + 0.21 * mean, rel=1e-8)


def test_a_known_number_is_binomial() -> None:
    found = thin(Point(40), np.array([0.25]), np.ones(1))
    assert np.allclose(found.pmf(np.arange(41)), stats.binom.pmf(np.arange(41), 40, 0.25))
    assert np.allclose(binomial(7, 0.0), [1, 0, 0, 0, 0, 0, 0, 0])
    assert np.allclose(binomial(3, 1.0), [0, 0, 0, 1])


@pytest.mark.parametrize("other", ["mixture", "path"])
def test_intensities_are_thinned_exactly(other: str) -> None:
    mixture = CountMixture.of([4.0, 9.0], [2.0, 5.0], [0.4, 0.6])
    count: Count = mixture
    if other == "path":
        half = CountMixture.of([2.0, 4.5], [2.0, 5.0], [0.4, 0.6])
        count = PathTotal.of([half, half])
    probs = count.pmf(np.arange(400))
    found = thin(count, SHARES, WEIGHTS)
    assert np.allclose(found.pmf(np.arange(60)), enumerated(probs)[:60], atol=1e-9)


def test_what_cannot_be_thinned_is_refused() -> None:
    with pytest.raises(QuestionError, match="too many to tell apart"):
        thin(Point(1e9), SHARES, WEIGHTS)
    with pytest.raises(QuestionError, match="must be whole"):
        thin(Point(2.5), SHARES, WEIGHTS)
