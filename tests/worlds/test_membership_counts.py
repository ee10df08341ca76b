"""Counts of uncertain members against enumeration, convolution and direct transforms."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st

from worlds.core.distributions import Floats, PmfTable
from worlds.errors import ImpossibleError, UnknownNameError, WeightError
from worlds.membership import Choice, Members, MembershipError, Seen, count, given, together
from worlds.membership.counting import product_table, tables, tally

YES = frozenset({"yes"})
ONE = np.ones((1, 1), bool)
PROBS = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 1e-9, 1 - 1e-9, 0.5]))


def convolved(probs: Floats) -> Floats:
    table = np.ones(1)
    for p in probs:
        table = np.convolve(table, [1 - p, p])
    return table


def full(table: PmfTable, n: int) -> Floats:
    probs = np.zeros(n + 1)
    probs[table.start : table.start + len(table.probs)] = table.probs
    return probs


def by_transform(probs: Floats, low: int, high: int) -> Floats:
    """Return the cdf on [low, high) from the product of all factors, one frequency at a time."""
    size = 1 << int(np.ceil(np.log2(len(probs) + 1)))
    t = 2 * np.pi * np.arange(size // 2 + 1) / size
    spread = float((probs * (1 - probs)).sum())
    keep = spread * (1 - np.cos(t)) < 45
    waves = np.zeros(len(t), complex)
    waves[keep] = [np.exp(np.log1p(probs * (np.exp(1j * x) - 1)).sum()) for x in t[keep]]
    return np.cumsum(np.fft.irfft(np.conj(waves), size))[low:high]


def brute(members: Members) -> Floats:
    """Return the distribution of the count by going through all alternatives of all choices."""
    group = np.zeros(len(members), int) if members.group is None else members.group
    names = list(members.choices)
    total = np.zeros(len(members) + 1)
    for labels in product(*[members.choices[name].probs for name in names]):
        world = dict(zip(names, labels, strict=True))
        weight = np.prod([members.choices[name].probs[world[name]] for name in names])
        holds = [all(world[n] in wanted for n, wanted in c) for c in members.conditions]
        total += weight * convolved(members.probs * np.array(holds, float)[group])
    return total


@settings(max_examples=60, deadline=None)
@over(st.lists(PROBS, max_size=40))
def test_few_facts_agree_with_convolution(probs: list[float]) -> None:
    found = count(Members(np.array(probs, float))).worlds[0].outcome
    expected = convolved(np.array(probs, float))
    assert isinstance(found, PmfTable)
    assert full(found, len(probs)) == pytest.approx(expected, abs=1e-13)
    assert float(found.mean()) == pytest.approx(sum(probs), abs=1e-10)


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.3, 3.0), (3.0, 0.1), (5.0, 5.0)])
def test_power_sums_stay_within_their_error(a: float, b: float, rng: np.random.Generator) -> None:
    probs = rng.beta(a, b, 12_000)
    found = tables([tally(probs)], ONE)[0]
    low, high = found.start, found.start + len(found.probs)
    truth = by_transform(probs, low, high)
    assert np.abs(np.cumsum(found.probs) - truth).max() <= found.error + 1e-12
    assert found.error < 2e-10
    assert found.mean() == pytest.approx(probs.sum(), rel=1e-12)
    assert found.var() == pytest.approx((probs * (1 - probs)).sum(), rel=1e-8)


def test_many_rare_facts_and_a_few_even_ones(rng: np.random.Generator) -> None:
    probs = np.concatenate([np.full(40_000, 1e-4), rng.uniform(size=60), np.zeros(9), np.ones(7)])
    found = tables([tally(probs)], ONE)[0]
    rare = product_table(np.full(40_000, 1e-4))[:80]
    truth = np.convolve(rare, convolved(probs[40_000:]))
    size = found.start + len(found.probs)
    shown = full(found, size - 1)
    reach = min(size, 80)
    assert np.abs(np.cumsum(shown)[:reach] - np.cumsum(truth)[:reach]).max() <= 1e-11
    assert found.start >= 7


def test_nobody_and_everybody() -> None:
    assert count(Members(np.zeros(0))).mean() == 0
    assert count(Members(np.zeros(5))).prob("> 0") == 0
    assert count(Members(np.ones(5))).prob(">= 5") == 1
    assert count(Members(np.ones(20_000))).interval(0.99) == (20_000, 20_000)


def test_probabilities_outside_0_and_1_are_refused() -> None:
    with pytest.raises(MembershipError, match=r"1\.2"):
        Members(np.array([0.5, 1.2]))
    with pytest.raises(MembershipError, match="nan"):
        Members(np.array([0.5, np.nan]))


def shared(rng: np.random.Generator, things: int, choices: int) -> Members:
    names = [f"tag{i}" for i in range(choices)]
    alternatives = {
        name: Choice(name, {"yes": 0.15 + 0.2 * i, "no": 0.75 - 0.2 * i, "maybe": 0.1})
        for i, name in enumerate(names)
    }
    conditions = ((), *(((name, YES),) for name in names), tuple((name, YES) for name in names[:2]))
    group = rng.integers(0, len(conditions), things)
    return Members(rng.uniform(size=things), group, conditions, alternatives)


def test_shared_choices_agree_with_enumeration(rng: np.random.Generator) -> None:
    members = shared(rng, 30, 4)
    answer = count(members)
    truth = brute(members)
    assert len(answer.worlds) == 16
    assert answer.cdf(np.arange(31)) == pytest.approx(np.cumsum(truth), abs=1e-11)
    assert answer.mean() == pytest.approx(truth @ np.arange(31), rel=1e-12)
    assert answer.quantile(0.8) == np.searchsorted(np.cumsum(truth), 0.8)


def test_choices_left_to_chance_give_the_same_count(rng: np.random.Generator) -> None:
    names = [f"tag{i}" for i in range(7)]
    members = Members(
        rng.uniform(size=40),
        rng.integers(0, 8, 40),
        ((), *(((name, YES),) for name in names)),
        {name: Choice(name, {"yes": 0.3, "no": 0.7}) for name in names},
    )
    every, few = count(members), count(members, most_worlds=8)
    assert (len(every.worlds), len(few.worlds)) == (128, 8)
    assert few.cdf(np.arange(41)) == pytest.approx(every.cdf(np.arange(41)), abs=1e-11)
    assert few.mean() == pytest.approx(every.mean(), rel=1e-11)


def test_too_many_choices_that_hang_together_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(MembershipError, match="ties several groups"):
        count(shared(rng, 30, 4), most_worlds=1)


def test_taking_an_ambiguous_hashtag_as_independent_is_far_too_sure() -> None:
    """The trap: 900 posts carry #adorabull, which means #adorable or not for all of them alike."""
    prob, sure = 0.65, 400
    meaning = {"hashtag:adorabull": Choice("hashtag:adorabull", {"adorable": prob, "bull": 0.35})}
    wanted = (("hashtag:adorabull", frozenset({"adorable"})),)
    group = np.repeat([0, 1], [sure, 900])
    honest = count(Members(np.repeat([0.9, 1.0], [sure, 900]), group, ((), wanted), meaning))
    naive = count(Members(np.repeat([0.9, prob], [sure, 900])))
    assert honest.mean() == pytest.approx(naive.mean(), rel=1e-12)
    rng, n = np.random.default_rng(11), 4000
    truth = rng.binomial(sure, 0.9, n) + 900 * (rng.uniform(size=n) < prob)
    cover = {}
    for name, answer in {"honest": honest, "naive": naive}.items():
        low, high = answer.interval(0.9)
        cover[name] = float(((truth >= low) & (truth <= high)).mean())
    noise = 4 * np.sqrt(0.9 * 0.1 / n)
    assert 0.9 - noise <= cover["honest"] <= 0.97 + noise, "whole numbers cover a little more"
    assert cover["naive"] == 0.0
    widths = [float(a.interval(0.9)[1] - a.interval(0.9)[0]) for a in (honest, naive)]
    assert widths[0] > 13 * widths[1]
    assert honest.sd() > 13 * naive.sd()


def test_a_count_tells_which_meaning_was_right() -> None:
    prior = 0.65
    choice = Choice("hashtag:x", {"dog": prior, "bull": 1 - prior})
    wanted = (("hashtag:x", frozenset({"dog"})),)
    probs, group = np.array([0.5] * 6 + [0.7] * 4), np.array([0] * 6 + [1] * 4)
    answer = count(Members(probs, group, ((), wanted), {"hashtag:x": choice}))
    without, within = convolved(probs[:6]), convolved(probs)
    for seen in (2, 4):
        like = prior * within[seen], (1 - prior) * without[seen]
        found = given(answer, seen)
        assert found.chance("hashtag:x")["dog"] == pytest.approx(like[0] / sum(like), rel=1e-10)
        assert found.interval(0.9) == (seen, seen)
    assert given(answer, 9).chance("hashtag:x") == {"dog": 1.0}
    above = given(answer, "> 5").chance("hashtag:x")["dog"]
    like = prior * within[6:].sum(), (1 - prior) * without[6:].sum()
    assert above == pytest.approx(like[0] / sum(like), rel=1e-10)
    noisy = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    like = prior * (within @ noisy), (1 - prior) * (without @ noisy[:7])
    found = given(answer, Seen(5, 1.5))
    assert found.chance("hashtag:x")["dog"] == pytest.approx(like[0] / sum(like), rel=1e-10)


def test_bad_observations_and_names() -> None:
    answer = count(Members(np.full(3, 0.5)))
    with pytest.raises(ImpossibleError, match="4"):
        given(answer, 4)
    with pytest.raises(MembershipError, match="no choice 'x'"):
        answer.chance("x")
    with pytest.raises(MembershipError, match="rate"):
        given(answer.per(2.0), 1)
    with pytest.raises(UnknownNameError, match="tag"):
        count(Members(np.ones(1), np.zeros(1, int), ((("tag", YES),),), {}))
    with pytest.raises(WeightError):
        Choice("tag", {"yes": 0.3, "no": 0.3})


def test_a_rate_is_the_count_per_exposure() -> None:
    answer = count(Members(np.array([0.2, 0.9, 0.4])), unit="sightings")
    rate = answer.per(2.5, "sightings per km")
    assert rate.mean() == pytest.approx(1.5 / 2.5)
    assert rate.prob("> 0.5") == pytest.approx(answer.prob("> 1"))
    assert rate.quantile(0.9) == pytest.approx(answer.quantile(0.9) / 2.5)
    assert (rate.unit, rate.error) == ("sightings per km", answer.error)
    with pytest.raises(MembershipError, match="exposure"):
        answer.per(0.0)


def test_adding_somebody_who_is_no_member_or_splitting_groups_changes_nothing(
    rng: np.random.Generator,
) -> None:
    probs = rng.uniform(size=25)
    plain = count(Members(probs)).cdf(np.arange(26))
    more = count(Members(np.append(probs, 0.0))).cdf(np.arange(26))
    apart = count(together(Members(probs[:9]), Members(probs[9:]))).cdf(np.arange(26))
    assert more == pytest.approx(plain, abs=1e-13)
    assert apart == pytest.approx(plain, abs=1e-13)
