"""What cannot be asked is said, and what is odd but has an answer gets it."""

import numpy as np
import pytest
from scipy import stats

from tests.worlds.core.declared import MODEL
from worlds.core.distributions import CountMixture, Point
from worlds.core.evaluators.effort import Effort
from worlds.core.laws import Lognormals, Normals
from worlds.core.model import Choice, Driver, Model, Unknown
from worlds.core.shapes import Elicited
from worlds.core.solve import solve
from worlds.errors import (
    FormulaError,
    ImpossibleError,
    QuestionError,
    UnknownNameError,
    WeightError,
)


@pytest.mark.parametrize(
    ("formula", "options", "error", "words"),
    [
        ("x + cats", {}, FormulaError, "unknown name 'cats'"),
        ("likes * posts", {}, FormulaError, "write sum"),
        ("total + posts", {}, FormulaError, "cannot add"),
        ("1 / posts", {}, FormulaError, "can be zero"),
        ("1 / x", {}, FormulaError, "can be zero"),
        ("x", {"given": {"x": "> 1e9"}}, ImpossibleError, "no possible world"),
        ("posts", {"given": {"posts": "< 0"}}, ImpossibleError, "no possible world"),
        ("x", {"given": {"season": "winter"}}, UnknownNameError, "known: calm, peak"),
        ("x", {"given": {"season": 3}}, QuestionError, "name one of its options"),
        ("x", {"given": {"likes": "> 3"}}, QuestionError, "differs from item to item"),
        ("x", {"given": {"cats": "> 3"}}, UnknownNameError, "unknown name"),
        ("x", {"given": {"x": 3}}, QuestionError, "comparison"),
        ("x", {"do": {"x": "lots"}}, QuestionError, "do takes a number"),
        ("x", {"do": {"cats": 1}}, UnknownNameError, "unknown name"),
        ("x", {"conditions": ["x + 1"]}, QuestionError, "a condition is a comparison"),
        ("x", {"conditions": ["y > 9"]}, ImpossibleError, "no possible world"),
        ("x * y", {"conditions": ["x * y > 1e9"]}, ImpossibleError, "no possible world"),
        ("z", {"conditions": ["z + y > 99"]}, ImpossibleError, "no possible world"),
    ],
)
def test_bad_input_is_a_clear_error(
    formula: str, options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        solve(MODEL, formula, **options)  # type: ignore[arg-type]


def test_division_is_possible_once_zero_is_ruled_out() -> None:
    outcome = solve(MODEL, "1 / posts", given={"posts": "> 0"})
    k = np.arange(1, 400)
    pmf = 0.3 * stats.nbinom.pmf(k, 20, 20 / 29) + 0.7 * stats.nbinom.pmf(k, 10, 10 / 14)
    assert outcome.mean() == pytest.approx((pmf / k).sum() / pmf.sum(), rel=1e-9)
    positive = solve(MODEL, "1 / x", given={"x": "> 0.5"})
    assert np.isfinite(positive.mean())


def test_thresholds_beyond_the_support_are_impossible_or_certain() -> None:
    outcome = solve(MODEL, "y * z")
    assert outcome.prob("> 12") == 0
    assert outcome.prob("< 1") == 0
    assert outcome.possible("> 12")[0] is False
    assert outcome.certain("> 0.5") == (True, 1.0)
    assert outcome.possible("> 11")[0] is True


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(WeightError, match="sum to 0"):
        Choice("c", {"a": 0.0, "b": 0.0})


def test_a_thousand_terms_are_answered() -> None:
    many = Model.of(*(Unknown(f"q{i}", Lognormals.of(1 + i % 5, 0.5)) for i in range(1000)))
    outcome = solve(many, " + ".join(f"q{i}" for i in range(1000)))
    mean = sum((1 + i % 5) * np.exp(0.125) for i in range(1000))
    var = sum(((1 + i % 5) ** 2) * np.exp(0.25) * (np.exp(0.25) - 1) for i in range(1000))
    assert outcome.mean() == pytest.approx(mean)
    assert outcome.error < 1e-4
    assert abs(outcome.quantile(0.5) - mean) < 0.05 * np.sqrt(var)


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ([Unknown("a", Point(1)), Unknown("a", Point(2))], "declared twice"),
        ([Unknown("max", Point(1))], "is not a name"),
        ([Unknown("two words", Point(1))], "is not a name"),
        ([Unknown("a", {"x": Point(1)}, by="c")], "unknown choice"),
        ([Choice("c", {"x": 0.5, "y": 0.5}), Unknown("a", {"x": Point(1)}, by="c")], "one law for"),
        ([Unknown("a", Point(1), drivers=("d",))], "unknown driver"),
        (
            [Driver("d", Normals.of(1, 1)), Unknown("a", CountMixture.of(3.0), drivers=("d",))],
            "cannot be negative",
        ),
        ([Unknown("a", "five")], "must be laws"),  # type: ignore[arg-type]
    ],
)
def test_declarations_that_contradict_themselves_are_refused(
    declared: list[Unknown], words: str
) -> None:
    with pytest.raises((QuestionError, UnknownNameError), match=words):
        Model.of(*declared)


@pytest.mark.parametrize("bad", [0, -1, 2, float("nan")])
def test_errors_that_cannot_be_wanted_are_refused(bad: float) -> None:
    with pytest.raises(QuestionError, match="wanted error"):
        Effort(bad)


def test_an_interval_stated_by_a_person_flows_through() -> None:
    model = Model.of(
        Unknown("traffic", Lognormals.of(1000, 0.1)), Driver("growth", Elicited.of(1.2, 2.0))
    )
    outcome = solve(model, "traffic * growth")
    assert outcome.error < 1e-5
    assert outcome.quantile(0.5) == pytest.approx(1000 * np.sqrt(2.4), rel=0.01)
