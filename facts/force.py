"""Which facts stand: the effect of corrections and retractions, kept up to date while writing.

The rules hold for every attribute on its own:

- Of the corrections and retractions that refer to an event and are *in force*, the last recorded
  decides: a correction's value takes the place of the event's, a retraction leaves nothing in it.
  With none, the event's own value stands. A reference may arrive before what it refers to.
- A retraction without attributes concerns all of them.
- A correction or retraction is in force unless a retraction decides about it. A correction that was
  corrected in turn stays in force: its own value gave way, and what it replaced stays replaced.
- An attribute which a correction adds to the correction it refers to counts as if that one had
  stated it, from then on: it takes the place of the first event's value, if there is one.

So of an event and everything that refers to it, at most one value per attribute is visible, and
retracting a correction makes the corrected fact visible again, from then on and only from then on.
Every event refers to at most one other; a reference that would close a circle is refused.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from facts.layout import ASSERT, RETRACT

Key = tuple[str, str]
EVERYTHING = ""
LONGEST = 1000


@dataclass(slots=True)
class Node:
    """An event that refers or is referred to.

    ``rows`` maps attributes to sequence numbers. ``referrers`` are the events referring here, each
    with an attribute it concerns, in the order in which it came to concern it; ``listed`` are the
    attributes with which this event is among the referrers of its target, ``offered`` those of
    which it or a correction below it states a value. ``attributes`` are all that occur here or in
    anything that refers here, and ``counts`` remembers what was computed.
    """

    op: int = ASSERT
    target: Key | None = None
    rows: dict[str, int] = field(default_factory=dict)
    referrers: list[tuple[Key, str]] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    offered: set[str] = field(default_factory=set)
    counts: dict[str, bool] = field(default_factory=dict)


class Standing:
    """The graph of references."""

    def __init__(self) -> None:
        self.nodes: dict[Key, Node] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self.nodes

    def path(self, key: Key | None) -> Iterator[Key]:
        """Go from an event to what it refers to, and so on."""
        while key is not None:
            yield key
            node = self.nodes.get(key)
            key = None if node is None else node.target

    def refusal(self, key: Key, target: Key) -> str | None:
        """Return why ``key`` may not refer to ``target``, or None when it may."""
        known = self.nodes.get(key)
        if known is not None and known.target not in (None, target):
            return (
                f"the event already refers to {known.target!r}; it cannot also refer to {target!r}"
            )
        for length, at in enumerate(self.path(target), 1):
            if at == key:
                return f"the reference to {target!r} closes a circle of corrections"
            if length >= LONGEST:
                return f"the reference to {target!r} makes a chain of over {LONGEST} references"
        return None

    def add(
        self,
        key: Key,
        op: int,
        rows: Mapping[str, int],
        target: Key | None,
        target_rows: Mapping[str, int],
    ) -> list[tuple[int, int]]:
        """Add an event's new rows, and return the visibility changes they cause.

        Parameters
        ----------
        key : tuple of str
            The event's source and id.
        op : int
            What the event does.
        rows : mapping of str to int
            Sequence number of each new row by attribute; a retraction of all has ``""``.
        target : tuple of str, optional
            What it refers to.
        target_rows : mapping of str to int
            The known rows of the target, used when it is not in the graph yet.

        Returns
        -------
        list of (seq, step)
            ``+1`` where a fact is hidden from now on, ``-1`` where it is visible again. New facts
            that are visible at once cause no change.
        """
        if key not in self.nodes and target is not None and target not in self.nodes:
            return self._add_pair(key, op, rows, target, target_rows)
        node = self.nodes.setdefault(key, Node())
        if target is not None:
            aim = self.nodes.get(target)
            if aim is None:
                aim = Node(rows=dict(target_rows), offered=set(target_rows))
                self.nodes[target] = aim
            aim.attributes.update(target_rows)
        asked = set(rows) | node.attributes
        roots = [key, *self.path(target)]
        if EVERYTHING in asked:
            asked |= self.nodes[roots[-1]].attributes
        asked.discard(EVERYTHING)
        loose = {key} if node.target is None else set()
        before = self._visible({roots[-1]} | loose, asked)
        self._insert(key, op, rows, target)
        for at in roots:
            self.nodes[at].attributes |= asked
            self.nodes[at].counts.clear()
        after = self._visible({roots[-1]}, asked)
        new = set(rows.values()) if op != RETRACT else set()
        return [(seq, 1) for seq in sorted((before | new) - after)] + [
            (seq, -1) for seq in sorted(after - before - new)
        ]

    def _add_pair(
        self,
        key: Key,
        op: int,
        rows: Mapping[str, int],
        target: Key,
        target_rows: Mapping[str, int],
    ) -> list[tuple[int, int]]:
        """Add an event that refers to a fact nothing else has to do with: the usual case."""
        attributes = {*rows, *target_rows} - {EVERYTHING}
        stated = set(rows) if op != RETRACT else set()
        self.nodes[target] = Node(
            rows=dict(target_rows),
            referrers=[(key, attribute) for attribute in rows],
            attributes=attributes,
            offered={*target_rows, *stated},
        )
        self.nodes[key] = Node(
            op=op,
            target=target,
            rows=dict(rows),
            attributes=set(attributes),
            listed=set(rows),
            offered=stated,
        )
        gone = target_rows if EVERYTHING in rows else rows
        return [(target_rows[a], 1) for a in gone if a in target_rows]

    def _insert(self, key: Key, op: int, rows: Mapping[str, int], target: Key | None) -> None:
        node = self.nodes[key]
        node.op = op
        node.target = target
        node.rows.update(rows)
        if op != RETRACT:
            node.offered.update(rows)
        at, stated = key, list(rows)
        while (goal := self.nodes[at].target) is not None:
            below, above = self.nodes[at], self.nodes[goal]
            new = stated + sorted(below.offered - below.listed - set(stated))
            above.referrers.extend((at, attribute) for attribute in new)
            below.listed.update(new)
            above.offered |= below.offered
            at, stated = goal, []

    def _visible(self, roots: Iterable[Key], attributes: Iterable[str]) -> set[int]:
        found = (self.resolve(root, a) for root in roots for a in attributes)
        return {seq for seq in found if seq is not None}

    def resolve(self, key: Key, attribute: str) -> int | None:
        """Return the visible row among an event and all that refers to it, for one attribute."""
        while (by := self._decider(key, attribute)) is not None:
            key = by
        node = self.nodes[key]
        return None if node.op == RETRACT else node.rows.get(attribute)

    def _decider(self, key: Key, attribute: str) -> Key | None:
        for other, about in reversed(self.nodes[key].referrers):
            if about in (attribute, EVERYTHING) and self._counts(other, attribute):
                return other
        return None

    def _counts(self, key: Key, attribute: str) -> bool:
        """Whether a referring event is in force and concerns an attribute.

        With a decider about it, it does unless that is a retraction; without one, if it names the
        attribute itself. Works off a stack, chains may be long.
        """
        waiting = [key]
        while waiting:
            node = self.nodes[waiting[-1]]
            decided: bool | None = None
            for other, about in reversed(node.referrers):
                if about not in (attribute, EVERYTHING):
                    continue
                known = self.nodes[other].counts.get(attribute)
                if known is None:
                    waiting.append(other)
                    break
                if known:
                    decided = self.nodes[other].op != RETRACT
                    break
            else:
                decided = attribute in node.rows or EVERYTHING in node.rows
            if decided is not None:
                node.counts[attribute] = decided
                waiting.pop()
        return self.nodes[key].counts[attribute]
