"""The semantics of facts in plain Python, slow and obvious: the reference for the store.

A history is a list of (recorded, event) in recorded order. For each attribute on its own, an event
together with everything that refers to it shows at most one value.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from facts import Event

Key = tuple[str, str]
Shown = tuple[str, str, str, str, Any, datetime, datetime | None]


@dataclass
class Model:
    """All rows recorded so far: (recorded, number, event, attribute)."""

    rows: list[tuple[datetime, int, Event, str]] = field(default_factory=list)

    def record(self, recorded: datetime, event: Event) -> str:
        known = {(e.source, e.id, a) for _, _, e, a in self.rows}
        names = list(event.attributes) or [""]
        new = [a for a in names if (event.source, event.id, a) not in known]
        if not new:
            return "duplicate"
        before = [e for _, _, e, _ in self.rows if (e.source, e.id) == (event.source, event.id)]
        if any((e.op, e.refers) != (event.op, event.refers) for e in before):
            return "quarantined"
        if event.refers and self._reaches(event.refers, (event.source, event.id)):
            return "quarantined"
        for attribute in new:
            self.rows.append((recorded, len(self.rows), event, attribute))
        return "accepted"

    def _reaches(self, start: Key, goal: Key) -> bool:
        refers = {(e.source, e.id): e.refers for _, _, e, _ in self.rows}
        at: Key | None = start
        while at is not None:
            if at == goal:
                return True
            at = refers.get(at)
        return False

    def visible(self, as_of: datetime) -> set[Shown]:
        known = [r for r in self.rows if r[0] <= as_of]
        keys = {(e.source, e.id): e.refers for _, _, e, _ in known}
        attributes = {a for _, _, _, a in known} - {""}
        roots = {k if r is None else self._root(k, keys) for k, r in keys.items()}
        shown = set()
        for root in roots:
            for attribute in attributes:
                found = self._show(root, attribute, known)
                if found is not None:
                    shown.add(found)
        return shown

    def _root(self, key: Key, refers: dict[Key, Key | None]) -> Key:
        while refers.get(key) is not None:
            key = refers[key]  # type: ignore[assignment]
        return key

    def _decider(self, key: Key, attribute: str, known: list[Any]) -> Event | None:
        """The last that came to concern the attribute and counts: by itself or by what is below."""
        below = {(e.source, e.id): e for _, _, e, _ in known if e.refers == key}
        since = {k: self._concerned(k, attribute, known) for k in below}
        asked = [k for k in below if since[k] is not None and self._counts(k, attribute, known)]
        return below[max(asked, key=since.__getitem__)] if asked else None  # type: ignore[arg-type]

    def _concerned(self, key: Key, attribute: str, known: list[Any]) -> int | None:
        """When an event last came to concern an attribute: the number of the row that made it so.

        Its own rows do; so does, where nothing did before, the first value from below.
        """
        mine = [(n, a, e) for _, n, e, a in known if (e.source, e.id) == key]
        own = [n for n, about, _ in mine if about in (attribute, "")]
        offered = [
            max(n, mine[0][0])
            for child in {(e.source, e.id) for _, _, e, _ in known if e.refers == key}
            if (n := self._offered(child, attribute, known)) is not None
        ]
        named = [n for n, about, e in mine if about == attribute]
        late = [min(offered)] if offered and not any(n <= min(offered) for n in named) else []
        return max([*own, *late], default=None)

    def _offered(self, key: Key, attribute: str, known: list[Any]) -> int | None:
        """The row from which an event, or a correction below it, states a value."""
        mine = [(n, a, e) for _, n, e, a in known if (e.source, e.id) == key]
        found = [n for n, about, e in mine if about == attribute and e.op != "retract"]
        for child in {(e.source, e.id) for _, _, e, _ in known if e.refers == key}:
            below = self._offered(child, attribute, known)
            if below is not None:
                found.append(max(below, mine[0][0]))
        return min(found, default=None)

    def _counts(self, key: Key, attribute: str, known: list[Any]) -> bool:
        by = self._decider(key, attribute, known)
        if by is not None:
            return by.op == "correct"
        return any((e.source, e.id) == key and a in (attribute, "") for _, _, e, a in known)

    def _show(self, key: Key, attribute: str, known: list[Any]) -> Shown | None:
        by = self._decider(key, attribute, known)
        if by is not None:
            return self._show((by.source, by.id), attribute, known)
        for _, _, event, about in known:
            if (event.source, event.id) == key and about == attribute and event.op != "retract":
                value = event.attributes[attribute]
                return (*key, event.entity, attribute, value, event.valid_from, event.valid_to)
        return None
