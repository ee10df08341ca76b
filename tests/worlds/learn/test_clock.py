from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from worlds.learn.clock import Clock, harmonics, profile


@pytest.mark.parametrize("minutes", [15, 60, 360])
def test_slots_agree_with_the_calendar(minutes: int) -> None:
    start, step = datetime(2026, 11, 19, 22, tzinfo=UTC), timedelta(minutes=minutes)
    start -= (start - datetime(2026, 11, 16, tzinfo=UTC)) % step
    clock = Clock.of(start, step, 3000)
    for i in range(0, 3000, 37):
        moment = start + i * step
        second = moment.hour * 3600 + moment.minute * 60
        assert clock.day[i] == second // (60 * minutes)
        assert clock.week[i] == moment.weekday() * clock.per_day + clock.day[i]
        assert clock.weekend[i] == (moment.weekday() >= 5)


def test_days_have_one_slot_a_day_and_seven_a_week() -> None:
    clock = Clock.of(datetime(2026, 11, 21, tzinfo=UTC), timedelta(days=1), 4)
    assert (clock.per_day, clock.per_week) == (1, 7)
    assert clock.week.tolist() == [5, 6, 0, 1]
    assert clock.coarse.tolist() == [1, 1, 0, 0]


def test_harmonics_are_orthogonal_and_leave_out_what_is_zero() -> None:
    waves = harmonics(np.arange(24), 24, range(1, 13))
    assert waves.shape == (24, 23)
    gram = waves.T @ waves
    assert gram == pytest.approx(np.diag(np.diag(gram)), abs=1e-12)
    assert harmonics(np.arange(7), 1, range(1, 5)).shape == (7, 0)


def test_profile_without_a_period_is_what_it_would_be_if_it_had_never_been(
    rng: np.random.Generator,
) -> None:
    start, step, n = datetime(2026, 3, 2, tzinfo=UTC), timedelta(hours=6), 100
    clock = Clock.of(start, step, n)
    y, base = rng.poisson(6, n).astype(float), rng.uniform(3, 8, n)
    slots, without = profile(clock, y, base, prior=5.0)
    for i in (0, 41, 99):
        rest = np.arange(n) != i
        part = Clock(clock.day[rest], clock.week[rest], clock.weekend[rest], clock.per_day)
        alone, _ = profile(part, y[rest], base[rest], prior=5.0)
        assert without[i] == pytest.approx(alone[clock.week[i]], rel=1e-12)
    assert slots.shape == (28,)


def test_slots_never_seen_take_the_factor_of_their_time_of_day() -> None:
    clock = Clock.of(datetime(2026, 3, 2, tzinfo=UTC), timedelta(days=1), 3)
    slots, _ = profile(clock, np.array([4.0, 4, 4]), np.array([2.0, 2, 2]), prior=1e-9)
    assert slots == pytest.approx([2, 2, 2, 2, 2, 1, 1], rel=1e-6)
