"""Reading what somebody sent or stored: anything goes in, nothing raises, nonsense is unknown.

Extractors get wide rows of facts and drafts of clients. Values may be plain (``12``, ``"pug"``),
in their JSON form (``{"kind": "categorical", "alternatives": {...}}``), or value objects with a
`to_json`. What a thing either has or has not (a photo, hashtags) is "not there" when left out;
what is measured (breed, place, time) is unknown when left out.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from worlds.core.features import Alternatives

OTHER = "other"
MOST_ALTERNATIVES = 6
MOST_TAGS = 30
NEGLIGIBLE = 1e-6
"""Probabilities below this are taken as none."""
LONGEST_LABEL = 60
NOTHING = {"", "none", "nan", "null"}
_PLAIN = frozenset({str, int, float, bool, type(None), list, tuple})
_KEYS = ("value", "mean", "median")


def plain(raw: object) -> object:
    """Return a value in its plain or JSON form; an exact value as itself."""
    if type(raw) in _PLAIN:
        return raw
    to_json = getattr(raw, "to_json", None)
    if callable(to_json):
        raw = to_json()
    if isinstance(raw, Mapping) and raw.get("kind") == "exact":
        return raw.get("value")
    item = getattr(raw, "item", None)
    return item() if callable(item) and getattr(raw, "ndim", None) == 0 else raw


def label(raw: object) -> str | None:
    """Return a label as lower-case words joined by underscores, or None.

    >>> label("Golden Retriever"), label("shih-tzu"), label("  ")
    ('golden_retriever', 'shih_tzu', None)
    """
    if type(raw) is str:
        text = raw
    else:
        value = plain(raw)
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        text = str(value)
    return _label(text) if len(text) <= LONGEST_LABEL else _label.__wrapped__(text)


@lru_cache(maxsize=4096)
def _label(text: str) -> str | None:
    words = "_".join(re.findall(r"[^\W_]+", text.lower()))[:LONGEST_LABEL].strip("_")
    return None if words in NOTHING else words


def number(raw: object, low: float, high: float) -> float | None:
    """Return a finite number held inside [low, high], or None.

    An uncertain number enters by its centre.
    """
    if type(raw) is float or type(raw) is int:
        if low <= raw <= high:
            return float(raw)
        value: object = raw
    else:
        value = plain(raw)
    if isinstance(value, Mapping):
        if {"lo", "hi"} <= value.keys():
            ends = number(value["lo"], low, high), number(value["hi"], low, high)
            return None if ends[0] is None or ends[1] is None else (ends[0] + ends[1]) / 2
        value = next((value[key] for key in _KEYS if key in value), None)
    if isinstance(value, str):
        value = _from_text(value)
    if not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return float(min(max(value, low), high))


def _from_text(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def truth(raw: object) -> bool | None:
    """Return a truth value, or None if it is neither clearly true nor clearly false."""
    if raw is None or raw is True or raw is False:
        return raw
    value = plain(raw)
    if isinstance(value, str):
        return {"true": True, "yes": True, "false": False, "no": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, int | float) and value in {0, 1} else None


def words(raw: object) -> tuple[str, ...]:
    """Return hashtags or stage words: lower case, without ``#``, each once, sorted, at most 30.

    >>> words("#AdoraBull walkies"), words(["a", "#A", 3])
    (('adorabull', 'walkies'), ('3', 'a'))
    """
    if raw is None:
        return ()
    value = raw if type(raw) is list else plain(raw)
    if isinstance(value, str):
        value = re.split(r"[\s,;]+", value)
    if type(value) is not list:
        if isinstance(value, Mapping) or not isinstance(value, Iterable):
            return ()
        value = _first(value, 10 * MOST_TAGS)
    found = {label(entry) for entry in value[: 10 * MOST_TAGS]}
    found.discard(None)
    return tuple(sorted(found)[:MOST_TAGS])  # type: ignore[type-var, arg-type]


def _first(values: Iterable[object], limit: int) -> list[object]:
    return [value for value, _ in zip(values, range(limit), strict=False)]


def moment(raw: object) -> datetime | None:
    """Return a time in UTC, or None; a time without zone is taken as UTC."""
    if raw is None:
        return None
    value = raw if type(raw) is str else plain(raw)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
        if value.tzinfo is UTC:
            return value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        return None
    try:
        return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        return None


def alternatives(raw: object, name: Callable[[object], str | None] = label) -> Alternatives:
    """Return the labels a category may have and their probabilities, most probable first.

    Parameters
    ----------
    raw
        A label, ``{label: probability}``, or a categorical value.
    name
        How a label is written.

    Returns
    -------
    Alternatives
        Probabilities sum to 1: what is missing goes to ``other``, too much is scaled down,
        the seventh label and all after it are folded into ``other``. Empty if nothing
        could be read.
    """
    if raw is None:
        return ()
    value: Any = raw if type(raw) is dict else plain(raw)
    if type(value) is not dict and not isinstance(value, Mapping):
        single = name(value)
        return () if single is None else ((single, 1.0),)
    inner = value.get("alternatives", {} if "kind" in value else value)
    stated = inner if isinstance(inner, Mapping) else {}
    probs: dict[str, float] = {}
    for key, prob in stated.items():
        known, amount = name(key), number(prob, 0.0, 1.0)
        if known is not None and amount is not None and amount >= NEGLIGIBLE:
            probs[known] = probs.get(known, 0.0) + amount
    return _settle(probs)


def _settle(probs: dict[str, float]) -> Alternatives:
    total = sum(probs.values())
    if not total > 0:
        return ()
    if total < 1 - 1e-6:
        probs = {**probs, OTHER: probs.get(OTHER, 0.0) + 1 - total}
        total = 1.0
    ordered = sorted(probs.items(), key=_likeliest)
    if len(ordered) > MOST_ALTERNATIVES:
        kept = dict(ordered[: MOST_ALTERNATIVES - 1])
        kept[OTHER] = kept.get(OTHER, 0.0) + total - sum(kept.values())
        ordered = sorted(kept.items(), key=_likeliest)
    return tuple([(known, prob / total) for known, prob in ordered])


def _likeliest(pair: tuple[str, float]) -> tuple[float, str]:
    return -pair[1], pair[0]


def certain(known: str | None) -> Alternatives:
    """Return one label for sure, or nothing."""
    return () if known is None else ((known, 1.0),)


def settled(
    row: Mapping[str, object], derived: Mapping[str, Alternatives], *, nameable: Iterable[str]
) -> dict[str, Alternatives]:
    """Return the categories that are known.

    Parameters
    ----------
    row
        What was sent or stored.
    derived
        The categories as read from attributes; empty where unknown.
    nameable
        Categories that no attribute is called by: a row may name their label outright.
    """
    found = {key: value for key, value in derived.items() if value}
    for category in nameable:
        if category in row and (named := alternatives(row[category])):
            found[category] = named
    return found


def known(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """Return the numbers that are known."""
    return {key: value for key, value in numbers.items() if value is not None}


def position(raw: object) -> tuple[float, float, float] | None:
    """Return latitude, longitude and 95% radius in metres, or None if it is no place on Earth."""
    value: Any = raw if type(raw) is dict else plain(raw)
    if type(value) is not dict and not isinstance(value, Mapping):
        return None
    lat = number(value.get("lat"), -1e9, 1e9)
    lon = number(value.get("lon"), -1e9, 1e9)
    radius = number(value.get("radius95_m", 0.0), 0.0, 4e7)
    if lat is None or lon is None or radius is None or abs(lat) > 90 or abs(lon) > 180:
        return None
    return lat, lon, radius
