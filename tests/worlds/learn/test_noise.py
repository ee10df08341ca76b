"""The law of the noise: found from counts, wide where little is known."""

import numpy as np
import pytest

from worlds.core.lattice import LogMean
from worlds.core.noise import SMOOTH_SIZE, NoisyLattice
from worlds.learn import noise

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def check_levels(y: np.ndarray, log_mean: float, slack: float = 0.02) -> None:
    found = noise.fit(y, np.full(len(y), log_mean), half_life=np.inf)
    table = NoisyLattice(found, SMOOTH_SIZE).mix([LogMean(1.0, log_mean, 0.02)])
    for level, value in zip(LEVELS, table.quantile(LEVELS), strict=True):
        below, upto = float((y < value).mean()), float((y <= value).mean())
        error = 4 * np.sqrt(level * (1 - level) / len(y)) + slack
        assert below - error <= level <= upto + error


def test_heavy_tails_are_found(rng: np.random.Generator) -> None:
    check_levels(rng.poisson(np.exp(4 + rng.standard_t(3, 2000) * 0.5)).astype(float), 4.0)


def test_negative_binomials_are_found(rng: np.random.Generator) -> None:
    check_levels(rng.negative_binomial(1.5, 0.02, 2000).astype(float), 4.3)


def test_zeros_beyond_any_negative_binomial_are_found(rng: np.random.Generator) -> None:
    y = rng.negative_binomial(3, 0.05, 2000) * (rng.uniform(size=2000) < 0.6)
    check_levels(y.astype(float), 3.0)
    found = noise.fit(y.astype(float), np.full(2000, 3.0), half_life=np.inf)
    table = NoisyLattice(found, SMOOTH_SIZE).mix([LogMean(1.0, 3.0, 0.02)])
    assert float(table.cdf(0)) == pytest.approx(float((y == 0).mean()), abs=0.05)


def test_used_parameters_widen(rng: np.random.Generator) -> None:
    y = rng.negative_binomial(2, 0.05, 200).astype(float)
    plain, paid = (noise.fit(y, np.full(200, 3.6), used=used).log_sd for used in (0.0, 60.0))
    assert paid**2 == pytest.approx(plain**2 / (1 - 60 / 200), rel=0.1)


@pytest.mark.parametrize("y", [[0.0], [7.0], [0.0] * 5])
def test_few_counts_leave_a_wide_law(y: list[float]) -> None:
    found = noise.fit(np.array(y), np.full(len(y), 1.0))
    assert found.log_sd > 0.25
    assert found.weights.sum() == pytest.approx(1.0)


def test_what_uncertain_labels_add_is_no_noise(rng: np.random.Generator) -> None:
    """Items differ by a label that is not certain, whose effect has a known variance."""
    side = rng.normal(0, 0.6, 2000)
    y = rng.negative_binomial(4, 4 / (4 + np.exp(4 + side))).astype(float)
    flat = np.full(2000, 4.0)
    known = noise.fit(y, flat + side).log_sd
    told = noise.fit(y, flat, unsettled=np.full(2000, 0.6**2)).log_sd
    assert told == pytest.approx(known, rel=0.1)
    assert noise.fit(y, flat).log_sd > 1.2 * known
