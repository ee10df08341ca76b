"""Models that misbehave while serving: found, left out for a while, tried again.

The forms of this package compute in microseconds and are called directly. Those of a user's own
are called in a thread of their own, with a budget: one that does not answer in time is left out,
and while its call has not ended it is not called again.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from worlds.core.compound import Severity
from worlds.core.distributions import Count, Distribution
from worlds.core.features import Features
from worlds.core.forms import CountForm, Form, SizeForm
from worlds.core.forms.base import Arrays, Meta
from worlds.core.lattice import GRID, CdfTable
from worlds.errors import ModelFaultError
from worlds.watch.sketch import unsound

OURS = "worlds.core.forms"
QUICK_SECONDS = 0.1
"""Budget of one prediction of a user's own form. The event loop waits that long at most, once."""
SLOW_SECONDS = 2.0
"""Budget of the count or the severity of a user's own form."""
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
"""Seconds for which a model is left out after its first fault in a row, doubled after each."""


def is_ours(form: object) -> bool:
    """Return whether a form is one of this package."""
    return type(form).__module__.startswith(OURS)


def guarded(form: CountForm | SizeForm) -> CountForm | SizeForm:
    """Return a form that answers within a budget or raises `ModelFaultError`."""
    if is_ours(form):
        return form
    return GuardedCount(form) if isinstance(form, CountForm) else GuardedSize(form)


class Guard[F: Form]:
    """Calls one form in threads; one at a time.

    Parameters
    ----------
    form
        A user's own form.
    """

    form: ClassVar[str] = "guarded"

    def __init__(self, form: F) -> None:
        self.inner = form
        self._since: float | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def to_parts(self) -> tuple[Meta, Arrays]:
        """Return those of the form."""
        return self.inner.to_parts()

    @classmethod
    def from_parts(cls, meta: Meta, arrays: Arrays) -> Self:
        """Never called: what is stored is the form itself."""
        raise NotImplementedError

    def _call[T](self, work: Callable[[], T], budget: float) -> T:
        since = self._since
        if since is not None:
            reason = f"a call of {time.monotonic() - since:.1f} s ago has not ended"
            raise ModelFaultError("", "", "slow", reason)
        self._since = time.monotonic()
        found: list[Any] = []
        done = threading.Event()

        def run() -> None:
            try:
                found.extend((True, work()))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
                found.extend((False, error))
            self._since = None
            done.set()

        threading.Thread(target=run, name="model", daemon=True).start()
        if not done.wait(budget):
            raise ModelFaultError("", "", "slow", f"no answer within {budget:g} s")
        good, value = found
        if not good:
            raise fault_of("", "", value)
        answer: T = value
        return answer


class GuardedSize(Guard[SizeForm]):
    """A size form of a user's own."""

    def prepare(self) -> None:
        """Let the form predict once, with time for what it computes at the first call."""
        if hasattr(self.inner, "prepare"):
            self._call(self.inner.prepare, SLOW_SECONDS)
        self._call(lambda: self.inner.quick(Features()), SLOW_SECONDS)

    def predict(self, features: Features, at: datetime | None = None) -> Distribution:
        """Return what the form says, within the budget."""
        return self._call(lambda: self.inner.predict(features, at), SLOW_SECONDS)

    def quick(self, features: Features, at: datetime | None = None) -> Distribution:
        """Return what the form says, within the budget."""
        return self._call(lambda: self.inner.quick(features, at), QUICK_SECONDS)

    def severity(self, where: Mapping[str, str] | None = None, days: float = 0.0) -> Severity:
        """Return what the form says, within the budget."""
        return self._call(lambda: self.inner.severity(where, days), SLOW_SECONDS)

    def surprises(self, features: Features) -> list[str]:
        """Return what the form says, within the budget."""
        return self._call(lambda: self.inner.surprises(features), QUICK_SECONDS)


class GuardedCount(Guard[CountForm]):
    """A count form of a user's own."""

    def count(self, where: Mapping[str, str] | None = None, step: int = 0) -> Count:
        """Return what the form says, within the budget."""
        return self._call(lambda: self.inner.count(where, step), SLOW_SECONDS)


def fault_of(quantity: str, model: str, error: Exception) -> ModelFaultError:
    """Return an error of a model as its fault."""
    if isinstance(error, ModelFaultError):
        return ModelFaultError(quantity, model, error.kind, error.reason)
    return ModelFaultError(quantity, model, "raised", f"{type(error).__name__}: {error}"[:300])


def check(forecast: Distribution) -> None:
    """Look closely at one model's forecast.

    Raises
    ------
    ModelFaultError
        If it is no distribution of counts.
    """
    values = forecast.values if isinstance(forecast, CdfTable) else forecast.cdf(GRID)
    wrong = unsound(values)
    mean = forecast.mean()
    if wrong is None and not 0 <= mean < float("inf"):
        wrong = f"the mean is {mean}"
    if wrong is None and not isinstance(forecast, CdfTable):
        below = float(forecast.cdf([-0.5])[0])
        wrong = f"P(Y < 0) is {below:.4g}" if not abs(below) < 1e-9 else None
    if wrong is not None:
        raise ModelFaultError("", "", "invalid", wrong)


def check_content[C: Count | Severity](content: C) -> C:
    """Return what a model believes of the next periods, or of one thing, if it can be used.

    Raises
    ------
    ModelFaultError
        If it is no distribution.
    """
    mean = content.mean()
    ends = [] if isinstance(content, Severity) else content.quantile([0.05, 0.5, 0.95]).tolist()
    if not (0 <= mean < float("inf") and all(0 <= x < float("inf") for x in ends)):
        raise ModelFaultError("", "", "invalid", f"mean {mean}, quantiles {ends}")
    if ends != sorted(ends):
        raise ModelFaultError("", "", "invalid", f"quantiles {ends} fall")
    return content


@dataclass(slots=True)
class Trip:
    """A model that is left out until a moment."""

    snapshot: str | None
    reason: str
    until: float
    times: int


@dataclass(slots=True)
class Breaker:
    """Remembers which models are left out just now.

    Parameters
    ----------
    clock
        Monotone seconds.
    """

    clock: Callable[[], float] = time.monotonic
    trips: dict[tuple[str, str], Trip] = field(default_factory=dict)

    def trip(self, fault: ModelFaultError, snapshot: str | None) -> None:
        """Leave a model out: longer with every fault of the same snapshot."""
        key = (fault.quantity, fault.model)
        before = self.trips.get(key)
        same = before is not None and before.snapshot == snapshot
        times = before.times + 1 if before is not None and same else 1
        pause = min(FIRST_PAUSE * 2 ** (times - 1), LONGEST_PAUSE)
        text = f"{fault.kind}: {fault.reason}"
        self.trips[key] = Trip(snapshot, text, self.clock() + pause, times)

    def out(self, quantity: str, snapshots: Mapping[str, str | None]) -> dict[str, str]:
        """Return the models of a quantity that are left out now, with the reason."""
        now = self.clock()
        found = {}
        for (of, model), trip in self.trips.items():
            if of == quantity and model in snapshots and snapshots[model] == trip.snapshot:
                if now < trip.until:
                    found[model] = trip.reason
                elif now > trip.until + LONGEST_PAUSE:
                    trip.times = 0  # well for long enough: begin anew
        return found
