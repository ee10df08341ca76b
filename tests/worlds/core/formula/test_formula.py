"""Formulas are read as people mean them, and refused with the place and the way out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worlds.core.formula import Range, Symbol, Units, check, parse, value
from worlds.core.formula.tree import Name, Node
from worlds.errors import FormulaError

SYMBOLS = {
    "posts": Symbol("count", Units.parse("posts")),
    "likes_per_post": Symbol("size", Units.parse("likes/post")),
    "visits": Symbol("count", Units.parse("visits")),
    "rate": Symbol("amount", Units.parse("likes/post"), Range.of(1, 9)),
    "price": Symbol("amount", Units.parse("EUR/like"), Range.of(0, 3, zero=False)),
    "drift": Symbol("amount", Units.parse("likes"), Range.of(-5, 5)),
}


def compute(text: str, **known: float) -> float:
    arrays: dict[Node, np.ndarray] = {Name(k): np.asarray(v) for k, v in known.items()}
    return float(value(parse(text), arrays))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("2 - 3 - 4", -5),
        ("100 / 5 / 2", 10),
        ("-2 * -3", 6),
        ("--5", 5),
        ("-(2 + 3) * 2", -10),
        ("200_000 + 1.5e3 + .5", 201500.5),
        ("20% * 50", 10),
        ("min(4, 2, 8) + max(1, 3)", 5),
        ("if(2 > 1, 10, 20) + if(1 > 2, 1, 2)", 12),
        ("steps(1001, 500) + steps(1000, 500) + steps(0, 500) + steps(-4, 500)", 5),
        ("over(7, 5) + under(7, 5) + over(3, 5) + under(3, 5)", 4),
        ("ceil(2.1) + floor(2.9) + abs(-3)", 8),
        ("(3 >= 3) + (3 > 3) + (2 <= 1) + (1 < 2)", 2),
        ("2 × 3 − 4 ÷ 2", 4),
        ("(1 ≤ 1) + (2 ≥ 3)", 1),
    ],
)
def test_arithmetic_is_as_at_school(text: str, expected: float) -> None:
    assert compute(text) == pytest.approx(expected)


def test_a_name_is_one_value_wherever_it_stands() -> None:
    assert compute("x * x - x", x=7) == 42


def test_a_thousand_terms_are_read_and_added() -> None:
    assert compute(" + ".join(["x"] * 5000), x=2) == 10_000


@pytest.mark.parametrize(
    ("text", "words", "line", "column"),
    [
        ("", "is empty", 1, 1),
        ("posts +", "ends too early", 1, 8),
        ("posts * * 2", "is expected here", 1, 9),
        ("(posts", "never closed", 1, 1),
        ("posts)", "closes nothing", 1, 6),
        ("posts 2", "expected an operator", 1, 7),
        ("posts $ 2", r"cannot contain '\$'", 1, 7),
        ("mean(posts)", "no function 'mean'", 1, 1),
        ("min(posts)", r"is written min\(a, b", 1, 1),
        ("max", "is a function", 1, 1),
        ("max()", "nothing between", 1, 5),
        ("(posts, 2)", "belongs to a function", 1, 7),
        ("1 < posts < 3", "do not chain", 1, 11),
        ("posts == 3", "not a comparison", 1, 7),
        ("(posts > 1) and (posts < 3)", "multiply comparisons", 1, 13),
        ("posts +\n  cats", "unknown name 'cats'; known: drift, likes", 2, 3),
        ("1e99", "too large", 1, 1),
        ("posts\n+ visits", "cannot add visit and post", 2, 3),
        ("posts > visits", "cannot compare post with visit", 1, 1),
        ("max(posts, visits)", "matching units; here they are post, visit", 1, 1),
        ("sum(likes_per_post, visits)", "must go over a number of post, not of visit", 1, 21),
        ("sum(posts, posts)", "the size of one thing here", 1, 5),
        ("sum(likes_per_post, 5)", "a number of things here", 1, 21),
        ("likes_per_post * posts", r"write sum\(likes_per_post, posts\)", 1, 1),
        ("rate / posts", "divides by 'posts', which can be zero", 1, 8),
        ("rate / drift", "can be zero", 1, 8),
        ("rate / 0", "divides by 0", 1, 8),
        ("rate / (rate - rate)", "can be zero", 1, 9),
        ("steps(rate, drift)", "matching units", 1, 1),
        ("steps(drift, drift)", "above zero", 1, 14),
    ],
)
def test_what_has_no_meaning_is_refused_at_its_place(
    text: str, words: str, line: int, column: int
) -> None:
    with pytest.raises(FormulaError, match=words) as caught:
        check(text, SYMBOLS)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_the_place_is_marked_under_the_text() -> None:
    with pytest.raises(FormulaError) as caught:
        check("posts * 2 + cats", SYMBOLS)
    assert str(caught.value).endswith("  posts * 2 + cats\n              ^^^^")


@pytest.mark.parametrize(
    ("text", "units", "low", "high"),
    [
        ("sum(likes_per_post, posts)", "like", 0, np.inf),
        ("sum(likes_per_post, posts) * price", "EUR", 0, np.inf),
        ("rate * posts + drift - 5", "like", -10, np.inf),
        ("rate / price", "like^2/EUR/post", 1 / 3, np.inf),
        ("over(drift, 2)", "like", 0, 3),
        ("under(drift, 2)", "like", 0, 7),
        ("steps(drift, 2)", "no unit", 0, 3),
        ("if(posts > 3, drift, 7)", "like", -5, 7),
        ("abs(drift)", "like", 0, 5),
        ("ceil(rate / 2)", "like/post", 1, 5),
        ("1 / rate", "post/like", 1 / 9, 1),
        ("(drift > 2) * 3", "no unit", 0, 3),
        ("min(drift, 1)", "like", -5, 1),
    ],
)
def test_units_and_ranges_follow_the_formula(
    text: str, units: str, low: float, high: float
) -> None:
    found = check(text, SYMBOLS)
    assert str(found.units) == units
    assert (found.bounds.low, found.bounds.high) == pytest.approx((low, high))


def test_formulas_may_refer_to_each_other() -> None:
    formulas = {"likes": "sum(likes_per_post, posts)", "income": "likes * price"}
    assert str(check("income * 0.8", SYMBOLS, formulas).units) == "EUR"


def test_circles_are_named() -> None:
    formulas = {"a": "b + 1", "b": "2 * c", "c": "a"}
    with pytest.raises(FormulaError, match="a -> b -> c -> a"):
        check("a", SYMBOLS, formulas)


def test_an_error_in_a_named_formula_shows_that_formula() -> None:
    with pytest.raises(FormulaError, match="unknown name 'cats'") as caught:
        check("a + 1", SYMBOLS, {"a": "2 * cats"})
    assert caught.value.source == "2 * cats"


def test_formulas_that_explode_are_refused() -> None:
    formulas = {f"f{i}": f"f{i + 1} + f{i + 1}" for i in range(35)} | {"f35": "posts"}
    with pytest.raises(FormulaError, match="more than"):
        check("f0", SYMBOLS, formulas)


def test_deep_chains_of_deep_formulas_are_refused() -> None:
    text = "1 < 1 + 2 * (" * 30 + "{}" + ")" * 30
    formulas = {f"f{i}": text.format(f"f{i + 1}") for i in range(30)} | {"f30": "posts"}
    with pytest.raises(FormulaError, match="levels"):
        check("f0", SYMBOLS, formulas)


@pytest.mark.parametrize("text", ["(" * 5000, "-" * 5000, "max(" * 900, "1+" * 30000, "(" * 60])
def test_hostile_texts_end_in_an_error(text: str) -> None:
    with pytest.raises(FormulaError):
        check(text, SYMBOLS)


@given(st.text(alphabet="posts123.%e+-*/(),<>= max_if \n", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    try:
        check(text, SYMBOLS)
    except FormulaError as error:
        caught = error
    else:
        return
    assert 1 <= caught.line <= text.count("\n") + 1
    assert 0 <= caught.span[0] <= len(text)


@pytest.mark.parametrize("unit", ["li kes//", "5", "a/b c+d"])
def test_what_is_no_unit_is_refused(unit: str) -> None:
    with pytest.raises(ValueError, match="not a unit"):
        Units.parse(unit)
