"""Very many worlds: best first, what is missing is said, and at a deadline the best so far."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.worlds.core.declared import MODEL
from worlds.core.distributions import Point
from worlds.core.evaluators.effort import Effort
from worlds.core.model import Choice, Model, Unknown
from worlds.core.shapes import Uniform
from worlds.core.solve import solve


def facts(count: int, law: Callable[[int], object]) -> Model:
    choices = [
        Choice(f"c{i}", {"yes": 0.02 + 0.4 * (i % 7) / 7, "no": 0.98 - 0.4 * (i % 7) / 7})
        for i in range(count)
    ]
    quantities = [
        Unknown(f"f{i}", {"yes": law(i), "no": Point(0)}, by=f"c{i}") for i in range(count)
    ]  # type: ignore[dict-item]
    return Model.of(*choices, *quantities)


def test_a_million_worlds_of_points_are_one_array() -> None:
    n = 16
    outcome = solve(facts(n, lambda i: Point(i + 1)), " + ".join(f"f{i}" for i in range(n)))
    pmf = np.ones(1)
    for i in range(n):
        p = 0.02 + 0.4 * (i % 7) / 7
        one_fact = np.zeros(i + 2)
        one_fact[0], one_fact[i + 1] = 1 - p, p
        pmf = np.convolve(pmf, one_fact)
    for x in (0, 5, 20, 60):
        assert float(outcome.cdf(x)) == pytest.approx(np.cumsum(pmf)[x], abs=1e-12)
    assert outcome.whole is not None
    assert len(outcome.worlds) <= 256
    assert outcome.missing == pytest.approx(1 - sum(w.weight for w in outcome.worlds))


@pytest.mark.slowish
def test_more_worlds_than_can_be_listed_state_the_missing_probability() -> None:
    n = 30
    text = "max(" + ", ".join(f"f{i}" for i in range(n)) + ")"
    outcome = solve(facts(n, lambda i: Point(i + 1)), text)
    p = np.array([0.02 + 0.4 * (i % 7) / 7 for i in range(n)])
    truth = np.prod(1 - p[20:])
    assert abs(float(outcome.cdf(20)) - truth) <= outcome.error
    assert 0 < outcome.error < 0.7


@pytest.mark.slowish
def test_independent_terms_over_many_worlds_are_added_up() -> None:
    n = 24
    outcome = solve(facts(n, lambda i: Uniform(i, i + 2)), " + ".join(f"f{i}" for i in range(n)))
    mean = sum((0.02 + 0.4 * (i % 7) / 7) * (i + 1) for i in range(n))
    assert outcome.mean() == pytest.approx(mean, rel=1e-9)
    rng = np.random.default_rng(1)
    draws = sum(
        (rng.random(200_000) < 0.02 + 0.4 * (i % 7) / 7) * rng.uniform(i, i + 2, 200_000)
        for i in range(n)
    )
    for q in (20.0, 60.0, 100.0):
        assert abs(float(outcome.cdf(q)) - (draws <= q).mean()) < 4.5 * 0.5 / 447 + outcome.error


@pytest.mark.slowish
def test_what_shares_quantities_over_many_worlds_is_drawn() -> None:
    n = 12
    text = "max(" + ", ".join(f"f{i} + y" for i in range(n)) + ") * (f1 + 1)"
    model = facts(n, lambda i: Uniform(i, i + 2))
    model = Model(model.choices, {}, {**model.quantities, "y": Unknown("y", Uniform(0, 1))})
    outcome = solve(model, text, effort=Effort(1e-3))
    rng = np.random.default_rng(1)
    f = [
        (rng.random(100_000) < 0.02 + 0.4 * (i % 7) / 7) * rng.uniform(i, i + 2, 100_000)
        for i in range(n)
    ]
    draws = (np.max(f, 0) + rng.random(100_000)) * (f[1] + 1)
    for q in (3.0, 8.0, 15.0):
        assert abs(float(outcome.cdf(q)) - (draws <= q).mean()) < 4.5 * 0.5 / 316 + outcome.error
    assert outcome.method == "randomised QMC"


def test_at_the_deadline_the_best_answer_so_far_comes_with_its_error() -> None:
    now = iter(range(10_000))
    effort = Effort(1e-9, until=3, clock=lambda: float(next(now)))
    quick = solve(MODEL, "x * y + x", effort=effort)
    better = solve(MODEL, "x * y + x", effort=Effort(1e-9))
    assert 0 < better.error < quick.error < 1
    assert abs(float(quick.cdf(8)) - float(better.cdf(8))) < quick.error + better.error
