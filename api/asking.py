"""Questions as people write them: pairs such as ``pupdates=x2``, times, thresholds. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from api.errors import RequestError, TimeError
from api.schemas import FormulaRequest, QuestionRequest, Times

_PAIR = re.compile(r"\s*([^=<>*\s]+)\s*(?:=\s*|(?=[<>*]))(.*?)\s*", re.DOTALL)
_TIMES = re.compile(r"[x*]\s*(\S+)|(\S+)\s*x")
_RANGE = re.compile(r"([x*]?)\s*(\S+?)\s*\.\.\s*([^\s:]+?)(?::([a-z-]+))?")
_COMPARED = re.compile(r"[<>]")


def parse_time(text: str, name: str) -> datetime:
    """Read a time with a zone.

    Raises
    ------
    RequestError
        If it is no time or has no zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        wrong = f"not a time: {text[:60]!r}; write for example '2026-05-01T12:00:00Z'"
        raise RequestError(f"{name} is not a time", [(name, wrong)]) from None
    if moment.tzinfo is None:
        wrong = f"{text!r} has no zone: end it with 'Z' or '+02:00'"
        raise RequestError(f"{name} needs a zone", [(name, wrong)])
    return moment


def recordable(text: str, name: str) -> datetime:
    """Read a time with a zone that a fact can hold.

    Raises
    ------
    RequestError
        If it is no time, has no zone, or lies beyond the calendar in UTC.
    """
    moment = parse_time(text, name)
    try:
        moment.astimezone(UTC)
    except OverflowError:
        wrong = f"{text!r} lies outside the years 1 to 9999 of UTC"
        raise RequestError(f"{name} is out of reach", [(name, wrong)]) from None
    return moment


def known_time(text: str | None, now: datetime, name: str = "as_of") -> datetime | None:
    """Read a time up to which something can be known.

    Raises
    ------
    TimeError
        If it lies in the future.
    """
    if text is None:
        return None
    moment = parse_time(text, name)
    if moment > now:
        msg = f"{name} {moment.isoformat()} lies in the future: it is {now.isoformat()} now"
        raise TimeError(msg)
    return moment


def pair(text: str, name: str) -> tuple[str, str]:
    """Split ``key=value``; ``key>=3`` and ``key*2`` keep their sign in the value.

    Raises
    ------
    RequestError
        If there is no key or no value.
    """
    found = _PAIR.fullmatch(text)
    if found is None or not found.group(2):
        raise RequestError(f"{name} takes KEY=VALUE", [(name, f"got {text[:80]!r}")])
    return found.group(1), found.group(2)


def given_pairs(texts: Iterable[str]) -> dict[str, str]:
    """Read conditions: ``pupdates=learned`` names a model, ``pupdates>=3`` a range.

    Several of one quantity all hold.
    """
    conditions: dict[str, str] = {}
    for text in texts:
        key, value = pair(text, "given")
        bare = not _COMPARED.search(value) and not value.startswith("model")
        said = f"model = {value}" if bare else value
        conditions[key] = f"{conditions[key]} and {said}" if key in conditions else said
    return conditions


def do_pairs(texts: Iterable[str]) -> dict[str, float | Times]:
    """Read interventions: ``pupdates=9000`` fixes, ``pupdates=x2`` multiplies.

    Raises
    ------
    RequestError
        If one is no number, or a quantity has two.
    """
    changes: dict[str, float | Times] = {}
    for text in texts:
        key, value = _once(text, "do", changes)
        scaled = _TIMES.fullmatch(value)
        amount = _number(scaled.group(1) or scaled.group(2) if scaled else value, "do")
        changes[key] = Times(amount) if scaled else amount
    return changes


def scenario_do_pairs(texts: Iterable[str]) -> dict[str, Any]:
    """Read interventions of a scenario, over a range too: ``x1.2..2``, ``500..800``.

    A range ends in ``:log-uniform`` where that is the prior.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        key, value = _once(text, "do", changes)
        found = _RANGE.fullmatch(value)
        if found is None:
            changes[key] = msgspec.to_builtins(do_pairs([text])[key])
            continue
        factor, low, high, prior = found.groups()
        ends = [_number(low, "do"), _number(high, "do")]
        changes[key] = {"times" if factor else "between": ends}
        if prior:
            changes[key]["prior"] = prior
    return changes


def decide_pairs(texts: Sequence[str]) -> dict[str, Any] | None:
    """Read a decision: ``service_level=0.99``, ``capacities=500,800``, or one JSON object.

    Raises
    ------
    RequestError
        If it is neither.
    """
    if not texts:
        return None
    if len(texts) == 1 and texts[0].lstrip().startswith("{"):
        try:
            return msgspec.json.decode(texts[0], type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise RequestError("decide is not a JSON object", [("decide", str(error))]) from None
    decision: dict[str, Any] = {}
    for text in texts:
        key, value = _once(text, "decide", decision)
        listed = [_number(part, "decide") for part in value.split(",")]
        decision[key] = listed if key == "capacities" else listed[0]
        if key != "capacities" and len(listed) > 1:
            raise RequestError(f"{key} takes one number", [("decide", f"got {value[:60]!r}")])
    return decision


def where_pairs(texts: Iterable[str]) -> dict[str, str]:
    """Read restrictions: ``breed=pug``."""
    labels: dict[str, str] = {}
    for text in texts:
        key, value = _once(text, "where", labels)
        labels[key] = value
    return labels


def _once(text: str, name: str, known: Mapping[str, object]) -> tuple[str, str]:
    """Split ``key=value``; a key stands once.

    Raises
    ------
    RequestError
        If there is no key or no value, or the key was there before.
    """
    key, value = pair(text, name)
    if key in known:
        wrong = f"{key} is there twice: say it once"
        raise RequestError(f"{name} contradicts itself", [(name, wrong)])
    return key, value


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) <= 1e300:
        raise RequestError(f"{name} takes a number", [(name, f"not a number: {text[:60]!r}")])
    return value


def from_pairs(
    *,
    threshold: str | None = None,
    levels: Iterable[str | float] = (),
    given: Iterable[str] = (),
    do: Iterable[str] = (),
    where: Iterable[str] = (),
    as_of: str | None = None,
    over: int = 1,
    by: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> QuestionRequest:
    """Build a request from texts, as a query string or a command line has them.

    Parameters
    ----------
    threshold, levels, given, do, where, as_of, over, by
        Parts of a question.
    more
        Other fields as they are; with a formula it is a `FormulaRequest`.

    Raises
    ------
    RequestError
        Naming what cannot be read.
    """
    raw: dict[str, Any] = {
        "threshold": threshold,
        "given": given_pairs(given),
        "do": {k: msgspec.to_builtins(v) for k, v in do_pairs(do).items()},
        "where": where_pairs(where),
        "as_of": as_of,
        "over": over,
        "by": by,
        **(more or {}),
    }
    kind = FormulaRequest if "formula" in raw else QuestionRequest
    for name in ("error", "deadline"):
        if isinstance(raw.get(name), str):
            raw[name] = _number(raw[name], name)
    chosen = [_number(str(level), "level") for level in levels]
    if chosen:
        raw["levels"] = chosen
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        wrong, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".") or "question"
        raise RequestError("the question cannot be read", [(field, wrong)]) from None


def arguments(request: QuestionRequest) -> Mapping[str, Any]:
    """Return the keyword arguments of `Answerer.ask`."""
    return {
        "threshold": request.threshold,
        "levels": tuple(request.levels),
        "given": dict(request.given),
        "do": {name: msgspec.to_builtins(value) for name, value in request.do.items()},
        "where": dict(request.where),
        "over": request.over,
        "by": request.by,
    }
