"""Facts about what operators did: who, what, why. They are never changed, like all facts.

Changes of keys are made in the file of keys, by a command; the process that owns the facts records
them when it sees them. Each has a name that follows from what it is, so that it is recorded once,
however often it is seen.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterable
from datetime import datetime
from secrets import token_hex
from typing import Any

from litestar import Request

from api.errors import ApiError
from api.security.gate import who
from api.security.keys import Change, Keys
from api.security.own import PREFIX
from api.service import Service
from facts import Event, Exact, FactsError

SOURCE = f"{PREFIX}audit"
ACTION, WHO, WHAT, WHY = "audit.action", "audit.who", "audit.what", "audit.why"
LOOK_SECONDS = 1.0

log = logging.getLogger("api")


def event(
    by: str, action: str, detail: str, why: str, at: datetime, name: str | None = None
) -> Event:
    """Return the fact about an action.

    Parameters
    ----------
    by
        Whose key it was; `api.security.gate.who` tells.
    action
        Such as ``learn``, ``promote``, ``override``.
    detail
        What it was done to.
    why
        The reason that was given.
    at
        When.
    name
        The event's id, where the same action may be told twice.
    """
    told = {ACTION: action, WHO: by, WHAT: detail, WHY: why}
    attributes = {attribute: Exact(text[:1000]) for attribute, text in told.items() if text}
    name = name or f"{at:%Y%m%dT%H%M%S%f}-{token_hex(4)}"
    return Event(SOURCE, name, f"audit:{action}", attributes, at)


async def audit(service: Service, by: str, action: str, detail: str = "", why: str = "") -> bool:
    """Record that an operator did something; return whether it could be recorded.

    An action is not held up by an audit that cannot be written (going back to an older release
    matters most when much is broken): the log has it then.

    Parameters
    ----------
    service
        Where it was done.
    by
        Whose key it was; `api.security.gate.who` tells.
    action
        Such as ``learn``, ``promote``, ``override``.
    detail
        What it was done to.
    why
        The reason that was given.
    """
    return await _record(service, [event(by, action, detail, why, service.now())])


async def acted(
    service: Service, request: Request[Any, Any, Any], action: str, detail: str = "", why: str = ""
) -> bool:
    """Record what the sender of a request did; as `audit`, with who it is found by itself."""
    behind = service.place.role == "recorder"
    return await audit(service, who(request.scope, trusted=behind), action, detail, why)


async def _record(service: Service, events: list[Event], quiet: bool = False) -> bool:
    try:
        if service.recorder is not None:
            await service.recorder.send(events)
        else:
            await service.facts.record(events)
    except (ApiError, FactsError) as error:
        if quiet:
            return False
        told = [{k: v.to_json() for k, v in one.attributes.items()} for one in events]
        log.warning("an audit could not be recorded (%s): %s", error, json.dumps(told))
        return False
    return True


def of_keys(changes: Iterable[Change]) -> list[Event]:
    """Return the facts about changes of keys."""
    found = []
    for change in changes:
        text = f"{change.at.isoformat()} {change.action} {change.key}"
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        action = f"key {change.action}"
        found.append(event(change.who, action, change.key, change.why, change.at, f"key-{name}"))
    return found


async def follow_keys(service: Service) -> None:
    """Record changes of keys as they are seen, for ever; known ones are duplicates."""
    seen: Keys | None = None
    recorded = 0
    while service.gate.path is not None:
        found = service.gate.refreshed()
        new = of_keys(found.changes[recorded:]) if found is not seen else []
        if new and await _record(service, new, quiet=True):
            recorded += len(new)
            seen = found
        await asyncio.sleep(LOOK_SECONDS)
