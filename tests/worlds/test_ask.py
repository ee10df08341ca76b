"""From a release to answers: complete, degraded where it must be, and always saying how."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.worlds.example import AS_OF, DOMAIN, UNTIL, publish
from worlds import open_worlds
from worlds.ask import Answerer
from worlds.core.forms import LogLinear
from worlds.errors import QuestionError, UnknownNameError
from worlds.picture import bars, dots, svg
from worlds.publish import SnapshotStore


@pytest.fixture
def answerer(tmp_path: Path) -> Answerer:
    release = publish(tmp_path)
    return Answerer.load(DOMAIN, SnapshotStore(tmp_path), release)


def test_a_quantity_of_which_nothing_was_learned_is_said(tmp_path: Path) -> None:
    release = publish(tmp_path)
    store = SnapshotStore(tmp_path)
    form = store.get(release.models["likes_per_post"]["learned"])
    alone = replace(
        release,
        models={**release.models, "likes_per_post": {"default": store.put(form)}},
        weights={**release.weights, "likes_per_post": {"default": 1.0}},
        declined={"likes_per_post": {"learned": "0 items with a known label; needs 20"}},
    )
    answerer = Answerer.load(DOMAIN, store, alone)
    said = (
        "of likes_per_post nothing was learned, its default belief answers"
        " (learned: 0 items with a known label; needs 20)"
    )
    assert said in answerer.ask("likes_next_day").notes
    assert said not in answerer.ask("posts_next_day").notes


def test_an_answer_lists_every_world_and_what_it_depends_on(answerer: Answerer) -> None:
    answer = answerer.ask("likes_next_day", threshold=100_000).to_dict()
    assert len(answer["worlds"]) == 4
    assert sum(world["weight"] for world in answer["worlds"]) == pytest.approx(1)
    assert answer["period"] == {"start": UNTIL.isoformat(), "end": "2017-08-03T00:00:00+00:00"}
    assert answer["as_of"] == AS_OF.isoformat()
    assert answer["degraded"] is None
    assert {m["quantity"] for m in answer["models"]} == {"posts", "likes_per_post"}
    assert all(m["snapshot"] for m in answer["models"])
    assert 0 < answer["error_bound"] < 1e-4
    assert answer["method"] == "pgf inversion (COS)"
    assert answer["cost"] == {"worlds": 4, "points": 0}
    assert [entry["level"] for entry in answer["safe"]] == [0.9, 0.95, 0.99]
    assert answer["safe"][1]["value"] == answer["intervals"][2]["high"]
    json.dumps(answer, allow_nan=False)


def test_the_mixture_agrees_with_simulation_of_the_whole_chain(
    answerer: Answerer, rng: np.random.Generator
) -> None:
    """Draw models, parameters, posts and likes one after the other; compare the intervals."""
    outcome = answerer.ask("likes_next_day").outcome
    n = 20_000
    totals = np.zeros(n)
    counts = {"historical": (3.0, 6.0), "learned": (2.0, 4.0)}
    sizes = {m: loaded.form for m, loaded in answerer.models["likes_per_post"].items()}
    for i in range(n):
        mean, r = counts["historical" if rng.random() < 0.35 else "learned"]
        number = rng.poisson(rng.gamma(r) * mean / r)
        form = sizes["historical" if rng.random() < 0.2 else "learned"]
        assert isinstance(form, LogLinear)
        effects = form.draws[:, rng.integers(256)]
        level = effects[0] + 0.02 * np.sqrt(0.5) * rng.normal()
        # the 80% of posts that show "other", a breed never seen: each has an effect of its own
        pug = rng.random(number) < 0.2
        eta = level + np.where(pug, effects[1], np.where(rng.random(number) < 0.5, 0.5, -0.5))
        totals[i] = rng.poisson(rng.gamma(form.size, size=number) * np.exp(eta) / form.size).sum()
    for p in (0.25, 0.5, 0.9, 0.98):
        level = float(outcome.cdf(float(outcome.quantile(p))))
        found = (totals <= float(outcome.quantile(p))).mean()
        assert abs(found - level) < 4 * np.sqrt(level * (1 - level) / n)


def test_restricting_to_a_breed_makes_the_count_itself_uncertain(answerer: Answerer) -> None:
    everything = answerer.ask("likes_next_day")
    pugs = answerer.ask("likes_next_day", where={"breed": "Pug"})
    assert pugs.assumptions["where"] == {"breed": "pug"}
    count = pugs.outcome.quantity("posts")
    assert count.mean() == pytest.approx(
        0.1 * everything.outcome.quantity("posts").mean(), rel=0.05
    )
    assert count.var() > count.mean()
    assert pugs.outcome.mean() < everything.outcome.mean()
    assert [note for note in pugs.notes if "never seen" in note] == []


def test_a_breed_never_seen_gets_an_answer_that_says_so(answerer: Answerer) -> None:
    answer = answerer.ask("likes_next_day", where={"breed": "wolpertinger"})
    assert answer.notes[1:] == (
        "breed=wolpertinger was never seen: few or none are expected, what one brings is open",
    )
    assert 0 < answer.outcome.mean() < 10_000


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"where": {"colour": "red"}}, UnknownNameError, "known: breed"),
        ({"where": {"breed": ""}}, QuestionError, "takes a label"),
        ({"given": {"cats": "> 3"}}, UnknownNameError, "known: likes_per_post, posts"),
        ({"do": {"posts": float("nan")}}, QuestionError, "do takes a number"),
        ({"threshold": "abc"}, QuestionError, "not a comparison"),
        ({"threshold": float("inf")}, QuestionError, "not a comparison"),
    ],
)
def test_what_has_no_meaning_is_refused_with_what_would(
    answerer: Answerer, changes: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        answerer.ask("likes_next_day", **changes)  # type: ignore[arg-type]


def test_old_facts_are_said_to_be_old(answerer: Answerer) -> None:
    (note,) = answerer.ask("likes_next_day").notes
    assert note.startswith("the facts end 3,134 days before they were read")


@pytest.mark.parametrize(
    ("as_of", "note"),
    [
        (UNTIL, None),
        (UNTIL + timedelta(hours=9), "had begun"),
        (UNTIL + timedelta(days=2), "2 days"),
    ],
)
def test_a_period_that_is_not_the_coming_one_is_said(
    tmp_path: Path, as_of: datetime, note: str | None
) -> None:
    release = publish(tmp_path, as_of)
    found = Answerer.load(DOMAIN, SnapshotStore(tmp_path), release).ask("posts_next_day").notes
    assert (note is None and found == ()) or (note is not None and note in found[0])


def test_unknown_questions_name_the_known_ones(answerer: Answerer) -> None:
    with pytest.raises(UnknownNameError, match="known: likes_next_day, posts_next_day"):
        answerer.ask("meaning_of_life")


def test_without_a_release_the_default_belief_answers_and_says_so(tmp_path: Path) -> None:
    answerer = Answerer.load(DOMAIN, SnapshotStore(tmp_path), None)
    answer = answerer.ask("likes_next_day").to_dict()
    assert answer["degraded"] == "no release has been published yet"
    assert answer["release"] is None
    assert {tuple(world["choices"].values()) for world in answer["worlds"]} == {
        ("default", "default")
    }
    assert answerer.predict({"breed": "pug"}).median > 0


def test_a_damaged_snapshot_leaves_the_others_in_force(tmp_path: Path) -> None:
    release = publish(tmp_path)
    victim = release.models["likes_per_post"]["learned"]
    (tmp_path / "models" / victim / "arrays.npz").write_bytes(b"junk")
    answerer = Answerer.load(DOMAIN, SnapshotStore(tmp_path), release)
    assert answerer.models["likes_per_post"].keys() == {"historical"}
    assert answerer.models["likes_per_post"]["historical"].weight == 1
    assert f"snapshot {victim} cannot be read" in str(answerer.degraded)


def test_a_snapshot_of_another_extractor_is_not_used(tmp_path: Path) -> None:
    release = publish(tmp_path)
    store = SnapshotStore(tmp_path)
    changed = DOMAIN.__class__(
        **{
            **{name: getattr(DOMAIN, name) for name in DOMAIN.__slots__},
            "spec": DOMAIN.spec.__class__(DOMAIN.spec.categories, version="999"),
        }
    )
    answerer = Answerer.load(changed, store, release)
    assert answerer.models["likes_per_post"].keys() == {"default"}
    assert "fitted on extractor version '1'" in str(answerer.degraded)


def test_predictions_mix_the_models(answerer: Answerer) -> None:
    found = answerer.predict({"breed": {"pug": 1.0}}, thresholds=[20_000, 0, 1e11], worlds=True)
    assert [world.model for world in found.worlds] == ["historical", "learned"]
    forms = {m: x.form for m, x in answerer.models["likes_per_post"].items()}
    features = DOMAIN.features({"breed": {"pug": 1.0}})
    exact = sum(
        w * float(1 - forms[m].predict(features).cdf(20_000))  # type: ignore[union-attr]
        for m, w in {"historical": 0.2, "learned": 0.8}.items()
    )
    assert found.exceedance[0].prob == pytest.approx(exact, abs=found.error_bound)
    assert 0.99 < found.exceedance[1].prob <= 1
    assert found.exceedance[2].prob == pytest.approx(0, abs=1e-9)
    lows = [interval.low for interval in found.intervals]
    assert lows == sorted(lows, reverse=True)


@pytest.mark.parametrize(
    "draft",
    [
        {},
        {"breed": "wolpertinger"},
        {"hashtags": ["never", "seen"]},
        {"moon_phase": "full", "x" * 500: [1, {"a": None}]},
        {"breed": {"pug": 5.0, "": -1}, "rating": "ten", "images": []},
        {"posted": "yesterday", "stages": 7},
    ],
)
def test_predictions_never_fail_on_what_they_do_not_know(
    answerer: Answerer, draft: dict[str, object]
) -> None:
    found = answerer.predict(draft)
    assert found.median >= 0
    for interval in found.intervals:
        assert 0 <= interval.low <= found.median <= interval.high < np.inf


def test_unknown_features_widen_and_are_listed(answerer: Answerer) -> None:
    seen = answerer.predict({"breed": "pug"}).intervals[2]
    strange = answerer.predict({"breed": "wolpertinger", "hashtags": ["new"], "aura": 3})
    assert strange.intervals[2].high / (strange.intervals[2].low + 1) > seen.high / (seen.low + 1)
    assert strange.unseen[:1] == ("breed=wolpertinger",)
    assert strange.ignored == ("aura",)


def test_predictions_far_ahead_are_wider(answerer: Answerer) -> None:
    near = answerer.predict({"breed": "pug"}, at=UNTIL).intervals[2]
    far = answerer.predict({"breed": "pug"}, at=UNTIL + timedelta(days=900)).intervals[2]
    assert far.high > near.high
    assert far.low < near.low


def test_a_query_is_a_plan_that_changes_leave_alone(tmp_path: Path) -> None:
    publish(tmp_path / "snapshots")
    worlds = open_worlds(tmp_path, "dogposts")
    query = worlds.ask("likes_next_day")
    doubled = query.do(posts={"times": 2})
    assert doubled.mean() == pytest.approx(2 * query.mean())
    assert float(query.given(posts="<= 0").prob("> 0")) == 0
    assert len(query.worlds()) == 4
    assert {"posts", "likes_per_post", "weight", "low", "high"} <= set(next(query.rows()))
    assert query.where(breed="pug").mean() < query.mean()
    assert query._repr_html_().startswith("<figure><svg")


def test_as_of_finds_what_was_known_then(tmp_path: Path) -> None:
    old = publish(tmp_path / "snapshots", AS_OF, level=8.0)
    new = publish(tmp_path / "snapshots", AS_OF + timedelta(days=30), level=10.0)
    query = open_worlds(tmp_path, "dogposts").ask("likes_next_day")
    assert query.answer.release == new
    then = query.as_of(AS_OF + timedelta(days=1))
    assert then.answer.release == old
    assert then.mean() < query.mean()
    with pytest.raises(QuestionError, match="nothing was published as of 2020"):
        query.as_of(datetime(2020, 1, 1, tzinfo=UTC)).mean()
    with pytest.raises(QuestionError, match="needs a time zone"):
        query.as_of(datetime(2020, 1, 1)).mean()  # noqa: DTZ001 - the point


def test_pictures_show_the_distribution(answerer: Answerer) -> None:
    answer = answerer.ask("likes_next_day", threshold="> 50000")
    values = dots(answer)
    above = sum(value > 50_000 for value in values) / len(values)
    assert above == pytest.approx(float(answer.outcome.prob("> 50000")), abs=0.02)
    assert svg(answer).count("<circle") == 50
    line, low, high = bars(answer)
    assert len(line) == 60
    assert low < high
    assert "of 100" in answer.sentence()
