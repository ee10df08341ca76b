"""How exact an answer must be, and until when."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from worlds.errors import QuestionError


@dataclass(frozen=True, slots=True)
class Effort:
    """The error wanted of cumulative probabilities, a time limit, and a seed for scrambling.

    Parameters
    ----------
    tolerance
        Error of cumulative probabilities that is good enough.
    until
        Moment of `clock` at which the best answer so far is returned; None for no limit.
    seed
        Seed of the scrambling of quasi-random points.
    clock
        Seconds on any scale.
    """

    tolerance: float = 1e-5
    until: float | None = None
    seed: int = 0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            msg = f"the wanted error must lie in (0, 1); got {self.tolerance!r}"
            raise QuestionError(msg)

    @classmethod
    def within(cls, seconds: float | None, tolerance: float = 1e-5, seed: int = 0) -> "Effort":
        """Return an effort that ends so many seconds from now."""
        if seconds is None:
            return cls(tolerance, None, seed)
        if not seconds > 0:
            msg = f"a time limit must be positive; got {seconds!r} seconds"
            raise QuestionError(msg)
        return cls(tolerance, time.monotonic() + seconds, seed)

    def share(self, parts: int) -> "Effort":
        """Return the effort for one of so many parts that are still to be done."""
        if self.until is None:
            return self
        now = self.clock()
        return replace(self, until=now + max(self.until - now, 0.0) / max(parts, 1))

    def again(self) -> Callable[[], "Effort"]:
        """Return what makes an effort as long as what is left of this one, whenever it begins."""
        if self.until is None:
            return lambda: self
        seconds = max(self.until - self.clock(), 1e-3)
        return lambda: replace(self, until=self.clock() + seconds)

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.until is not None and self.clock() >= self.until
