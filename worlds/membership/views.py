"""Counts, sums and rates of facts as views that every domain has.

``worlds ask facts_count --where breed=pug --where "place=52.37,4.9,2000"`` asks how many things
show a pug and lie within 2 km, when neither breed nor place is certain. What facts share (the
meaning of a hashtag) is a choice: the answer lists its worlds, and ``--given "count>=300"`` weighs
them anew.
"""

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from facts.values import Disc, OneOf, Range
from worlds.core.outcome import Outcome
from worlds.errors import QuestionError
from worlds.membership.counts import count
from worlds.membership.errors import MembershipError
from worlds.membership.members import Members, matching, only
from worlds.membership.observed import Seen
from worlds.membership.observed import given as observed
from worlds.membership.regions import AnyRegion, Polygon, Tagged
from worlds.membership.totals import total
from worlds.view import Part, Reading, View, Viewed, moment, numbers, places

MOST_WORLDS = 256
"""Worlds of shared choices that are listed; further choices are mixed inside them."""
TIMES = ("from", "until")
OWN = frozenset({*TIMES, "entity", "value", "per"})
"""What a view takes for itself; everything else in `where` is an attribute."""
PER = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

_RANGE = re.compile(r"\s*(.*?)\s*\.\.\s*(.*?)\s*")
_SEEN = re.compile(r"\s*=?\s*([\d.]+)\s*(?:\+-\s*([\d.]+))?\s*")


def region(name: str, text: str) -> AnyRegion:
    """Read the set that an attribute must lie in.

    ``pug|beagle`` are labels; ``10..80`` is a range (either end may be left out);
    ``52.37,4.9,2000`` is a place with a distance in metres; ``lat,lon;lat,lon;lat,lon`` is a
    polygon; ``has:zoomies|dogs`` are lists with one of these words.

    Raises
    ------
    QuestionError
        If it is no set.
    """
    if ";" in text:
        return Polygon.of(places(text, name))
    if found := _RANGE.fullmatch(text):
        low, high = _end(found.group(1), -math.inf), _end(found.group(2), math.inf)
        if not low <= high:
            msg = f"{name} takes a range such as 10..80, from low to high; got {text[:60]!r}"
            raise QuestionError(msg)
        return Range(low, high, closed=True)
    if re.fullmatch(r"[-+.\d\s]+,[-+.\d\s]+,[-+.\d\s]+", text):
        lat, lon, metres = numbers(text, 3, name, "52.37,4.9,2000")
        places(f"{lat},{lon}", name)
        if not 0 < metres <= 1e6:
            msg = f"{name} takes a distance of up to 1,000,000 metres; got {metres:g}"
            raise QuestionError(msg)
        return Disc(lat, lon, metres)
    words = [part.strip() for part in text.removeprefix("has:").split("|") if part.strip()]
    if not words:
        msg = f"{name} takes labels such as pug|beagle, a range, a place or a polygon; got {text!r}"
        raise QuestionError(msg)
    return Tagged(*words) if text.startswith("has:") else OneOf(*words)


def _end(part: str, missing: float) -> float:
    """Return an end of a range, nan if it is no number."""
    try:
        return float(part) if part else missing
    except ValueError:
        return math.nan


def _members(reading: Reading, where: Mapping[str, str], value: str | None = None) -> Members:
    sets = {n: region(n, t) for n, t in where.items() if n not in OWN}
    if not sets:
        msg = "say what is counted: where takes an attribute and a set, such as breed=pug|beagle"
        raise QuestionError(msg)
    ends = {n: moment(where[n], n) if n in where else None for n in TIMES}
    found = matching(
        reading,
        sets,
        value=value,
        as_of=reading.as_of,
        valid_from=ends["from"],
        valid_to=ends["until"],
    )
    return only(found, where["entity"]) if "entity" in where else found


def _viewed(reading: Reading, where: Mapping[str, str], outcome: Outcome, n: int) -> Viewed:
    start, end = (moment(where[n], n) if n in where else reading.as_of for n in TIMES)
    return Viewed(outcome, start, end, {"things": n})


def _count(reading: Reading, where: Mapping[str, str], given: Mapping[str, object]) -> Viewed:
    found = _members(reading, where)
    answer = count(found, unit="things", most_worlds=MOST_WORLDS)
    if "count" in given:
        answer = observed(answer, *observations(given["count"]))
    return _viewed(reading, where, answer, len(found))


def observations(raw: object) -> list[Seen | str]:
    """Read what was observed: ``>= 300``, ``300`` or ``300 +- 20``, several with ``and``."""
    found: list[Seen | str] = []
    for part in re.split(r"\s+and\s+", str(raw).strip()):
        seen = _SEEN.fullmatch(part)
        if seen is None:
            found.append(part)
            continue
        try:
            number, sd = float(seen.group(1)), float(seen.group(2) or 0)
        except ValueError:
            msg = f"given takes a count such as 300, '300 +- 20' or '>= 300'; got {part[:60]!r}"
            raise QuestionError(msg) from None
        found.append(Seen(number, sd))
    return found


def _sum(
    label: str, reading: Reading, where: Mapping[str, str], given: Mapping[str, object]
) -> Viewed:
    del given
    found = _members(reading, where, where.get("value", label))
    return _viewed(reading, where, total(found, most_worlds=MOST_WORLDS), len(found))


def _rate(reading: Reading, where: Mapping[str, str], given: Mapping[str, object]) -> Viewed:
    del given
    found, per = _members(reading, where), where.get("per", "thing")
    answer = count(found, unit="things", most_worlds=MOST_WORLDS)
    if per == "thing":
        if not len(found):
            msg = "nothing to take the rate of: no fact has these attributes"
            raise MembershipError(msg)
        return _viewed(reading, where, answer.per(len(found), "per thing"), len(found))
    if per not in PER:
        msg = f"per takes thing, hour or day; got {per!r}"
        raise QuestionError(msg)
    if not set(TIMES) <= set(where):
        msg = f"a rate per {per} needs a time: where takes from and until"
        raise QuestionError(msg)
    span = moment(where["until"], "until") - moment(where["from"], "from")
    if span <= timedelta(0):
        msg = "until must be later than from"
        raise QuestionError(msg)
    return _viewed(reading, where, answer.per(span / PER[per], f"things per {per}"), len(found))


WINDOW = (
    Part("entity", "Only things whose name begins like this", "post:"),
    Part("from", "Only facts valid from then on", "2026-09-30T00:00:00Z"),
    Part("until", "Only facts valid before", "2026-09-30T18:00:00Z"),
)


def general(label: str) -> tuple[View, ...]:
    """Return the views that every domain has.

    Parameters
    ----------
    label
        The attribute that is added up where none is named.
    """
    return (
        View(
            "facts_count",
            "things",
            "How many things are so, when what facts say is uncertain?",
            _count,
            WINDOW,
            attributes=True,
            given=("count",),
        ),
        View(
            "facts_sum",
            label,
            "What do the things that are so bring together?",
            partial(_sum, label),
            (*WINDOW, Part("value", "The attribute that is added up", label)),
            attributes=True,
        ),
        View(
            "facts_rate",
            "per thing",
            "Which part of the things are so, or how many an hour or a day?",
            _rate,
            (*WINDOW, Part("per", "thing, hour or day", "day")),
            attributes=True,
        ),
    )
