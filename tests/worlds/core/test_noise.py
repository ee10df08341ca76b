"""Noise on the mean: the lattice, the exact mixture and draws say the same."""

import numpy as np
import pytest

from worlds.core.lattice import GRID, LogMean
from worlds.core.noise import RATIO_STEP, SMOOTH_SIZE, Noise, NoisyLattice, log_grid
from worlds.errors import SnapshotError


def bimodal() -> Noise:
    grid = log_grid()
    shape = np.exp(-0.5 * ((grid + 1) / 0.4) ** 2) + 0.3 * np.exp(-0.5 * ((grid - 2) / 0.6) ** 2)
    return Noise.of(grid, shape / shape.sum())


def narrow() -> Noise:
    return Noise(0, np.ones(1))


@pytest.mark.parametrize("noise", [bimodal(), narrow()], ids=["bimodal", "narrow"])
@pytest.mark.parametrize(("mean", "sd"), [(-2.0, 0.3), (1.0, 0.02), (3.3, 0.5), (9.0, 1.5)])
def test_the_lattice_is_the_exact_mixture(noise: Noise, mean: float, sd: float) -> None:
    parts = [LogMean(0.6, mean, sd), LogMean(0.4, mean + 0.7, sd)]
    table = NoisyLattice(noise, SMOOTH_SIZE).mix(parts)
    exact = noise.mixture(parts, SMOOTH_SIZE)
    assert np.abs(table.values - exact.cdf(GRID)).max() < 1e-3
    assert table.mean() == pytest.approx(exact.mean(), rel=0.02)
    # nodes end 6.5 deviations out; of so wide a law a few per cent of the variance lie beyond
    assert table.var() == pytest.approx(exact.var(), rel=0.1)


def test_draws_agree(rng: np.random.Generator) -> None:
    noise, n = bimodal(), 40_000
    level = rng.normal(3.0, 0.4, n) + rng.choice(noise.log_factors, n, p=noise.weights)
    draws = rng.poisson(np.exp(level) * rng.gamma(SMOOTH_SIZE, 1 / SMOOTH_SIZE, n))
    table = NoisyLattice(noise, SMOOTH_SIZE).mix([LogMean(1.0, 3.0, 0.4)])
    for k in (2, 8, 30, 120, 500):
        share = float((draws <= k).mean())
        assert abs(share - float(table.cdf(k))) < 5 * np.sqrt(0.25 / n) + 1e-3


def test_what_is_no_law_is_refused() -> None:
    with pytest.raises(SnapshotError, match="sum"):
        Noise(0, np.array([0.5, 0.4]))
    with pytest.raises(SnapshotError, match="log factors"):
        Noise(-1000, np.ones(1))


def test_negligible_ends_are_cut() -> None:
    noise = bimodal()
    assert len(noise.weights) < len(log_grid())
    assert noise.log_factors[0] == pytest.approx(RATIO_STEP * noise.first)
    assert noise.weights.sum() == pytest.approx(1.0)
