"""What is usual at every period, and how the latest counts depart from it: all without hindsight.

The usual count of a period is a weighted median of the same time in earlier weeks and days, so
that one burst moves it little. It never uses a count later than `reach` periods before, which is
why one computation serves every origin of a back-test as well as the forecast itself.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.learn import clock as clocks
from worlds.learn import profile as profiles
from worlds.learn.profile import faded as _faded
from worlds.learn.series import Counts

WEEKS, DAYS = 12, 14
"""Earlier weeks and days that are looked at."""
FADE = 4.0
"""Weeks after which a week counts half."""
DAY_SHARE, NEIGHBOUR_SHARE = 0.5, 0.4
"""What a day and what a neighbouring time of day count, against the same time of a week."""
HOURS = (1.0, 3.0, 8.0, 24.0, 72.0, 168.0)
DAILY = (1.0, 2.0, 4.0, 7.0, 14.0, 28.0)
"""Half-lives of the levels, in hours, and in periods where a period is longer than an hour."""
STEADY_HOURS, STEADY_DAYS = (3.0, 12.0, 72.0), (3.0, 9.0, 28.0)
"""Half-lives of the levels by the profile."""
FARTHEST = 3.0
"""The log ratio to the usual count is cut here: a burst is a burst."""
SILENCE = 50.0
"""A day or more of zeros where that many things were usual is silence of the source, not zeros."""
SHORTEST = 3
"""Periods that such a run has at least."""
SMALL = 0.5

type Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class View:
    """A history as models see it; entry t of an array over origins uses counts before t only.

    Parameters
    ----------
    history
        The counts.
    clock
        Slots of the periods and of `horizon` more.
    horizon
        Periods that are to be forecast from every origin.
    y
        Array (n,): the counts, the usual one where unknown.
    known
        Array (n,): False where the source was silent (or the count is nan).
    usual, mean, spread
        Arrays (n + horizon,): weighted median and capped mean of the same time before, and the
        spread of its logs.
    ratio
        Array (n,): log of count over usual, cut.
    levels
        Array (n + 1, L): discounted means of the ratio, then logs of discounted counts over usual.
    restless
        Array (n + 1, 2): logs of the discounted size of the ratio.
    sums
        Array (2, n + 1): running sums of ratio and of counts.
    profile
        Array (n + horizon,): log factor of the time of day, without the level.
    steady
        Array (n + 1, 3): logs of levels that forget, by the profile.
    """

    history: Counts
    clock: clocks.Clock
    horizon: int
    y: Floats
    known: NDArray[np.bool_]
    usual: Floats
    mean: Floats
    spread: Floats
    ratio: Floats
    levels: Floats
    restless: Floats
    sums: Floats
    profile: Floats
    steady: Floats

    @classmethod
    def of(cls, history: Counts, horizon: int) -> "View":
        """Look at a history."""
        n = len(history)
        clock = clocks.Clock.of(history.start, history.step, n + horizon)
        raw = np.asarray(history.y, float)
        known = np.isfinite(raw)
        filled = np.where(known, raw, 0.0)
        typical = float(filled[known].mean()) if known.any() else 0.0
        usual, mean, spread = usual_counts(filled, known, clock, np.arange(n + horizon), horizon)
        expected = np.where(np.isfinite(usual[:n]), usual[:n], typical)
        silent = silence(filled, expected, clock.per_day) & known
        if silent.any():
            known = known & ~silent
            usual, mean, spread = usual_counts(
                filled, known, clock, np.arange(n + horizon), horizon
            )
        usual = np.where(np.isfinite(usual), usual, _so_far(filled, known, n + horizon))
        mean = np.where(np.isfinite(mean), mean, usual)
        y = np.where(known, filled, usual[:n])
        ratio = np.clip(np.log((y + SMALL) / (usual[:n] + SMALL)), -FARTHEST, FARTHEST)
        levels, restless = _levels(y, usual[:n], ratio, clock.per_day)
        sums = np.vstack([np.r_[0.0, np.cumsum(ratio)], np.r_[0.0, np.cumsum(y)]])
        profile = profiles.profile(y, known, clock, horizon)
        steady = _steady(y, usual[:n], profile[:n], clock.per_day)
        return cls(
            history, clock, horizon, y, known, usual, mean, spread, ratio, levels, restless, sums,
            profile, steady,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.y)

    @property
    def per_hour(self) -> int:
        """Periods an hour; 0 where a period is longer."""
        return self.clock.per_day // 24

    def log_usual(self, targets: Index) -> Floats:
        """Return the log of the usual count, a half added."""
        return np.log(self.usual[targets] + SMALL)

    def rhythm(self, origins: Index, steps: Index) -> Floats:
        """Return logs (m, 3), a half added, of levels that forget times the profile."""
        told = self.steady[origins] + self.profile[origins + steps - 1][:, None]
        return np.asarray(np.logaddexp(told, np.log(SMALL)))

    def calendar(self, targets: Index) -> Floats:
        """Return waves of the day, of the week, and of the day at weekends."""
        clock = self.clock
        daily = clocks.harmonics(clock.day[targets], clock.per_day, range(1, 7))
        weekly = clocks.harmonics(clock.week[targets], clock.per_week, range(1, 5))
        weekend = clock.weekend[targets][:, None].astype(float)
        return np.hstack([daily, weekly, weekend, weekend * daily[:, :6]])

    def departures(self, origins: Index, steps: Index) -> Floats:
        """Return how the counts known at an origin depart from what was usual.

        Parameters
        ----------
        origins, steps
            Arrays (m,): the first period forecast, and how far ahead (1 is that period itself).

        Returns
        -------
        Floats
            Array (m, p).
        """
        targets = origins + steps - 1
        day, week, near = self.clock.per_day, self.clock.per_week, self.per_hour
        log_usual = self.log_usual(targets)
        single = [
            self.ratio[origins - 1],
            self._same(origins, steps, day, 0),
            self._same(origins, steps, day, 2 * near),
            self._same(origins, steps, week, 0),
            self._same(origins, steps, week, 2 * near),
            self.latest(origins, day) - log_usual,
            self.latest(origins, week) - log_usual,
            self.latest(origins, 4 * week) - log_usual,
            np.log(self.mean[targets] + SMALL) - log_usual,
            self.log_usual(origins - 1) - log_usual,
            self.spread[targets],
        ]
        return np.hstack([self.levels[origins], np.column_stack(single), self.restless[origins]])

    def _same(self, origins: Index, steps: Index, period: int, around: int) -> Floats:
        """Return the mean ratio around the same time of the latest known day or week."""
        back = origins + steps - 1 - period * -(-steps // period)
        first, last = np.maximum(back - around, 0), np.minimum(back + around + 1, origins)
        there = last > first
        first, last = np.where(there, first, 0), np.where(there, last, 1)
        total = self.sums[0]
        return np.where(there, (total[last] - total[first]) / (last - first), 0.0)

    def latest(self, stops: Index, width: int, limit: Index | None = None) -> Floats:
        """Return the log of the mean of the `width` counts before `stops` (and before `limit`)."""
        last = np.maximum(stops if limit is None else np.minimum(stops, limit), 1)
        first = np.maximum(last - width, 0)
        total = self.sums[1]
        return np.asarray(np.log((total[last] - total[first]) / (last - first) + SMALL))

    def lags(self, origins: Index, steps: Index) -> Floats:
        """Return logs of the latest counts themselves, and of the same time before."""
        day, week, near = self.clock.per_day, self.clock.per_week, max(self.per_hour, 1)
        widths = (1, 3 * near, 6 * near, day, week, 4 * week)
        columns = [self.latest(origins, width) for width in widths]
        for period in (day, week):
            back = origins + steps - 1 - period * -(-steps // period)
            columns += [
                self.latest(back + 1, 1, origins),
                self.latest(back + 1 + near, 2 * near + 1, origins),
                self.latest(back - period + 1 + near, 2 * near + 1, origins),
            ]
        columns += [self.latest(origins - day + 1, 1), self.latest(origins - week + 1, 1)]
        return np.column_stack(columns)

    def extended(self, counts: Floats) -> "View":
        """Return the view after more counts; the work does not grow with the history."""
        old, more = len(self), np.asarray(counts, float)
        if len(more) > self.horizon:  # what is usual is known that far ahead only
            return self.extended(more[: self.horizon]).extended(more[self.horizon :])
        n, horizon = old + len(more), self.horizon
        history = replace(self.history, y=np.r_[self.history.y, more], shares={})
        clock = clocks.Clock.of(history.start, history.step, n + horizon)
        known = np.r_[self.known, np.isfinite(more)]
        y = np.r_[self.y, np.where(np.isfinite(more), more, self.usual[old : old + len(more)])]
        targets = np.arange(old + horizon, n + horizon)
        new = usual_counts(y, known, clock, targets, horizon)
        usual = np.r_[self.usual, np.where(np.isfinite(new[0]), new[0], self.usual[-1])]
        mean = np.r_[self.mean, np.where(np.isfinite(new[1]), new[1], self.mean[-1])]
        ratio = np.log((y[old:] + SMALL) / (usual[old:n] + SMALL))
        ratio = np.clip(ratio, -FARTHEST, FARTHEST)
        # levels forget: those of a few longest half-lives back say all there is to say
        first = max(old - 30 * clock.per_week, 0)
        both = np.r_[self.ratio, ratio]
        levels, restless = _levels(y[first:], usual[first:n], both[first:], clock.per_day)
        sums = np.vstack([np.cumsum(ratio), np.cumsum(y[old:])]) + self.sums[:, -1:]
        profile = profiles.profile(y, known, clock, horizon)
        steady = _steady(y, usual[:n], profile[:n], clock.per_day)
        return View(
            history, clock, horizon, y, known, usual, mean, np.r_[self.spread, new[2]], both,
            np.vstack([self.levels, levels[old - first + 1 :]]),
            np.vstack([self.restless, restless[old - first + 1 :]]),
            np.hstack([self.sums, sums]), profile, steady,
        )  # fmt: skip


def usual_counts(
    y: Floats, known: NDArray[np.bool_], clock: clocks.Clock, targets: Index, horizon: int
) -> tuple[Floats, Floats, Floats]:
    """Return weighted median, capped mean and spread of the same time before; nan without any.

    Parameters
    ----------
    y, known, clock
        Counts, whether each is known, and the slots.
    targets
        Periods asked for, up to `horizon` beyond the counts.
    horizon
        Nothing later than a whole number of days not shorter than this is used.
    """
    day, week, near = clock.per_day, clock.per_week, clock.per_day // 24
    reach = day * -(-horizon // day)
    values, weights = [], []

    def add(back: Index, weight: float, also: NDArray[np.bool_] | bool = True) -> None:
        inside = np.clip(back, 0, max(len(y) - 1, 0))
        there = (back >= 0) & (back <= targets - reach) & also & (back < len(y))
        there &= known[inside] if len(y) else False
        values.append(np.where(there, y[inside] if len(y) else 0.0, np.inf))
        weights.append(np.where(there, weight, 0.0))

    for number in range(-(-reach // week), -(-reach // week) + WEEKS):
        for shift in {0, -near, near}:
            share = 1.0 if shift == 0 else NEIGHBOUR_SHARE
            add(targets - number * week + shift, share * 0.5 ** (number / FADE))
    for number in range(reach // day, reach // day + DAYS):
        back = targets - number * day
        alike = clock.weekend[np.maximum(back, 0)] == clock.weekend[targets]
        add(back, DAY_SHARE * 0.5 ** (number / 7 / FADE), alike)
    return _summary(np.column_stack(values), np.column_stack(weights))


def _summary(values: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return weighted median, mean capped at 4 times it, and spread of the logs around it."""
    order = np.argsort(values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, 1)
    weights = np.take_along_axis(weights, order, 1)
    total = weights.sum(1)
    some = np.maximum(total, 1e-12)[:, None]
    upto = (np.cumsum(weights, 1) - 0.5 * weights) / some
    place = np.clip((upto < 0.5).sum(1), 1, values.shape[1] - 1)
    row = np.arange(len(values))
    low, high = values[row, place - 1], values[row, place]
    high = np.where(np.isfinite(high), high, low)
    before, after = upto[row, place - 1], upto[row, place]
    part = np.clip((0.5 - before) / np.maximum(after - before, 1e-9), 0.0, 1.0)
    finite = np.isfinite(values)
    low, high = np.where(total > 0, low, 0.0), np.where(total > 0, high, 0.0)
    median = low + (high - low) * part
    sound = np.where(finite, values, 0.0)
    mean = (np.minimum(sound, 4 * median[:, None] + 4) * weights).sum(1) / some[:, 0]
    logs = np.log(sound + SMALL) - np.log(median + SMALL)[:, None]
    spread = np.sqrt((np.minimum(logs**2, 4.0) * weights).sum(1) / some[:, 0])
    none = total <= 0
    return np.where(none, np.nan, median), np.where(none, np.nan, mean), spread


def silence(y: Floats, usual: Floats, per_day: int) -> NDArray[np.bool_]:
    """Return where a source was silent: a day or more of zeros when `SILENCE` things were usual.

    A count of zero is a fact only if somebody was counting. Runs too long to be chance are not
    taken for zeros, except the last one, which may be the beginning of something.
    """
    zero = np.r_[False, y == 0, False]
    begins = np.flatnonzero(~zero[:-1] & zero[1:])
    ends = np.flatnonzero(zero[:-1] & ~zero[1:])
    total = np.r_[0.0, np.cumsum(usual)]
    silent = np.zeros(len(y), bool)
    for begin, end in zip(begins, ends, strict=True):
        long = end - begin >= max(per_day, SHORTEST)
        if long and total[end] - total[begin] > SILENCE and end < len(y):
            silent[begin:end] = True
    return silent


def _so_far(y: Floats, known: NDArray[np.bool_], length: int) -> Floats:
    """Return the mean of the counts before every period (0 before the first)."""
    total = np.cumsum(np.where(known, y, 0.0)) if len(y) else np.zeros(1)
    number = np.cumsum(known) if len(y) else np.ones(1)
    mean = np.r_[0.0, total / np.maximum(number, 1)]
    return np.asarray(mean[np.minimum(np.arange(length), len(mean) - 1)])


def _levels(y: Floats, usual: Floats, ratio: Floats, per_day: int) -> tuple[Floats, Floats]:
    hourly = per_day >= 24
    hour = max(per_day / 24, 1.0) if hourly else 1.0
    lives = [hour * life for life in (HOURS if hourly else DAILY)]
    ones = np.ones(len(y))
    columns = [_faded(ratio, life) / (_faded(ones, life) + 1.0) for life in lives]
    expected = usual + SMALL
    capped = np.minimum(y, 8 * expected)
    columns += [
        np.log((_faded(capped, life) + 1) / (_faded(expected, life) + 1))
        for life in (4 * hour, 24 * hour)
    ]
    size = np.abs(ratio)
    lives = [3 * hour, 24 * hour]
    restless = [_faded(size, life) * (1 - 0.5 ** (1 / life)) for life in lives]
    return np.column_stack(columns), np.log(np.column_stack(restless) + 0.03)


def _steady(y: Floats, usual: Floats, profile: Floats, per_day: int) -> Floats:
    hour = max(per_day / 24, 1.0)
    lives = [hour * life for life in STEADY_HOURS] if per_day >= 24 else list(STEADY_DAYS)
    return profiles.levels(np.minimum(y, 8 * (usual + SMALL)), profile, lives)


def hours(history: Counts) -> float:
    """Return the length of a period in hours."""
    return float(history.step / timedelta(hours=1))
