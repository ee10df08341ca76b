import numpy as np
import pytest
from scipy import optimize

from worlds.learn import weights as learning
from worlds.learn.scoring import Scores
from worlds.learn.weights import FLOOR, learn_weights, stack


def scores(log_score: np.ndarray) -> Scores:
    n = len(log_score)
    at = np.datetime64("2026-01-01", "us") + np.arange(n).astype("timedelta64[D]")
    half = np.full(n, 0.5)
    return Scores(at, np.zeros(n), np.asarray(log_score, float), np.ones(n), half - 0.1, half + 0.1)


def test_stacking_finds_the_best_pool(rng: np.random.Generator) -> None:
    table = rng.normal(-3, 1, (200, 3)) + np.array([0.3, 0.2, -2.0])

    def cost(free: np.ndarray) -> float:
        share = np.exp(free - free.max())
        share = FLOOR + (1 - 3 * FLOOR) * share / share.sum()
        return -np.log(np.exp(table) @ share).sum()

    best = optimize.minimize(cost, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-8})
    found = stack(table)
    assert -np.log(np.exp(table) @ found).sum() == pytest.approx(best.fun, abs=1e-5)
    assert found.sum() == pytest.approx(1)
    assert found.min() >= FLOOR - 1e-12


def test_a_pool_beats_choosing_one_when_both_are_half_right(rng: np.random.Generator) -> None:
    right = rng.uniform(size=400) < 0.5
    table = np.where(np.column_stack([right, ~right]), -1.0, -8.0)
    assert stack(table) == pytest.approx([right.mean(), 1 - right.mean()], abs=0.01)


def test_hopeless_models_keep_the_floor_and_log_space_never_overflows() -> None:
    table = np.column_stack([np.full(50, -2.0), np.full(50, -690.0)])
    assert stack(table) == pytest.approx([1 - FLOOR, FLOOR])
    assert stack(np.full((5, 2), -1e5)) == pytest.approx([0.5, 0.5])


def test_more_models_than_the_floor_allows_are_equal() -> None:
    assert stack(np.full((9, 60), -1.0)) == pytest.approx(np.full(60, 1 / 60))


def test_few_forecasts_draw_weights_to_equal_ones() -> None:
    found = {}
    for n in (0, 1, 4, 9, 10):
        made = {"a": scores(np.full(n, -1.0)), "b": scores(np.full(n, -9.0))}
        result = learn_weights(made)
        found[n] = result.weights["a"]
        assert sum(result.weights.values()) == pytest.approx(1)
        assert ("fewer than 10" in result.evidence["method"]) == (n < 10)
        assert result.evidence["forecasts"] == n
    assert found[0] == pytest.approx(0.5)
    assert sorted(found.values()) == list(found.values())
    assert found[10] == pytest.approx(1 - FLOOR)


def test_models_without_a_record_take_the_floor() -> None:
    made = {"old": scores(np.zeros(0)), "good": scores(np.full(30, -1.0))}
    assert learn_weights(made).weights["old"] == pytest.approx(FLOOR)


def test_declined_forecasts_neither_help_nor_harm(rng: np.random.Generator) -> None:
    one, two = rng.normal(-2, 1, 300), rng.normal(-2, 1, 300)
    all_made = learn_weights({"a": scores(one), "b": scores(two)}).weights["a"]
    gaps = one.copy()
    gaps[:150] = np.nan
    halved = learn_weights({"a": scores(gaps[150:]), "b": scores(two[150:])}).weights["a"]
    with_gaps = learn_weights({"a": scores(gaps), "b": scores(two)}).weights["a"]
    assert with_gaps == pytest.approx(halved, abs=1e-6)
    assert 0 < all_made < 1


def test_evidence_says_what_the_weights_rest_on() -> None:
    made = {"a": scores(np.full(20, -1.0)), "b": scores(np.full(20, -2.0))}
    evidence = learn_weights(made).evidence
    assert evidence["models"]["a"]["log_score"] == pytest.approx(-1)
    assert evidence["models"]["b"]["forecasts"] == 20
    assert evidence["period"] == ["2026-01-01T00:00:00+00:00", "2026-01-20T00:00:00+00:00"]
    assert evidence["floor"] == learning.FLOOR
    assert evidence["pool"]["log_score"] == pytest.approx(
        np.log(0.98 * np.exp(-1) + 0.02 * np.exp(-2))
    )
