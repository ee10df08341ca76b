"""Totals over periods: one level for all of them, as simulation of whole paths says."""

import numpy as np
import pytest

from worlds.core.compound import Severity, compound
from worlds.core.distributions import CountMixture
from worlds.core.path_total import PathTotal
from worlds.core.views import atoms
from worlds.errors import QuestionError

LEVELS = np.array([0.6, 1.0, 1.7])
WEIGHTS = np.array([0.25, 0.5, 0.25])
PERIODS = [
    CountMixture.of(LEVELS * m, r, WEIGHTS) for m, r in ((4.0, 5.0), (9.0, np.inf), (2.0, 3.0))
]


def test_a_total_agrees_with_whole_paths(rng: np.random.Generator) -> None:
    total = PathTotal.of(PERIODS)
    n = 200_000
    level = rng.choice(3, n, p=WEIGHTS)
    draws = rng.poisson(rng.gamma(5.0, size=n) / 5 * 4 * LEVELS[level])
    draws = draws + rng.poisson(9 * LEVELS[level])
    draws = draws + rng.poisson(rng.gamma(3.0, size=n) / 3 * 2 * LEVELS[level])
    for k in (4, 9, 15, 24, 40):
        p = float(total.cdf(k))
        assert abs((draws <= k).mean() - p) < 4 * np.sqrt(p * (1 - p) / n)
    assert total.mean() == pytest.approx(float(total.table.mean()), rel=1e-8)
    assert total.var() == pytest.approx(float(total.table.var()), rel=1e-6)
    assert abs(total.sample(rng, n).mean() - total.mean()) < 4 * np.sqrt(total.var() / n)


def test_one_level_is_wider_than_independent_periods() -> None:
    total = PathTotal.of(PERIODS)
    assert total.var() > 1.3 * sum(one.var() for one in PERIODS)


def test_one_period_is_itself() -> None:
    k = np.arange(60)
    np.testing.assert_allclose(PathTotal.of(PERIODS[:1]).pmf(k), PERIODS[0].pmf(k), atol=1e-10)


def test_totals_are_counts_like_others() -> None:
    total = PathTotal.of(PERIODS)
    assert total.scaled(2.0).mean() == pytest.approx(2 * total.mean())
    likes = compound(total, Severity(np.ones(1), (CountMixture.of(20.0, 1.6),)))
    assert likes.mean() == pytest.approx(20 * total.mean())
    listed = atoms(total)
    assert listed is not None
    assert listed.mean() == pytest.approx(total.mean(), rel=1e-8)


def test_periods_without_common_levels_are_refused() -> None:
    with pytest.raises(QuestionError, match="no common levels"):
        PathTotal.of([PERIODS[0], CountMixture.of(3.0)])
