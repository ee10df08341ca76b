"""Worlds are enumerated, conditioned and intervened on as theory says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from worlds.core.compound import Severity
from worlds.core.distributions import CountMixture, PmfTable, Point
from worlds.core.engine import Belief, evaluate
from worlds.core.outcome import Outcome
from worlds.core.questions import Amount, Assumptions, Comparison, Do, Given, Question, SumOver
from worlds.errors import ImpossibleError, QuestionError, UnknownNameError, WeightError
from worlds.possible import possible_worlds

LIKES = Question("likes", SumOver("likes_per_post", "posts"), "likes")
POSTS = Question("posts", Amount("posts"), "posts")


def severity(mean: float, size: float = 1.6) -> Severity:
    return Severity(np.ones(1), (CountMixture.of(mean, size),))


BELIEFS = {
    "posts": {
        "historical": Belief(0.3, CountMixture.of(6.0, 4.0)),
        "learned": Belief(0.7, CountMixture.of(9.0, 9.0)),
    },
    "likes_per_post": {
        "historical": Belief(0.45, severity(20.0)),
        "learned": Belief(0.55, severity(31.0)),
    },
}


def ask(question: Question = LIKES, **changes: object) -> Outcome:
    return evaluate(question, BELIEFS, Assumptions.parse(question, **changes))  # type: ignore[arg-type]


def test_the_published_example_is_exact() -> None:
    likes = possible_worlds(
        counts={"pupdates": {"historical": 6500, "learned": 7250}},
        sizes={"likes_per_pupdate": {"historical": 23, "learned": 28}},
    ).sum("likes_per_pupdate", over="pupdates", unit="likes")
    assert sorted((w.outcome.mean(), w.weight) for w in likes.worlds) == [
        (149500, 0.25),
        (166750, 0.25),
        (182000, 0.25),
        (203000, 0.25),
    ]
    assert likes.prob("> 200000") == 0.25
    assert likes.prob("> 200000").method == "exact"
    assert likes.prob("> 200000").error == 0
    assert likes.prob(">= 203000") == 0.25
    assert likes.prob("> 203000") == 0
    assert likes.mean() == 175312.5
    assert likes.interval(0.9) == (149500, 203000)


def test_weights_multiply_over_independent_choices() -> None:
    weights = {tuple(w.choices.values()): w.weight for w in ask().worlds}
    assert weights[("historical", "learned")] == pytest.approx(0.3 * 0.55)
    assert sum(weights.values()) == pytest.approx(1)


def test_the_mixture_is_the_weighted_sum_of_its_worlds() -> None:
    outcome = ask()
    for x in (0, 40, 180, 700):
        direct = sum(w.weight * float(w.outcome.cdf(x)) for w in outcome.worlds)
        assert float(outcome.cdf(x)) == pytest.approx(direct)
    assert outcome.mean() == pytest.approx((0.3 * 6 + 0.7 * 9) * (0.45 * 20 + 0.55 * 31))


def test_conditioning_on_a_range_updates_weights_and_counts_by_bayes() -> None:
    outcome = ask(POSTS, given={"posts": ">= 11"})
    tails = np.array([stats.nbinom.sf(10, 4, 4 / 10), stats.nbinom.sf(10, 9, 0.5)])
    weights = np.array([0.3, 0.7]) * tails
    found = {w.choices["posts"]: w.weight for w in outcome.worlds}
    assert found["learned"] == pytest.approx(weights[1] / weights.sum(), rel=1e-9)
    assert outcome.prob("< 11") == 0
    expected = stats.nbinom.pmf(14, [4, 9], [0.4, 0.5]) @ [0.3, 0.7] / weights.sum()
    assert float(outcome.cdf(14) - outcome.cdf(13)) == pytest.approx(expected, rel=1e-9)


def test_conditioning_on_a_model_keeps_only_its_worlds() -> None:
    outcome = ask(given={"likes_per_post": "model = learned"})
    assert {w.choices["likes_per_post"] for w in outcome.worlds} == {"learned"}
    assert outcome.mean() == pytest.approx((0.3 * 6 + 0.7 * 9) * 31)


def test_intervening_keeps_the_weights_of_everything_else() -> None:
    outcome = ask(do={"posts": 5})
    assert outcome.mean() == pytest.approx(5 * (0.45 * 20 + 0.55 * 31))
    assert {w.choices["likes_per_post"]: w.weight for w in outcome.worlds} == pytest.approx(
        {"historical": 0.45, "learned": 0.55}
    )


def test_doubling_the_traffic_doubles_every_intensity() -> None:
    outcome = ask(POSTS, do={"posts": {"times": 2}})
    direct = 0.3 * stats.nbinom.cdf(13, 4, 4 / 16) + 0.7 * stats.nbinom.cdf(13, 9, 9 / 27)
    assert float(outcome.cdf(13)) == pytest.approx(direct)


def test_seeing_is_not_doing() -> None:
    """Many posts seen speak for the model that expects many; many posts made do not."""
    seen = ask(given={"posts": ">= 15"})
    made = ask(do={"posts": 15})
    weight = sum(w.weight for w in seen.worlds if w.choices["posts"] == "learned")
    assert abs(weight - 0.7) > 0.02
    assert {w.choices["posts"] for w in made.worlds} == {"do"}


def test_conditioned_counts_flow_into_the_sum() -> None:
    outcome = ask(given={"posts": "<= 0"})
    assert outcome.mean() == 0
    some = ask(given={"posts": "> 3"})
    assert some.prob("<= 0") < ask().prob("<= 0")


@pytest.mark.parametrize("condition", ["< 0", "> 1000000", ">= 1e9"])
def test_impossible_conditions_say_so(condition: str) -> None:
    with pytest.raises(ImpossibleError, match="no possible world fulfils posts"):
        ask(POSTS, given={"posts": condition})


def test_conditioning_on_a_size_is_refused_with_the_way_out() -> None:
    with pytest.raises(QuestionError, match="condition on its model"):
        ask(given={"likes_per_post": "> 3"})


@pytest.mark.parametrize(
    "raw",
    ["", "200000 <", "> abc", "== 3", "> nan", "> inf", "1_", "> 1__0", "_1", "> 1e40", "1;drop"],
)
def test_what_is_no_comparison_is_refused(raw: str) -> None:
    with pytest.raises(QuestionError):
        Comparison.parse(raw, ">")


@pytest.mark.parametrize(
    "raw", [-1, float("nan"), float("inf"), True, "5", {"times": -2}, {"by": 2}]
)
def test_what_is_no_intervention_is_refused(raw: object) -> None:
    with pytest.raises(QuestionError, match="do takes a number"):
        Do.parse(raw)


@pytest.mark.parametrize("raw", [5, None, "learned", {"model": "x"}])
def test_what_is_no_condition_is_refused(raw: object) -> None:
    with pytest.raises(QuestionError):
        Given.parse(raw)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="known: likes_per_post, posts"):
        ask(do={"visits": 3})
    with pytest.raises(UnknownNameError, match="known: historical, learned"):
        ask(given={"posts": "model = psychic"})


def test_weights_that_do_not_sum_to_one_are_refused() -> None:
    beliefs = {"posts": {"a": Belief(0.4, Point(3)), "b": Belief(0.4, Point(4))}}
    with pytest.raises(WeightError, match=r"sum to 0\.8"):
        evaluate(POSTS, beliefs)


def test_fixing_the_count_to_a_fraction_is_refused() -> None:
    with pytest.raises(QuestionError, match="must be whole"):
        ask(do={"posts": 2.5})


def test_splitting_a_world_into_equal_halves_changes_nothing() -> None:
    halves = {
        "posts": {
            **{
                f"{name}{i}": Belief(b.weight / 2, b.content)
                for name, b in BELIEFS["posts"].items()
                for i in (1, 2)
            }
        },
        "likes_per_post": BELIEFS["likes_per_post"],
    }
    split, whole = evaluate(LIKES, halves), ask()
    for x in (0, 50, 333):
        assert float(split.cdf(x)) == pytest.approx(float(whole.cdf(x)), abs=1e-12)


@given(
    x=st.floats(0, 60),
    sign=st.sampled_from([">", ">=", "<", "<="]),
)
@settings(max_examples=60, deadline=None)
def test_conditions_agree_with_enumeration(x: float, sign: str) -> None:
    k = np.arange(3000)
    weights = {"historical": 0.3, "learned": 0.7}
    pmf = sum(w * BELIEFS["posts"][m].content.pmf(k) for m, w in weights.items())  # type: ignore[union-attr]
    condition = Comparison(sign, x)
    holds = np.array([condition.holds(float(i)) for i in k])
    if not holds.any() or pmf[holds].sum() < 1e-15:
        return
    outcome = evaluate(POSTS, BELIEFS, Assumptions(given={"posts": Given(ranges=(condition,))}))
    expected = (pmf * holds / pmf[holds].sum()) @ k
    assert outcome.mean() == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_quantities_behind_the_answer_are_there() -> None:
    outcome = ask()
    assert outcome.quantity("posts").mean() == pytest.approx(0.3 * 6 + 0.7 * 9)
    with pytest.raises(QuestionError, match="has no quantity"):
        outcome.quantity("visits")


def test_every_number_says_how_exact_it_is() -> None:
    outcome = ask()
    low, high = outcome.interval(0.9)
    for number in (outcome.mean(), outcome.prob("> 100"), low, high, outcome.median()):
        assert number.method
        assert number.error >= 0
    assert "error" in repr(outcome.prob("> 100"))


def test_conditioned_tables_know_their_error() -> None:
    outcome = ask(POSTS, given={"posts": ">= 2"})
    assert isinstance(outcome.worlds[0].outcome, PmfTable)
    assert outcome.error <= 1e-10


def test_sums_beyond_whole_floats_end() -> None:
    """Neighbouring floats are millions apart there: looking for a whole number must stop."""
    outcome = ask(do={"posts": 1e12, "likes_per_post": {"times": 1e9}})
    low, high = outcome.interval(0.9)
    assert 0 < low < outcome.mean() < high < 1e24
