"""Comparisons on common worlds agree with enumeration, and keep both answers as they are."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worlds.core.test_decide import tables
from tests.worlds.core.test_engine import POSTS, ask
from tests.worlds.core.test_explain import correlated
from worlds.core.compare import Difference, compare
from worlds.core.coupling import MOST_PAIRS, couple
from worlds.core.distributions import CountMixture, Floats, PmfTable, Point
from worlds.core.outcome import Outcome, World
from worlds.errors import QuestionError


def same_luck(a: PmfTable, b: PmfTable) -> dict[float, float]:
    """Return P(B - A = d) by walking along both cumulative lists, in plain Python."""
    found: dict[float, float] = {}
    left = [(a.start + i, float(p)) for i, p in enumerate(a.probs)]
    right = [(b.start + i, float(p)) for i, p in enumerate(b.probs)]
    while left and right:
        (x, p), (y, q) = left[0], right[0]
        step = min(p, q)
        found[y - x] = found.get(y - x, 0.0) + step
        left[0], right[0] = (x, p - step), (y, q - step)
        if p - step <= 1e-15:
            left.pop(0)
        if q - step <= 1e-15:
            right.pop(0)
    return found


def independent(a: PmfTable, b: PmfTable) -> dict[float, float]:
    found: dict[float, float] = {}
    for i, p in enumerate(a.probs):
        for j, q in enumerate(b.probs):
            d = float(b.start + j - a.start - i)
            found[d] = found.get(d, 0.0) + float(p * q)
    return found


def reference(difference: Difference, coupling: str) -> tuple[Floats, Floats]:
    total: dict[float, float] = {}
    inside = same_luck if coupling == "same luck" else independent
    for pair in difference.pairs:
        for d, p in inside(pair.a.outcome, pair.b.outcome).items():  # type: ignore[arg-type]
            total[d] = total.get(d, 0.0) + pair.weight * p
    values = np.array(sorted(total))
    return values, np.array([total[d] for d in values])


@pytest.mark.parametrize("coupling", ["same luck", "independent"])
def test_the_difference_agrees_with_enumeration(coupling: str, rng: np.random.Generator) -> None:
    for _ in range(5):
        a, b = tables(rng, (2, 2)), tables(rng, (2, 3))
        found = compare(a, b, coupling=coupling)
        difference = found.difference
        values, probs = reference(difference, coupling)
        mean = values @ probs
        assert difference.mean() == pytest.approx(mean)
        assert difference.var() == pytest.approx(probs @ (values - mean) ** 2, rel=1e-9)
        assert found.prob_above == pytest.approx(probs[values > 0].sum(), abs=1e-9)
        assert found.prob_below == pytest.approx(probs[values < 0].sum(), abs=1e-9)
        for x in (-20.0, -0.5, 0.0, 7.0, 33.0):
            assert difference.cdf(x) == pytest.approx(probs[values <= x].sum(), abs=1e-9)
        levels = [0.05, 0.3, 0.5, 0.9]
        expected = values[np.searchsorted(np.cumsum(probs), levels)]
        assert difference.quantiles(levels) == pytest.approx(expected)
        assert difference.error < 1e-9


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_an_answer_does_not_differ_from_itself(seed: int) -> None:
    a = correlated(np.random.default_rng(seed), (2, 3))
    found = compare(a, a)
    assert found.prob_above == 0
    assert found.prob_below == 0
    assert found.same_models == pytest.approx(1)
    assert found.difference.mean() == 0
    assert found.difference.var() == 0
    assert found.difference.quantiles([0.01, 0.5, 0.99]) == [0, 0, 0]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_coupling_keeps_the_weights_of_both_answers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = correlated(rng, (2, 2, 2)), correlated(rng, (2, 3))
    pairs = couple(a, b)
    for side, outcome in (("a", a), ("b", b)):
        for world in outcome.worlds:
            mass = sum(pair.weight for pair in pairs if getattr(pair, side) is world)
            assert mass == pytest.approx(world.weight, abs=1e-12)
    direct = float(b.mean()) - float(a.mean())
    assert Difference(pairs, "same luck").mean() == pytest.approx(direct)


def test_conditioned_weights_share_their_models_as_often_as_can_be() -> None:
    before = ask(POSTS)
    after = ask(POSTS, given={"posts": ">= 11"})
    p = {w.choices["posts"]: w.weight for w in before.worlds}
    q = {w.choices["posts"]: w.weight for w in after.worlds}
    found = compare(before, after)
    assert found.same_models == pytest.approx(sum(min(p[m], q[m]) for m in p))
    assert len(found.difference.pairs) == 3
    assert found.to_dict()["difference"]["mean"] == pytest.approx(
        float(after.mean()) - float(before.mean())
    )


def test_independent_choices_each_keep_their_own_overlap() -> None:
    """Learning about the posts says nothing about the likes: their model is the same in both."""
    found = compare(ask(), ask(given={"posts": "model = learned"}))
    for pair in found.difference.pairs:
        assert pair.a.choices["likes_per_post"] == pair.b.choices["likes_per_post"]
    assert found.same_models == pytest.approx(0.7)


def test_an_intervention_leaves_the_other_models_in_common() -> None:
    found = compare(ask(), ask(do={"posts": 12}))
    assert found.same_models == pytest.approx(1)
    assert {pair.b.choices["posts"] for pair in found.difference.pairs} == {"do"}
    assert found.difference.mean() == pytest.approx((12 - 8.1) * 26.05)


def test_doubling_never_takes_away_with_the_same_luck() -> None:
    a, b = ask(), ask(do={"posts": {"times": 2}})
    found = compare(a, b, threshold="> 200")
    assert found.prob_below == 0
    assert found.prob_above == pytest.approx(
        1
        - sum(w.weight * float(v.outcome.cdf(0)) for w, v in zip(a.worlds, b.worlds, strict=True)),
        abs=found.difference.error,
    )
    raw = found.to_dict()
    assert raw["prob_b"] == pytest.approx(float(b.prob("> 200")))


@pytest.mark.parametrize("coupling", ["same luck", "independent"])
def test_wide_ranges_agree_with_simulation(coupling: str, rng: np.random.Generator) -> None:
    """n draws of both: the error of a frequency is at most 0.5 / sqrt(n)."""
    one = CountMixture.of([8e4, 2e5], [6.0, 9.0], [0.4, 0.6])
    two = CountMixture.of(1.7e5, 5.0)
    a = Outcome((World({}, 1.0, one, {}),), "likes")
    b = Outcome((World({}, 1.0, two, {}),), "likes")
    found = compare(a, b, coupling=coupling)
    n = 20_000
    u = rng.uniform(size=n)
    v = u if coupling == "same luck" else rng.uniform(size=n)
    draws = two.quantile(v) - one.quantile(u)
    tolerance = 2 / np.sqrt(n) + found.difference.error
    assert found.prob_above == pytest.approx((draws > 0).mean(), abs=tolerance)
    for level, value in zip(
        (0.1, 0.5, 0.9), found.difference.quantiles([0.1, 0.5, 0.9]), strict=True
    ):
        assert (draws <= value).mean() == pytest.approx(level, abs=tolerance)
    assert np.sqrt(found.difference.var()) == pytest.approx(draws.std(), rel=0.03)
    assert found.difference.error < 1e-3


def test_bounds_hold_for_every_coupling(rng: np.random.Generator) -> None:
    for _ in range(10):
        a, b = tables(rng, (1,)), tables(rng, (1,))
        x, y = a.worlds[0].outcome, b.worlds[0].outcome
        low, high = compare(a, b).difference.bounds()
        levels = (np.arange(4000) + 0.5) / 4000
        for order in (levels, levels[::-1], np.roll(levels, 1234), rng.permutation(levels)):
            prob = (y.quantile(order) > x.quantile(levels)).mean()
            assert low - 1e-3 <= prob <= high + 1e-3


def test_points_differ_by_a_number() -> None:
    a = Outcome((World({"m": "x"}, 1.0, Point(40.0), {}),), "likes")
    b = Outcome((World({"m": "x"}, 1.0, Point(52.5), {}),), "likes")
    for coupling in ("same luck", "independent"):
        found = compare(a, b, coupling=coupling)
        assert found.prob_above == 1
        assert found.difference.quantiles([0.1, 0.9]) == pytest.approx([12.5, 12.5])


def test_json_and_text() -> None:
    found = compare(ask(), ask(do={"posts": 12}), names=("now", "twelve"), threshold=200)
    raw = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    parts = raw["difference"]
    assert parts["prob_above"] + parts["prob_equal"] + parts["prob_below"] == pytest.approx(1)
    assert parts["prob_above_bounds"]["low"] <= parts["prob_above"]
    assert parts["prob_above"] <= parts["prob_above_bounds"]["high"]
    assert "same quantile level" in raw["coupling_text"]
    assert sum(world["weight"] for world in raw["worlds"]) == pytest.approx(1)
    assert "P(twelve > now)" in found.text()


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(QuestionError, match="'posts': they cannot be compared"):
        compare(ask(), ask(POSTS))
    with pytest.raises(QuestionError, match="coupling must be one of same luck, independent"):
        compare(ask(), ask(), coupling="magic")
    many = tuple(World({"a": str(i)}, 1 / 200, Point(1.0), {}) for i in range(200))
    others = tuple(World({"b": str(i)}, 1 / 200, Point(1.0), {}) for i in range(200))
    with pytest.raises(QuestionError, match=f"more than {MOST_PAIRS:,} pairs"):
        couple(Outcome(many, "x"), Outcome(others, "x"))
