"""The deltas of roll-ups for a commit of a few facts: the same as ``rollup.deltas``, row by row."""

from collections.abc import Sequence
from typing import Any

from facts.events import Event
from facts.rollup import BUCKETS, EVERY, RollUp, concerned_one
from facts.times import micros, naive_of
from facts.values import Categorical, Value

Delta = list[Any]
INSERT = "INSERT INTO rollup VALUES "
MARKS = "(?, ?, ?, ?, ?, ?, ?, ?)"


def few_deltas(
    rollups: Sequence[RollUp],
    events: Sequence[Event],
    attributes: Sequence[str],
    recorded_us: int,
) -> list[Delta]:
    """Return the rows that some new facts add to the roll-ups, one for each fact or alternative."""
    found = []
    when = naive_of(recorded_us)
    for rollup in rollups:
        width = BUCKETS[rollup.bucket]
        for event, attribute in zip(events, attributes, strict=True):
            if event.op == "retract" or not concerned_one(rollup.attribute, attribute):
                continue
            bucket = naive_of(micros(event.valid_from) // width * width)
            for dim, sums in _parts(rollup, event, event.attributes[attribute]):
                found.append([rollup.name, bucket, dim, when, *sums])
    return found


def _parts(rollup: RollUp, event: Event, value: Value) -> list[tuple[str, tuple[float, ...]]]:
    if rollup.by == "label":
        if not isinstance(value, Categorical):
            return []
        pairs = value.alternatives.items()
        return [(label, (p, 0.0, 0.0, p * (1 - p))) for label, p in pairs]
    mean = variance = 0.0
    if not rollup.attribute.startswith(EVERY):
        mean, variance = value.expectation() or 0.0, value.variance() or 0.0
    return [(_dimension(rollup.by, event, value), (1.0, mean, mean * mean, variance))]


def _dimension(by: str, event: Event, value: Value) -> str:
    if by == "prefix":
        head, colon, _ = event.entity.partition(":")
        return head + colon
    found = {
        "entity": event.entity,
        "source": event.source,
        "choice": event.choice,
        "text": value.cells().text if by == "text" else None,
    }
    return found.get(by) or ""
