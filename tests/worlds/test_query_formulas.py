"""Formulas over a published domain: from Python, with the numbers of named questions."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from facts import Event, Exact, Store
from tests.worlds.example import DOMAIN, UNTIL, publish
from worlds.core.distributions import PmfTable
from worlds.core.forms import CountPath
from worlds.errors import FormulaError, ImpossibleError, QuestionError, UnknownNameError
from worlds.loading import Loaded
from worlds.publish import SnapshotStore
from worlds.query import Worlds

SUM = "sum(likes_per_post, posts)"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    root = tmp_path_factory.mktemp("worlds")
    publish(root)
    return Worlds(DOMAIN, SnapshotStore(root))


@pytest.mark.slowish
def test_a_formula_gives_the_numbers_of_the_named_question(worlds: Worlds) -> None:
    named, formula = worlds.ask("likes_next_day"), worlds.query(SUM)
    assert float(formula.mean()) == pytest.approx(float(named.mean()))
    for p in (0.1, 0.5, 0.95):
        assert formula.quantile(p) == pytest.approx(named.quantile(p), abs=2)
    weights = [world.weight for world in formula.worlds()]
    assert weights == pytest.approx([world.weight for world in named.worlds()])
    assert formula.answer.to_dict()["question"] == "query"
    assert formula.answer.to_dict()["text"] == SUM
    assert formula.answer.to_dict()["unit"] == "likes"


def test_arithmetic_around_a_sum_scales_the_answer(worlds: Worlds) -> None:
    likes, income = worlds.query(SUM), worlds.query(f"{SUM} * 0.02", unit="EUR")
    assert float(income.mean()) == pytest.approx(0.02 * float(likes.mean()))
    assert income.answer.to_dict()["unit"] == "EUR"


def test_plans_are_lazy_and_carry_assumptions(worlds: Worlds) -> None:
    plan = worlds.query("posts * 2")
    assert "answer" not in plan.__dict__
    assert float(plan.do(posts=4).mean()) == 8
    some = plan.given(posts="> 0").worlds()[0]
    assert isinstance(some.parts["posts"], PmfTable)
    learned = plan.given(posts="model = learned")
    assert [w.choices for w in learned.worlds()] == [{"posts": "learned"}]
    pugs = plan.where(breed="pug")
    assert float(pugs.mean()) == pytest.approx(0.1 * float(plan.mean()), rel=0.05)


def test_conditions_may_be_formulas(worlds: Worlds) -> None:
    by_name = worlds.query("posts").given(posts=">= 3")
    by_formula = worlds.query("posts").given("posts >= 3")
    assert float(by_name.mean()) == pytest.approx(float(by_formula.mean()))
    crossed = worlds.query(SUM).given(f"{SUM} > 100000")
    assert crossed.prob("<= 100000") == 0
    with pytest.raises(QuestionError, match="conditioned by quantity"):
        worlds.ask("likes_next_day").given("posts > 3")


@pytest.mark.parametrize(
    ("formula", "error", "words"),
    [
        ("sum(likes_per_post, cats)", FormulaError, "unknown name 'cats'"),
        ("7 * 3", QuestionError, "names no quantity"),
        ("1 / posts", FormulaError, "can be zero"),
        ("likes_per_post * posts", FormulaError, "write sum"),
        (f"{SUM} + posts", FormulaError, "cannot add"),
    ],
)
def test_what_has_no_meaning_is_refused(
    worlds: Worlds, formula: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        worlds.query(formula).mean()


def test_assumptions_without_meaning_are_refused(worlds: Worlds) -> None:
    with pytest.raises(UnknownNameError, match="known: posts"):
        worlds.query("posts").do(cats=3).mean()
    with pytest.raises(ImpossibleError):
        worlds.query("posts").given(posts="> 1000000").mean()
    with pytest.raises(QuestionError, match="time limit"):
        worlds.query("posts", seconds=0).mean()


def test_verbs_give_probabilities_with_their_words(worlds: Worlds) -> None:
    posts = worlds.query("posts")
    low, high = posts.hdi(0.8)
    central = posts.interval(0.8)
    assert high - low <= central[1] - central[0]
    assert float(posts.cdf(high)) - float(posts.cdf(low - 1)) >= 0.8 - 1e-6
    assert posts.possible("> 3") == (True, posts.prob("> 3"))
    assert posts.certain(">= 0") == (True, 1.0)
    assert [x for x, _ in posts.exceedance([1, 5])] == [1, 5]


def test_worlds_are_read_by_whatever_reads_arrow(worlds: Worlds) -> None:
    plan = worlds.query(SUM)
    table = pa.table(plan)
    assert table.num_rows == 4
    assert pa.schema(plan) == table.schema
    rows = plan
    found = duckdb.sql("select sum(weight), count(*) from rows").fetchall()
    assert found[0] == (pytest.approx(1), 4)
    assert rows.to_arrow().equals(table)


def test_draws_are_a_table_with_the_world_of_each(worlds: Worlds) -> None:
    plan = worlds.query(SUM)
    draws = plan.draws(np.random.default_rng(1), 2000)
    assert draws.column_names == ["draw", "world", "likes_per_post", "posts", "value"]
    share = (draws["world"].to_numpy() == 0).mean()
    weight = plan.worlds()[0].weight
    assert abs(share - weight) < 4 * np.sqrt(weight * (1 - weight) / 2000)
    again = plan.draws(np.random.default_rng(1), 2000)
    assert again.equals(draws)


def test_worlds_and_draws_are_asked_in_sql_beside_the_facts(worlds: Worlds, tmp_path: Path) -> None:
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    with Store.open(tmp_path / "beside.duckdb") as store:
        store.record([Event("t", "e", "model:learned", {"cost": Exact(3)}, begin)])
        facts = store.reader().facts()
    plan = worlds.query(SUM)
    rows, draws = plan, plan.draws(np.random.default_rng(1), 400)
    sql = """
        select any_value(f.num) as cost, sum(w.weight) as weight,
               (select avg(d.value) from draws d where d.posts = 'learned') as mean
        from rows w join facts f on f.entity = 'model:' || w.posts
    """
    cost, weight, mean = duckdb.sql(sql).fetchall()[0]
    assert facts.num_rows == 1
    assert draws.num_rows == 400
    assert rows is plan
    assert (cost, weight) == (3, pytest.approx(0.65))
    assert mean > 0


def test_worlds_are_data_frames(worlds: Worlds) -> None:
    plan = worlds.query("posts")
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    assert isinstance(plan.to_pandas(), pandas.DataFrame)
    assert isinstance(plan.to_polars(), polars.DataFrame)
    assert plan.to_pandas()["weight"].sum() == pytest.approx(1)
    assert plan.to_polars()["weight"].sum() == pytest.approx(1)


@pytest.mark.slowish
def test_draws_are_a_tree_for_arviz(worlds: Worlds) -> None:
    pytest.importorskip("arviz_base")
    tree = worlds.query("posts").to_datatree(np.random.default_rng(1), chains=2, draws=50)
    assert tree["posterior"]["query"].shape == (2, 50)
    plots = pytest.importorskip("arviz_plots")
    pytest.importorskip("matplotlib").use("Agg")
    assert plots.plot_dist(tree, backend="matplotlib") is not None
    assert plots.plot_forest(tree, backend="matplotlib") is not None


def test_totals_over_periods_share_one_level(worlds: Worlds) -> None:
    one = worlds.ask("posts_next_day")
    with pytest.raises(QuestionError, match="reach 1 periods ahead"):
        one.over(3).mean()
    with pytest.raises(QuestionError, match="number of periods"):
        one.over(0).mean()
    answerer = worlds.answerer()
    levels = np.array([[2.0, 5.0]] * 3)
    path = CountPath(UNTIL, DOMAIN.step, np.full((3, 2), 0.5), levels, np.full((3, 2), 8.0))
    models = {**answerer.models, "posts": {"learned": Loaded(1.0, path, None)}}
    joint = replace(answerer, models=models).ask("posts_next_day", over=3)
    assert joint.outcome.mean() == pytest.approx(3 * 3.5)
    single = replace(answerer, models=models).ask("posts_next_day")
    assert joint.outcome.sd() ** 2 > 4 * single.outcome.sd() ** 2
    assert joint.end - joint.start == 3 * DOMAIN.step
    note = "3 periods together: they share one level, their noise is independent"
    assert note in joint.notes
    likes = replace(answerer, models=models).query("sum(likes_per_post, posts) / 2", over=2)
    assert likes.outcome.mean() > 0
