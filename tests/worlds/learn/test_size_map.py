"""What the recalibration of sizes believes, and what it takes for chance."""

import numpy as np
import pytest
from scipy import special

from worlds.learn.size_map import BLOCKS, learn_map, persistence

N = 1200


def test_a_departure_of_every_block_is_believed(rng: np.random.Generator) -> None:
    assert persistence(0.1 + rng.normal(0, 0.29, N), np.ones(N)) > 0.9


def test_a_departure_of_one_block_is_not(rng: np.random.Generator) -> None:
    once = np.where(np.arange(N) < N // BLOCKS, 0.4, 0.0)
    assert persistence(once + rng.normal(0, 0.05, N), np.ones(N)) < 0.1


def test_without_blocks_or_departure_there_is_nothing_to_believe() -> None:
    assert persistence(np.zeros(N), np.ones(N)) == 0
    assert persistence(np.array([0.3]), np.ones(1)) == 0
    empty = np.zeros(0)
    assert not learn_map(empty, empty, empty).changes


def test_too_wide_forecasts_are_made_narrower_on_both_sides(rng: np.random.Generator) -> None:
    pits = special.ndtr(0.6 * rng.standard_normal(N))
    found = learn_map(pits, pits, np.ones(N))
    low, high = found.invert([0.05, 0.95])
    # 5% of outcomes lie below the 16% quantile of forecasts that are 1 / 0.6 times too wide
    assert low == pytest.approx(0.16, abs=0.03)
    assert high == pytest.approx(0.84, abs=0.03)


def test_a_level_that_went_up_and_down_moves_nothing(rng: np.random.Generator) -> None:
    shift = np.repeat([1.5, -0.8, 0.9, -1.2, 0.4, 0.1], N // BLOCKS)
    pits = special.ndtr(shift + rng.standard_normal(N))
    assert learn_map(pits, pits, np.ones(N)).apply(0.5) == pytest.approx(0.5, abs=0.02)


def test_forecasts_that_are_always_too_low_are_raised(rng: np.random.Generator) -> None:
    pits = special.ndtr(0.8 + rng.standard_normal(N))
    found = learn_map(pits, pits, np.ones(N))
    assert found.invert(0.5) == pytest.approx(float(special.ndtr(0.8)), abs=0.05)
