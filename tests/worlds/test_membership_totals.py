"""Sums over uncertain members against enumeration, quadrature of moments and simulation."""

from itertools import product

import numpy as np
import pytest

from worlds.core.distributions import Floats
from worlds.membership import Choice, Members, MembershipError, mean_value, total
from worlds.membership import totals as module
from worlds.membership.totals import Things, sums

ONE = np.ones((1, 1), bool)


def brute(probs: Floats, values: Floats, at: Floats) -> Floats:
    found = np.zeros(len(at))
    for chosen in product([False, True], repeat=len(probs)):
        on = np.array(chosen)
        found += np.where(on, probs, 1 - probs).prod() * (values[on].sum() <= at + 1e-9)
    return found


@pytest.mark.parametrize("whole", [True, False])
def test_few_values_agree_with_enumeration(whole: bool, rng: np.random.Generator) -> None:
    probs, values = rng.uniform(size=10), rng.gamma(1.5, 20, 10)
    values = np.floor(values) if whole else values
    at = np.linspace(0, values.sum(), 41) + 1e-6
    answer = total(Members(probs).valued(values), unit="likes")
    assert answer.cdf(at) == pytest.approx(brute(probs, values, at), abs=1e-12)
    assert answer.mean() == pytest.approx(probs @ values, rel=1e-12)


@pytest.mark.parametrize("step", [1.0, 7.0, 0.37])
def test_lattice_and_series_agree_with_enumeration(
    step: float, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    probs, values = rng.uniform(0.05, 0.95, 16), step * np.floor(rng.gamma(2, 30, 16))
    at = step * (np.linspace(3, values.sum() / step, 30).round() + 0.25)
    truth = total(Members(probs[:14]).valued(values[:14]))
    monkeypatch.setattr(module, "FEW", 0)
    (found,) = sums([Things(probs[:14], values[:14], np.zeros(14))], ONE)
    error = float(getattr(found, "error", 0.0))
    assert np.abs(found.cdf(at) - truth.cdf(at)).max() <= error + 1e-10
    if step >= 1:
        assert error < 1e-9, "whole multiples are exact"


def test_uncertain_values_have_their_variance(rng: np.random.Generator) -> None:
    n, draws = 60, 40_000
    probs, mean = rng.uniform(size=n) ** 2, rng.uniform(5, 50, n)
    var = rng.uniform(0, 9, n)
    answer = total(Members(probs).valued(mean, var))
    on = rng.uniform(size=(draws, n)) < probs
    truth = (on * (mean + np.sqrt(var) * rng.standard_normal((draws, n)))).sum(1)
    assert answer.error < 1e-6
    for level in (0.05, 0.3, 0.5, 0.8, 0.97):
        share = float((truth <= answer.quantile(level)).mean())
        assert abs(share - level) < 4 * np.sqrt(level * (1 - level) / draws)
    second = probs * (mean**2 + var) - (probs * mean) ** 2
    assert answer.sd() == pytest.approx(np.sqrt(second.sum()), rel=1e-9)


@pytest.mark.parametrize("spread", [0.0, 4.0])
def test_cumulants_agree_with_the_whole_transform(
    spread: float, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 4000
    values = np.floor(rng.gamma(1.5, 40, n))
    things = Things(rng.uniform(size=n) ** 2, values, np.full(n, spread))
    monkeypatch.setattr(module, "LATTICE", 0)
    (direct,) = sums([things], ONE)
    monkeypatch.setattr(module, "DIRECT", 0)
    (fast,) = sums([things], ONE)
    at = np.floor(direct.quantile(np.linspace(0.001, 0.999, 60)))
    gap = np.abs(direct.cdf(at) - fast.cdf(at)).max()
    assert gap <= fast.error + direct.error  # type: ignore[attr-defined]
    assert fast.error < 1e-5  # type: ignore[attr-defined]
    assert "cumulants" in fast.method  # type: ignore[attr-defined]


def test_sums_are_mixed_over_the_worlds_of_a_choice() -> None:
    choice = Choice("tag", {"yes": 0.25, "no": 0.75})
    wanted = (("tag", frozenset({"yes"})),)
    members = Members(np.array([0.5, 0.5, 1.0]), np.array([0, 1, 1]), ((), wanted), {"tag": choice})
    answer = total(members.valued(np.array([3.0, 10.0, 100.0])), unit="likes")
    assert [world.choices["tag"] for world in answer.worlds] == ["yes", "no"]
    assert answer.mean() == pytest.approx(1.5 + 0.25 * 105)
    assert answer.prob("> 50") == pytest.approx(0.25)
    assert answer.prob(">= 113") == pytest.approx(0.25 * 0.25)
    rate = mean_value(answer, 4.0)
    assert rate.mean() == pytest.approx(answer.mean() / 4)


@pytest.mark.slowish
@pytest.mark.parametrize("kind", ["whole", "real", "uncertain", "cumulants"])
def test_many_worlds_at_once_agree_with_one_by_one(
    kind: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, names = 400, [f"tag{i}" for i in range(4)]
    values = rng.gamma(1.5, 20, n)
    values = np.floor(values) if kind in {"whole", "cumulants"} else values
    members = Members(
        rng.uniform(size=n),
        np.minimum(rng.integers(0, 20, n), 4),
        (*(((name, frozenset({"yes"})),) for name in names), ()),
        {name: Choice(name, {"yes": 0.3, "no": 0.7}) for name in names},
    ).valued(values, np.full(n, 2.0 if kind == "uncertain" else 0.0))
    if kind == "cumulants":
        monkeypatch.setattr(module, "DIRECT", 0)
    fast = total(members)
    monkeypatch.setattr(module, "FEW_WORLDS", 1000)
    monkeypatch.setattr(module, "DIRECT", 20_000)
    slow = total(members)
    assert len(fast.worlds) == len(slow.worlds) == 16
    assert len(fast.mixture.parts) == 1
    at = np.linspace(0.5, values.sum(), 99).round() + 0.25
    assert np.abs(fast.cdf(at) - slow.cdf(at)).max() <= fast.error + slow.error + 1e-12
    assert fast.error < 1e-3
    assert fast.mean() == pytest.approx(slow.mean(), rel=1e-12)
    assert fast.sd() == pytest.approx(slow.sd(), rel=1e-9)


def test_members_without_values_cannot_be_added_up() -> None:
    with pytest.raises(MembershipError, match="bring nothing"):
        total(Members(np.ones(2)))
    with pytest.raises(MembershipError, match="exposure"):
        mean_value(total(Members(np.ones(2)).valued(np.ones(2))), 0)
    with pytest.raises(MembershipError, match="one value"):
        Members(np.ones(2)).valued(np.ones(3))
