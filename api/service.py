"""Everything a running service holds, handed to the routes as one object."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from api.desk import Desk
from api.events import Bus
from api.facts_desk import FactsDesk
from api.learning import Learning
from api.metrics import Metrics
from api.patience import Patience
from api.prediction_log import PredictionLog
from api.processes.place import ALONE, Place
from api.security.gate import Gate
from api.serving import Serving
from api.settings import Settings
from api.watch_desk import WatchDesk
from worlds.domain import Domain

if TYPE_CHECKING:
    from api.processes.neighbours import Neighbour, Recorder

type Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time now."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes need.

    Parameters
    ----------
    settings, domain
        How it runs and what it is about.
    serving
        The models in force.
    desk
        Where questions are computed.
    patience
        How long questions may take, and what is answered when they take longer.
    facts
        The fact store, or why there is none.
    learning
        The supervised learning process.
    now
        The clock.
    place
        Which part of a service of several processes this is.
    recorder, questions
        The ways to the other parts, in a worker.
    metrics, bus
        What is counted, and who is told of changes.
    gate
        Who is let in.
    log
        Served predictions on their way to the facts.
    watch
        Supervision, in the process that owns the facts.
    """

    settings: Settings
    domain: Domain
    serving: Serving
    desk: Desk
    patience: Patience
    facts: FactsDesk
    learning: Learning
    now: Clock = utc_now
    place: Place = ALONE
    recorder: "Recorder | None" = None
    questions: "Neighbour | None" = None
    metrics: Metrics = field(default_factory=Metrics)
    bus: Bus = field(default_factory=Bus)
    gate: Gate = field(default_factory=lambda: Gate(None))
    log: PredictionLog = field(default_factory=lambda: PredictionLog(0.0, utc_now))
    watch: WatchDesk | None = None

    def watch_names(self) -> str:
        """Return a new short name, never given before."""
        return token_hex(4)
