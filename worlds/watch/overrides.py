"""What a person decides about a model, whatever the rules say, until a time."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, Self

from worlds.errors import QuestionError

type Action = Literal["pin", "ban", "weight", "reinstate"]
ACTIONS: tuple[Action, ...] = ("pin", "ban", "weight", "reinstate")
"""``pin`` holds a model live whatever the rules say, ``ban`` holds its weight at zero, ``weight``
holds it in a range, ``reinstate`` (once) puts a retired or quarantined model on probation."""


@dataclass(frozen=True, slots=True)
class Override:
    """One decision.

    Parameters
    ----------
    id
        Its name.
    quantity, model
        About which model.
    action
        What: see `ACTIONS`.
    by, reason
        Who, and why.
    made_at, until
        From when until when.
    low, high
        The range of a ``weight``.

    Raises
    ------
    QuestionError
        If it has no meaning.
    """

    id: str
    quantity: str
    model: str
    action: Action
    by: str
    reason: str
    made_at: datetime
    until: datetime
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            msg = f"action must be one of {', '.join(ACTIONS)}; got {self.action!r}"
            raise QuestionError(msg)
        if not (self.by.strip() and self.reason.strip()):
            msg = "an override says who (by) and why (reason)"
            raise QuestionError(msg)
        if not 0 <= self.low <= self.high <= 1:
            msg = f"a range of weights lies in [0, 1]; got {self.low:g} to {self.high:g}"
            raise QuestionError(msg)
        if self.until <= self.made_at:
            msg = (
                f"until must lie in the future: {self.until.isoformat()} is not after "
                f"{self.made_at.isoformat()}"
            )
            raise QuestionError(msg)

    def holds(self, now: datetime) -> bool:
        """Return whether it is in force; it ends by itself."""
        return now < self.until

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        raw = asdict(self)
        return raw | {"made_at": self.made_at.isoformat(), "until": self.until.isoformat()}

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """Read the JSON form.

        Raises
        ------
        QuestionError
            If it is none.
        """
        try:
            times = {name: datetime.fromisoformat(raw[name]) for name in ("made_at", "until")}
            return cls(**{**raw, **times})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"not an override: {error!r}"
            raise QuestionError(msg) from error


def ranges(
    overrides: Sequence[Override], quantity: str, now: datetime
) -> dict[str, tuple[float, float]]:
    """Return within which range people hold the weights of a quantity's models.

    The last decision about a model counts.
    """
    found: dict[str, tuple[float, float]] = {}
    for one in sorted(overrides, key=lambda one: one.made_at):
        if one.quantity != quantity or not one.holds(now):
            continue
        if one.action == "ban":
            found[one.model] = (0.0, 0.0)
        elif one.action == "weight":
            found[one.model] = (one.low, one.high)
        else:
            found.pop(one.model, None)
    return found


def pinned(overrides: Sequence[Override], quantity: str, now: datetime) -> set[str]:
    """Return the models that people hold live: pinned, or held at a weight above zero."""
    last: dict[str, Override] = {}
    for one in sorted(overrides, key=lambda one: one.made_at):
        if one.quantity == quantity and one.holds(now):
            last[one.model] = one
    return {
        name
        for name, one in last.items()
        if one.action == "pin" or (one.action == "weight" and one.low > 0)
    }


def within(
    weights: Mapping[str, float], limits: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    """Return weights that sum to 1 and lie in their ranges, otherwise in the given proportions.

    Where the ranges leave no such weights (lowest ends above 1 together, highest below 1), they
    are kept in proportion and rescaled: an answer is wanted in any case.
    """
    low = {name: limits.get(name, (0.0, 1.0))[0] for name in weights}
    high = {name: limits.get(name, (0.0, 1.0))[1] for name in weights}
    if sum(high.values()) <= 0:
        return dict.fromkeys(weights, 0.0)
    base = {name: weights[name] if high[name] > 0 else 0.0 for name in weights}
    if sum(base.values()) <= 0:  # what had all the weight was taken out: the rest share evenly
        base = {name: 1.0 if high[name] > 0 else 0.0 for name in weights}
    if sum(low.values()) >= 1 or sum(high.values()) <= 1:
        ends = low if sum(low.values()) >= 1 else high
        total = sum(ends.values())
        return {name: ends[name] / total for name in weights}
    lower, upper = 0.0, 1.0
    while _clipped(base, low, high, upper) < 1 and upper < 1e12:
        upper *= 2
    for _ in range(100):
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if _clipped(base, low, high, middle) < 1 else (lower, middle)
    found = {name: min(max(upper * base[name], low[name]), high[name]) for name in weights}
    missing = 1 - sum(found.values())
    if missing > 1e-9:  # only models of weight zero have room left
        room = {name: high[name] - found[name] for name in weights}
        found = {name: found[name] + missing * room[name] / sum(room.values()) for name in weights}
    total = sum(found.values())
    return {name: weight / total for name, weight in found.items()}


def _clipped(
    base: Mapping[str, float], low: Mapping[str, float], high: Mapping[str, float], scale: float
) -> float:
    return sum(min(max(scale * base[name], low[name]), high[name]) for name in base)
