"""Explanations agree with enumeration and keep the laws of fair splitting."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats

from tests.worlds.core.test_engine import BELIEFS, LIKES, ask
from worlds.core.distributions import (
    CountMixture,
    Distribution,
    Floats,
    Mixture,
    Multiple,
    PmfTable,
    Point,
)
from worlds.core.engine import evaluate
from worlds.core.explain import (
    INSIDE,
    contributions,
    explain,
    prob_shares,
    sensitivity,
    variance_shares,
)
from worlds.core.mixing import at_drivers
from worlds.core.outcome import Outcome, World
from worlds.core.questions import Assumptions
from worlds.core.shapley import _exact, _sampled, shapley
from worlds.core.tables import percentages
from worlds.errors import QuestionError, UnknownNameError, WeightError


def correlated(rng: np.random.Generator, sizes: tuple[int, ...] = (2, 3, 2)) -> Outcome:
    """Return worlds whose choices depend on one another, with counts inside."""
    combos = list(product(*(range(n) for n in sizes)))
    weights = rng.dirichlet(np.ones(len(combos)))
    worlds = [
        World(
            {f"c{i}": f"o{option}" for i, option in enumerate(combo)},
            float(weight),
            CountMixture.of(float(rng.uniform(2, 60)), float(rng.uniform(0.5, 9))),
            {},
        )
        for combo, weight in zip(combos, weights, strict=True)
    ]
    return Outcome(tuple(worlds), "likes")


def conditional_variance(
    outcome: Outcome, names: frozenset[str], centre: dict[int, float]
) -> float:
    """Return Var(E[. | names]) in plain Python."""
    overall = sum(w.weight * centre[i] for i, w in enumerate(outcome.worlds))
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, world in enumerate(outcome.worlds):
        groups.setdefault(tuple(world.choices[n] for n in sorted(names)), []).append(i)
    total = 0.0
    for members in groups.values():
        mass = sum(outcome.worlds[i].weight for i in members)
        mean = sum(outcome.worlds[i].weight * centre[i] for i in members) / mass
        total += mass * (mean - overall) ** 2
    return total


def by_all_orders(outcome: Outcome, centre: dict[int, float]) -> dict[str, float]:
    """Return Shapley values from their definition: the mean gain over all orders."""
    names = list(outcome.worlds[0].choices)
    gains = dict.fromkeys(names, 0.0)
    orders = list(permutations(names))
    for order in orders:
        for i, name in enumerate(order):
            after = conditional_variance(outcome, frozenset(order[: i + 1]), centre)
            before = conditional_variance(outcome, frozenset(order[:i]), centre)
            gains[name] += (after - before) / len(orders)
    return gains


def test_shares_agree_with_the_definition_over_all_orders(rng: np.random.Generator) -> None:
    for _ in range(5):
        outcome = correlated(rng)
        centre = {i: w.outcome.mean() for i, w in enumerate(outcome.worlds)}
        expected = by_all_orders(outcome, centre)
        found = variance_shares(outcome)
        total = outcome.mixture.var()
        assert found.variance == pytest.approx(total, rel=1e-12)
        for name, value in expected.items():
            assert found.share(name) == pytest.approx(value / total, rel=1e-9, abs=1e-12)
        within = sum(w.weight * w.outcome.var() for w in outcome.worlds)
        assert found.share(INSIDE) == pytest.approx(within / total, rel=1e-12)
        assert found.method == "exact"


def test_shares_of_a_probability_split_its_own_variance(rng: np.random.Generator) -> None:
    outcome = correlated(rng)
    p = {i: float(1 - w.outcome.cdf(31)) for i, w in enumerate(outcome.worlds)}
    prob = float(outcome.prob("> 31"))
    found = prob_shares(outcome, "> 31")
    assert found.variance == pytest.approx(prob * (1 - prob), rel=1e-9)
    expected = by_all_orders(outcome, p)
    for name, value in expected.items():
        assert found.share(name) == pytest.approx(value / found.variance, rel=1e-9)


def test_the_published_example_splits_as_by_hand() -> None:
    """Means 149500, 166750, 182000, 203000: main effects and half of the interaction each."""
    values = {("h", "h"): 149_500.0, ("l", "h"): 166_750.0, ("h", "l"): 182_000.0}
    values["l", "l"] = 203_000.0
    worlds = [World({"n": n, "x": x}, 0.25, Point(v), {}) for (n, x), v in values.items()]
    found = variance_shares(Outcome(tuple(worlds), "likes"))
    main_n, main_x = 9_562.5**2, 17_187.5**2
    interaction = found.variance - main_n - main_x
    assert found.share("n") == pytest.approx((main_n + interaction / 2) / found.variance)
    assert found.share("x") == pytest.approx((main_x + interaction / 2) / found.variance)
    assert found.share(INSIDE) == 0


@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_shares_sum_to_one_in_any_order_of_choices(seed: int, sizes: list[int]) -> None:
    outcome = correlated(np.random.default_rng(seed), tuple(sizes))
    found = variance_shares(outcome)
    assert fsum(part.share for part in found.parts) == pytest.approx(1, abs=2e-16)
    assert all(part.share >= 0 for part in found.parts)
    turned = Outcome(
        tuple(
            World(dict(reversed(list(w.choices.items()))), w.weight, w.outcome, {})
            for w in reversed(outcome.worlds)
        ),
        "likes",
    )
    for part in found.parts:
        assert variance_shares(turned).share(part.name) == pytest.approx(part.share, abs=1e-12)


@given(seed=st.integers(0, 2**32 - 1), weight=st.floats(0.01, 0.99))
@settings(max_examples=25, deadline=None)
def test_a_choice_that_changes_nothing_has_no_share(seed: int, weight: float) -> None:
    outcome = correlated(np.random.default_rng(seed), (2, 2))
    padded = Outcome(
        tuple(
            World({**w.choices, "coin": side}, w.weight * p, w.outcome, {})
            for w in outcome.worlds
            for side, p in (("heads", weight), ("tails", 1 - weight))
        ),
        "likes",
    )
    before, after = variance_shares(outcome), variance_shares(padded)
    assert after.share("coin") == pytest.approx(0, abs=1e-12)
    for part in before.parts:
        assert after.share(part.name) == pytest.approx(part.share, abs=1e-9)
    coin = {effect.choice: effect for effect in sensitivity(padded, "> 20")}["coin"]
    assert coin.mean_moves == pytest.approx(0, abs=1e-6)
    assert all(abs(option.mean_change) < 1e-9 for option in coin.options)


def test_sampled_orders_are_within_their_stated_errors() -> None:
    rng = np.random.default_rng(7)
    worth = rng.uniform(0, 1, 1 << 8)

    def game(members: frozenset[int]) -> float:
        return float(worth[sum(1 << i for i in members)])

    exact, sampled = _exact(8, game), _sampled(8, game, 400, rng)
    for value, found, error in zip(exact.values, sampled.values, sampled.errors, strict=True):
        assert abs(value - found) < 4.5 * error
    assert sum(sampled.values) == pytest.approx(worth[-1] - worth[0])


def test_many_choices_are_split_by_sampling_that_says_so() -> None:
    rng = np.random.default_rng(3)
    effects = 2.0 ** -np.arange(12)
    worlds = []
    for bits in product((0, 1), repeat=12):
        level = 100 + float(np.array(bits) @ effects) * 10
        worlds.append(
            World({f"c{i}": str(b) for i, b in enumerate(bits)}, 2.0**-12, Point(level), {})
        )
    found = variance_shares(Outcome(tuple(worlds), "likes"), seed=int(rng.integers(1000)))
    assert found.method == "sampled orders"
    for i, effect in enumerate(effects):
        assert found.share(f"c{i}") == pytest.approx(effect**2 / (effects**2).sum(), abs=1e-9)


def test_too_many_choices_are_refused() -> None:
    with pytest.raises(QuestionError, match="65 things are too many"):
        shapley(65, len)


def test_contributions_sum_to_the_probability(rng: np.random.Generator) -> None:
    outcome = correlated(rng)
    rows = contributions(outcome, "> 37")
    assert fsum(row.contribution for row in rows) == pytest.approx(float(outcome.prob("> 37")))
    assert fsum(row.share for row in rows) == pytest.approx(1)
    assert [r.contribution for r in rows] == sorted((r.contribution for r in rows), reverse=True)


@pytest.mark.parametrize("threshold", ["> 1e9", "< 0"])
def test_thresholds_beyond_the_support_have_probability_zero(threshold: str) -> None:
    found = explain(ask(), threshold)
    assert found.prob == pytest.approx(0, abs=1e-9)
    assert all(row.contribution == pytest.approx(0, abs=1e-9) for row in found.worlds)
    json.dumps(found.to_dict(), allow_nan=False)


def test_sensitivity_is_what_conditioning_says() -> None:
    outcome = ask()
    for effect in sensitivity(outcome, "> 200", acts_at=0.5):
        for option in effect.options:
            assume = Assumptions.parse(LIKES, {effect.choice: f"model = {option.option}"})
            seen = evaluate(LIKES, BELIEFS, assume)
            assert option.mean == pytest.approx(float(seen.mean()))
            assert option.mean_change == pytest.approx(float(seen.mean()) - float(outcome.mean()))
            assert option.prob == pytest.approx(float(seen.prob("> 200")))
            flips = (seen.prob("> 200") > 0.5) != (outcome.prob("> 200") > 0.5)
            assert option.flips == flips
        assert sum(option.weight for option in effect.options) == pytest.approx(1)
        changes = [o.weight * o.mean_change**2 for o in effect.options]
        assert effect.mean_moves == pytest.approx(np.sqrt(sum(changes)))


def test_the_most_moving_choice_comes_first() -> None:
    found = explain(ask(), 200, acts_at=0.5)
    assert found.moves_most == "likes_per_post"
    assert found.effects[0].mean_moves > found.effects[1].mean_moves
    assert found.effects[0].flips == pytest.approx(0.55)
    told = "To know likes_per_post would change what is done with probability 55%."
    assert told in found.text()
    assert "To know" not in explain(ask(), 200).text()
    nothing = "To know any one of these would not change what is done."
    assert nothing in explain(ask(), 200, acts_at=0.999).text()


def test_one_world_leaves_nothing_to_split() -> None:
    sure = Outcome((World({"posts": "do"}, 1.0, Point(7.0), {}),), "likes")
    found = explain(sure, "> 5")
    assert found.variance.variance == 0
    assert all(part.share == 0 for part in found.variance.parts)
    assert found.moves_most is None
    assert found.prob == 1
    assert "mean 7 likes" in found.text()


def test_what_cannot_be_explained_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="known: likes_per_post, posts"):
        sensitivity(ask(), choices=["moon"])
    with pytest.raises(QuestionError, match="not a comparison"):
        explain(ask(), "many")
    with pytest.raises(WeightError):
        variance_shares(Outcome((World({}, 0.0, Point(1.0), {}),), "likes"))


def test_json_and_text_show_the_same() -> None:
    found = explain(ask(), "> 200", acts_at=0.5)
    raw = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert raw["moves_most"] == "likes_per_post"
    assert sum(part["share"] for part in raw["variance"]["parts"]) == pytest.approx(1)
    assert raw["other_worlds"] == {"count": 0, "contribution": 0}
    text = found.text()
    assert "inside the worlds" in text
    assert "posts = learned" in text


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=9))
def test_shown_percentages_sum_to_a_hundred(raw: list[float]) -> None:
    shares = np.array(raw) / np.sum(raw)
    shown = [float(text.rstrip("%")) for text in percentages(shares.tolist())]
    assert sum(shown) == pytest.approx(100, abs=1e-9)
    assert np.abs(np.array(shown) - 100 * shares).max() <= 0.1 + 1e-9


class Inverse(Point):
    """A law known by its quantiles, all that a driver is asked for."""

    def __init__(self, ppf: Callable[[ArrayLike], Floats]) -> None:
        super().__init__(1.0)
        object.__setattr__(self, "ppf", ppf)

    def quantile(self, p: ArrayLike) -> Floats:
        return np.asarray(self.ppf(p))  # type: ignore[attr-defined]


def test_drivers_become_choices_whose_shares_are_known() -> None:
    """Y = D X, independent: main effects m_x^2 v_d and m_d^2 v_x, the rest is interaction."""

    def ask_at(fixed: Mapping[str, float]) -> Outcome:
        d = fixed["growth"]
        worlds = [
            World({"model": name}, weight, PmfTable(0, np.eye(1, 200, value)[0]), {})
            for name, weight, value in (("low", 0.25, 40), ("high", 0.75, 100))
        ]
        scaled = [World(w.choices, w.weight, Multiple(w.outcome, d), {}) for w in worlds]
        return Outcome(tuple(scaled), "likes")

    found = at_drivers(ask_at, {"growth": Inverse(stats.uniform(1, 3).ppf)})
    shares = variance_shares(found)
    m_d, v_d = 2.5, 0.75
    m_x, v_x = 85.0, 0.25 * 45**2 + 0.75 * 15**2
    total = (v_d + m_d**2) * (v_x + m_x**2) - (m_d * m_x) ** 2
    assert shares.variance == pytest.approx(total, rel=1e-9)
    assert shares.share("growth") == pytest.approx((m_x**2 * v_d + v_d * v_x / 2) / total, rel=1e-9)
    assert shares.share("model") == pytest.approx((m_d**2 * v_x + v_d * v_x / 2) / total, rel=1e-9)
    assert shares.share(INSIDE) == pytest.approx(0, abs=1e-9)
    with pytest.raises(QuestionError, match="1 to 3 drivers"):
        at_drivers(ask_at, {})


def test_a_smooth_driver_is_integrated_closely() -> None:
    def ask_at(fixed: Mapping[str, float]) -> Outcome:
        return ask(do={"posts": {"times": fixed["uplift"]}})

    found = at_drivers(ask_at, {"uplift": Inverse(stats.gamma(9.0, scale=0.2).ppf)})
    assert found.mean() == pytest.approx(1.8 * ask().mean(), rel=1e-3)
    assert 0 < variance_shares(found).share("uplift") < 1


def test_an_answer_that_was_not_computed_world_by_world_says_so() -> None:
    @dataclass(frozen=True, eq=False)
    class AtOnce(Outcome):
        whole: Distribution | None = None

        @cached_property
        def mixture(self) -> Mixture:
            assert self.whole is not None
            return Mixture(np.ones(1), (self.whole,))

    law = CountMixture.of(40.0, 3.0)
    shown = World({"a": "x"}, 0.1, Point(40.0), {})
    outcome = AtOnce((shown,), "likes", whole=law)
    found = explain(outcome, "> 50")
    assert found.variance.share(INSIDE) == 1
    assert found.variance.variance == pytest.approx(law.var())
    assert found.worlds[0].contribution == pytest.approx(1 - float(law.cdf(50)))
    assert "not computed world by world" in found.note
    assert found.note in found.text()
