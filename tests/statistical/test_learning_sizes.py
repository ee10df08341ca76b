"""Whether forecasts of sizes are calibrated and sharp where the truth is known or was seen."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from tests.worlds.learn import made
from worlds.core.questions import Quantity
from worlds.domains import dogposts
from worlds.learn import registry
from worlds.learn.backtest import sizes as backtest
from worlds.learn.protocol import Fit, SizeModel
from worlds.learn.scoring import Scores
from worlds.learn.series import Items, aware, utc64

pytestmark = pytest.mark.slowish


def model(name: str) -> SizeModel:
    found = registry.find("size", name)
    assert isinstance(found, SizeModel)
    return found


def fitted(name: str, items: Items, seed: int = 0) -> Fit:
    result = model(name).fit(
        items, made.SPEC, at=aware(items.at[-1]), rng=np.random.default_rng(seed)
    )
    assert isinstance(result, Fit)
    return result


def scored(name: str, items: Items, spec: object = made.SPEC) -> Scores:
    found = backtest(model(name), items, spec, seed=0)  # type: ignore[arg-type]
    assert isinstance(found, Scores)
    return found.made


@pytest.mark.parametrize("name", ["historical", "recent", "local", "learned", "boosted"])
def test_intervals_cover_on_drifting_items(name: str) -> None:
    scores = [scored(name, made.items(np.random.default_rng(seed), 1500)[0]) for seed in (1, 2)]
    n = sum(len(part) for part in scores)
    for level in (0.5, 0.9):
        found = sum(len(part) * part.coverage(level) for part in scores) / n
        # items of one block share an error of the level: 8 binomial errors, not 4
        assert abs(found - level) < 8 * np.sqrt(level * (1 - level) / n)


def bursts(rng: np.random.Generator, items: Items) -> Items:
    """Days on which everything is shared: six times the likes, for ten things in a row."""
    begins = rng.choice(len(items) // 10, len(items) // 100, replace=False) * 10
    factor = np.ones(len(items))
    for begin in begins:
        factor[begin : begin + 10] = 6.0
    return replace(items, label=np.round(items.label * factor))


def unseen(rng: np.random.Generator, items: Items) -> Items:
    """Two of five things are seen by nobody."""
    return replace(items, label=items.label * (rng.uniform(size=len(items)) < 0.6))


@pytest.mark.parametrize("change", [bursts, unseen])
@pytest.mark.parametrize("name", ["learned", "boosted"])
def test_intervals_cover_under_bursts_and_zeros(name: str, change: object) -> None:
    rng = np.random.default_rng(4)
    items = change(rng, made.items(rng, 1500)[0])  # type: ignore[operator]
    found = scored(name, items)
    for level in (0.5, 0.9):
        error = 8 * np.sqrt(level * (1 - level) / len(found))
        assert abs(found.coverage(level) - level) < error


def test_learned_comes_near_the_truth_and_beats_the_marginal() -> None:
    items, truth = made.items(np.random.default_rng(5), 2000)
    place = {moment: i for i, moment in enumerate(items.at)}
    scores = {name: scored(name, items) for name in ("historical", "learned")}
    rows = np.array([place[moment] for moment in scores["learned"].at])
    p = truth.size / (truth.size + truth.mean[rows])
    best = stats.nbinom.logpmf(items.label[rows], truth.size, p).mean()
    learned = scores["learned"].log_score.mean()
    # the truth knows the breed that the classifier only guesses, and how the level went on: over
    # a block of 167 things it walks by 0.26
    assert best - 0.12 < learned <= best + 0.02
    assert learned > scores["historical"].log_score.mean()
    past = items.label[: rows[0]]
    size = past.mean() ** 2 / (past.var() - past.mean())
    marginal = stats.nbinom.logpmf(items.label[rows], size, size / (size + past.mean())).mean()
    assert learned > marginal + 0.1


def test_fifty_thousand_items_take_seconds() -> None:
    import time

    items, _ = made.items(np.random.default_rng(8), 2000)
    many = items.take(np.tile(np.arange(2000), 25))
    spread = items.at[0] + (np.arange(50_000) * 3600).astype("timedelta64[s]")
    many = replace(many, at=spread)
    begin = time.process_time()
    fitted("learned", many)
    assert time.process_time() - begin < 10


@pytest.fixture(scope="module")
def real_posts(dog_posts: Path) -> Items:
    with dog_posts.open() as file:
        rows = list(csv.DictReader(file))
    at = np.array([utc64(datetime.fromisoformat(row["posted_at"])) for row in rows])
    features = [dogposts.features(_row(row)) for row in rows]
    likes = np.array([float(row["likes"]) for row in rows])
    quantity = Quantity("likes", "likes", "size", "post", (200, 60_000))
    return Items(quantity, features, at, likes, at + np.timedelta64(timedelta(days=3)))


def _row(raw: Mapping[str, str]) -> dict[str, object]:
    breeds: dict[str, float] = {}
    for k in "123":
        if raw[f"breed{k}"]:
            name = raw[f"breed{k}"] if raw[f"breed{k}_is_dog"] == "True" else "other"
            breeds[name] = breeds.get(name, 0.0) + float(raw[f"breed{k}_confidence"])
    kept = {"images": raw["images"] or 0, "rating": raw["rating"], "stages": raw["stages"]}
    return {"breed": breeds, "is_reply": raw["is_reply"], "hashtags": raw["hashtags"], **kept}


def test_real_posts_are_covered_and_forecast_better_than_by_simple_references(
    real_posts: Items,
) -> None:
    scores = {
        name: scored(name, real_posts, dogposts.SPEC)
        for name in ("default", "historical", "learned")
    }
    for name in ("historical", "learned"):
        n = len(scores[name])
        for level in (0.5, 0.9):
            assert scores[name].coverage(level) > level - 4 * np.sqrt(level * (1 - level) / n)
    means = {name: float(made.log_score.mean()) for name, made in scores.items()}
    assert means["learned"] > means["historical"] > means["default"]
    place = {moment: i for i, moment in enumerate(real_posts.at)}
    rows = np.array([place[moment] for moment in scores["learned"].at])
    log_likes = np.log(real_posts.label)
    reference = []
    for i in rows:  # a log-normal of the last 200 posts, told of every post at once
        past = log_likes[i - 200 : i]
        z = (log_likes[i] - past.mean()) / past.std()
        reference.append(-0.5 * z**2 - np.log(past.std() * np.sqrt(2 * np.pi)) - log_likes[i])
    assert means["learned"] > np.mean(reference)
    assert np.isfinite(special.logsumexp(scores["learned"].log_score))
