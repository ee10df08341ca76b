"""Forecasts waiting for their outcomes: bounded, the first and the last of every entity."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worlds.watch.record import Forecast

MOST = 50_000
"""Entities that may wait. Beyond it new ones are not taken, so that those there can ripen."""
GRACE = timedelta(days=7)
"""How long after ripening an outcome is waited for."""


@dataclass(slots=True)
class Waiting:
    """The first and the last forecast of an entity."""

    first: Forecast
    last: Forecast


@dataclass(slots=True)
class Join:
    """Brings forecasts and outcomes together.

    Parameters
    ----------
    ripens
        How long after a thing begins its label is final.
    most
        Entities that may wait.
    """

    ripens: timedelta
    most: int = MOST
    waiting: dict[str, Waiting] = field(default_factory=dict)
    refused: int = 0
    expired: int = 0
    met: int = 0

    def forecast(self, made: Forecast) -> None:
        """Let a forecast wait for the outcome of its entity."""
        if made.entity is None:
            return
        there = self.waiting.get(made.entity)
        if there is not None:
            there.last = made
        elif len(self.waiting) >= self.most:
            self.refused += 1
        else:
            self.waiting[made.entity] = Waiting(made, made)

    def outcome(self, entity: str, observed_at: datetime | None) -> Waiting | None:
        """Return the forecasts that a label observed at a time is the outcome of, if any.

        A label observed before it is ripe is none: it will be observed again. What is final as
        it is has no such time.
        """
        there = self.waiting.get(entity)
        if there is None:
            return None
        if observed_at is not None and observed_at < there.last.at + self.ripens:
            return None
        del self.waiting[entity]
        self.met += 1
        return there

    def expire(self, now: datetime) -> int:
        """Let go of forecasts whose outcome does not come; return how many."""
        limit = now - self.ripens - GRACE
        late = [name for name, one in self.waiting.items() if one.last.at < limit]
        for name in late:
            del self.waiting[name]
        self.expired += len(late)
        return len(late)
