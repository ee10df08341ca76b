"""Reading quarantined bytes again as events."""

import json

from facts.errors import EventError, QueryError
from facts.events import Event, parse_event


def events_of(raw: bytes) -> list[Event]:
    """Return the event, or the list of events, that bytes hold as JSON.

    Raises
    ------
    QueryError
        They hold none.
    """
    try:
        found = json.loads(raw)
        return [parse_event(e) for e in (found if isinstance(found, list) else [found])]
    except (ValueError, EventError) as error:
        msg = f"the bytes still cannot be read as events ({error}); give the events they mean"
        raise QueryError(msg) from error
