"""Whether forecasts of counts are calibrated and sharp where the truth is known or was seen."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.worlds.learn.made import HOUR, START, counts, negbin
from worlds.learn import registry
from worlds.learn.backtest import counts as backtest
from worlds.learn.protocol import CountModel
from worlds.learn.scoring import Scores
from worlds.learn.series import Counts, utc64
from worlds.learn.weights import learn_weights

pytestmark = pytest.mark.slowish

ADAPTIVE = ["historical", "learned", "seasonal", "streaming"]


def model(name: str) -> CountModel:
    found = registry.find("count", name)
    assert isinstance(found, CountModel)
    return found


def scored(name: str, history: Counts) -> Scores:
    found = backtest(model(name), history, seed=0)
    assert isinstance(found, Scores)
    return found.made


def drifting(seed: int, hours: int = 700) -> tuple[Counts, np.ndarray]:
    """Hours with a daily and weekly rhythm and a level that walks; NB noise of size 12."""
    rng = np.random.default_rng(seed)
    clock = np.arange(hours)
    rhythm = 0.6 * np.sin(2 * np.pi * (clock - 8) / 24) + 0.2 * ((clock // 24) % 7 >= 5)
    level = np.cumsum(rng.normal(0, 0.03, hours))
    mean = np.exp(2.5 + rhythm + level - level.mean())
    return counts(negbin(rng, mean, 12.0), HOUR, START), mean


@pytest.mark.parametrize("name", ADAPTIVE)
def test_intervals_cover_on_drifting_hours(name: str) -> None:
    made = [scored(name, drifting(seed)[0]) for seed in (1, 2)]
    n = sum(len(scores) for scores in made)
    for level in (0.5, 0.9):
        found = sum(len(scores) * scores.coverage(level) for scores in made) / n
        # 4 binomial errors below, and 4 points for models that are not the truth; too wide is
        # judged by the score
        assert found > level - 0.04 - 4 * np.sqrt(level * (1 - level) / n)


def test_models_that_know_the_rhythm_come_near_the_truth() -> None:
    gaps: dict[str, list[float]] = {name: [] for name in ADAPTIVE}
    for seed in (1, 2):
        history, mean = drifting(seed)
        for name in ADAPTIVE:
            scores = scored(name, history)
            place = ((scores.at - utc64(history.start)) / np.timedelta64(1, "h")).astype(int)
            np.testing.assert_array_equal(history.y[place], scores.outcome)
            truth = stats.nbinom.logpmf(history.y[place], 12, 12 / (12 + mean[place]))
            gaps[name].append(float((truth - scores.log_score).mean()))
    assert np.mean(gaps["seasonal"]) < 0.12
    assert np.mean(gaps["learned"]) < 0.15
    assert np.mean(gaps["seasonal"]) < np.mean(gaps["streaming"])
    assert np.mean(gaps["learned"]) < np.mean(gaps["historical"])


def test_the_pool_is_as_good_as_its_best_model() -> None:
    history, _ = drifting(3)
    scores = {name: scored(name, history) for name in ADAPTIVE}
    found = learn_weights(scores)
    best = max(float(made.log_score.mean()) for made in scores.values())
    # the floor of 2 % a model may cost as much as -log(1 - 4 * 0.02)
    assert found.evidence["pool"]["log_score"] > best - 0.085


def test_the_level_is_followed_when_it_falls_from_13_to_2() -> None:
    rng = np.random.default_rng(4)
    level = np.r_[np.full(60, 13.0), np.geomspace(13, 2, 60), np.full(60, 2.0)]
    history = counts(negbin(rng, level, 20.0))
    for name in ADAPTIVE:
        result = model(name).fit(history, horizon=1, rng=rng)
        forecast = result.form.count()  # type: ignore[union-attr]
        assert 1.0 < forecast.mean() < 3.6, name


@pytest.fixture(scope="module")
def real_days(dog_posts: Path) -> Counts:
    with dog_posts.open() as file:
        moments = [datetime.fromisoformat(row["posted_at"]) for row in csv.DictReader(file)]
    start = datetime(2015, 11, 16, tzinfo=UTC)
    day = np.array([(moment - start).days for moment in moments])
    return counts(np.bincount(day[day >= 0])[:-1].astype(float), start=start)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_real_days_are_covered(real_days: Counts, name: str) -> None:
    scores = scored(name, real_days)
    n = len(scores)
    for level in (0.5, 0.9):
        assert scores.coverage(level) > level - 4 * np.sqrt(level * (1 - level) / n)


def test_real_days_are_forecast_better_than_by_simple_means(real_days: Counts) -> None:
    """The drift is slow: a mean of two weeks with Poisson noise is hard to beat by much."""
    names = ["historical", "seasonal", "learned"]
    scores = {name: scored(name, real_days) for name in names}
    at = ((scores["seasonal"].at - np.datetime64("2015-11-16")) / np.timedelta64(1, "D")).astype(
        int
    )
    y = real_days.y
    poisson = [stats.poisson.logpmf(y[t], max(y[t - 14 : t].mean(), 0.3)) for t in at]
    pooled = learn_weights(scores).evidence["pool"]["log_score"]
    assert pooled > np.mean(poisson) - 0.02
