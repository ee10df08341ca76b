"""Views: questions about the facts themselves, answered when they are asked, in the same form.

A named question asks what models expect of the next period. A view asks what is so, as far as
the facts tell: how many posts show a pug, whether a street cell is dirty now. It takes what it is
about as `where`, reads facts as of a time, and gives an outcome: worlds, weights and distributions
like every other answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from worlds.core.outcome import Outcome
from worlds.errors import QuestionError, UnknownNameError

SIMULATED = "simulator:"
"""How the source of every simulated fact starts."""


class Source(Protocol):
    """What is needed of a store: `facts.Reader` has it."""

    def facts(
        self,
        *,
        as_of: datetime | None = None,
        attribute: str | Sequence[str] | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the visible facts as known at a time."""
        ...

    def version(self, as_of: datetime | None = None) -> tuple[int, str, int]:
        """Return the last transaction, the hash of the chain and the number of facts."""
        ...

    def last_recorded(self) -> datetime | None:
        """Return when the last fact was recorded."""
        ...


class Reading:
    """Facts as of a time, read for one answer; it notes whether any was simulated.

    Parameters
    ----------
    source
        Usually ``store.reader()``.
    as_of
        Nothing recorded later is read; everything known where left out.
    """

    def __init__(self, source: Source, as_of: datetime | None = None) -> None:
        self._source = source
        known = as_of or source.last_recorded()
        if known is None:
            msg = "there are no facts yet: record or import some first"
            raise QuestionError(msg)
        self.as_of: datetime = known
        self.version = source.version(known)
        self.simulated = False

    def facts(
        self,
        *,
        as_of: datetime | None = None,
        attribute: str | Sequence[str] | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the visible facts as known at `as_of` of the reading, at the latest."""
        wanted = None if columns is None else tuple(dict.fromkeys((*columns, "source")))
        table = self._source.facts(
            as_of=self.as_of if as_of is None else min(as_of, self.as_of),
            attribute=attribute,
            valid_from=valid_from,
            valid_to=valid_to,
            columns=wanted,
        )
        names = pc.unique(table["source"]).to_pylist()
        self.simulated |= any(str(name).startswith(SIMULATED) for name in names)
        return table


@dataclass(frozen=True, slots=True)
class Part:
    """Something a view takes in `where`."""

    name: str
    text: str
    example: str


@dataclass(frozen=True, slots=True, eq=False)
class Viewed:
    """What a view found.

    Parameters
    ----------
    outcome
        The distribution that answers it.
    start, end
        The time it speaks of.
    details
        What else belongs to the answer, as plain JSON.
    notes
        Sentences for people.
    """

    outcome: Outcome
    start: datetime
    end: datetime
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


type Looks = Callable[[Reading, Mapping[str, str], Mapping[str, object]], Viewed]
"""From facts, `where` and `given` to what was found."""


@dataclass(frozen=True, slots=True)
class View:
    """A named question about facts.

    Parameters
    ----------
    name, unit, text
        How it is called, in what it is answered, and what it asks.
    look
        Finds the answer.
    parts
        What `where` takes; any attribute besides where `attributes` is true.
    attributes
        Whether `where` takes attributes of facts and the sets they must lie in.
    given
        What observations it takes, by name.
    threshold
        The value whose exceedance is reported when nobody names another.
    """

    name: str
    unit: str
    text: str
    look: Looks
    parts: tuple[Part, ...] = ()
    attributes: bool = False
    given: tuple[str, ...] = ()
    threshold: float | None = None

    def check(self, where: Mapping[str, str], given: Mapping[str, object]) -> None:
        """Refuse what it does not take.

        Raises
        ------
        UnknownNameError
            With the names it takes.
        """
        known = [part.name for part in self.parts]
        for name in where:
            if not self.attributes and name not in known:
                raise UnknownNameError(f"part of {self.name!r}", name, known)
        for name in given:
            if name not in self.given:
                raise UnknownNameError(f"observation of {self.name!r}", name, self.given)


def moment(text: str, name: str) -> datetime:
    """Read a time with a zone.

    Raises
    ------
    QuestionError
        If it is none.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        msg = f"{name} takes a time with a zone, such as 2026-09-30T18:00:00Z; got {text[:60]!r}"
        raise QuestionError(msg)
    return found


def numbers(text: str, count: int, name: str, example: str) -> tuple[float, ...]:
    """Read so many numbers with commas between them.

    Raises
    ------
    QuestionError
        If they are not there.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count or not all(abs(x) < 1e12 for x in found):
        msg = f"{name} takes {count} numbers with commas, such as {example}; got {text[:60]!r}"
        raise QuestionError(msg)
    return found


def places(text: str, name: str) -> list[tuple[float, float]]:
    """Read places: ``lat,lon;lat,lon``.

    Raises
    ------
    QuestionError
        If one is no place on earth.
    """
    found = []
    for part in text.split(";"):
        lat, lon = numbers(part, 2, name, "52.365,4.895")
        if abs(lat) > 90 or abs(lon) > 180:
            msg = f"{name}: {part.strip()!r} is no place on earth: latitude first, then longitude"
            raise QuestionError(msg)
        found.append((lat, lon))
    return found
