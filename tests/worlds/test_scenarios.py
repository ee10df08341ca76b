"""Scenarios are stored by content, run over ranges and compared on common worlds."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from tests.worlds.core.test_engine import BELIEFS, LIKES
from tests.worlds.example import DOMAIN, UNTIL, count_form, publish, size_form
from worlds import open_worlds
from worlds.answer import Answer
from worlds.ask import Answerer
from worlds.core.engine import evaluate
from worlds.core.explain import variance_shares
from worlds.core.newsvendor import Provision
from worlds.core.questions import Assumptions, Comparison
from worlds.errors import QuestionError, SnapshotError, UnknownNameError
from worlds.loading import Loaded
from worlds.ranges import Range, find_ranges, grid
from worlds.scenario_runs import compare_scenarios, run
from worlds.scenarios import Scenario, ScenarioStore
from worlds.why import why

ASKED = "likes_next_day"
GROWTH = Scenario("growth", do={"posts": {"times": [1.2, 2]}})


def loaded(level: float, weights: tuple[float, float] = (0.35, 0.65)) -> Answerer:
    """Return two models a quantity; `level` is the log mean of a size as the second learned it."""
    posts, likes = ("historical", "learned"), ("historical", "learned")
    counts = (count_form(3.0, 6.0), count_form(2.2, 4.0))
    sizes = (size_form(2.2, 1.1), size_form(level, 1.7))
    ids = ("h1", f"l{level}")
    models = {
        "posts": {m: Loaded(w, f, m) for m, w, f in zip(posts, weights, counts, strict=True)},
        "likes_per_post": {
            m: Loaded(w, f, i) for m, w, f, i in zip(likes, (0.2, 0.8), sizes, ids, strict=True)
        },
    }
    return Answerer(DOMAIN, None, models)


class Light:
    """Answers from the beliefs of the engine's own tests: fast."""

    def ask(
        self,
        name: str,  # noqa: ARG002 - one protocol
        *,
        given: Mapping[str, object] | None = None,
        do: Mapping[str, object] | None = None,
        where: Mapping[str, str] | None = None,
        threshold: float | str | None = None,
        over: int = 1,  # noqa: ARG002 - one protocol
    ) -> Answer:
        return Answer(
            question=LIKES,
            outcome=evaluate(LIKES, BELIEFS, Assumptions.parse(LIKES, given, do, where)),
            threshold=None if threshold is None else Comparison.parse(threshold, ">"),
            levels=(0.9,),
            start=UNTIL,
            end=UNTIL,
            assumptions={"given": dict(given or {}), "do": dict(do or {}), "where": {}},
            models=(),
            release=None,
            degraded=None,
        )


@pytest.fixture(scope="module")
def light() -> Light:
    return Light()


@pytest.fixture(scope="module")
def answerer() -> Answerer:
    return loaded(2.5)


# --- identity and storage -----------------------------------------------------------------------


def test_the_id_is_that_of_the_content() -> None:
    one = Scenario("a", do={"posts": 2, "likes": {"times": 3}}, given={"posts": ">= 3"})
    same = Scenario("b", {"posts": " >=  3 "}, {"likes": {"times": 3.0}, "posts": 2.0}, text="x")
    assert one.id == same.id
    assert len(one.id) == 16
    assert Scenario("a", do={"posts": 3}).id != Scenario("a", given={"posts": 3}).id
    assert Scenario("a").id == Scenario("b").id


def test_the_id_does_not_depend_on_this_program() -> None:
    """The hash of the canonical text, made by another tool, is part of the format."""
    assert Scenario("x", do={"posts": 5}).canonical == '{"do":{"posts":5},"given":{},"where":{}}'
    assert Scenario("x", do={"posts": 5}).id == "2ca96859b0f0778e"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**9) | st.floats(-1e9, 1e9) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    name=st.text(min_size=1, max_size=20).filter(str.strip),
    given_=st.dictionaries(st.text(max_size=6), json_values, max_size=3),
    do=st.dictionaries(st.text(max_size=6), json_values, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_scenarios_survive_storage(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    given_: dict[str, object],
    do: dict[str, object],
) -> None:
    store = ScenarioStore(tmp_path_factory.mktemp("scenarios"))
    scenario = Scenario(name, given_, do)
    back = store.get(store.put(scenario))
    assert back.id == scenario.id
    assert back.name == name
    assert Scenario.from_json(json.loads(json.dumps(scenario.to_json()))).id == scenario.id


def test_scenarios_are_listed_found_and_removed(tmp_path: Path) -> None:
    store = ScenarioStore(tmp_path / "scenarios")
    assert store.list() == []
    first = store.put(GROWTH)
    second = store.put(Scenario("calm", do={"posts": {"times": 0.5}}))
    assert [scenario.name for scenario in store.list()] == ["calm", "growth"]
    assert store.find("growth").id == first
    assert store.find(second).name == "calm"
    store.put(Scenario("boom", do=GROWTH.do))
    assert [scenario.name for scenario in store.list()] == ["boom", "calm"]
    store.put(Scenario("calm", do={"posts": 1}))
    with pytest.raises(QuestionError, match="2 scenarios are called 'calm'"):
        store.find("calm")
    store.remove(first)
    with pytest.raises(UnknownNameError, match=f"unknown scenario '{first}'"):
        store.get(first)
    with pytest.raises(UnknownNameError):
        store.remove(first)
    assert not list((tmp_path / "scenarios").glob(".new-*"))


@pytest.mark.parametrize("name", ["nobody", "../../etc/passwd", "0123456789abcdef", ""])
def test_unknown_scenarios_name_the_known_ones(tmp_path: Path, name: str) -> None:
    store = ScenarioStore(tmp_path)
    known = store.put(GROWTH)
    with pytest.raises(UnknownNameError, match=f"known: {known}"):
        store.find(name)
    with pytest.raises(UnknownNameError):
        store.get(name)


def test_damaged_files_are_named_and_not_listed(tmp_path: Path) -> None:
    store = ScenarioStore(tmp_path)
    cut = store.put(GROWTH)
    (tmp_path / f"{cut}.json").write_text("{")
    with pytest.raises(SnapshotError, match="cannot be read"):
        store.get(cut)
    changed = store.put(Scenario("calm", do={"posts": 1}))
    path = tmp_path / f"{changed}.json"
    path.write_text(path.read_text().replace('"posts": 1', '"posts": 2'))
    with pytest.raises(SnapshotError, match="was changed"):
        store.get(changed)
    assert store.list() == []


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (7, "a scenario is an object"),
        ({}, "needs a name"),
        ({"name": ""}, "name of 1 to 100 characters"),
        ({"name": 3}, "name of 1 to 100 characters"),
        ({"name": "x", "when": 3}, "got when"),
        ({"name": "x", "do": [1]}, "'do' of scenario 'x' must be an object"),
        ({"name": "x", "text": 1}, "must be text"),
        ({"name": "x", "do": {"posts": float("nan")}}, "must be made of finite numbers"),
        ({"name": "x", "do": {"posts": {1, 2}}}, "must be made of finite numbers"),
        ({"name": "x", "given": {"posts": "y" * 30_000}}, "longer than 20,000"),
        ({"name": "x", "id": "0" * 16}, "was changed"),
    ],
)
def test_what_is_no_scenario_is_refused(raw: object, words: str) -> None:
    with pytest.raises(QuestionError, match=words):
        Scenario.from_json(raw)


# --- ranges -------------------------------------------------------------------------------------


def test_a_range_is_a_mixture_over_its_prior(light: Light) -> None:
    found = run(light, ASKED, GROWTH, threshold="> 300")
    outcome = found.answer.outcome
    plain = light.ask(ASKED)
    assert outcome.mean() == pytest.approx(1.6 * plain.outcome.mean(), rel=1e-9)

    def tail(factor: float) -> float:
        do = {"posts": {"times": factor}}
        return float(light.ask(ASKED, do=do).outcome.prob("> 300"))

    expected = integrate.quad(tail, 1.2, 2.0, epsabs=1e-7)[0] / 0.8
    prob = outcome.prob("> 300")
    assert abs(float(prob) - expected) <= prob.error + 1e-7
    assert prob.error < 1e-3
    assert sum(world.weight for world in outcome.worlds) == pytest.approx(1)
    assert found.answer.notes[-1].startswith("mixed over posts times between 1.2 and 2 (uniform)")


def test_a_log_uniform_prior_has_its_own_mean(light: Light) -> None:
    do = {"posts": {"times": [0.5, 2], "prior": "log-uniform"}}
    outcome = run(light, ASKED, Scenario("x", do=do)).answer.outcome
    assert outcome.mean() == pytest.approx(
        1.5 / np.log(4) * light.ask(ASKED).outcome.mean(), rel=1e-6
    )


def test_the_envelope_is_reached_at_the_ends(light: Light) -> None:
    found = run(light, ASKED, GROWTH, threshold="> 300")
    low = light.ask(ASKED, do={"posts": {"times": 1.2}}, threshold="> 300").outcome
    high = light.ask(ASKED, do={"posts": {"times": 2}}, threshold="> 300").outcome
    rows = {row.name: row for row in found.envelope}
    assert rows["mean"].low == pytest.approx(float(low.mean()))
    assert rows["mean"].high == pytest.approx(float(high.mean()))
    assert rows["mean"].high_at == {"posts times": 2.0}
    assert rows["P(> 300)"].low == pytest.approx(float(low.prob("> 300")))
    assert rows["p95"].high == pytest.approx(float(high.quantile(0.95)))
    json.dumps(found.to_dict(), allow_nan=False)


def test_what_a_range_contributes_is_explained(light: Light) -> None:
    wide = Scenario("wide", do={"posts": {"times": [0.2, 6]}})
    shares = variance_shares(run(light, ASKED, wide).answer.outcome)
    narrow = variance_shares(run(light, ASKED, GROWTH).answer.outcome)
    assert shares.share("posts times") > narrow.share("posts times") > 0


def test_whole_values_stay_whole(light: Light) -> None:
    do = {"posts": {"between": [2, 5]}}
    found = run(light, ASKED, Scenario("x", do=do))
    assert {w.choices["posts fixed"] for w in found.answer.outcome.worlds} == {"2", "3", "4", "5"}
    assert found.error == 0
    direct = [light.ask(ASKED, do={"posts": n}).outcome.mean() for n in (2, 3, 4, 5)]
    assert found.answer.outcome.mean() == pytest.approx(np.mean(direct))
    many = Range("posts", "between", 10, 1000).nodes(17)
    assert all(value == np.floor(value) for value, _ in many)
    assert sum(weight for _, weight in many) == pytest.approx(1)
    assert sum(v * w for v, w in many) == pytest.approx(505, rel=1e-3)


def test_several_ranges_are_crossed(light: Light) -> None:
    do = {"posts": {"times": [1, 1.5]}, "likes_per_post": {"times": [0.8, 1.2]}}
    found = run(light, ASKED, Scenario("x", do=do))
    assert found.answer.outcome.mean() == pytest.approx(
        1.25 * light.ask(ASKED).outcome.mean(), rel=1e-6
    )
    assert {row.name: row for row in found.envelope}["mean"].high_at == {
        "posts times": 1.5,
        "likes_per_post times": 1.2,
    }
    ranges = find_ranges(do)
    assert sum(weight for _, weight in grid(ranges, 5)) == pytest.approx(1)
    assert found.points in {25, 81}


@pytest.mark.parametrize(
    "raw",
    [
        {"times": [2, 1]},
        {"times": [1]},
        {"times": [1, 1]},
        {"times": [-1, 2]},
        {"times": [1, float("inf")]},
        {"times": [1, "2"]},
        {"times": [1, True]},
        {"between": 3},
        {"between": [1, 2], "times": [1, 2]},
        {"times": [1, 2], "prior": "normal"},
        {"times": [0, 2], "prior": "log-uniform"},
        {"times": 2, "prior": "uniform"},
        {"between": [1, 2], "step": 3},
    ],
)
def test_ranges_without_meaning_are_refused(raw: object) -> None:
    with pytest.raises(QuestionError, match="a range of 'posts' is"):
        find_ranges({"posts": raw})


def test_too_many_ranges_are_refused() -> None:
    with pytest.raises(QuestionError, match="at most 3 ranges"):
        find_ranges({f"q{i}": {"times": [1, 2]} for i in range(4)})


# --- comparison ---------------------------------------------------------------------------------


def test_scenarios_are_compared_on_common_worlds(light: Light) -> None:
    doubled = Scenario("doubled", do={"posts": {"times": 2}})
    found = compare_scenarios(light, ASKED, [doubled], threshold="> 300")
    assert [each.scenario.name for each in found.runs] == ["as it is", "doubled"]
    compared = found.compared[0]
    assert compared.same_models == pytest.approx(1)
    assert compared.difference.mean() == pytest.approx(light.ask(ASKED).outcome.mean())
    assert compared.prob_below == 0
    assert 0.5 < compared.prob_above < 1
    raw = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert raw["comparisons"][0]["b"] == "doubled"
    assert "doubled less as it is" in found.text()


def test_a_range_is_one_variable_in_both_scenarios(light: Light) -> None:
    found = compare_scenarios(light, ASKED, [GROWTH, Scenario("again", do=GROWTH.do)])
    assert found.compared[0].prob_above == 0
    assert found.compared[0].difference.var() == 0


def test_comparing_nothing_is_refused(light: Light) -> None:
    with pytest.raises(QuestionError, match="1 to 20 scenarios; got 0"):
        compare_scenarios(light, ASKED, [])
    with pytest.raises(UnknownNameError, match="known: likes_per_post, posts"):
        compare_scenarios(light, ASKED, [Scenario("x", do={"cats": {"times": [1, 2]}})])


# --- why two answers differ ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def later() -> Answerer:
    return loaded(2.9)


def test_an_answer_that_learned_more_says_from_what(answerer: Answerer, later: Answerer) -> None:
    found = why(answerer, later, ASKED)
    assert [cause.name for cause in found.causes] == ["what the models of likes_per_post learned"]
    assert found.causes[0].change == pytest.approx(found.difference)
    assert found.first == pytest.approx(float(answerer.ask(ASKED).outcome.mean()))
    assert found.second == pytest.approx(float(later.ask(ASKED).outcome.mean()))


@pytest.mark.slowish
def test_the_causes_sum_to_the_difference(answerer: Answerer) -> None:
    other = loaded(2.9, (0.7, 0.3))
    asked = {"given": {"posts": ">= 1"}}, {"do": {"posts": 4}, "where": {"breed": "pug"}}
    scenarios = Scenario("a", **asked[0]), Scenario("b", **asked[1])  # type: ignore[arg-type]
    found = why(answerer, other, ASKED, scenarios)
    assert {cause.name for cause in found.causes} == {
        "what the models of likes_per_post learned",
        "weights of the models of posts",
        "assumption on posts",
        "where breed",
    }
    assert sum(cause.change for cause in found.causes) == pytest.approx(found.difference, rel=1e-9)
    first = answerer.ask(ASKED, **asked[0]).outcome  # type: ignore[arg-type]
    second = other.ask(ASKED, **asked[1]).outcome  # type: ignore[arg-type]
    assert found.first == pytest.approx(float(first.mean()))
    assert found.second == pytest.approx(float(second.mean()))
    back = why(other, answerer, ASKED, (scenarios[1], scenarios[0]))
    changes = {cause.name: cause.change for cause in back.causes}
    for cause in found.causes:
        assert changes[cause.name] == pytest.approx(-cause.change, rel=1e-6, abs=1e-9)
    json.dumps(found.to_dict(), allow_nan=False)
    assert "because of" in found.text()


@pytest.mark.slowish
@pytest.mark.parametrize("statistic", ["prob", "quantile"])
def test_two_causes_share_what_they_do_together(answerer: Answerer, statistic: str) -> None:
    """By hand: the mean over both orders of switching one cause after the other."""
    models, weights = loaded(2.9), loaded(2.5, (0.7, 0.3))
    both = loaded(2.9, (0.7, 0.3))

    def read(asks: Answerer) -> float:
        outcome = asks.ask(ASKED).outcome
        return float(outcome.prob("> 40") if statistic == "prob" else outcome.quantile(0.8))

    a, m, w, b = (read(asks) for asks in (answerer, models, weights, both))
    found = why(answerer, both, ASKED, statistic=statistic, threshold="> 40", level=0.8)
    changes = {cause.name: cause.change for cause in found.causes}
    assert changes == pytest.approx(
        {
            "what the models of likes_per_post learned": ((m - a) + (b - w)) / 2,
            "weights of the models of posts": ((w - a) + (b - m)) / 2,
        }
    )
    assert found.statistic == ("P(> 40)" if statistic == "prob" else "80% quantile")


def test_equal_answers_have_no_cause(answerer: Answerer) -> None:
    found = why(answerer, answerer, ASKED)
    assert found.causes == ()
    assert found.difference == 0
    assert "before" in found.text()


def test_unknown_statistics_are_refused(answerer: Answerer) -> None:
    with pytest.raises(QuestionError, match="mean, prob or quantile"):
        why(answerer, answerer, ASKED, statistic="mode")


# --- from the notebook --------------------------------------------------------------------------


@pytest.mark.slowish
def test_a_plan_explains_decides_and_compares(tmp_path: Path) -> None:
    publish(tmp_path / "snapshots")
    worlds = open_worlds(tmp_path, "dogposts")
    query = worlds.ask(ASKED)
    doubled = query.do(posts={"times": 2})
    assert query.explain("> 50000").prob == pytest.approx(float(query.prob("> 50000")))
    assert query.sensitivity()[0].choice in {"posts", "likes_per_post"}
    level = query.decide(service_level=0.95)
    assert isinstance(level, Provision)
    assert level.capacity == query.quantile(0.95)
    assert query.compare(doubled).prob_below == 0
    found = query.why(doubled)
    assert [cause.name for cause in found.causes] == ["assumption on posts"]
    with pytest.raises(QuestionError, match="one question are needed"):
        query.why(worlds.ask("posts_next_day"))
    worlds.scenarios.put(doubled.scenario("doubled"))
    compared = worlds.compare(ASKED, ["doubled"])
    assert compared.compared[0].difference.mean() == pytest.approx(float(query.mean()))
    between = query.do(posts=2).mean(), query.do(posts=3).mean()
    assert query.do(posts={"between": [2, 3]}).mean() == pytest.approx(np.mean(between))
