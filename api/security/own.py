"""Facts that only the service itself may state: supervision and the audit are made of them.

Whoever may record facts may not thereby decide about models, or write into the audit. Sources that
begin with `PREFIX` are the service's own; what a client sends under one, and what corrects or
retracts an event of one, goes into quarantine with the reason.
"""

from collections.abc import Sequence
from typing import Any

from api.cloudevents import Item
from facts import Event, RawBad, event_json

PREFIX = "worlds:"
OWN = b"x-worlds-own"
"""Header of events that a worker of this service hands to the recorder as its own."""
REASON = f"sources that begin with {PREFIX!r} are the service's own"


def foreign(items: Sequence[Item]) -> tuple[Item, ...]:
    """Return what a client sent, with events it may not send as something for the quarantine."""
    return tuple(RawBad(_raw(one), REASON) if _forged(one) else one for one in items)


def stated_by_us(scope: Any) -> bool:
    """Return whether events come from a process of this service. Ask only behind its socket."""
    return any(name == OWN for name, _ in scope["headers"])


def _forged(item: Item) -> bool:
    if not isinstance(item, Event):
        return False
    refers = item.refers[0] if item.refers is not None else ""
    return item.source.startswith(PREFIX) or refers.startswith(PREFIX)


def _raw(item: Item) -> bytes:
    if not isinstance(item, Event):
        return item.raw
    text = event_json(item)
    return text.encode() if isinstance(text, str) else bytes(text)
