"""Boosted laws: they find location and width, and nothing where there is nothing."""

import numpy as np

from worlds.learn.boosting import boost


def pinball(z: np.ndarray, q: np.ndarray, level: float) -> float:
    return float(np.mean(np.maximum(level * (z - q), (level - 1) * (z - q))))


def laws(found: object, x: np.ndarray) -> np.ndarray:
    return np.array([found.trees.sum(row.astype(np.float32)) for row in x])  # type: ignore[attr-defined]


def test_location_and_width_are_found(rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, (4000, 4))
    z = np.where(x[:, 0] > 0, 1.0, 0.0) + rng.normal(0, np.where(x[:, 1] > 0, 0.9, 0.3))
    found = boost(x[:3000], z[:3000], np.ones(3000), rng)
    table = np.maximum.accumulate(laws(found, x[3000:]), 1)
    held = z[3000:]
    for level in (0.1, 0.5, 0.9):
        mine = np.array([np.interp(level, row, found.steps) for row in table])
        marginal = np.full(1000, np.quantile(z[:3000], level))
        assert pinball(held, mine, level) < 0.85 * pinball(held, marginal, level)
        share = float((held <= mine).mean())
        assert abs(share - level) < 4 * np.sqrt(level * (1 - level) / 1000) + 0.02


def test_noise_is_not_taken_for_structure(rng: np.random.Generator) -> None:
    x, z = rng.uniform(-1, 1, (1500, 6)), rng.normal(0, 1, 1500)
    found = boost(x, z, np.ones(1500), rng)
    fresh = laws(found, rng.uniform(-1, 1, (300, 6)))
    assert np.abs(fresh - found.trees.start).mean() < 0.05


def test_the_same_seed_gives_the_same_trees() -> None:
    made = []
    for _ in range(2):
        rng = np.random.default_rng(5)
        x = rng.uniform(size=(300, 3))
        made.append(boost(x, x[:, 0] + rng.normal(size=300), np.ones(300), rng))
    assert np.array_equal(made[0].trees.leaves, made[1].trees.leaves)


def test_constant_things_have_a_law_too(rng: np.random.Generator) -> None:
    found = boost(np.zeros((200, 2)), np.full(200, 1.5), np.ones(200), rng)
    assert (np.diff(found.steps) > 0).all()
    assert min(found.tails) > 0
