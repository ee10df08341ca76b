"""Forecasts of counts: honest, coherent, and never lost for an answer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.worlds.learn import made
from worlds.errors import QuestionError
from worlds.learn.forecast import Forecaster
from worlds.learn.placing import scored
from worlds.learn.residuals import Law, blocks
from worlds.learn.series import Counts
from worlds.learn.stacking import stack
from worlds.learn.usual import View, silence

FAST = ("historical", "seasonal", "streaming")
HOUR = timedelta(hours=1)


def hourly(y: np.ndarray, start: datetime = made.START) -> Counts:
    return Counts(made.counts(np.zeros(1), HOUR).quantity, start, HOUR, np.asarray(y, float))


def rhythm(hours: int) -> np.ndarray:
    clock = np.arange(hours)
    return np.exp(np.sin(2 * np.pi * clock / 24) + 0.3 * ((clock // 24) % 7 >= 5))


def drifting(rng: np.random.Generator, hours: int, mean: float = 40.0) -> np.ndarray:
    """A rhythm times a level that wanders, with gamma noise of its own."""
    level = np.zeros(hours)
    for hour in range(1, hours):
        level[hour] = 0.97 * level[hour - 1] + 0.08 * rng.standard_normal()
    rate = mean * rhythm(hours) * np.exp(level) * rng.gamma(12, 1 / 12, hours)
    return rng.poisson(rate).astype(float)


@pytest.mark.parametrize("n", [1, 3, 5, 12, 30])
def test_a_tiny_history_is_forecast_widely_or_refused(n: int) -> None:
    y = np.random.default_rng(n).poisson(9.0, n)
    if n < 3:
        with pytest.raises(QuestionError, match="no model can forecast"):
            Forecaster.fit(hourly(y), horizon=5)
        return
    found = Forecaster.fit(hourly(y), horizon=5)
    quantiles = found.forecast().quantiles([0.05, 0.5, 0.95])
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles) >= 0).all()
    if n <= 5:
        assert (quantiles[:, 2] > 12).all()  # 9 +- 3 is what a Poisson known exactly would say
    assert found.forecast().totals([0.5])[0] > 0


def test_nothing_known_is_refused_in_words() -> None:
    with pytest.raises(QuestionError, match="no model can forecast from 0 periods"):
        Forecaster.fit(hourly(np.zeros(0)), horizon=3)


def test_taking_in_counts_is_what_looking_again_sees() -> None:
    y = drifting(np.random.default_rng(4), 500)
    view, later = View.of(hourly(y[:440]), 24), View.of(hourly(y), 24)
    grown = view.extended(y[440:])  # more than the horizon at once
    names = ("usual", "mean", "spread", "ratio", "levels", "restless", "sums", "y")
    for name in (*names, "profile", "steady"):
        np.testing.assert_allclose(getattr(grown, name), getattr(later, name), atol=1e-9)


def test_no_origin_sees_what_comes_after_it() -> None:
    y = drifting(np.random.default_rng(5), 500)
    changed = np.r_[y[:400], 7 * y[400:] + 90]
    one, other = View.of(hourly(y), 24), View.of(hourly(changed), 24)
    origins, steps = np.repeat(np.arange(380, 401), 3), np.tile([1, 12, 24], 21)
    np.testing.assert_array_equal(one.departures(origins, steps), other.departures(origins, steps))
    np.testing.assert_array_equal(one.lags(origins, steps), other.lags(origins, steps))
    np.testing.assert_array_equal(one.rhythm(origins, steps), other.rhythm(origins, steps))


def test_a_level_that_wanders_is_not_taken_for_a_rhythm() -> None:
    rng = np.random.default_rng(31)
    hours = 24 * 28
    level = np.exp(np.cumsum(0.03 * rng.standard_normal(hours + 24)))
    true = np.log(rhythm(hours + 24))
    y = rng.poisson(20 * np.exp(true[:hours]) * level[:hours]).astype(float)
    view = View.of(hourly(y), 24)
    weekday = slice(hours - 48 - 72, hours - 72)
    gap = (view.profile - true)[weekday]
    # 25 to 60 counts a slot and day over 18 weekdays: chance is worth .05, the level as much
    assert np.std(gap) < 0.12
    usual_gap = (np.log(view.usual + 0.5) - true)[weekday]
    assert np.std(gap) < np.std(usual_gap)
    # factors are those of the mean of a day; the level of 12 hours is known to .1
    mean_of_day = 20 * level[hours] * np.exp(true[: 24 * 5]).mean()
    assert abs(view.steady[hours, 1] - np.log(mean_of_day)) < 0.25


def test_periods_longer_than_a_day_have_no_profile() -> None:
    counts = Counts(hourly(np.zeros(1)).quantity, made.START, timedelta(days=7), np.arange(30.0))
    assert not View.of(counts, 4).profile.any()


def test_models_on_trial_are_not_scored_before_their_first_errors_were_seen() -> None:
    begun = np.repeat([40, 60, 80], 5)
    np.testing.assert_array_equal(scored(begun), np.arange(5, 15))
    np.testing.assert_array_equal(scored(begun[:5]), np.arange(5))
    assert len(scored(begun[:0])) == 0


def test_a_burst_moves_what_is_usual_little() -> None:
    y = 30 * rhythm(24 * 35)
    burst = y.copy()
    burst[24 * 20 : 24 * 20 + 12] *= 50
    calm, after = View.of(hourly(y), 24), View.of(hourly(burst), 24)
    assert np.abs(np.log(after.usual[-24:] / calm.usual[-24:])).max() < 0.35


def test_silence_of_the_source_is_not_zero() -> None:
    y = np.random.default_rng(6).poisson(20 * rhythm(24 * 40)).astype(float)
    gap = y.copy()
    gap[24 * 30 : 24 * 33] = 0
    view = View.of(hourly(gap), 24)
    assert not view.known[24 * 30 : 24 * 33].any()
    assert view.known.sum() == len(y) - 72
    told = Forecaster.fit(hourly(gap), horizon=24, models=FAST).forecast().mean()
    plain = Forecaster.fit(hourly(y), horizon=24, models=FAST).forecast().mean()
    assert np.abs(np.log(told / plain)).mean() < 0.15
    unknown = gap.copy()
    unknown[24 * 30 : 24 * 33] = np.nan  # who knows that nobody counted may say so
    same = Forecaster.fit(hourly(unknown), horizon=24, models=FAST).forecast().mean()
    np.testing.assert_allclose(same, told, rtol=1e-9)


def test_zeros_are_zeros_where_few_are_usual_or_they_go_on() -> None:
    assert not silence(np.zeros(30), np.full(30, 1.0), 24).any()
    busy = np.r_[np.full(5, 90.0), np.zeros(30), np.full(5, 90.0)]
    assert silence(busy, np.full(40, 90.0), 24).sum() == 30
    assert not silence(busy[:20], np.full(20, 90.0), 24).any()


def test_clocks_that_change_are_followed() -> None:
    """In summer time the same people come an hour earlier by UTC."""
    hours = 24 * 56
    shifted = np.r_[rhythm(hours)[: 24 * 49], np.roll(rhythm(hours), -1)[24 * 49 :]]
    y = np.random.default_rng(7).poisson(60 * shifted).astype(float)
    coming = 60 * np.roll(rhythm(hours + 24), -1)[hours:]
    forecast = Forecaster.fit(hourly(y), horizon=24, models=FAST).forecast()
    low, high = forecast.quantiles([0.05, 0.95]).T
    assert ((low <= coming) & (coming <= high)).mean() >= 0.9


def test_laws_hold_zeros_and_bursts() -> None:
    rng = np.random.default_rng(8)
    place = rng.gamma(4, 5, 6000)
    y = rng.poisson(place * rng.gamma(6, 1 / 6, 6000)).astype(float)
    y[rng.uniform(size=6000) < 0.15] = 0
    y[rng.uniform(size=6000) < 0.02] *= 8
    law = Law.fit(y[:3000], place[:3000], np.ones(3000), 1)
    upto, at = law.cdf(y[3000:], place[3000:]), np.exp(law.log_prob(y[3000:], place[3000:]))
    pit = upto - at * rng.uniform(size=3000)
    for level in (0.5, 0.9):
        covered = np.mean(np.abs(pit - 0.5) < level / 2)
        # 4 standard errors of 3,000 forecasts; the grid of departures is worth two points
        assert abs(covered - level) < 4 * np.sqrt(level * (1 - level) / 3000) + 0.02


def test_a_law_recovers_the_size_of_a_negative_binomial() -> None:
    rng = np.random.default_rng(9)
    place = np.full(5000, 400.0)
    y = rng.poisson(place * rng.gamma(10, 1 / 10, 5000)).astype(float)
    law = Law.fit(y, place, np.ones(5000), 1)
    means, sizes = law.components(place[:1])
    mean = law.weights @ means[0]
    var = law.weights @ (means[0] + means[0] ** 2 / sizes[0] + (means[0] - mean) ** 2)
    assert mean == pytest.approx(400, rel=0.03)
    assert var == pytest.approx(400 + 400**2 / 10, rel=0.15)


def test_blocks_hold_every_step_once() -> None:
    for horizon in (1, 2, 7, 24, 96):
        steps = [step for block in blocks(horizon) for step in block]
        assert steps == list(range(1, horizon + 1))


def test_weights_go_to_the_true_model_or_to_the_best_mixture() -> None:
    rng = np.random.default_rng(10)
    n = 4000
    y = rng.poisson(10.0, n)
    log_pmf = {
        mean: y * np.log(mean) - mean - np.array([np.sum(np.log(np.arange(1, k + 1))) for k in y])
        for mean in (6.0, 10.0, 16.0)
    }
    true = stack(np.column_stack(list(log_pmf.values())), pull=20.0)
    assert true[1] > 0.85
    none = stack(np.column_stack([log_pmf[6.0], log_pmf[16.0]]))
    score = [
        np.mean(np.logaddexp(np.log(w) + log_pmf[6.0], np.log(1 - w) + log_pmf[16.0]))
        for w in np.linspace(0.02, 0.98, 97)
    ]
    assert none[0] == pytest.approx(np.linspace(0.02, 0.98, 97)[int(np.argmax(score))], abs=0.02)


@pytest.mark.slowish
def test_intervals_hold_under_drift_and_so_do_totals() -> None:
    """Of simulated series with a wandering level, 24 hours ahead from 60 origins."""
    hits, totals, n = np.zeros(2), np.zeros(2), 0
    for seed in range(3):
        y = drifting(np.random.default_rng(20 + seed), 24 * 70)
        found = Forecaster.fit(hourly(y[: 24 * 45]), horizon=24)
        for _ in range(20):
            last = len(found.view)
            forecast = found.forecast()
            low, first, third, high = forecast.quantiles([0.05, 0.25, 0.75, 0.95]).T
            coming = y[last : last + 24]
            hits += [
                np.mean((low <= coming) & (coming <= high)),
                np.mean((first <= coming) & (coming <= third)),
            ]
            ends = forecast.totals([0.05, 0.25, 0.75, 0.95])
            total = coming.sum()
            totals += [ends[0] <= total <= ends[3], ends[1] <= total <= ends[2]]
            n += 1
            found = found.update(y[last : last + 29])
    # 60 paths whose hours belong together: some 4 standard errors of 60 / 0.5 independent ones
    assert np.abs(hits / n - [0.9, 0.5]).max() < 0.12
    assert np.abs(totals / n - [0.9, 0.5])[0] < 4 * np.sqrt(0.09 / n)
    assert np.abs(totals / n - [0.9, 0.5])[1] < 4 * np.sqrt(0.25 / n)


def test_the_past_is_not_rewritten() -> None:
    """The same counts, the same forecast, whatever else has been fitted."""
    y = drifting(np.random.default_rng(30), 400)
    first = Forecaster.fit(hourly(y), horizon=6, models=FAST).forecast().quantiles([0.1, 0.9])
    Forecaster.fit(hourly(y[:300]), horizon=6, models=FAST)
    again = Forecaster.fit(hourly(y), horizon=6, models=FAST).forecast().quantiles([0.1, 0.9])
    np.testing.assert_array_equal(first, again)
    assert made.START.tzinfo is UTC


@pytest.mark.slowish
def test_intervals_follow_errors_that_grow_between_two_fits() -> None:
    rng = np.random.default_rng(32)
    hours = 24 * 35
    rate = 60 * rhythm(hours)
    y = rng.poisson(rate).astype(float)
    first = 24 * 21
    y[first:] = rng.poisson(rate[first:] * rng.gamma(6, 1 / 6, hours - first))
    found = Forecaster.fit(hourly(y[:first]), horizon=6, models=FAST)
    kept, held = found.record, np.zeros((hours - first, 2))
    for number, hour in enumerate(range(first, hours)):
        for column, record in enumerate((found.record, kept)):
            low, high = replace(found, record=record).forecast().quantiles([0.05, 0.95])[0]
            held[number, column] = low <= y[hour] <= high
        found = found.update(y[hour : hour + 1])
    assert found.age == hours - first
    assert found.record.since == hours - first
    updated, frozen = held[24 * 7 :].mean(0)
    # errors are three times what they were: laws and levels know nothing of it until the next fit
    assert updated > frozen + 0.05
    assert kept.since == 0
