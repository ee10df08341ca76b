"""Hidden states of cells against the joint chain of all cells; routes against enumeration."""

from itertools import product

import numpy as np
import pytest
from scipy.linalg import expm

from worlds.core.distributions import Floats
from worlds.membership import MembershipError, routes
from worlds.membership.presence import Passages, Rates, Streets, updated

RATES = Rates(0.3, 0.8, 0.85, 0.05)


def joint_states(cells: int) -> Floats:
    return np.array(list(product([0, 1], repeat=cells)), float)


def joint_filter(rates: Rates, cells: int, passages: Passages) -> Floats:
    """Return P(dirty) of every cell after all passages, from the joint state of all cells."""
    step = np.array([[-rates.appear, rates.appear], [rates.removed, -rates.removed]])
    states = joint_states(cells)
    belief = np.prod(np.where(states > 0, rates.usual, 1 - rates.usual), axis=1)
    last = float(passages.days[0])
    rows = zip(passages.days, passages.seen, passages.cells, passages.weights, strict=True)
    for day, seen, places, weights in rows:
        one = expm(step * (day - last))
        move = np.ones((1, 1))
        for _ in range(cells):
            move = np.kron(move, one)
        belief, last = belief @ move, float(day)
        report = np.where(states[:, places] > 0, rates.hit, rates.false_alarm) @ weights
        belief = belief * (report if seen else 1 - report)
        belief /= belief.sum()
    return belief @ states


def some_passages(rng: np.random.Generator, cells: int, n: int, sharp: bool) -> Passages:
    weights = [np.ones(1) if sharp else rng.dirichlet(np.full(cells, 0.5)) for _ in range(n)]
    places = [np.array([rng.integers(cells)]) if sharp else np.arange(cells) for _ in range(n)]
    days = np.sort(rng.uniform(0, 4, n))
    return Passages(days, rng.uniform(size=n) < 0.4, places, weights)


def filtered(rates: Rates, cells: int, passages: Passages) -> Floats:
    state = Streets.untouched(rates, cells, float(passages.days[0]))
    state.follow(passages)
    return state.now(float(passages.days[-1]))


def test_known_cells_are_filtered_exactly(rng: np.random.Generator) -> None:
    for _ in range(5):
        passages = some_passages(rng, 3, 12, sharp=True)
        exact = joint_filter(RATES, 3, passages)
        assert filtered(RATES, 3, passages) == pytest.approx(exact, abs=1e-12)


def test_one_uncertain_place_is_filtered_exactly(rng: np.random.Generator) -> None:
    before, weights = rng.uniform(size=3), rng.dirichlet(np.ones(3))
    states = joint_states(3)
    prior = np.prod(np.where(states > 0, before, 1 - before), axis=1)
    for seen in (True, False):
        report = np.where(states > 0, RATES.hit, RATES.false_alarm) @ weights
        likely = prior * (report if seen else 1 - report)
        after, total = updated(RATES, before, weights, seen)
        assert total == pytest.approx(likely.sum(), abs=1e-14)
        assert after == pytest.approx(likely @ states / likely.sum(), abs=1e-14)


@pytest.mark.slowish
def test_what_dropping_the_dependence_of_cells_costs(rng: np.random.Generator) -> None:
    """With places as vague as can be (spread over all three cells), off by little on average."""
    gaps = []
    for _ in range(25):
        passages = some_passages(rng, 3, 10, sharp=False)
        exact = joint_filter(RATES, 3, passages)
        gaps.append(np.abs(filtered(RATES, 3, passages) - exact))
    assert np.mean(gaps) < 0.02
    assert np.max(gaps) < 0.15


def test_cells_forget() -> None:
    later = RATES.later(np.array([0.0, 1.0, RATES.usual]), 1000.0)
    assert later == pytest.approx([RATES.usual] * 3)
    soon = RATES.later(np.array([1.0]), 1e-9)
    assert soon == pytest.approx([1.0])


@pytest.mark.parametrize(
    "numbers", [(0, 1, 0.9, 0.1), (1, np.inf, 0.9, 0.1), (1, 1, 0.1, 0.9), (1, 1, 1.1, 0)]
)
def test_rates_without_meaning_are_refused(numbers: tuple[float, float, float, float]) -> None:
    with pytest.raises(MembershipError, match="got"):
        Rates(*numbers)


CELLS = "abcdefgh"
WAYS = {"left": frozenset("abcd"), "right": frozenset("cdefg"), "short": frozenset("dh")}
PROBS = dict(zip(CELLS, (0.1, 0.5, 0.2, 0.3, 0.05, 0.15, 0.4, 0.6), strict=True))


def enumerated() -> dict[str, tuple[float, float, float, float]]:
    """Return clean, mean, regret and chance to be best of every route by going through all."""
    found = dict.fromkeys(WAYS, (0.0, 0.0, 0.0, 0.0))
    for state in product([0, 1], repeat=len(CELLS)):
        on = dict(zip(CELLS, state, strict=True))
        weight = np.prod([PROBS[c] if on[c] else 1 - PROBS[c] for c in CELLS])
        number = {name: sum(on[c] for c in cells) for name, cells in WAYS.items()}
        least = min(number.values())
        for name, dirty in number.items():
            add = (dirty == 0, dirty, dirty - least, dirty == least)
            before = found[name]
            found[name] = tuple(x + weight * y for x, y in zip(before, add, strict=True))  # type: ignore[assignment]
    return found


def test_routes_agree_with_enumeration(rng: np.random.Generator) -> None:
    truth = enumerated()
    compared = routes.compare(WAYS, PROBS, rng)
    assert [r.name for r in compared] == sorted(WAYS, key=lambda name: truth[name][1])
    for route in compared:
        shown = (route.clean, route.dirty.mean(), route.regret, route.best)
        assert [float(x) for x in shown] == pytest.approx(list(truth[route.name]), abs=1e-12)
        assert route.dirty.prob("<= 0") == pytest.approx(float(route.clean), abs=1e-12)
        assert route.regret.method == "exact"


def test_many_routes_are_simulated_within_the_stated_error(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "LARGEST", 1)
    truth = enumerated()
    for route in routes.compare(WAYS, PROBS, rng):
        _, _, regret, best = truth[route.name]
        assert route.regret.method == "simulation"
        assert abs(route.regret - regret) <= route.regret.error
        assert abs(route.best - best) <= route.best.error


def test_a_route_without_cells_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(MembershipError, match="at least one cell"):
        routes.compare({"nowhere": frozenset()}, {}, rng)
