"""The calendar of periods: which slot of the day and of the week each one is."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

DAY = timedelta(days=1)
MONDAY = datetime(2000, 1, 3, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Slots of consecutive periods.

    Parameters
    ----------
    day
        Array (n,): number of the period within its day.
    week
        Array (n,): number of the period within its week; weeks begin on Monday.
    weekend
        Array (n,): 1 on Saturday and Sunday.
    per_day
        Periods a day; 1 where a period is a day or longer.
    """

    day: NDArray[np.intp]
    week: NDArray[np.intp]
    weekend: NDArray[np.intp]
    per_day: int

    @classmethod
    def of(cls, start: datetime, step: timedelta, count: int) -> "Clock":
        """Return the slots of `count` periods from `start` on."""
        per_day = max(round(DAY / step), 1)
        stride = max(round(step / DAY), 1)
        first = (start - MONDAY) // (DAY / per_day)
        index = first + stride * np.arange(count)
        day, week = index % per_day, index % (7 * per_day)
        return cls(day, week, (week // per_day >= 5).astype(np.intp), per_day)

    @property
    def per_week(self) -> int:
        """Slots a week."""
        return 7 * self.per_day

    @property
    def coarse(self) -> NDArray[np.intp]:
        """Time of day by weekday or weekend: what a slot of the week is shrunk to."""
        return self.day + self.per_day * self.weekend

    def part(self, start: int, stop: int) -> "Clock":
        """Return the slots of some of the periods."""
        return Clock(
            self.day[start:stop], self.week[start:stop], self.weekend[start:stop], self.per_day
        )


def harmonics(slot: NDArray[np.intp], period: int, orders: range) -> NDArray[np.float64]:
    """Return sines and cosines (n, 2 * orders) of a slot; the Nyquist sine is left out."""
    angle = 2 * np.pi * slot / period
    waves = []
    for order in orders:
        if 2 * order <= period:
            waves.append(np.cos(order * angle))
        if 2 * order < period:
            waves.append(np.sin(order * angle))
    return np.column_stack(waves) if waves else np.zeros((len(slot), 0))


def profile(
    clock: Clock, y: NDArray[np.float64], base: NDArray[np.float64], prior: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the factor of every slot of the week, shrunk twice, and of every period without it.

    A slot is shrunk to its time of day on weekdays or at weekends, and that to 1. The factor of
    a group is the sum of its counts over the sum of `base`.

    Parameters
    ----------
    clock, y
        The periods and their (weighted) counts.
    base
        Array (n,): (weighted) counts expected without a calendar.
    prior
        Force of the shrinkage: that many more expected counts at the factor of the group.

    Returns
    -------
    tuple of arrays
        (per_week,): the factor of every slot. (n,): the factor that the slot of every period
        would have if that period had not been seen; residuals from it are honest.
    """
    prior = max(prior, 1e-12)
    groups = 2 * clock.per_day
    seen, expected = np.bincount(clock.coarse, y, groups), np.bincount(clock.coarse, base, groups)
    coarse = (seen + prior) / (expected + prior)
    left = clock.coarse
    coarse_without = (seen[left] - y + prior) / (expected[left] - base + prior)
    slots = Clock.of(MONDAY, DAY / clock.per_day, clock.per_week)
    seen = np.bincount(clock.week, y, clock.per_week)
    expected = np.bincount(clock.week, base, clock.per_week)
    factor = (seen + prior * coarse[slots.coarse]) / (expected + prior)
    without = (seen[clock.week] - y + prior * coarse_without) / (
        expected[clock.week] - base + prior
    )
    return np.maximum(factor, 1e-6), np.maximum(without, 1e-6)
