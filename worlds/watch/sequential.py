"""Means and tests that stay valid however often one looks. One pass, a few numbers of memory.

For numbers in [0, 1] whose conditional mean is constant:

* the predictable plug-in empirical-Bernstein confidence sequence: the mean lies in every interval
  of the whole sequence at once with probability 1 - alpha (Waudby-Smith & Ramdas 2023,
  doi:10.1093/jrsssb/qkad009, theorem 2);
* a betting e-process against "the mean is m" (same source, section 4, with bets by aGRAPA, section
  B.3): by Ville's inequality it ever reaches 1 / alpha with chance alpha at most.

No normality and no sample size is assumed.
"""

from dataclasses import dataclass
from math import exp, log, log1p, sqrt

CAP = 0.5
"""Largest bet of the confidence sequence."""
BOLD = 0.75
"""Part of the largest possible bet that the test takes at most."""
LARGEST_LOG = 300.0


@dataclass(slots=True)
class Sequence:
    """A confidence sequence for the mean of numbers in [0, 1].

    Parameters
    ----------
    alpha
        Chance that it is ever wrong.
    """

    alpha: float
    n: int = 0
    total: float = 0.0
    squares: float = 0.25
    weights: float = 0.0
    weighted: float = 0.0
    penalty: float = 0.0
    low: float = 0.0
    high: float = 1.0

    def see(self, x: float) -> None:
        """Take one number in [0, 1]."""
        before = (0.5 + self.total) / (self.n + 1)
        variance = self.squares / (self.n + 1)
        self.n += 1
        n = self.n
        bet = min(sqrt(2 * log(2 / self.alpha) / (variance * n * log(1 + n))), CAP)
        self.total += x
        self.squares += (x - (0.5 + self.total) / (n + 1)) ** 2
        self.weights += bet
        self.weighted += bet * x
        self.penalty += 4 * (x - before) ** 2 * (-log1p(-bet) - bet) / 4
        centre = self.weighted / self.weights
        half = (log(2 / self.alpha) + self.penalty) / self.weights
        # intervals of all times hold together, so their intersection does
        self.low = min(max(self.low, centre - half), 1.0)
        self.high = max(min(self.high, centre + half), 0.0)

    @property
    def mean(self) -> float | None:
        """The mean so far."""
        return self.total / self.n if self.n else None


@dataclass(slots=True)
class Bet:
    """A bet that the mean of numbers in [0, 1] is larger than `mean`.

    Parameters
    ----------
    mean
        In (0, 1). The capital is an e-process for every mean up to it.
    """

    mean: float
    n: int = 0
    total: float = 0.0
    squares: float = 0.25
    capital: float = 0.0
    largest: float = 0.0

    def see(self, x: float) -> None:
        """Take one number in [0, 1]."""
        gain = self.total / (self.n + 1)
        variance = self.squares / (self.n + 1)
        most = BOLD / self.mean
        bet = min(max(gain / (variance + gain**2), 0.0), most)
        self.n += 1
        step = x - self.mean
        self.capital = min(self.capital + log1p(bet * step), LARGEST_LOG)
        self.largest = max(self.largest, self.capital)
        self.total += step
        self.squares += (step - self.total / (self.n + 1)) ** 2

    @property
    def evidence(self) -> float:
        """The largest capital so far: it ever reaches 1 / alpha with chance alpha at most."""
        return exp(self.largest)


@dataclass(slots=True)
class Difference:
    """The difference of the means of two groups of a randomised comparison, or of pairs.

    A unit falls into the second group with the known probability `share`, by lot. Its number y is
    turned into one whose mean is the difference: (y - c) / share in the second group,
    -(y - c) / (1 - share) in the first, where c is the mean of everything seen before (any c
    that was known before leaves the mean as it is; this one makes it vary least). In pairs it is
    simply the difference.

    Parameters
    ----------
    alpha
        Chance that the interval is ever wrong; also that the test ever finds a difference where
        there is none.
    bound
        Largest number; larger ones count as it.
    share
        Chance of the second group; None for pairs.
    margin
        The test of "worse" asks whether the difference is larger than this.
    """

    alpha: float
    bound: float
    share: float | None = 0.5
    margin: float = 0.0
    n: int = 0
    sums: float = 0.0
    interval: Sequence = None  # type: ignore[assignment]  # made below
    higher: Bet = None  # type: ignore[assignment]
    lower: Bet = None  # type: ignore[assignment]
    worse: Bet = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.interval = Sequence(self.alpha)
        self.higher, self.lower = Bet(0.5), Bet(0.5)
        edge = min(0.5 + self.margin / self.bound / self.reach / 2, 1 - 1e-9)
        self.worse = Bet(edge)

    @property
    def reach(self) -> float:
        """How far the turned numbers reach, in units of `bound`."""
        return 1.0 if self.share is None else max(1 / self.share, 1 / (1 - self.share))

    def unit(self, y: float, *, second: bool) -> None:
        """Take the number of a unit."""
        scaled = min(max(y, 0.0), self.bound) / self.bound
        share = 0.5 if self.share is None else self.share
        centre = (0.5 + self.sums) / (self.n + 1)
        self.n += 1
        self.sums += scaled
        apart = scaled - centre
        self._see(apart / share if second else -apart / (1 - share))

    def pair(self, first: float, second: float) -> None:
        """Take the numbers of both groups for the same unit."""
        self.n += 1
        ends = (min(max(y, 0.0), self.bound) / self.bound for y in (first, second))
        one, other = ends
        self._see(other - one)

    def _see(self, turned: float) -> None:
        x = min(max(0.5 + turned / self.reach / 2, 0.0), 1.0)
        self.interval.see(x)
        self.higher.see(x)
        self.lower.see(1 - x)
        self.worse.see(x)

    def _back(self, x: float) -> float:
        return (x - 0.5) * 2 * self.reach * self.bound

    @property
    def mean(self) -> float | None:
        """The difference so far, second minus first."""
        mean = self.interval.mean
        return None if mean is None else self._back(mean)

    @property
    def ends(self) -> tuple[float, float]:
        """The interval that holds the difference, at all times at once, but for alpha."""
        return self._back(self.interval.low), self._back(self.interval.high)

    @property
    def evidence(self) -> float:
        """E-value against "no difference": the larger of two bets, each with half the money."""
        return max(self.higher.evidence, self.lower.evidence) / 2
