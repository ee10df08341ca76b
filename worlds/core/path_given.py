"""A path of counts of whose total something is said: every period, and whole paths.

At a level the periods are independent, so that P(period = a, total in range) is P(period = a)
times the probability that the others make up the rest. Whole paths are drawn by drawing the total
and splitting it in halves: what the left half has of it, then the halves of both, to the periods.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import NDArray

from worlds.core.distributions import CountMixture, Floats, PmfTable
from worlds.core.negative_binomial import exponential
from worlds.errors import ImpossibleError, QuestionError

if TYPE_CHECKING:
    from worlds.core.path_total import PathTotal

WORK = 1 << 25
"""Values times periods times levels that are looked at for a conditioned path."""
LEAST = 1e-13
"""Smallest probability of a range: less cannot be told from rounding."""
BLOCK = 1 << 21

type Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PathGiven:
    """A path whose total lies in [low, high].

    Parameters
    ----------
    path
        What is believed without that.
    low, high
        Whole numbers, both possible; high may be infinite.
    """

    path: "PathTotal"
    low: int
    high: float

    @cached_property
    def size(self) -> int:
        """Number of values of the total that are told apart.

        Raises
        ------
        QuestionError
            If there are too many.
        """
        top = max(len(self.path.table.probs), self.low + 2)
        if np.isfinite(self.high):
            top = max(top, int(self.high) + 2)
        size = 1 << int(np.ceil(np.log2(top + 1)))
        if size * self.path.means.size > WORK:
            msg = f"{size:,} values in {len(self.path.means)} periods are too many to condition on"
            raise QuestionError(msg)
        return size

    @cached_property
    def _logs(self) -> tuple[Floats, Floats]:
        """Logarithms of the generating functions on the circle, arrays (H, size / 2 + 1, K)."""
        z = np.exp(2j * np.pi * np.arange(self.size // 2 + 1) / self.size)
        found = [self.path.log_pgf(step, z) for step in range(len(self.path.means))]
        return np.array([one for one, _ in found]), np.array([turn for _, turn in found])

    def _table(self, size: Floats, angle: Floats) -> Floats:
        """Return the probabilities behind logarithms of generating functions, array (K, size)."""
        probs = scipy.fft.irfft(np.conj(exponential(size, angle)), self.size, axis=0)
        return np.maximum(probs, 0.0).T

    def periods(self) -> list[PmfTable]:
        """Return the count of every period.

        Raises
        ------
        ImpossibleError
            If the range has no probability.
        """
        numbers = np.arange(self.size)
        ends = np.clip(np.minimum(self.high, self.size) - numbers + 1, 0, self.size).astype(int)
        begins = np.clip(self.low - numbers, 0, self.size)
        logs, turns = self._logs
        all_logs, all_turns = logs.sum(0), turns.sum(0)
        found = []
        for step in range(len(self.path.means)):
            rest = self._table(all_logs - logs[step], all_turns - turns[step])
            upto = np.pad(np.cumsum(rest, axis=1), ((0, 0), (1, 0)))
            inside = np.maximum(upto[:, ends] - upto[:, begins], 0.0)
            levels = zip(self.path.means[step], self.path.sizes[step], strict=True)
            mine = np.array([CountMixture.of(mean, size).pmf(numbers) for mean, size in levels])
            joint = self.path.weights @ (mine * inside)
            total = float(joint.sum())
            if total <= LEAST:
                raise ImpossibleError(f"a total between {self.low:g} and {self.high:g}")
            error = min(2 * self.path.error / total, 1.0)
            found.append(PmfTable(0, joint / total, error, self.path.method))
        return found

    def draws(self, rng: np.random.Generator, size: int) -> Floats:
        """Return joint draws of all periods, array (H, size).

        Raises
        ------
        ImpossibleError
            If the range has no probability.
        """
        horizon = len(self.path.means)
        tables = self._halves(0, horizon)
        last = int(min(self.high, self.size - 1))
        start = self.path.weights[:, None] * tables[0, horizon][:, self.low : last + 1]
        if start.sum() <= LEAST:
            raise ImpossibleError(f"a total between {self.low:g} and {self.high:g}")
        chosen = rng.choice(start.size, size=size, p=(start / start.sum()).ravel())
        level, total = np.divmod(chosen, start.shape[1])
        found = np.empty((horizon, size))

        def split(begin: int, end: int, numbers: Places) -> None:
            if end - begin == 1:
                found[begin] = numbers
                return
            middle = (begin + end) // 2
            left = _share(rng, level, numbers, tables[begin, middle], tables[middle, end])
            split(begin, middle, left)
            split(middle, end, numbers - left)

        split(0, horizon, total + self.low)
        return found

    def _halves(self, begin: int, end: int) -> dict[tuple[int, int], Floats]:
        """Return the probabilities of the sum over periods, for all halves of halves."""
        logs, turns = self._logs
        found = {(begin, end): self._table(logs[begin:end].sum(0), turns[begin:end].sum(0))}
        if end - begin > 1:
            middle = (begin + end) // 2
            found |= self._halves(begin, middle) | self._halves(middle, end)
        return found


def _share(
    rng: np.random.Generator, level: Places, numbers: Places, left: Floats, right: Floats
) -> Places:
    """Return how many of so many things fall to the left of two independent parts.

    Parameters
    ----------
    level, numbers
        Arrays (n,): the level and the number of things of every draw.
    left, right
        Arrays (K, size): probabilities of the two parts at every level.
    """
    width = int(numbers.max()) + 1
    keys, place = np.unique(level * width + numbers, return_inverse=True)
    found = np.empty(len(numbers), np.int64)
    chance = rng.uniform(size=len(numbers))
    for rows in _blocks(len(keys), width):
        levels, totals = np.divmod(keys[rows], width)
        taken = np.arange(width)
        rest = totals[:, None] - taken
        probs = left[levels, :width] * right[levels[:, None], np.maximum(rest, 0)] * (rest >= 0)
        upto = np.cumsum(probs, axis=1)
        upto /= np.maximum(upto[:, -1:], 1e-300)
        mine = (place >= rows.start) & (place < rows.stop)
        row = place[mine] - rows.start
        flat = (upto + np.arange(len(upto))[:, None]).ravel()
        drawn = np.searchsorted(flat, row + chance[mine]) - row * width
        found[mine] = np.clip(drawn, 0, totals[row])
    return found


def _blocks(count: int, width: int) -> Sequence[slice]:
    step = max(BLOCK // width, 1)
    return [slice(at, min(at + step, count)) for at in range(0, count, step)]
