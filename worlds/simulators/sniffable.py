"""A seeded Sniffable: what its facts look like from outside. The truth behind is in `truth`."""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from facts import Categorical, Event, Exact, Point, Value
from worlds.simulators.truth import BREEDS, HASHTAGS, LOOKALIKES, LOOKS, Truth, draw_truth
from worlds.simulators.writing import source_name

DAYS = 21
PER_HOUR = 15.0
AMBIGUOUS = "adorabull"
"""A hashtag that is either a word of its own or `adorable` misheard, for everybody alike."""
MEANINGS = Categorical(("adorable", "adorabull"), (0.65, 0.35))


def truth(seed: int, days: int, end: datetime, *, per_hour: float = PER_HOUR) -> Truth:
    """Return the hidden truth behind `simulate` with the same arguments."""
    return draw_truth(seed, days, end, per_hour)


def source(seed: int, days: int, end: datetime, *, per_hour: float = PER_HOUR) -> str:
    """Return the source that the facts of `simulate` with the same arguments carry."""
    last = end.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return source_name("sniffable", seed=seed, days=days, per_hour=per_hour, end=last.isoformat())


def simulate(seed: int, days: int, end: datetime, *, per_hour: float = PER_HOUR) -> Iterator[Event]:
    """Yield the events that a Sniffable would have sent in the `days` before `end`.

    Every pupdate sends one event when it is posted, one more if it carries the ambiguous
    hashtag, and one each when its likes are counted 1, 6 and 24 hours later. Counts that
    would be made after `end` are not there yet.

    Parameters
    ----------
    seed
        Same seed and arguments: same events, to the last digit.
    days
        Length of the past.
    end
        Aware; the past ends at the last full hour before it.
    per_hour
        Pupdates an hour on average.

    Yields
    ------
    Event
        In order of their valid time.
    """
    hidden = truth(seed, days, end, per_hour=per_hour)
    name = source(seed, days, end, per_hour=per_hour)
    prefix = f"post:{zlib.crc32(name.encode()):08x}"
    posted = [hidden.start + timedelta(hours=float(at)) for at in hidden.posted]
    limit = hidden.start + timedelta(hours=len(hidden.counts))
    tags = [[t for t, on in zip(HASHTAGS, row, strict=True) if on] for row in hidden.tags]
    plan = [(at, index, -1) for index, at in enumerate(posted)]
    plan += [
        (at + timedelta(hours=hours), index, look)
        for index, at in enumerate(posted)
        for look, hours in enumerate(LOOKS)
    ]
    for at, index, look in sorted(item for item in plan if item[0] <= limit):
        entity = f"{prefix}-{index:06d}"
        if look >= 0:
            yield _counted(name, entity, at, look, int(hidden.looks[index, look]))
            continue
        yield Event(name, entity, entity, _attributes(hidden, index, tags[index]), at)
        if AMBIGUOUS in tags[index]:
            yield Event(
                name,
                f"{entity}/meaning",
                entity,
                {"hashtag_meaning": MEANINGS},
                at,
                choice=f"hashtag:{AMBIGUOUS}",
            )


def _counted(name: str, entity: str, at: datetime, look: int, likes: int) -> Event:
    """Return the event of counting likes; a count holds until the next one."""
    later = LOOKS[look + 1] - LOOKS[look] if look + 1 < len(LOOKS) else None
    until = None if later is None else at + timedelta(hours=later)
    event_id = f"{entity}/likes-{LOOKS[look]}h"
    return Event(name, event_id, entity, {"likes": Exact(likes)}, at, until)


def _attributes(hidden: Truth, index: int, tags: list[str]) -> dict[str, Value]:
    found: dict[str, Value] = {
        "text_length": Exact(int(hidden.length[index])),
        "has_photo": Exact(bool(hidden.photo[index])),
    }
    if hidden.photo[index]:
        found["breed"] = _breed(hidden, index)
    if tags:
        found["hashtags"] = Exact.listing(tags)
    if hidden.city[index] >= 0:
        lat, lon, radius = hidden.place[index]
        found["place"] = Point(round(float(lat), 5), round(float(lon), 5), round(float(radius), 1))
    return found


def _breed(hidden: Truth, index: int) -> Categorical:
    """Return what the classifier states; alternatives with no probability are left out."""
    first = list(BREEDS)[hidden.shown[index]]
    labels = (first, LOOKALIKES[first], "other")
    stated = [round(float(p), 3) for p in hidden.stated[index]]
    kept = [(label, p) for label, p in zip(labels, stated, strict=True) if p > 0]
    return Categorical(tuple(label for label, _ in kept), tuple(p for _, p in kept))
