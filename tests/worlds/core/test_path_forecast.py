"""The pooled path: its table against exact sums, its worlds, and what coheres."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from worlds.core.coherent import CoherentPath, recalibrated, total_of
from worlds.core.distributions import CountMixture
from worlds.core.forms.count_path import CountPath
from worlds.core.path_forecast import Cohesion, PathForecast, as_mixture
from worlds.core.recalibration import Recalibration
from worlds.errors import QuestionError, SnapshotError

START = datetime(2026, 3, 2, tzinfo=UTC)
LEVELS = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]


def path(means: list[float], size: float, horizon: int = 6) -> CountPath:
    row = np.array(means)
    weights = np.full((horizon, len(row)), 1 / len(row))
    return CountPath(
        START, timedelta(hours=1), weights, np.tile(row, (horizon, 1)),
        np.full((horizon, len(row)), size),
    )  # fmt: skip


def pool(scale: float, maps: Recalibration | None = None, horizon: int = 6) -> PathForecast:
    paths = {
        "a": path([2.0 * scale, 3.0 * scale], 8.0, horizon),
        "b": path([4.0 * scale], np.inf, horizon),
    }
    weights = np.tile([0.3, 0.7], (horizon, 1))
    return PathForecast(paths, weights, [maps or Recalibration.identity()] * horizon)


def narrower() -> Recalibration:
    return Recalibration.fit(np.random.default_rng(1).beta(2, 2, 600))


@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0, 4000.0])
def test_the_table_is_the_mixture(scale: float) -> None:
    forecast = pool(scale)
    exact = CountMixture.of(
        np.array([2.0, 3.0, 4.0]) * scale, np.array([8.0, 8.0, np.inf]), [0.15, 0.15, 0.7]
    )
    quantiles = forecast.quantiles(LEVELS)[3]
    told = forecast.cdf(quantiles)[3]
    np.testing.assert_allclose(told, exact.cdf(quantiles), atol=4e-3)
    if scale <= 1:
        np.testing.assert_array_equal(quantiles, exact.quantile(LEVELS))
    assert forecast.mean()[0] == pytest.approx(exact.mean(), rel=0.01)


def test_a_model_without_a_say_at_a_step_keeps_its_law() -> None:
    forecast = pool(1.0, narrower())
    told = replace(forecast, weights=np.tile([0.0, 1.0], (6, 1))).worlds(2)
    assert told["a"][0] == 0
    assert told["b"][0] == pytest.approx(1)
    own = CountMixture.of(np.array([2.0, 3.0]), 8.0, [0.5, 0.5])
    assert told["a"][1].mean() == pytest.approx(own.mean())


def smooth(scale: float, maps: Recalibration) -> PathForecast:
    """Models whose components are narrow against the whole, as those that are learned."""
    paths = {
        "a": path((3 * scale * np.exp(0.4 * np.linspace(-2, 2, 15))).tolist(), 40.0),
        "b": path((4 * scale * np.exp(0.2 * np.linspace(-2, 2, 15))).tolist(), 120.0),
    }
    return PathForecast(paths, np.tile([0.3, 0.7], (6, 1)), [maps] * 6)


@pytest.mark.parametrize("scale", [1.0, 30.0, 4000.0])
def test_the_worlds_are_the_recalibrated_pool(scale: float) -> None:
    forecast = smooth(scale, narrower())
    worlds = forecast.worlds(2)
    assert sum(weight for weight, _ in worlds.values()) == pytest.approx(1.0)
    values = forecast.quantiles(np.linspace(0.02, 0.98, 25))[2]
    mixed = sum(weight * law.cdf(values) for weight, law in worlds.values())
    before = sum(
        w * law.cdf(values) for w, law in smooth(scale, Recalibration.identity()).worlds(2).values()
    )
    gap = np.abs(mixed - forecast.cdf(values)[2]).max()
    # a few things an hour cannot be told more narrowly than chance allows: half the way then
    part = 0.65 if scale == 1 else 0.3
    assert gap < part * np.abs(before - forecast.cdf(values)[2]).max()


def test_cohesion_is_recovered() -> None:
    true = Cohesion(0.3, 0.5, 0.8)
    scores = true.normals(24, 4000)[:2000]
    found = Cohesion.fit(scores)
    # 2,000 paths: a correlation is known to about 0.02
    for steps in (3, 12, 24):
        assert found.mean_correlation(steps) == pytest.approx(true.mean_correlation(steps), abs=0.1)
    assert Cohesion.from_json(found.to_json()) == found
    assert Cohesion.fit(scores[:3]) == Cohesion()


def test_totals_have_the_variance_of_the_path() -> None:
    horizon, cohesion = 24, Cohesion(0.3, 0.4, 0.7)
    forecast = replace(pool(50.0, horizon=horizon), cohesion=cohesion)
    draws = forecast.samples()
    total = forecast.total()
    assert total.mean() == pytest.approx(draws.sum(1).mean(), rel=1e-6)
    assert total.var() == pytest.approx(draws.sum(1).var(), rel=0.05)
    together = horizon * (1 + (horizon - 1) * cohesion.mean_correlation(horizon))
    one = CountMixture.of([100.0, 150.0, 200.0], [8.0, 8.0, np.inf], [0.15, 0.15, 0.7]).var()
    # a rank correlation is a little less than that of the scores
    assert total.var() == pytest.approx(one * together, rel=0.2)
    with pytest.raises(QuestionError, match="steps must lie"):
        forecast.total(3, 3)


def test_draws_become_a_mixture() -> None:
    draws = stats.nbinom(3, 0.02).rvs(4096, random_state=np.random.default_rng(2)).astype(float)
    mixture = as_mixture(draws)
    assert mixture.mean() == pytest.approx(draws.mean())
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    found = mixture.cdf(np.quantile(draws, levels))
    assert np.abs(found - levels).max() < 0.02


def evidence(maps: Recalibration) -> dict[str, object]:
    horizon = {"weights": {"a": 0.3, "b": 0.7}, "recalibration": maps.to_json()}
    return {
        "buckets": [0, 1, 1, 1, 1, 1],
        "horizons": [horizon, horizon],
        "cohesion": Cohesion().to_json(),
    }


def test_a_release_serves_the_recalibrated_pool() -> None:
    forecast = pool(40.0, narrower())
    found = recalibrated(forecast.paths, {"a": 0.3, "b": 0.7}, evidence(narrower()))
    assert found is not None
    forms, weights = found
    values = forecast.quantiles(np.linspace(0.05, 0.95, 10))[0]
    mixed = sum(weights[name] * form.count().cdf(values) for name, form in forms.items())
    worlds = sum(weight * law.cdf(values) for weight, law in forecast.worlds(0).values())
    np.testing.assert_allclose(mixed, worlds, atol=1e-9)


def test_a_coherent_total_keeps_periods_and_their_variance() -> None:
    cohesion = Cohesion(0.3, 0.4, 0.7)
    one = path([100.0, 150.0], 12.0, 24)
    form = CoherentPath(one.start, one.step, one.weights, one.means, one.sizes, {}, cohesion)
    total = form.total({}, 24)
    single = one.count()
    assert total.mean() == pytest.approx(24 * single.mean(), rel=0.01)
    whole = 24 * single.var() * (1 + 23 * cohesion.mean_correlation(24))
    assert total.var() == pytest.approx(whole, rel=0.15)
    few = form.total({"breed": "pug"}, 2)  # a share nobody knows: any share
    assert few.mean() < form.total({}, 2).mean()


def test_without_a_record_nothing_is_recalibrated() -> None:
    forms = pool(5.0).paths
    weights = {"a": 0.3, "b": 0.7}
    assert recalibrated(forms, weights, {}) is None
    assert recalibrated({**forms, "own": object()}, weights, evidence(narrower())) is None
    broken = evidence(narrower()) | {"horizons": [{"weights": {}}]}
    with pytest.raises(SnapshotError, match="a horizon needs"):
        recalibrated(forms, weights, broken)
    with pytest.raises(SnapshotError, match="a cohesion needs"):
        recalibrated(forms, weights, evidence(narrower()) | {"cohesion": {}})
    with pytest.raises(SnapshotError, match=r"must lie in \[0, 1\]"):
        Cohesion.from_json({"shared": 0.9, "drifting": 0.9, "keeps": 0.5})


def test_any_path_has_a_total() -> None:
    same = path([4.0, 9.0], 6.0)
    levels = total_of(same, {}, 6)  # the components are levels: they stay
    assert levels.var() > 6 * same.count().var()
    steps = np.array(same.weights)
    steps[3:] = [0.2, 0.8]
    other = total_of(replace(same, weights=steps), {}, 6)
    assert other.mean() == pytest.approx(3 * 6.5 + 3 * 8.0, rel=0.02)
