import numpy as np
import pytest

from worlds.learn import level as levels


def test_level_is_the_discounted_ratio_term_by_term(rng: np.random.Generator) -> None:
    y, expected = rng.poisson(5, 30).astype(float), rng.uniform(0.5, 2, 30)
    found = levels.follow(y, expected, half_life=3.0)
    overall = (y.sum() + 0.5) / expected.sum()
    prior = expected.mean()
    for t in range(31):
        weight = 0.5 ** ((t - 1 - np.arange(t)) / 3.0)
        want = (weight @ y[:t] + prior * overall) / (weight @ expected[:t] + prior)
        assert found.before[t] == pytest.approx(want, rel=1e-9)
    weight = 0.5 ** (np.arange(30) / 3.0)
    assert found.effective == pytest.approx(weight.sum() ** 2 / (weight**2).sum(), rel=1e-9)


def test_the_half_life_follows_how_fast_the_level_moves(rng: np.random.Generator) -> None:
    steady = rng.poisson(20, 400).astype(float)
    moving = rng.poisson(20 * np.exp(np.cumsum(rng.normal(0, 0.3, 400)) * 0.7)).astype(float)
    ones = np.ones(400)
    assert levels.best(steady, ones, ones).half_life >= 64
    assert levels.best(moving, ones, ones).half_life <= 4


@pytest.mark.parametrize("y", [np.zeros(1), np.zeros(50), np.array([0.0, 0, 900, 0])])
def test_levels_are_positive_and_finite(y: np.ndarray) -> None:
    found = levels.best(y, np.ones(len(y)), np.ones(len(y)))
    assert np.isfinite(found.before).all()
    assert (found.before > 0).all()


@pytest.mark.parametrize("n", [1, 5, 64, 65, 300])
def test_block_by_block_is_period_by_period(rng: np.random.Generator, n: int) -> None:
    y, expected = rng.poisson(5.0, n).astype(float), np.ones(n)
    found = levels.follow(y, expected, 7.0)
    keep = 0.5 ** (1 / 7.0)
    total = base = 0.0
    prior = (y.sum() + 0.5) / n
    for t in range(n):
        assert found.before[t] == pytest.approx((total + prior) / (base + 1.0))
        total, base = keep * total + y[t], keep * base + 1.0
