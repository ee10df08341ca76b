"""Drafts: what a client says of a thing before it exists, checked against the domain. Pure.

A feature that the domain does not declare is kept and later listed as ignored; a declared one
whose value has no meaning (a text for a number, probabilities that do not sum to 1) is refused,
because it would silently answer another question than the one that was asked.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from api.errors import RequestError
from worlds.domain import DraftField

MAX_TEXT = 10_000
MAX_TEXTS = 100
MAX_LABELS = 32
MAX_COMBINATIONS = 256
LARGEST_NUMBER = 1e15
SUM_TOLERANCE = 1e-6

LIMITS = (("lat", -90, 90), ("lon", -180, 180), ("radius95_m", 0, 2.1e7))
"""Where the parts of a place lie."""

type Draft = Mapping[str, object]
type Check = Callable[[object], str | None]


class DraftChecker:
    """Checks drafts of one domain.

    Parameters
    ----------
    fields
        What the domain lets a client say.
    """

    def __init__(self, fields: Sequence[DraftField]) -> None:
        self._checks = {field.name: CHECKS[field.type] for field in fields}
        self._times = [field.name for field in fields if field.type == "time"]

    def problems(self, draft: Draft, place: str = "draft") -> list[tuple[str, str]]:
        """Return (field, what is wrong with it) for every value that has no meaning."""
        found = []
        combinations = 1
        for name, value in draft.items():
            check = self._checks.get(name)
            if check is None or value is None:
                continue
            wrong = check(value)
            if wrong is not None:
                found.append((f"{place}.{name}", wrong))
            elif check is probabilities and isinstance(value, Mapping):
                combinations *= len(value)
        if combinations > MAX_COMBINATIONS:
            found.append((place, f"the alternatives combine to more than {MAX_COMBINATIONS}"))
        return found

    def check(self, draft: Draft, place: str = "draft") -> Draft:
        """Return the draft without its nulls.

        Raises
        ------
        RequestError
            Naming every field whose value has no meaning.
        """
        found = self.problems(draft, place)
        if found:
            raise RequestError("the draft has values without meaning", found)
        if None in draft.values():
            return {name: value for name, value in draft.items() if value is not None}
        return draft

    def moment(self, draft: Draft) -> datetime | None:
        """Return when the thing begins, if the draft says so."""
        for name in self._times:
            value = draft.get(name)
            if isinstance(value, str):
                return datetime.fromisoformat(value)
        return None


def text(value: object) -> str | None:
    """Say what is wrong with a text."""
    if not isinstance(value, str):
        return f"expected a text, got {shown(value)}"
    return None if len(value) <= MAX_TEXT else f"longer than {MAX_TEXT} characters"


def number(value: object) -> str | None:
    """Say what is wrong with a number."""
    kind = type(value)
    if (kind is float or kind is int) and -LARGEST_NUMBER <= value <= LARGEST_NUMBER:  # type: ignore[operator]
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"expected a number, got {shown(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected a finite number, got {value!r}"
    return None if abs(value) <= LARGEST_NUMBER else f"beyond {LARGEST_NUMBER:g}"


def truth(value: object) -> str | None:
    """Say what is wrong with a truth value."""
    return None if isinstance(value, bool) else f"expected true or false, got {shown(value)}"


def texts(value: object) -> str | None:
    """Say what is wrong with a list of texts (a text stands for its words)."""
    if isinstance(value, str):
        return text(value)
    if not isinstance(value, list | tuple):
        return f"expected a list of texts, got {shown(value)}"
    for item in value:
        if not isinstance(item, str):
            return f"expected a list of texts, got {shown(value)}"
        if len(item) > MAX_TEXT:
            return text(item)
    return f"more than {MAX_TEXTS} texts" if len(value) > MAX_TEXTS else None


def probabilities(value: object) -> str | None:
    """Say what is wrong with a label, or with labels and their probabilities."""
    if isinstance(value, str):
        return text(value)
    if not value or not isinstance(value, Mapping):
        return f'expected a label or probabilities such as {{"pug": 0.7}}, got {shown(value)}'
    if len(value) > MAX_LABELS:
        return f"more than {MAX_LABELS} alternatives"
    for label, prob in value.items():
        if type(prob) is float and 0 <= prob <= 1:
            continue
        if number(prob) is not None or not 0 <= float(prob) <= 1:
            return f"the probability of {label!r} must lie in [0, 1], got {shown(prob)}"
    total = math.fsum(value.values())
    if abs(total - 1) > SUM_TOLERANCE:
        return f"the probabilities must sum to 1, they sum to {total:.6g}"
    return None


def time(value: object) -> str | None:
    """Say what is wrong with a time."""
    if not isinstance(value, str):
        return f"expected a time such as '2026-05-01T12:00:00Z', got {shown(value)}"
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return f"not a time: {shown(value)}; write for example '2026-05-01T12:00:00Z'"
    return None if moment.tzinfo else f"{value!r} has no zone: end it with 'Z' or '+02:00'"


def place(value: object) -> str | None:
    """Say what is wrong with a place: latitude, longitude and the radius that holds 95%."""
    if not isinstance(value, Mapping):
        return f'expected {{"lat": .., "lon": .., "radius95_m": ..}}, got {shown(value)}'
    for name, low, high in LIMITS:
        part = value.get(name, 0 if name == "radius95_m" else None)
        if number(part) is not None or not low <= part <= high:
            return f"{name} must lie in [{low:g}, {high:g}], got {shown(part)}"
    return None


def shown(value: object) -> str:
    """Return a short picture of a value for a message, whatever it is."""
    try:
        picture = repr(value)
    except (RecursionError, ValueError):  # too deep, or an integer of thousands of digits
        picture = f"a {type(value).__name__}"
    return picture if len(picture) <= 80 else f"{picture[:77]}..."


CHECKS: Mapping[str, Check] = {
    "text": text,
    "number": number,
    "truth": truth,
    "texts": texts,
    "probabilities": probabilities,
    "time": time,
    "place": place,
}
