"""Answers by group and period by period, against whole histories drawn one after the other."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.worlds.example import DOMAIN, UNTIL, size_form
from worlds.ask import Answerer
from worlds.core.evaluators.effort import Effort
from worlds.core.forms import CountPath
from worlds.core.questions import Assumptions
from worlds.errors import QuestionError, UnknownNameError
from worlds.groups import split
from worlds.loading import Loaded
from worlds.periods import Periods, periods
from worlds.query import Query, open_worlds
from worlds.splitting import Splitting

SEEN = np.array([8.0, 12.0, 60.0])
LABELS = ("pug", "beagle", "other")
HORIZON = 4
COUNTS = {"historical": (3.0, 6.0, 0.35), "learned": (2.0, 4.0, 0.65)}
N = 40_000


def path(mean: float, size: float) -> CountPath:
    """Return a count whose level is one of three, rising from period to period."""
    levels = mean * np.array([0.5, 1.0, 1.6]) * np.array([[1.0], [1.2], [1.4], [0.8]])
    weights = np.broadcast_to([0.3, 0.5, 0.2], levels.shape).copy()
    shares = {"breed": (LABELS, SEEN)}
    return CountPath(UNTIL, timedelta(days=1), weights, levels, np.full(levels.shape, size), shares)


@pytest.fixture(scope="module")
def answerer() -> Answerer:
    posts = {m: Loaded(w, path(mean, size), None) for m, (mean, size, w) in COUNTS.items()}
    sizes = {
        "historical": Loaded(0.2, size_form(3.0, 1.1), None),
        "learned": Loaded(0.8, size_form(3.3, 1.7), None),
    }
    return Answerer(DOMAIN, None, {"posts": posts, "likes_per_post": sizes})


@pytest.fixture(scope="module")
def drawn(answerer: Answerer) -> np.ndarray:
    """Return posts by history, period and breed, drawn step by step."""
    rng = np.random.default_rng(20261121)
    out = np.zeros((N, HORIZON, 4))
    prior = 1 / 4
    alphas = np.array([*(SEEN + prior), prior])
    for i in range(N):
        mean, size, _ = COUNTS["historical" if rng.random() < 0.35 else "learned"]
        level = rng.choice([0.5, 1.0, 1.6], p=[0.3, 0.5, 0.2])
        shares = rng.dirichlet(alphas)
        for h, rise in enumerate((1.0, 1.2, 1.4, 0.8)):
            number = rng.poisson(rng.gamma(size) * mean * level * rise / size)
            out[i, h] = rng.multinomial(number, shares)
    return out


def close(found: float, sample: np.ndarray, bound: float = 4.5) -> None:
    """Compare a probability with its frequency."""
    assert abs(found - sample.mean()) < bound * np.sqrt(
        max(found * (1 - found), 1e-4) / len(sample)
    )


def test_groups_agree_with_histories(answerer: Answerer, drawn: np.ndarray) -> None:
    groups = answerer.ask("posts_next_day", by="breed").groups
    assert groups is not None
    assert [row.label for row in groups.rows] == ["other", "beagle", "pug"]
    first = drawn[:, 0, :]
    for row, column in zip(groups.rows, (2, 1, 0), strict=True):
        for x in (0.0, 1.0, 3.0):
            close(float(row.outcome.cdf(x)), first[:, column] <= x)
    largest, correlation = groups.together or ([], [])
    three = first[:, [2, 1, 0]]
    top = three == three.max(1, keepdims=True)
    shared = (top / top.sum(1, keepdims=True)).mean(0)
    assert np.allclose(largest, shared, atol=0.02)
    assert np.allclose(correlation, np.corrcoef(three.T), atol=0.04)
    assert sum(largest) == pytest.approx(1)


def test_groups_share_what_is_given_of_all_of_them(answerer: Answerer, drawn: np.ndarray) -> None:
    groups = answerer.ask("posts_next_day", by="breed=pug", given={"posts": ">= 4 and < 7"}).groups
    assert groups is not None
    total = drawn[:, 0].sum(1)
    kept = drawn[(total >= 4) & (total < 7)][:, 0, 0]
    for x in (0.0, 1.0, 2.0):
        close(float(groups.rows[0].outcome.cdf(x)), kept <= x)


def test_a_fixed_total_is_split(answerer: Answerer) -> None:
    answer = answerer.ask("posts_next_day", by="breed", do={"posts": 20})
    assert answer.groups is not None
    found = answer.groups.draws(np.random.default_rng(1), 500)
    assert found.shape == (3, 500)
    assert (found.sum(0) <= 20).all()
    means = [float(row.outcome.mean()) for row in answer.groups.rows]
    assert means == pytest.approx([20 * (s + 0.25) / 81 for s in (60, 12, 8)], rel=1e-6)


def test_a_group_is_what_where_says(answerer: Answerer) -> None:
    for name in ("likes_next_day", "posts_next_day"):
        groups = answerer.ask(name, by="breed", over=2).groups
        assert groups is not None
        for row in groups.rows:
            alone = answerer.ask(name, where={"breed": row.label}, over=2).outcome
            assert float(row.outcome.mean()) == pytest.approx(float(alone.mean()), rel=1e-9)
            assert float(row.outcome.quantile(0.9)) == float(alone.quantile(0.9))


def test_sums_of_groups_are_drawn_with_what_they_share(answerer: Answerer) -> None:
    groups = answerer.ask("likes_next_day", by="breed").groups
    assert groups is not None
    found = groups.draws(np.random.default_rng(5), N)
    for row, values in zip(groups.rows, found, strict=True):
        for p in (0.5, 0.9):
            x = float(row.outcome.quantile(p))
            close(float(row.outcome.cdf(x)), values <= x)
        spread = float(row.outcome.sd()) / np.sqrt(N)
        assert abs(values.mean() - float(row.outcome.mean())) < 4.5 * spread


def test_periods_and_their_largest_agree_with_histories(
    answerer: Answerer, drawn: np.ndarray
) -> None:
    answer = answerer.ask("posts_next_day", over=HORIZON)
    assert isinstance(answer.periods, Periods)
    numbers = drawn.sum(2)
    for h, row in enumerate(answer.periods.rows):
        for x in (0.0, 2.0, 5.0):
            close(float(row.outcome.cdf(x)), numbers[:, h] <= x)
    assert sum(float(row.outcome.mean()) for row in answer.periods.rows) == pytest.approx(
        float(answer.outcome.mean()), rel=1e-9
    )
    peak = answer.periods.peak
    assert peak is not None
    for x in (2.0, 5.0, 8.0):
        assert abs(float(peak.cdf(x)) - (numbers.max(1) <= x).mean()) < peak.error + 0.01


@pytest.mark.parametrize("condition", [">= 14", "< 6", ">= 8 and <= 10"])
def test_periods_follow_what_is_given_of_their_total(
    answerer: Answerer, drawn: np.ndarray, condition: str
) -> None:
    answer = answerer.ask("posts_next_day", over=HORIZON, given={"posts": condition})
    assert isinstance(answer.periods, Periods)
    numbers = drawn.sum(2)
    total = numbers.sum(1)
    holds = {">= 14": total >= 14, "< 6": total < 6, ">= 8 and <= 10": (total >= 8) & (total <= 10)}
    kept = numbers[holds[condition]]
    for h, row in enumerate(answer.periods.rows):
        for x in (0.0, 1.0, 3.0):
            close(float(row.outcome.cdf(x)), kept[:, h] <= x)
    peak = answer.periods.peak
    assert peak is not None
    for x in (1.0, 3.0, 5.0):
        share = (kept.max(1) <= x).mean()
        assert abs(float(peak.cdf(x)) - share) < 4.5 * np.sqrt(0.25 / len(kept)) + peak.error
    paths = answer.periods.paths(np.random.default_rng(3), 4_000)
    assert abs(np.corrcoef(paths)[0, 1] - np.corrcoef(kept.T)[0, 1]) < 0.09


def test_a_fixed_total_is_spread_over_its_periods(answerer: Answerer) -> None:
    answer = answerer.ask("posts_next_day", over=HORIZON, do={"posts": 12})
    assert isinstance(answer.periods, Periods)
    means = [float(row.outcome.mean()) for row in answer.periods.rows]
    assert sum(means) == pytest.approx(12, rel=1e-8)
    assert means[2] > means[0] > means[3]
    paths = answer.periods.paths(np.random.default_rng(4), 3_000)
    assert (paths.sum(0) == 12).all()
    for row, mean in zip(paths, means, strict=True):
        assert abs(row.mean() - mean) < 4.5 * row.std() / np.sqrt(3_000)


def test_likes_of_periods_sum_to_their_total(answerer: Answerer) -> None:
    answer = answerer.ask("likes_next_day", over=3, do={"posts": {"times": 2}})
    assert isinstance(answer.periods, Periods)
    paths = answer.periods.paths(np.random.default_rng(2), N)
    total = paths.sum(0)
    for p in (0.25, 0.5, 0.9, 0.98):
        x = float(answer.outcome.quantile(p))
        close(float(answer.outcome.cdf(x)), total <= x)


def test_formulas_have_groups_and_periods(answerer: Answerer) -> None:
    answer = answerer.query("sum(likes_per_post, posts) * 0.5", over=2, by="breed=pug")
    named = answerer.ask("likes_next_day", over=2, by="breed=pug")
    assert answer.groups is not None
    assert isinstance(answer.periods, Periods)
    assert named.groups is not None
    mean = float(named.groups.rows[0].outcome.mean())
    assert float(answer.groups.rows[0].outcome.mean()) == pytest.approx(mean / 2, rel=1e-4)
    assert named.groups.together is not None
    assert answer.groups.together is not None
    assert answer.groups.together[0] == named.groups.together[0]
    ours, theirs = answer.periods.peak, named.periods
    assert ours is not None
    assert isinstance(theirs, Periods)
    assert theirs.peak is not None
    for x in (10.0, 40.0, 90.0):
        assert float(ours.cdf(x / 2)) == pytest.approx(float(theirs.peak.cdf(x)), abs=0.01)
    told = answerer.query("posts", over=2, conditions=["posts > 3"])
    assert "periods are not split" in str(told.periods)
    assert "periods are not split" in told.to_dict()["notes"][-1]


@pytest.mark.parametrize(
    "formula", ["max(posts, 3) + posts / 2", "sum(likes_per_post, posts) / (posts + 1)", "posts"]
)
def test_the_peak_of_a_formula_is_that_of_its_periods(
    answerer: Answerer, drawn: np.ndarray, formula: str
) -> None:
    answer = answerer.query(formula, over=HORIZON, error=1e-3)
    assert isinstance(answer.periods, Periods)
    peak = answer.periods.peak
    assert peak is not None
    paths = answer.periods.paths(np.random.default_rng(9), N)
    for h, row in enumerate(answer.periods.rows):
        x = float(row.outcome.quantile(0.8))
        share = (paths[h] <= x * (1 + 1e-12)).mean()
        assert abs(float(row.outcome.cdf(x)) - share) < 4.5 * np.sqrt(0.2 / N) + row.outcome.error
    if "sum" not in formula:
        numbers = drawn.sum(2)
        found = numbers if formula == "posts" else np.maximum(numbers, 3) + numbers / 2
        for x in (4.5, 9.0, 12.0):
            assert abs(float(peak.cdf(x)) - (found.max(1) <= x).mean()) < peak.error + 0.01


def test_a_formula_without_things_has_parts_too(answerer: Answerer) -> None:
    answer = answerer.query("likes_per_post * 2", over=2, by="breed", error=1e-3)
    assert isinstance(answer.periods, Periods)
    peak = answer.periods.peak
    assert peak is not None
    assert float(peak.mean()) > float(answer.periods.rows[0].outcome.mean())
    assert answer.groups is not None
    assert sum((answer.groups.together or ([], []))[0]) == pytest.approx(1)


def test_parts_stop_when_the_time_is_up(answerer: Answerer) -> None:
    asked = answerer.domain.question("likes_next_day")
    late = Effort(1e-5, until=0.0, clock=lambda: 1.0)
    wanted = Splitting(asked, Assumptions(), 3, effort=lambda: late)
    groups = split(answerer, wanted, "breed")
    assert [row.label for row in groups.rows] == ["other"]
    assert groups.to_dict()["left_out"] == ["beagle", "pug"]
    told = periods(answerer, wanted)
    assert isinstance(told, Periods)
    assert len(told.rows) == 3
    assert told.peak is not None
    assert told.peak.method == "2,500 joint draws"
    assert told.peak.error > 0.03
    assert all(row.outcome.error <= 1e-2 for row in told.rows)


def test_a_question_takes_an_error_and_a_deadline(answerer: Answerer) -> None:
    right = answerer.ask("likes_next_day", over=2)
    rough = answerer.ask("likes_next_day", over=2, error=1e-2, seconds=60.0)
    found, wanted = rough.outcome, right.outcome
    assert found.error <= 1e-2
    x = float(wanted.quantile(0.7))
    gap = abs(float(found.prob(f"> {x}")) - float(wanted.prob(f"> {x}")))
    assert gap <= found.error + wanted.error
    hurried = answerer.ask("likes_next_day", by="breed", over=3, seconds=1e-9)
    worlds = hurried.outcome.worlds
    assert {world.choices["likes_per_post"] for world in worlds} == {"learned"}
    assert sum(world.weight for world in worlds) == pytest.approx(1)
    assert hurried.outcome.missing == pytest.approx(0.2)
    assert 0.2 <= hurried.outcome.error < 0.25
    gap = np.abs(
        hurried.outcome.cdf([5, 50, 500])
        - answerer.ask("likes_next_day", over=3).outcome.cdf([5, 50, 500])
    )
    assert gap.max() <= hurried.outcome.error
    assert hurried.to_dict()["groups"]["left_out"] == ["beagle", "pug"]
    for bad in ({"error": 0.0}, {"seconds": 0.0}, {"error": 2.0}):
        with pytest.raises(QuestionError, match="must"):
            answerer.ask("likes_next_day", **bad)


def test_what_makes_no_groups_is_refused(answerer: Answerer) -> None:
    for by, where, message in (
        ("breed", {"breed": "pug"}, "leave a single group"),
        ("breed=", {}, "by takes 1 to 50 groups"),
        ("stage", {}, "there are 0"),
    ):
        with pytest.raises(QuestionError, match=message):
            answerer.ask("posts_next_day", by=by, where=where)
    with pytest.raises(UnknownNameError, match="unknown category 'colour'"):
        answerer.ask("posts_next_day", by="colour")
    with pytest.raises(QuestionError, match="conditions that are formulas"):
        answerer.query("posts", by="breed", conditions=["posts > 3"])


def test_contradicting_conditions_say_so(answerer: Answerer) -> None:
    with pytest.raises(QuestionError, match="no possible world fulfils posts >= 9 and < 3"):
        answerer.ask("posts_next_day", given={"posts": ">= 9 and < 3"})
    with pytest.raises(QuestionError, match="only one model is right"):
        answerer.ask("posts_next_day", given={"posts": "model = learned and model = historical"})


def test_plans_have_groups_and_periods(tmp_path: Path) -> None:
    from tests.worlds.example import publish

    publish(tmp_path / "dogposts" / "snapshots")
    plan = open_worlds(tmp_path / "dogposts").ask("likes_next_day")
    assert isinstance(plan, Query)
    assert [row.label for row in plan.by("breed", "pug", "beagle").groups().rows] == [
        "pug",
        "beagle",
    ]
    with pytest.raises(QuestionError, match="no groups were asked for"):
        plan.groups()
    with pytest.raises(QuestionError, match="no periods to tell apart"):
        plan.periods()
