"""CloudEvents 1.0 over HTTP: structured, batched and binary bodies become items for the intake.

The content type decides (CloudEvents HTTP protocol binding 1.0.2, §3). What cannot be understood
becomes a `RawBad` with its raw bytes, so that nothing that was sent is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from api.errors import MediaTypeError
from facts import Event, FactsError, RawBad, parse_event

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
TAKEN = f"{STRUCTURED}, {BATCH}, or application/json with ce-* headers (CloudEvents 1.0)"
VERSION = "1.0"
REQUIRED = ("id", "source", "specversion", "type")

type Item = Event | RawBad


@dataclass(frozen=True, slots=True)
class Intake:
    """What one request brought.

    Parameters
    ----------
    items
        Events, and what could not be understood, in the order they came.
    broken
        Why the whole body could not be read, or None.
    """

    items: tuple[Item, ...]
    broken: str | None = None


_any = msgspec.json.Decoder()
_list = msgspec.json.Decoder(list[msgspec.Raw])


def parse(headers: Mapping[str, str], body: bytes) -> Intake:
    """Read the events of a request.

    Parameters
    ----------
    headers
        Names in lower case.
    body
        As it came.

    Raises
    ------
    MediaTypeError
        If the content type is none of CloudEvents in JSON.
    """
    stated = headers.get("content-type", "")
    kind, charset = _content_type(stated)
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise MediaTypeError(stated, "UTF-8")
    if kind == BATCH:
        return _batch(body)
    if kind == STRUCTURED:
        return _whole(_decoded(body), body, {})
    attributes = {k.removeprefix("ce-"): v for k, v in headers.items() if k.startswith("ce-")}
    if kind.startswith("application/cloudevents") or not attributes or not _is_json(kind):
        raise MediaTypeError(stated, TAKEN)
    return _whole(_decoded(body), body, {k: _percent(v) for k, v in attributes.items()})


def _content_type(stated: str) -> tuple[str, str]:
    kind, *parameters = stated.lower().split(";")
    found = dict(part.strip().partition("=")[::2] for part in parameters)
    return kind.strip(), found.get("charset", "").strip(" \"'")


def _is_json(kind: str) -> bool:
    return kind in ("application/json", "text/json") or kind.endswith("+json")


def _percent(value: str) -> str:
    return unquote_to_bytes(value).decode("utf-8", "replace")


def _decoded(body: bytes) -> Any | str:
    """Return the JSON value in a one-element list, or why there is none as a text."""
    try:
        return [_any.decode(body)]
    except RecursionError:
        return "the JSON is nested too deep"
    except UnicodeDecodeError as error:
        return f"the body is not UTF-8: {error.reason} at byte {error.start}"
    except msgspec.DecodeError as error:
        return f"the body is not JSON: {error}"


def _whole(decoded: Any | str, body: bytes, attributes: Mapping[str, str]) -> Intake:
    if isinstance(decoded, str):
        source, name = attributes.get("source"), attributes.get("id")
        return Intake((RawBad(body, decoded, source, name),), decoded)
    raw = {**attributes, "data": decoded[0]} if attributes else decoded[0]
    return Intake((_event(raw, msgspec.json.encode(raw) if attributes else body),))


def _batch(body: bytes) -> Intake:
    try:
        parts: Sequence[msgspec.Raw] = _list.decode(body)
    except (RecursionError, UnicodeDecodeError, msgspec.DecodeError) as error:
        reason = f"the body is not a JSON array of events: {error}"
        return Intake((RawBad(body, reason),), reason)
    return Intake(tuple(_part(bytes(part)) for part in parts))


def _part(body: bytes) -> Item:
    decoded = _decoded(body)
    return RawBad(body, decoded) if isinstance(decoded, str) else _event(decoded[0], body)


def _event(raw: Any, body: bytes) -> Item:
    wrong = _envelope(raw)
    if wrong is None:
        try:
            return parse_event(raw)
        except FactsError as error:
            wrong = str(error)
        except RecursionError:
            wrong = "the event is nested too deep"
    stated = raw if isinstance(raw, Mapping) else {}
    return RawBad(body, wrong, _text(stated.get("source")), _text(stated.get("id")))


def _envelope(raw: Any) -> str | None:
    if not isinstance(raw, Mapping):
        return f"an event must be an object; got {type(raw).__name__}"
    missing = [name for name in REQUIRED if name not in raw]
    if missing:
        return f"a CloudEvent needs {', '.join(missing)}"
    if raw["specversion"] != VERSION:
        return f"specversion must be {VERSION!r}; got {raw['specversion']!r:.40}"
    if not isinstance(raw["type"], str) or not raw["type"]:
        return f"type must be a text; got {raw['type']!r:.40}"
    return None


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not value or "\x00" in value:
        return None
    return value[:1000]
