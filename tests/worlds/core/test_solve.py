"""Formulas over choices, drivers and quantities agree with enumeration and with simulation."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.worlds.core.declared import MODEL
from worlds.core.distributions import Floats, Point
from worlds.core.evaluators.effort import Effort
from worlds.core.laws import Lognormals, Normals
from worlds.core.model import Choice, Model, Unknown
from worlds.core.shapes import Uniform
from worlds.core.solve import solve

DRAWS = 400_000


def drawn(seed: int = 5) -> dict[str, Floats]:
    """Draw everything in the plainest way: choices, drivers, quantities, every single thing."""
    rng = np.random.default_rng(seed)
    n = DRAWS
    peak, a = rng.random(n) < 0.3, rng.random(n) < 0.5
    campaign = rng.uniform(1, 2, n)
    posts = np.where(
        peak, rng.negative_binomial(20, 20 / 29, n), rng.negative_binomial(10, 10 / 14, n)
    )
    rate = np.where(peak, rng.gamma(20, 90 / 20, n), rng.gamma(10, 4, n))
    visits = rng.poisson(rate * campaign)
    size, mean = np.where(a, 1.6, 2.0), np.where(a, 23.0, 28.0)
    likes = rng.poisson(rng.gamma(np.maximum(posts * size, 1e-300)) * mean / size)
    shares = rng.poisson(rng.gamma(np.maximum(visits * 1.6, 1e-300)) * 3.0 / 1.6 * campaign)
    return {
        "posts": posts.astype(float),
        "visits": visits.astype(float),
        "total": likes.astype(float),
        "all_shares": shares.astype(float),
        "campaign": campaign,
        "spend": 100 * np.exp(0.3 * rng.standard_normal(n)) * campaign,
        "price": 0.02 * np.exp(0.3 * rng.standard_normal(n)),
        "x": np.where(peak, rng.normal(5, 2, n), rng.normal(3, 1, n)),
        "y": rng.uniform(1, 3, n),
        "z": rng.triangular(1, 2, 4, n),
        "k": rng.choice([1.0, 2.0, 5.0], n, p=[0.2, 0.5, 0.3]),
    }


DRAWN = drawn()

CASES: list[tuple[str, Callable[[dict[str, Floats]], Floats]]] = [
    ("x * y", lambda d: d["x"] * d["y"]),
    ("x * y * z", lambda d: d["x"] * d["y"] * d["z"]),
    ("z * y * price", lambda d: d["z"] * d["y"] * d["price"]),
    ("x + y * z - 2", lambda d: d["x"] + d["y"] * d["z"] - 2),
    ("x * y + x", lambda d: d["x"] * d["y"] + d["x"]),
    ("(x + y) * z", lambda d: (d["x"] + d["y"]) * d["z"]),
    ("x * x", lambda d: d["x"] ** 2),
    ("y / z", lambda d: d["y"] / d["z"]),
    ("y / z + x / y", lambda d: d["y"] / d["z"] + d["x"] / d["y"]),
    ("k * x", lambda d: d["k"] * d["x"]),
    ("posts * 3 - posts", lambda d: 2 * d["posts"]),
    ("posts - k", lambda d: d["posts"] - d["k"]),
    ("total", lambda d: d["total"]),
    ("income", lambda d: d["total"] * d["price"]),
    ("over(total, 150) * 0.5", lambda d: 0.5 * np.maximum(d["total"] - 150, 0)),
    ("under(posts, 6)", lambda d: np.maximum(6 - d["posts"], 0)),
    ("steps(total, 50)", lambda d: np.ceil(d["total"] / 50)),
    ("(k > 1.5) * total - total", lambda d: (d["k"] > 1.5) * d["total"] - d["total"]),
    ("total / max(posts, 1)", lambda d: d["total"] / np.maximum(d["posts"], 1)),
    ("max(x, y, z)", lambda d: np.maximum(np.maximum(d["x"], d["y"]), d["z"])),
    ("min(x, 4)", lambda d: np.minimum(d["x"], 4)),
    ("if(posts > 5, x, y)", lambda d: np.where(d["posts"] > 5, d["x"], d["y"])),
    ("if(x > 4, x, y)", lambda d: np.where(d["x"] > 4, d["x"], d["y"])),
    ("x > y", lambda d: (d["x"] > d["y"]) * 1.0),
    ("spend * campaign", lambda d: d["spend"] * d["campaign"]),
    ("spend / campaign", lambda d: d["spend"] / d["campaign"]),
    ("visits", lambda d: d["visits"]),
    ("visits * campaign", lambda d: d["visits"] * d["campaign"]),
    ("sum(shares, visits)", lambda d: d["all_shares"]),
    ("sum(shares, visits) / max(visits, 1)",
     lambda d: d["all_shares"] / np.maximum(d["visits"], 1)),
    ("abs(x - 3)", lambda d: np.abs(d["x"] - 3)),
    ("floor(x) + ceil(y)", lambda d: np.floor(d["x"]) + np.ceil(d["y"])),
]  # fmt: skip


@pytest.mark.slowish
@pytest.mark.parametrize(("formula", "reference"), CASES, ids=[text for text, _ in CASES])
def test_formulas_agree_with_simulation_of_everything(
    formula: str, reference: Callable[[dict[str, Floats]], Floats]
) -> None:
    outcome = solve(MODEL, formula, effort=Effort(2e-4))
    draws = np.asarray(reference(DRAWN), float)
    spread = draws.std() / np.sqrt(DRAWS)
    mean = outcome.mean()
    assert abs(mean - draws.mean()) < 4.5 * spread + mean.error
    for level in (0.05, 0.3, 0.5, 0.9, 0.99):
        q = float(outcome.quantile(level))
        hair = 1e-9 * max(abs(q), 1)
        found, share = float(outcome.cdf(q + hair)), (draws <= q + hair).mean()
        noise = 4.5 * np.sqrt(max(found * (1 - found), 1e-5) / DRAWS)
        assert abs(found - share) < noise + outcome.error


def test_a_name_is_one_variable() -> None:
    for formula in ("x - x", "x / y * y - x", "total - total", "2 * posts - posts - posts"):
        outcome = solve(MODEL, formula)
        assert float(outcome.mean()) == pytest.approx(0, abs=1e-12)
        assert float(outcome.sd()) == pytest.approx(0, abs=1e-9)


def test_two_models_of_two_quantities_are_four_worlds() -> None:
    model = Model.of(
        Choice("m", {"old": 0.5, "new": 0.5}),
        Choice("w", {"old": 0.5, "new": 0.5}),
        Unknown("posts", {"old": Point(6500), "new": Point(7250)}, by="m"),
        Unknown("likes", {"old": Point(23), "new": Point(28)}, by="w"),
    )
    outcome = solve(model, "posts * likes")
    assert sorted(w.outcome.mean() for w in outcome.worlds) == [149500, 166750, 182000, 203000]
    assert outcome.prob("> 200000") == 0.25
    assert outcome.method == "exact"


def test_quantities_that_share_a_choice_move_together() -> None:
    model = Model.of(
        Choice("c", {"low": 0.5, "high": 0.5}),
        Unknown("a", {"low": Point(1), "high": Point(2)}, by="c"),
        Unknown("b", {"low": Point(10), "high": Point(20)}, by="c"),
    )
    assert solve(model, "b - 10 * a").sd() == 0
    assert len(solve(model, "a + b").worlds) == 2


def test_conditions_on_choices_and_ranges_follow_bayes() -> None:
    outcome = solve(MODEL, "x", given={"x": "> 4"})
    likely = {"peak": 0.3 * stats.norm.sf(-0.5), "calm": 0.7 * stats.norm.sf(1)}
    weights = {w.choices["season"]: w.weight for w in outcome.worlds}
    assert weights["peak"] == pytest.approx(likely["peak"] / sum(likely.values()))
    mean = sum(
        weights[s] * stats.truncnorm((4 - m) / d, np.inf, m, d).mean()
        for s, m, d in (("peak", 5, 2), ("calm", 3, 1))
    )
    assert outcome.mean() == pytest.approx(mean, rel=1e-6)
    assert solve(MODEL, "x", given={"season": "peak"}).mean() == pytest.approx(5)


@pytest.mark.slowish
@pytest.mark.parametrize(
    ("formula", "condition", "holds"),
    [
        ("x", "x > 2 * y", lambda d: d["x"] > 2 * d["y"]),
        ("posts", "sum(likes, posts) > 200", lambda d: d["total"] > 200),
        ("total", "total > 200", lambda d: d["total"] > 200),
        ("y", "posts > 8", lambda d: d["posts"] > 8),
        ("x", "posts > 8", lambda d: d["posts"] > 8),
        ("campaign", "visits > 100", lambda d: d["visits"] > 100),
    ],
)
def test_conditions_that_are_formulas_agree_with_rejection(
    formula: str, condition: str, holds: Callable[[dict[str, Floats]], np.ndarray]
) -> None:
    outcome = solve(MODEL, formula, conditions=[condition], effort=Effort(1e-3))
    draws = DRAWN[formula][holds(DRAWN)]
    for level in (0.1, 0.5, 0.9):
        q = float(outcome.quantile(level))
        found, share = float(outcome.cdf(q)), (draws <= q * (1 + 1e-9)).mean()
        noise = 4.5 * np.sqrt(0.25 / len(draws))
        assert abs(found - share) < noise + outcome.error


def test_seeing_weighs_worlds_and_doing_does_not() -> None:
    seen = solve(MODEL, "x + posts", given={"posts": ">= 9"})
    made = solve(MODEL, "x + posts", do={"posts": 9})
    peak = {w.choices["season"]: w.weight for w in seen.worlds}["peak"]
    assert peak > 0.6
    assert {w.choices["season"]: w.weight for w in made.worlds}["peak"] == pytest.approx(0.3)


def test_given_after_do_on_another_quantity_commutes() -> None:
    both = solve(MODEL, "x * y + posts", given={"posts": ">= 6"}, do={"y": 2})
    plain = solve(MODEL, "2 * x + posts", given={"posts": ">= 6"})
    for q in (5, 12, 20):
        assert float(both.cdf(q)) == pytest.approx(float(plain.cdf(q)), abs=1e-6)


def test_doing_a_driver_moves_everything_that_follows_it() -> None:
    assert solve(MODEL, "visits", do={"campaign": 2}).mean() == pytest.approx(2 * (27 + 28))
    assert solve(MODEL, "spend", do={"campaign": 2}).median() == pytest.approx(200)
    doubled = solve(MODEL, "spend", do={"campaign": {"times": 2}}).mean()
    assert doubled == pytest.approx(2 * solve(MODEL, "spend").mean())
    high = solve(MODEL, "campaign", given={"campaign": "> 1.5"})
    assert high.mean() == pytest.approx(1.75)


# --- laws that hold whatever is asked -------------------------------------------------------


def same(a: object, b: object, scale: float = 1.0) -> None:
    for level in (0.07, 0.5, 0.93):
        first, second = a.quantile(level), b.quantile(level)  # type: ignore[attr-defined]
        slack = first.error * scale + second.error + 1e-6 * abs(second)
        assert abs(first * scale - second) <= slack


@pytest.mark.parametrize("formula", ["x * y + posts", "income", "x * y + x", "sum(shares, visits)"])
def test_an_irrelevant_quantity_changes_nothing(formula: str) -> None:
    more = Model(
        {**MODEL.choices, "moon": Choice("moon", {"full": 0.1, "new": 0.9})},
        MODEL.drivers,
        {
            **MODEL.quantities,
            "tide": Unknown("tide", {"full": Point(1), "new": Point(2)}, by="moon"),
        },
        MODEL.formulas,
    )
    a, b = solve(MODEL, formula), solve(more, formula)
    assert len(a.worlds) == len(b.worlds)
    same(a, b)


def test_other_names_change_nothing() -> None:
    def make(first: str, second: str) -> object:
        model = Model.of(Unknown(first, Uniform(1, 3)), Unknown(second, Lognormals.of(2, 0.5)))
        return solve(model, f"{first} * {second} + {second}")

    same(make("a", "z"), make("z", "a"))


def test_splitting_an_option_in_two_equal_halves_changes_nothing() -> None:
    split = Model.of(
        Choice("season", {"peak": 0.3, "calm1": 0.35, "calm2": 0.35}),
        Unknown(
            "x",
            {"peak": Normals.of(5, 2), "calm1": Normals.of(3, 1), "calm2": Normals.of(3, 1)},
            by="season",
        ),
        Unknown("y", Uniform(1, 3)),
    )
    same(solve(MODEL, "x * y"), solve(split, "x * y"))


@pytest.mark.parametrize("formula", ["income", "x * y + x", "over(total, 150)", "max(x, y)"])
@pytest.mark.parametrize("scale", [0.001, 1000.0])
def test_another_unit_scales_the_answer(formula: str, scale: float) -> None:
    same(solve(MODEL, formula), solve(MODEL, f"({formula}) * {scale}"), scale)


# --- hypothesis: any formula against a slow reference interpreter ---------------------------


@st.composite
def formulas(draw: st.DrawFn, depth: int = 3) -> tuple[str, Callable[[dict[str, Floats]], Floats]]:
    leaf = st.sampled_from(
        [
            ("x", lambda d: d["x"]),
            ("y", lambda d: d["y"]),
            ("z", lambda d: d["z"]),
            ("k", lambda d: d["k"]),
            ("posts", lambda d: d["posts"]),
            ("2.5", lambda _: np.asarray(2.5)),
            ("-1", lambda _: np.asarray(-1.0)),
        ]
    )
    if depth == 0 or draw(st.booleans()):
        return draw(leaf)
    (a, f), (b, g) = draw(formulas(depth - 1)), draw(formulas(depth - 1))
    kind = draw(st.sampled_from(["+", "-", "*", "/", "max", "min", "over", "if"]))
    match kind:
        case "+":
            return f"({a} + {b})", lambda d: f(d) + g(d)
        case "-":
            return f"({a} - {b})", lambda d: f(d) - g(d)
        case "*":
            return f"({a} * {b})", lambda d: f(d) * g(d)
        case "/":
            return f"({a} / (1 + abs({b})))", lambda d: f(d) / (1 + np.abs(g(d)))
        case "max":
            return f"max({a}, {b})", lambda d: np.maximum(f(d), g(d))
        case "min":
            return f"min({a}, {b})", lambda d: np.minimum(f(d), g(d))
        case "over":
            return f"over({a}, {b})", lambda d: np.maximum(f(d) - g(d), 0)
        case _:
            return f"if({a} > {b}, {a}, y)", lambda d: np.where(f(d) > g(d), f(d), d["y"])


FREE = Model(
    MODEL.choices,
    MODEL.drivers,
    {n: Unknown(n, q.cases, "", q.by, q.drivers) for n, q in MODEL.quantities.items()},
)


@pytest.mark.slowish
@given(formulas())
@settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
def test_any_formula_agrees_with_the_reference_interpreter(
    made: tuple[str, Callable[[dict[str, Floats]], Floats]],
) -> None:
    text, reference = made
    outcome = solve(FREE, text, effort=Effort(2e-3))
    draws = np.broadcast_to(np.asarray(reference(DRAWN), float), (DRAWS,))
    for level in (0.1, 0.5, 0.9):
        q = float(outcome.quantile(level))
        hair = 1e-7 * max(abs(q), 1)
        low, high = (float(outcome.cdf(q + side)) for side in (-hair, hair))
        share_low, share_high = ((draws <= q + side).mean() for side in (-hair, hair))
        noise = 5.0 * np.sqrt(0.25 / DRAWS) + outcome.error + 1e-4
        assert share_low - noise <= high
        assert low <= share_high + noise
    assert np.isfinite(outcome.mean())
