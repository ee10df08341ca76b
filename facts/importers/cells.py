"""From one row of a table to events: pure functions over a mapping and a row."""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from facts.errors import EventError, FactsError, ValueKindError
from facts.events import NOTHING, Event
from facts.importers.mapping import (
    EPOCHS,
    ROW_NUMBER,
    AttributeRule,
    EventRule,
    TableMapping,
    TimeRule,
    placeholders,
)
from facts.times import moment_of
from facts.values import Categorical, Exact, Value, parse_value

Row = Mapping[str, Any]
YES, NO = ("true", "t", "yes", "1"), ("false", "f", "no", "0")


def row_events(row: Row, number: int, mapping: TableMapping) -> list[Event]:
    """Return the events of one row.

    Parameters
    ----------
    row : mapping
        Column values; None or a text of ``mapping.missing`` is an empty cell.
    number : int
        The row's number, for ids made with ``{_row}``.

    Raises
    ------
    EventError
        A cell is broken, or a required one is empty; the message names the column.
    """
    clean = {k: None if _empty(v, mapping) else v for k, v in row.items()}
    clean[ROW_NUMBER] = number
    name = clean.get(mapping.entity_column)
    if name is None:
        msg = f"column {mapping.entity_column!r} names the entity and is empty"
        raise EventError(msg)
    extra = NOTHING
    if mapping.keep_others:
        known = mapping.columns() | {ROW_NUMBER}
        extra = {k: v for k, v in clean.items() if k not in known and v is not None}
    entity = f"{mapping.prefix}{_plain(name)}"
    found = (_event(rule, clean, row, entity, mapping, extra) for rule in mapping.events)
    return [event for event in found if event is not None]


def _empty(value: Any, mapping: TableMapping) -> bool:
    if isinstance(value, str):
        return value.strip() in mapping.missing
    return value is None or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _event(
    rule: EventRule,
    clean: Row,
    raw: Row,
    entity: str,
    mapping: TableMapping,
    extra: Mapping[str, Any],
) -> Event | None:
    attributes: dict[str, Value] = {}
    for attribute in rule.attributes:
        try:
            value = _value(attribute, clean, raw)
        except (ValueKindError, EventError) as error:
            msg = f"attribute {attribute.name!r}: {error}"
            raise EventError(msg) from error
        if value is not None:
            attributes[attribute.name] = value
        elif attribute.required:
            msg = f"attribute {attribute.name!r} is required and its cell is empty"
            raise EventError(msg)
    if not attributes:
        return None
    identity = _fill(rule.id, clean)
    start = _time("valid_from", rule.valid_from, clean)
    if identity is None or start is None:
        what = f"a column of the id {rule.id!r}" if identity is None else "the time"
        msg = f"event {rule.name!r}: {what} is empty"
        raise EventError(msg)
    end = None if rule.valid_to is None else _time("valid_to", rule.valid_to, clean)
    choice = None if rule.choice is None else _fill(rule.choice, clean)
    return Event(
        mapping.source, identity, entity, attributes, start, end, choice=choice, extra=extra
    )


def _fill(template: str, row: Row) -> str | None:
    values = {name: row.get(name) for name in placeholders(template)}
    if any(value is None for value in values.values()):
        return None
    return template.format_map({k: _plain(v) for k, v in values.items()})


def _value(rule: AttributeRule, clean: Row, raw: Row) -> Value | None:
    if rule.kind == "list":
        return _listing(raw.get(str(rule.fields["column"])), rule)
    if rule.kind == "exact":
        cell = clean.get(str(rule.fields["column"]))
        return None if cell is None else Exact(_exact(cell, rule))
    if rule.kind == "categorical":
        return _categorical(rule, clean)
    cells = {key: clean.get(at) if isinstance(at, str) else at for key, at in rule.fields.items()}
    named = [cells[key] for key, at in rule.fields.items() if isinstance(at, str)]
    if all(cell is None for cell in named):
        return None
    for key, cell in cells.items():
        if cell is None:
            msg = f"column {rule.fields[key]!r} is empty while others of the value are not"
            raise EventError(msg)
    numbers = {key: _number(cell, str(rule.fields[key])) for key, cell in cells.items()}
    return parse_value({"kind": rule.kind, **numbers})


def _listing(cell: Any, rule: AttributeRule) -> Exact | None:
    if cell is None:
        return None
    items = cell if isinstance(cell, (list, tuple)) else str(cell).split(rule.separator)
    return Exact.listing([s for item in items if (s := str(item).strip())])


def _number(cell: Any, column: str) -> float:
    if isinstance(cell, bool):
        msg = f"column {column!r} must hold a number; got {cell!r}"
        raise EventError(msg)
    try:
        return float(cell)
    except (TypeError, ValueError):
        msg = f"column {column!r} must hold a number; got {cell!r}"
        raise EventError(msg) from None


def _exact(cell: Any, rule: AttributeRule) -> float | int | str | bool:
    column = str(rule.fields["column"])
    if rule.type == "text":
        return str(cell)
    if rule.type == "bool":
        return _yes_no(cell, column)
    if rule.type == "int":
        return _whole(cell, column)
    if rule.type == "float":
        return _number(cell, column)
    return _guess(cell)


def _yes_no(cell: Any, column: str) -> bool:
    if isinstance(cell, bool):
        return cell
    word = _plain(cell).lower()
    if word in YES or word in NO:
        return word in YES
    msg = f"column {column!r} must hold yes or no ({'/'.join(YES + NO)}); got {cell!r}"
    raise EventError(msg)


def _whole(cell: Any, column: str) -> int:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return cell
    try:
        return int(cell) if isinstance(cell, str) else _whole_float(cell)
    except (TypeError, ValueError):
        msg = f"column {column!r} must hold a whole number; got {cell!r}"
        raise EventError(msg) from None


def _whole_float(cell: Any) -> int:
    if isinstance(cell, bool) or not float(cell).is_integer():
        raise ValueError
    return int(cell)


def _guess(cell: Any) -> float | int | str | bool:
    """Return a text as the number or truth it spells, else as it is."""
    if not isinstance(cell, str):
        return cell if isinstance(cell, (bool, int, float)) else str(cell)
    word = cell.strip()
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    for read in (int, float):
        try:
            number = read(word)
        except ValueError:
            continue
        if math.isfinite(number) and "_" not in word:
            return number
    return cell


def _categorical(rule: AttributeRule, row: Row) -> Categorical | None:
    weights: dict[str, float] = {}
    seen = False
    for i, (label_at, prob_at) in enumerate(zip(rule.labels, rule.probs, strict=True)):
        label, prob = row.get(label_at), row.get(prob_at)
        if label is None and prob is None:
            continue
        if label is None or prob is None:
            empty = label_at if label is None else prob_at
            msg = f"column {empty!r} is empty while its guess is not"
            raise EventError(msg)
        seen = True
        keep = not rule.only_if or _yes_no(row.get(rule.only_if[i]), rule.only_if[i])
        name = str(label).strip() if keep else rule.rest or ""
        weights[name] = weights.get(name, 0.0) + _number(prob, prob_at)
    if not seen:
        return None
    if rule.rest is not None:
        return Categorical.from_weights(weights, rule.rest)
    return Categorical(tuple(weights), tuple(weights.values()))


def _time(name: str, rule: TimeRule, row: Row) -> datetime | None:
    if rule.constant is not None:
        return rule.constant.astimezone(UTC)
    cell = row.get(rule.column or "")
    if cell is None:
        return None
    try:
        return _moment(cell, rule)
    except FactsError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        msg = f"{name}: column {rule.column!r} holds no time of the stated format; got {cell!r}"
        raise EventError(msg) from error


def _moment(cell: Any, rule: TimeRule) -> datetime:
    if rule.format in EPOCHS:
        scale = EPOCHS[rule.format]
        whole = int(cell) if isinstance(cell, (int, str)) and "." not in str(cell) else None
        return moment_of(round(float(cell) * scale) if whole is None else whole * scale)
    found: datetime
    if isinstance(cell, datetime):
        found = cell
    elif isinstance(cell, date):
        found = datetime(cell.year, cell.month, cell.day)  # noqa: DTZ001 the zone comes below
    elif rule.format is not None:
        found = datetime.strptime(str(cell).strip(), rule.format)  # noqa: DTZ007 see below
    else:
        found = datetime.fromisoformat(str(cell).strip())
    return _zoned(found, rule)


def _zoned(found: datetime, rule: TimeRule) -> datetime:
    if found.tzinfo is not None:
        return found.astimezone(UTC)
    if rule.zone is None:
        msg = f"column {rule.column!r} holds a time without zone, {found}; give zone in the mapping"
        raise EventError(msg)
    early = found.replace(tzinfo=rule.zone, fold=0)
    late = found.replace(tzinfo=rule.zone, fold=1)
    if early.utcoffset() == late.utcoffset():
        return early.astimezone(UTC)
    if early.astimezone(UTC).astimezone(rule.zone).replace(tzinfo=None) != found:
        msg = f"column {rule.column!r}: {found} does not exist in {rule.zone.key} (clock change)"
        raise EventError(msg)
    if rule.repeated is None:
        msg = (
            f"column {rule.column!r}: {found} happens twice in {rule.zone.key} (clock change);"
            " say repeated = first or last in the mapping"
        )
        raise EventError(msg)
    return (early if rule.repeated == "first" else late).astimezone(UTC)
