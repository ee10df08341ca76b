import numpy as np
import pytest
from scipy import optimize, stats

from tests.worlds.learn.made import negbin as draw
from worlds.learn import regression


def made(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    beta = np.array([2.0, 0.5, -0.4, 0.1])
    return rows, draw(rng, np.exp(rows @ beta), 3.0), beta


def test_mode_maximises_the_exact_penalised_likelihood(rng: np.random.Generator) -> None:
    rows, y, _ = made(rng, 300)
    ridge = np.array([1e-3, 4.0, 4.0, 4.0])
    weight = rng.uniform(0.3, 1.0, 300)
    found = regression.fit(rows, y, ridge, weight)

    def cost(beta: np.ndarray) -> float:
        p = found.size / (found.size + np.exp(rows @ beta))
        return 0.5 * ridge @ beta**2 - weight @ stats.nbinom.logpmf(y, found.size, p)

    def slope(beta: np.ndarray) -> np.ndarray:
        return optimize.approx_fprime(beta, cost, 1e-6)

    best = optimize.minimize(cost, np.zeros(4), method="BFGS", options={"gtol": 1e-7})
    assert found.coefficients == pytest.approx(best.x, abs=1e-4)
    assert found.gradient < 1e-4
    curvature = np.array(
        [optimize.approx_fprime(best.x, lambda b, i=i: slope(b)[i], 1e-3) for i in range(4)]
    )
    # ours is the inverse of the expected curvature, this that of the observed one
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(
        np.sqrt(np.diag(np.linalg.inv(curvature))), rel=0.2
    )


def test_coefficients_and_size_are_recovered_within_their_error(rng: np.random.Generator) -> None:
    rows, y, beta = made(rng, 4000)
    found = regression.fit(rows, y, np.full(4, 1e-3), np.ones(4000))
    z = (found.coefficients - beta) / np.sqrt(np.diag(found.covariance))
    assert np.abs(z).max() < 4  # false alarm 4 * 6e-5
    assert found.size == pytest.approx(3.0, rel=0.15)


def test_forecasts_stay_in_reach_of_what_was_seen(rng: np.random.Generator) -> None:
    rows, y, _ = made(rng, 60)
    found = regression.fit(rows, y, np.full(4, 1e-3), np.ones(60))
    log_mean, log_sd = found.predict(np.array([[1.0, 500.0, -500.0, 80.0]]))
    assert np.exp(log_mean[0]) < 5 * (y.max() + 1)
    assert np.isfinite(log_sd).all()


@pytest.mark.parametrize("y", [np.zeros(30), np.r_[np.zeros(29), 1e6], np.full(30, 5.0)])
def test_hopeless_counts_still_give_a_finite_fit(y: np.ndarray, rng: np.random.Generator) -> None:
    rows = np.column_stack([np.ones(30), rng.normal(size=(30, 2)), np.ones(30)])
    found = regression.fit(rows, y, np.array([1e-3, 4, 4, 4]), np.ones(30))
    assert np.isfinite(found.coefficients).all()
    assert np.isfinite(found.covariance).all()
    assert found.size > 0


def test_offset_shifts_the_log_mean(rng: np.random.Generator) -> None:
    rows, y, _ = made(rng, 500)
    offset = rng.normal(size=500)
    shifted = np.floor(y * np.exp(offset))
    ones, ridge = np.ones(500), np.full(4, 1e-3)
    plain = regression.fit(rows, y, ridge, ones)
    moved = regression.fit(rows, shifted, ridge, ones, offset)
    assert moved.coefficients[1:] == pytest.approx(plain.coefficients[1:], abs=0.08)
    assert moved.predict(rows[:1], 1.5)[0] == pytest.approx(moved.predict(rows[:1])[0] + 1.5)
