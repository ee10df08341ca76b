"""Events: what arrives. One event becomes one fact for each of its attributes.

``parse_event`` reads the CloudEvents form. Its ``data`` object holds::

    entity                      what the facts are about, for example "post:17"
    attribute + value           one fact, or
    attributes                  {name: value}, several facts
    valid_from, valid_to        when it holds in the world (default: the event's time, and open)
    corrects | retracts         the event referred to: {"source": ..., "id": ...}, or an id of the
                                same source; a retraction may list the attributes it takes back
    choice                      the named choice these facts share

Unknown keys, of the event and of its data, are kept in ``extra``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

from facts.errors import EventError, ValueKindError
from facts.values import Value, parse_value
from facts.values.base import storable

Op = Literal["assert", "correct", "retract"]
MAX_TEXT = 1000
MAX_ATTRIBUTES = 1000
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Event:
    """One set of facts from one source, recorded together.

    Parameters
    ----------
    source, id : str
        Who said it, and the source's own name for it. Together they are its identity: an event
        sent again is a duplicate however much later.
    entity : str
        What the facts are about.
    attributes : mapping of str to Value
        One fact each. For a retraction: the attributes taken back, their values are not read;
        none means all of them.
    valid_from : datetime
        From when it holds in the world, with a time zone.
    valid_to : datetime, optional
        Until when (excluded); None is open.
    op : {"assert", "correct", "retract"}
        A correction replaces, a retraction takes back what ``refers`` names.
    refers : tuple of str, optional
        Source and id of the event corrected or retracted. It may arrive later than this one.
    choice : str, optional
        The named choice these facts share.
    extra : mapping
        Everything else that came with the event; JSON values.

    Raises
    ------
    EventError
        A rule above is broken.
    """

    source: str
    id: str
    entity: str
    attributes: Mapping[str, Value]
    valid_from: datetime
    valid_to: datetime | None = None
    op: Op = "assert"
    refers: tuple[str, str] | None = None
    choice: str | None = None
    extra: Mapping[str, Any] = field(default=NOTHING)

    def __post_init__(self) -> None:
        _named("source", self.source)
        _named("id", self.id)
        _named("entity", self.entity)
        _aware("valid_from", self.valid_from)
        if self.valid_to is not None:
            _aware("valid_to", self.valid_to)
            if self.valid_to <= self.valid_from:
                msg = (
                    f"valid_to must be after valid_from; got {self.valid_from.isoformat()}"
                    f" to {self.valid_to.isoformat()}"
                )
                raise EventError(msg)
        for attribute in self.attributes:
            _named("attribute", attribute)
        if not self.attributes and self.op != "retract":
            msg = "an event must carry at least one attribute; got none"
            raise EventError(msg)
        if len(self.attributes) > MAX_ATTRIBUTES:
            got = len(self.attributes)
            msg = f"an event carries at most {MAX_ATTRIBUTES} attributes; got {got}"
            raise EventError(msg)
        if self.op != "assert" or self.refers is not None:
            self._check_reference()
        if self.choice is not None:
            _named("choice", self.choice)

    def _check_reference(self) -> None:
        if self.op not in ("assert", "correct", "retract"):
            msg = f"op must be assert, correct or retract; got {self.op!r}"
            raise EventError(msg)
        if (self.op == "assert") != (self.refers is None):
            msg = f"a correction or retraction, and only these, must refer; got op={self.op!r}"
            raise EventError(msg)
        if self.refers is not None:
            _named("the source referred to", self.refers[0])
            _named("the id referred to", self.refers[1])
            if self.refers == (self.source, self.id):
                msg = f"an event cannot refer to itself; got {self.refers!r}"
                raise EventError(msg)


@dataclass(frozen=True, slots=True)
class RawBad:
    """Something that arrived and could not be understood: it goes to quarantine as it is.

    Parameters
    ----------
    raw : bytes
        What arrived, unchanged.
    reason : str
        What is wrong with it, for people.
    source, id : str, optional
        Whose it is, as far as that could be read.
    """

    raw: bytes
    reason: str
    source: str | None = None
    id: str | None = None


@dataclass(slots=True)
class Receipt:
    """What became of one item, sent after it is durable.

    ``accepted``: at least one fact is new. ``duplicate``: every fact was known. ``quarantined``:
    kept aside with a reason. ``tx`` is the transaction that recorded it, None for a duplicate.
    Where something known was sent again with other content, ``reason`` says in what it differs:
    the recorded content stays in force.
    """

    source: str | None
    id: str | None
    status: Literal["accepted", "duplicate", "quarantined"]
    reason: str | None = None
    tx: int | None = None


def _named(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        msg = f"{name} must be a non-empty string; got {value!r}"
        raise EventError(msg)
    if len(value) > MAX_TEXT:
        msg = f"{name} must have at most {MAX_TEXT} characters; got {len(value)}"
        raise EventError(msg)
    if not storable(value):
        msg = f"{name} must be text that UTF-8 can hold, without NUL; got {value!r}"
        raise EventError(msg)


def _aware(name: str, value: object) -> None:
    if not isinstance(value, datetime) or value.tzinfo is None:
        msg = f"{name} must be a time with a time zone; got {value!r}"
        raise EventError(msg)


def parse_time(name: str, value: object) -> datetime:
    """Return an RFC 3339 time with its zone, in UTC.

    Raises
    ------
    EventError
        It is no such time, has no zone, or lies outside the years 1 to 9999.
    """
    if isinstance(value, datetime):
        _aware(name, value)
        return value.astimezone(UTC)
    try:
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        msg = f"{name} must be an RFC 3339 time such as 2026-11-20T10:00:00Z; got {value!r}"
        raise EventError(msg) from None
    if found.tzinfo is None:
        msg = f"{name} must have a time zone such as Z or +01:00; got {value!r}"
        raise EventError(msg)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        msg = f"{name} must lie in the years 1 to 9999 in UTC; got {value!r}"
        raise EventError(msg) from None


ENVELOPE = ("source", "id", "data", "specversion", "type", "time", "datacontenttype")
DATA = (
    "entity",
    "attribute",
    "value",
    "attributes",
    "valid_from",
    "valid_to",
    "corrects",
    "retracts",
    "choice",
)


def parse_event(raw: Mapping[str, Any]) -> Event:
    """Return the event of a CloudEvents-like mapping; see the head of this module.

    Raises
    ------
    EventError
        Something needed is missing or wrong; the message says what.
    """
    if not isinstance(raw, Mapping):
        msg = f"an event must be an object; got {type(raw).__name__}"
        raise EventError(msg)
    data = raw.get("data")
    if not isinstance(data, Mapping):
        msg = f"an event's data must be an object with the fact; got {data!r}"
        raise EventError(msg)
    op, refers = _reference(data, raw.get("source"))
    attributes = _attributes(data, op)
    start = data.get("valid_from", raw.get("time"))
    if start is None:
        msg = "an event needs valid_from in its data, or a time; got neither"
        raise EventError(msg)
    end = data.get("valid_to")
    return Event(
        source=raw.get("source"),  # type: ignore[arg-type]  # checked by Event
        id=raw.get("id"),  # type: ignore[arg-type]
        entity=data.get("entity"),  # type: ignore[arg-type]
        attributes=attributes,
        valid_from=parse_time("valid_from", start),
        valid_to=None if end is None else parse_time("valid_to", end),
        op=op,
        refers=refers,
        choice=data.get("choice"),
        extra=_unknown(raw, data),
    )


def _unknown(raw: Mapping[str, Any], data: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = {str(k): v for k, v in data.items() if k not in DATA}
    outer = {str(k): v for k, v in raw.items() if k not in ENVELOPE}
    if outer:
        kept["event"] = outer
    return kept or NOTHING


def _reference(data: Mapping[str, Any], own: object) -> tuple[Op, tuple[str, str] | None]:
    if "corrects" in data and "retracts" in data:
        msg = "an event either corrects or retracts; got both"
        raise EventError(msg)
    for key, op in (("corrects", "correct"), ("retracts", "retract")):
        target = data.get(key)
        if target is None:
            continue
        if isinstance(target, Mapping):
            source, name = target.get("source", own), target.get("id")
        else:
            source, name = own, target
        if not isinstance(source, str) or not isinstance(name, str):
            msg = f"{key} must be an id, or an object with source and id; got {target!r}"
            raise EventError(msg)
        return op, (source, name)  # type: ignore[return-value]  # the literals above
    return "assert", None


def _attributes(data: Mapping[str, Any], op: Op) -> Mapping[str, Value]:
    given = data.get("attributes")
    if op == "retract" and isinstance(given, (list, tuple)):
        given = {str(name): True for name in given}
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        msg = f"attributes must map names to values; got {given!r}"
        raise EventError(msg)
    found = dict(given)
    if "attribute" in data:
        if "value" not in data and op != "retract":
            msg = f"attribute {data['attribute']!r} has no value"
            raise EventError(msg)
        if not isinstance(data["attribute"], str):
            msg = f"attribute must be a name; got {data['attribute']!r}"
            raise EventError(msg)
        found[data["attribute"]] = data.get("value", True)
    elif "value" in data:
        msg = "a value needs its attribute's name; got a value without attribute"
        raise EventError(msg)
    return {name: _value(name, value) for name, value in found.items()}


def _value(name: object, value: object) -> Value:
    try:
        return parse_value(value)
    except ValueKindError as error:
        msg = f"attribute {name!r}: {error}"
        raise EventError(msg) from error


def event_json(event: Event) -> bytes:
    """Return the CloudEvents form of an event as UTF-8 JSON; ``parse_event`` reads it back."""
    data: dict[str, Any] = {k: v for k, v in event.extra.items() if k != "event"}
    data |= {
        "entity": event.entity,
        "attributes": {name: value.to_json() for name, value in event.attributes.items()},
        "valid_from": event.valid_from.isoformat(),
        "valid_to": None if event.valid_to is None else event.valid_to.isoformat(),
        "choice": event.choice,
    }
    if event.refers is not None:
        key = "corrects" if event.op == "correct" else "retracts"
        data[key] = {"source": event.refers[0], "id": event.refers[1]}
    outer = event.extra.get("event", {})
    whole = {**outer, "source": event.source, "id": event.id, "data": data}
    return json.dumps(whole, default=str).encode()
