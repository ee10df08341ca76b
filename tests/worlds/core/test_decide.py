"""Decisions agree with closed forms, enumeration and quadrature."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import integrate, stats

from tests.worlds.core.test_engine import ask
from tests.worlds.core.test_explain import correlated
from worlds.core.compound import Severity, compound
from worlds.core.costs import Costs, Option
from worlds.core.decide import Decision, decide
from worlds.core.decision_request import decide_from
from worlds.core.distributions import (
    CountMixture,
    Distribution,
    Floats,
    Mixture,
    Multiple,
    PmfTable,
    Point,
)
from worlds.core.newsvendor import Provision, newsvendor, provision
from worlds.core.outcome import Outcome, World
from worlds.core.partial import _integrated, expected_excess
from worlds.errors import QuestionError

COSTS = Costs(unit=1.0, short=5.0, over=0.5)
STEPS = [Option(f"{c}", float(c), 3.0) for c in (20, 45, 70, 110)]


class Continuous:
    """A SciPy distribution in our protocol."""

    def __init__(self, frozen: object) -> None:
        self.frozen = frozen

    def mean(self) -> float:
        return float(self.frozen.mean())  # type: ignore[attr-defined]

    def var(self) -> float:
        return float(self.frozen.var())  # type: ignore[attr-defined]

    def cdf(self, x: ArrayLike) -> Floats:
        return np.asarray(self.frozen.cdf(x))  # type: ignore[attr-defined]

    def quantile(self, p: ArrayLike) -> Floats:
        return np.asarray(self.frozen.ppf(p))  # type: ignore[attr-defined]

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        return np.asarray(self.frozen.rvs(size, random_state=rng))  # type: ignore[attr-defined]


def single(distribution: Distribution) -> Outcome:
    return Outcome((World({"model": "only"}, 1.0, distribution, {}),), "likes")


def tables(rng: np.random.Generator, sizes: tuple[int, ...] = (2, 2)) -> Outcome:
    """Return worlds whose distributions are small tables, for enumeration."""
    base = correlated(rng, sizes)
    return Outcome(
        tuple(
            World(
                w.choices,
                w.weight,
                PmfTable(int(rng.integers(0, 60)), rng.dirichlet(np.ones(40))),
                {},
            )
            for w in base.worlds
        ),
        "likes",
    )


def enumerated(outcome: Outcome) -> tuple[Floats, Floats]:
    """Return values 0, 1, ... and P(value | world), array (worlds, values)."""
    values = np.arange(200.0)
    return values, np.array([w.outcome.pmf(values) for w in outcome.worlds])  # type: ignore[attr-defined]


def cost_of(option: Option, values: Floats, costs: Costs = COSTS) -> Floats:
    gap = values - option.capacity
    certain = option.fixed + costs.unit * option.capacity
    return np.where(gap > 0, certain + costs.short * gap, certain - costs.over * gap)


# --- expected excess ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "size"), [(0.3, 0.7), (7.0, 2.5), (850.0, 40.0), (6.5, np.inf), (0.0, 3.0)]
)
def test_expected_excess_of_counts_is_the_sum_of_their_tail(mean: float, size: float) -> None:
    count = CountMixture.of(mean, size)
    k = np.arange(20_000)
    pmf = (
        stats.poisson.pmf(k, mean)
        if np.isinf(size)
        else stats.nbinom.pmf(k, size, size / (size + mean))
    )
    points = np.array([-3.0, 0.0, 0.4, mean, mean + 11.5, 3 * mean + 20])
    expected = [np.maximum(k - c, 0) @ pmf for c in points]
    for values, errors in (expected_excess(count, points), _integrated(count, points)):
        assert (np.abs(values - expected) <= errors + 1e-9).all()


@pytest.mark.parametrize(
    "frozen", [stats.gamma(2.3, scale=40), stats.lognorm(0.8, scale=1200), stats.uniform(3, 17)]
)
def test_expected_excess_of_continuous_ones_agrees_with_quadrature(frozen: object) -> None:
    distribution = Continuous(frozen)
    points = distribution.quantile([0.03, 0.5, 0.8, 0.99])
    values, errors = expected_excess(distribution, [*points, -4.0])
    for c, value, error in zip([*points, -4.0], values, errors, strict=True):
        expected = (
            distribution.mean()
            - c
            + integrate.quad(
                lambda x: float(distribution.cdf(x)), min(0.0, c), c, epsabs=1e-10, limit=200
            )[0]
        )
        assert abs(value - expected) <= error + 1e-8
        assert error < 1e-4 * (distribution.mean() + abs(c))


def test_expected_excess_of_a_compound_sum_is_within_its_bound() -> None:
    items = Severity(np.array([0.4, 0.6]), (CountMixture.of(21.0, 1.3), CountMixture.of(29.0, 1.7)))
    total = compound(CountMixture.of(900.0, 12.0), items)
    points = np.array([0.0, 9_000.3, 23_000.0, 40_000.0, 90_000.0])
    survival = 1 - total.cdf(np.arange(200_000.0))
    after = np.concatenate([np.cumsum(survival[::-1])[::-1], [0.0]])
    k = np.ceil(points).astype(int)
    expected = after[k] + (k - points) * survival[np.floor(points).astype(int)]
    values, errors = expected_excess(total, points)
    assert (np.abs(values - expected) <= errors + 1e-6).all()
    assert (errors < 1e-4 * total.mean()).all()


def test_expected_excess_of_what_is_made_of_others() -> None:
    parts = (CountMixture.of(5.0, 2.0), Point(9.0), PmfTable(3, np.array([0.2, 0.3, 0.5])))
    weights = np.array([0.5, 0.2, 0.3])
    points = np.array([0.0, 3.5, 9.0, 30.0])
    by_parts = [expected_excess(part, points)[0] for part in parts]
    expected = weights @ np.array(by_parts)
    assert by_parts[1].tolist() == [9.0, 5.5, 0.0, 0.0]
    assert by_parts[2] == pytest.approx([4.3, 0.3 * 0.5 + 0.5 * 1.5, 0, 0])
    mixture = Mixture(weights, parts)
    assert expected_excess(mixture, points)[0] == pytest.approx(expected)
    tripled, _ = expected_excess(Multiple(mixture, 3.0), 3 * points)
    assert tripled == pytest.approx(3 * expected)


@given(
    mean=st.floats(0.05, 2e5),
    size=st.floats(0.2, 1e4),
    place=st.floats(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_the_two_ways_to_the_excess_agree_within_their_bounds(
    mean: float, size: float, place: float
) -> None:
    count = CountMixture.of(mean, size)
    closed, small = expected_excess(count, place * mean)
    found, error = _integrated(count, np.array([place * mean]))
    assert abs(closed[0] - found[0]) <= error[0] + small[0]


# --- lists of capacities ---------------------------------------------------------------------


def test_every_number_of_a_decision_agrees_with_enumeration(rng: np.random.Generator) -> None:
    for _ in range(10):
        outcome = tables(rng)
        values, pmf = enumerated(outcome)
        weights = np.array([w.weight for w in outcome.worlds])
        found = decide(outcome, STEPS, COSTS, risk=0.9)
        matrix = np.array([[p @ cost_of(option, values) for option in STEPS] for p in pmf])
        expected = weights @ matrix
        mixed = weights @ pmf
        for i, option in enumerate(STEPS):
            result = found.option(option.name)
            assert result.expected_cost == pytest.approx(expected[i])
            assert result.shortfall_chance == pytest.approx(mixed @ (values > option.capacity))
            short = np.maximum(values - option.capacity, 0)
            assert result.expected_shortfall == pytest.approx(mixed @ short, abs=1e-9)
            regrets = matrix[:, i] - matrix.min(1)
            assert result.regrets == pytest.approx(regrets.tolist(), abs=1e-9)
            at_risk, tail = by_sorting(cost_of(option, values), mixed, 0.9)
            assert result.cost_at_risk == pytest.approx(at_risk, rel=1e-9)
            assert result.tail_cost == pytest.approx(tail, rel=1e-8)
        assert found.cheapest == STEPS[int(expected.argmin())].name
        worst = (matrix - matrix.min(1, keepdims=True)).max(0)
        assert found.least_regret == STEPS[int(worst.argmin())].name
        now = expected.min()
        assert found.value_of_choices == pytest.approx(now - weights @ matrix.min(1), abs=1e-9)
        each = np.array([cost_of(option, values) for option in STEPS]).min(0)
        assert found.value_of_answer == pytest.approx(now - mixed @ each, abs=1e-9)
        check_resolving(found, outcome, matrix, weights)


def by_sorting(costs: Floats, probs: Floats, level: float) -> tuple[float, float]:
    """Return quantile and tail mean (CVaR) of a discrete cost, from the sorted list."""
    order = np.argsort(costs)
    costs, below = costs[order], np.cumsum(probs[order])
    at_risk = float(costs[np.searchsorted(below, level - 1e-13)])
    return at_risk, at_risk + float(np.maximum(costs - at_risk, 0) @ probs[order]) / (1 - level)


def check_resolving(found: Decision, outcome: Outcome, matrix: Floats, weights: Floats) -> None:
    now = (weights @ matrix).min()
    for row in found.resolving:
        knowing = 0.0
        options = {w.choices[row.choice] for w in outcome.worlds}
        for option in options:
            here = np.array([w.choices[row.choice] == option for w in outcome.worlds])
            knowing += (weights[here] @ matrix[here]).min()
        assert row.value == pytest.approx(now - knowing, abs=1e-9)
    values = [row.value for row in found.resolving]
    assert values == sorted(values, reverse=True)
    assert all(value <= found.value_of_choices + 1e-9 for value in values)
    assert found.value_of_choices <= found.value_of_answer + 1e-9


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(0.01, 1000),
    unit=st.just(0.0) | st.floats(1e-4, 4),
    short=st.just(0.0) | st.floats(1e-4, 9),
    over=st.just(0.0) | st.floats(1e-4, 3),
)
@settings(max_examples=15, deadline=None)
def test_laws_of_regret_and_of_information(
    seed: int, scale: float, unit: float, short: float, over: float
) -> None:
    outcome = correlated(np.random.default_rng(seed), (2, 3))
    costs = Costs(unit, short, over)
    found = decide(outcome, STEPS, costs)
    assert all(regret >= 0 for option in found.options for regret in option.regrets)
    assert found.value_of_choices >= 0
    assert found.value_of_answer >= 0
    for row in found.resolving:
        assert 0 <= row.value <= found.value_of_choices + 1e-7
        assert (row.value > 0) == (row.changes > 0)
        if all(option.best == found.cheapest for option in row.options):
            assert row.value == 0
    bigger = decide(
        outcome,
        [Option(o.name, o.capacity, o.fixed * scale) for o in STEPS],
        Costs(unit * scale, short * scale, over * scale),
    )
    for ours, theirs in zip(found.options, bigger.options, strict=True):
        for name in ("expected_cost", "cost_at_risk", "tail_cost", "max_regret"):
            assert getattr(theirs, name) == pytest.approx(
                scale * getattr(ours, name), rel=1e-6, abs=1e-6 * scale
            )
    assert bigger.value_of_choices == pytest.approx(
        scale * found.value_of_choices, rel=1e-6, abs=1e-6 * scale
    )


def test_information_is_worth_nothing_when_no_decision_changes() -> None:
    found = decide(ask(), [Option("small", 1.0), Option("huge", 5000.0)], Costs(0.001, 50.0))
    assert found.cheapest == "huge"
    assert found.value_of_choices == 0
    assert found.resolve_first is None
    assert all(row.value == 0 and row.changes == 0 for row in found.resolving)
    assert found.value_of_answer >= 0


def test_a_choice_whose_resolution_changes_the_decision_is_named() -> None:
    found = decide(
        ask(), [Option("200", 200.0), Option("300", 300.0), Option("400", 400.0)], Costs(1, 5)
    )
    assert found.resolve_first == "likes_per_post"
    first = found.resolving[0]
    assert first.changes == pytest.approx(1)
    assert {option.option: option.best for option in first.options} == {
        "historical": "200",
        "learned": "400",
    }
    assert "likes_per_post" in found.text()
    json.dumps(found.to_dict(), allow_nan=False)


# --- free quantity ------------------------------------------------------------------------------


@pytest.mark.parametrize(("short", "over"), [(5.0, 2.0), (1.0, 9.0), (40.0, 0.3)])
def test_the_newsvendor_quantile_of_scipy(short: float, over: float) -> None:
    """cu = short, co = over: q = F^-1(cu / (cu + co)); the cost of a normal is known."""
    demand = stats.nbinom(8.0, 8.0 / (8.0 + 120.0))
    found = newsvendor(single(CountMixture.of(120.0, 8.0)), Costs(short=short, over=over))
    q = found.option("cheapest").capacity
    assert found.ratio == pytest.approx(short / (short + over))
    assert q == demand.ppf(short / (short + over))
    k = np.arange(5000)
    cost = demand.pmf(k) @ (short * np.maximum(k - q, 0) + over * np.maximum(q - k, 0))
    assert found.option("cheapest").expected_cost == pytest.approx(cost, rel=1e-9)
    assert found.value_of_choices == 0
    normal = Continuous(stats.norm(500, 60))
    best = newsvendor(single(normal), Costs(short=short, over=over)).option("cheapest")
    z = stats.norm.ppf(short / (short + over))
    assert best.capacity == pytest.approx(500 + 60 * z)
    assert best.expected_cost == pytest.approx((short + over) * 60 * stats.norm.pdf(z), rel=1e-6)


def test_a_unit_cost_moves_the_quantile() -> None:
    gamma = stats.gamma(3.0, scale=20.0)
    found = newsvendor(single(Continuous(gamma)), Costs(unit=2.0, short=7.0, over=1.0))
    assert found.option("cheapest").capacity == pytest.approx(gamma.ppf(5 / 8))
    grid = np.linspace(20, 200, 181)
    options = [Option(f"{q}", float(q)) for q in grid]
    values = decide(single(Continuous(gamma)), options, found.costs).options
    best = min(option.expected_cost for option in values)
    assert found.option("cheapest").expected_cost <= best + 1e-6
    assert found.value_of_answer == pytest.approx(
        found.option("cheapest").expected_cost - 2.0 * 60.0, rel=1e-6
    )


def test_the_three_quantities_are_the_best_of_a_grid(rng: np.random.Generator) -> None:
    for costs in (Costs(short=5, over=2), Costs(1, 6, 0.4), Costs(0.5, 3, 0)):
        outcome = correlated(rng, (2, 2))
        found = newsvendor(outcome, costs, risk=0.8)
        every = np.linspace(0, 250, 501)
        grid = decide(outcome, [Option(f"{q:g}", q) for q in every], costs, risk=0.8)
        for name, value in (("cheapest", "expected_cost"), ("cheapest at risk", "tail_cost")):
            best = min(getattr(option, value) for option in grid.options)
            assert getattr(found.option(name), value) <= best * (1 + 1e-6)
        # regret in the grid is measured from a best in the grid: no more than from the true one
        ours = found.option("least regret").max_regret
        assert ours <= min(option.max_regret for option in grid.options) + 0.02
        assert found.value_of_choices >= max(row.value for row in found.resolving) - 1e-9


def test_provisioning_dearer_than_shortage_buys_nothing() -> None:
    found = newsvendor(ask(), Costs(unit=6, short=5))
    assert found.option("cheapest").capacity == 0
    assert found.option("cheapest at risk").capacity == 0
    assert found.option("cheapest").expected_cost == pytest.approx(5 * float(ask().mean()))
    assert found.value_of_answer == pytest.approx(0, abs=1e-6)


# --- service level ------------------------------------------------------------------------------


def test_a_service_level_is_the_quantile_with_its_error() -> None:
    outcome = ask()
    found = provision(outcome, 0.99)
    assert found.capacity == outcome.quantile(0.99)
    assert found.shortfall_chance <= 0.01
    assert outcome.prob(f"> {float(found.capacity) - 1}") > 0.01
    excess, _ = expected_excess(outcome.mixture, float(found.capacity))
    assert found.expected_shortfall == pytest.approx(excess[0])
    needs = {need.name: need for need in found.options}
    learned = ask(given={"likes_per_post": "model = learned"})
    assert needs["likes_per_post = learned"].capacity == learned.quantile(0.99)
    assert needs["likes_per_post = learned"].shortfall_chance == pytest.approx(
        float(learned.prob(f"> {float(found.capacity)}"))
    )
    assert len(found.worlds) == 4
    json.dumps(found.to_dict(), allow_nan=False)
    assert "suffice with 99.0%" in found.text()


# --- requests -----------------------------------------------------------------------------------


def test_the_three_forms_of_a_request() -> None:
    outcome = ask()
    steps = decide_from(
        outcome,
        {
            "capacities": [200, 300],
            "options": [{"name": "cloud", "capacity": 400, "fixed_cost": 10}, {"capacity": 250}],
            "unit_cost": 1,
            "shortfall_cost": 5,
            "risk": 0.9,
        },
    )
    assert isinstance(steps, Decision)
    assert [option.name for option in steps.options] == ["200", "300", "cloud", "250"]
    free = decide_from(outcome, {"shortfall_cost": 5, "over_cost": 2})
    assert isinstance(free, Decision)
    assert free.kind == "quantity"
    level = decide_from(outcome, {"service_level": 0.95})
    assert isinstance(level, Provision)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({}, "say service_level, options"),
        ({"capacities": []}, "takes 1 to 1000 options; got 0"),
        ({"capacities": [5, -1]}, "a capacity must be a finite number >= 0; got -1"),
        ({"capacities": [5, float("nan")]}, "got nan"),
        ({"capacities": "5"}, "must be a list"),
        ({"capacities": [5, 5]}, "a name of its own; twice: 5"),
        ({"capacities": [1e13]}, "at most 1e"),
        ({"options": [3]}, "an option is an object"),
        ({"options": [{"name": "x"}]}, "capacity is missing"),
        ({"options": [{"name": 3, "capacity": 1}]}, "must be text"),
        ({"options": [{"name": " ", "capacity": 1}]}, "needs a name"),
        ({"options": [{"capacity": 1, "price": 3}]}, "an option takes name, capacity, fixed_cost"),
        ({"capacities": [5], "unit_cost": -2}, "unit_cost must be a finite number >= 0; got -2"),
        ({"capacities": [5], "shortfall_cost": True}, "got True"),
        ({"capacities": [5], "over_cost": float("inf")}, "got inf"),
        ({"capacities": [5], "risk": 1}, "strictly between 0 and 1"),
        ({"shortfall_cost": 5}, "nothing limits the capacity"),
        ({"service_level": 1.0}, "strictly between 0 and 1"),
        ({"service_level": "high"}, "got 'high'"),
        ({"service_level": 0.9, "risk": 0.5}, "takes service_level; got risk"),
        ({"prices": 3}, "got prices"),
        ([0.9], "a decision is an object"),
    ],
)
def test_decisions_without_meaning_are_refused(raw: dict[str, object], words: str) -> None:
    with pytest.raises(QuestionError, match=words):
        decide_from(ask(), raw)


def test_negative_costs_are_refused() -> None:
    with pytest.raises(QuestionError, match="the short cost must be a finite number >= 0"):
        Costs(short=-1.0)
    with pytest.raises(QuestionError, match="must be 0 or at least"):
        Costs(over=1e-300)
    with pytest.raises(QuestionError, match="the fixed cost of 'x'"):
        Option("x", 3.0, -1.0)
