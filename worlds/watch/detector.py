"""Alarms that may be looked at after every forecast: e-detectors.

A detector watches numbers X in [0, 1] whose mean, as long as all is well, is at most a bound m
whatever happened before. It bets against that: L = 1 + lambda (X - m) has mean at most 1. The
Shiryaev-Roberts sum R <- (1 + R) L starts a new bet at every step, so that a change is found
however long all was well before. Since E[R_n] <= n, the chance of R reaching A among the first n
numbers is at most n / A (Shin, Ramdas & Rinaldo 2024, doi:10.1214/23-STS905), whatever the
distribution of X: no sample size is fixed in advance. Averages of detectors keep that.
"""

from dataclasses import dataclass, field

from worlds.errors import WeightError

BETS = (0.05, 0.15, 0.4)
"""Parts of the largest possible bet 1 / m: small ones find small faults, large ones quickly."""
LARGEST = 1e30


@dataclass(slots=True)
class Detector:
    """Watches one mean.

    Parameters
    ----------
    name
        What is watched, for the reason of an alarm.
    bound
        The largest mean that is all right, in (0, 1).

    Raises
    ------
    WeightError
        If the bound lies outside.
    """

    name: str
    bound: float
    sums: list[float] = field(default_factory=lambda: [0.0] * len(BETS))

    def __post_init__(self) -> None:
        if not 0 < self.bound < 1:
            raise WeightError(self.name, self.bound)

    def see(self, x: float) -> float:
        """Take one number in [0, 1]; return the evidence against the bound."""
        gain = (x - self.bound) / self.bound
        sums = self.sums
        for k, part in enumerate(BETS):
            sums[k] = min((1 + sums[k]) * (1 + part * gain), LARGEST)
        return sum(sums) / len(sums)

    @property
    def evidence(self) -> float:
        """The evidence so far: among n numbers it reaches A with chance n / A at most."""
        return sum(self.sums) / len(self.sums)
