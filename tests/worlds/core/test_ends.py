"""Mid-quantiles against the mid-distribution itself, and what intervals between them hold."""

import numpy as np
import pytest

from worlds.core.distributions import CountMixture
from worlds.core.ends import mid_quantiles, whole_ends
from worlds.core.lattice import GRID, CdfTable
from worlds.core.recalibration import Recalibration

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


@pytest.mark.parametrize("mean", [0.3, 2.0, 8.0])
def test_mid_quantiles_invert_the_mid_distribution(mean: float) -> None:
    counts = CountMixture.of(mean, 1.5)
    k = np.arange(31)
    middle = counts.cdf(k) - counts.pmf(k) / 2
    expected = np.interp(LEVELS, middle, k)
    assert mid_quantiles(counts.cdf(GRID), LEVELS) == pytest.approx(expected, abs=1e-9)


def test_of_large_counts_they_are_quantiles() -> None:
    counts = CountMixture.of(40_000.0, 2.0)
    found = mid_quantiles(counts.cdf(GRID), LEVELS)
    assert found == pytest.approx(counts.quantile(LEVELS), rel=0.01)
    assert (np.diff(found) > 0).all()


def test_intervals_between_them_hold_what_they_say(rng: np.random.Generator) -> None:
    """Over many small counts; intervals between plain quantiles hold far more."""
    means = np.exp(rng.normal(1.8, 0.5, 4000))
    y = rng.poisson(means * rng.gamma(4, 1 / 4, 4000))
    tables = [CountMixture.of(mean, 4.0).cdf(GRID) for mean in means]
    ends = np.array([mid_quantiles(table, np.array([0.25, 0.75])) for table in tables])
    plain = np.array([GRID[np.searchsorted(table, [0.25, 0.75])] for table in tables])
    held = float(((y >= ends[:, 0]) & (y <= ends[:, 1])).mean())
    assert held == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 4000))
    assert float(((y >= plain[:, 0]) & (y <= plain[:, 1])).mean()) > 0.58


def test_what_is_zero_more_often_than_not_ends_at_zero() -> None:
    table = CountMixture.of(0.2, 1.0).cdf(GRID)
    low, high = mid_quantiles(table, np.array([0.05, 0.95]))
    assert low == 0
    assert 0 < high < 2


@pytest.mark.parametrize("mean", [0.2, 1.0, 3.0, 12.0, 5_000.0])
def test_whole_ends_hold_the_numbers_between_mid_quantiles(mean: float) -> None:
    table = CdfTable(CountMixture.of(mean, 1.5).cdf(GRID), (mean, 0.0))
    levels = np.array([0.5, 0.25, 0.75, 0.05, 0.95])
    found = whole_ends(table.quantiles(levels), levels, table.values, None)
    assert found[0] == table.quantiles(levels)[0]
    if mean > 1000:
        assert found == table.quantiles(levels)
        return
    places = mid_quantiles(table.values, levels)
    assert found[1::2] == np.minimum(np.ceil(places[1::2] - 1e-9), found[0]).tolist()
    assert found[2::2] == np.maximum(np.floor(places[2::2] + 1e-9), found[0]).tolist()


def test_whole_ends_are_those_of_what_is_recalibrated() -> None:
    wide = Recalibration(np.array([0.0, 0.2, 0.8, 1.0]), np.array([0.0, 0.1, 0.9, 1.0]))
    table = CdfTable(CountMixture.of(6.0, 1.5).cdf(GRID), (6.0, 0.0))
    levels = np.array([0.5, 0.05, 0.95])
    found = whole_ends(table.quantiles(wide.invert(levels)), levels, table.values, wide)
    places = mid_quantiles(wide.apply(table.values), levels)
    assert found[1:] == [np.ceil(places[1] - 1e-9), np.floor(places[2] + 1e-9)]
