"""How the rows of a table become events, as a TOML file says it.

A mapping names the source, the entity, and one or more events per row::

    source = "shop"
    missing = ["", "NA"]                 # texts that mean "no value" (default: the empty text)
    keep_others = false                  # true keeps unmapped columns in each event's extra

    [entity]
    prefix = "order:"
    column = "order_no"

    [[events]]
    name = "placed"                      # the id is "placed:<entity column>" unless given:
    id = "placed/{order_no}"             # {column} is replaced; {_row} is the row's number
    choice = "tag:{tag}"                 # optional; left out where a column is empty
    valid_from = { column = "placed_at", zone = "Europe/Berlin" }
    valid_to = { constant = 2030-01-01T00:00:00Z }

    [events.attributes]
    amount = { column = "amount", type = "float", required = true }
    tags = { kind = "list", column = "tags", separator = " " }
    weight = { kind = "normal", mean = "kg", expanded = "kg_U", k = 2 }
    place = { kind = "point", lat = "lat", lon = "lon", radius68_m = 15 }
    breed = { kind = "categorical", labels = ["b1", "b2"], probs = ["p1", "p2"], rest = "other" }

Times are RFC 3339 unless ``format`` says ``epoch_s``, ``epoch_ms``, ``epoch_us`` or a strptime
pattern. A time without zone needs ``zone``; a local time that the clock change skips is an error,
one that it repeats is too unless ``repeated`` is ``first`` or ``last``.

An empty cell gives no fact (an empty list cell gives the empty list); an event without facts is
left out; a row with a broken or a missing required cell goes to quarantine as a whole.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from facts.errors import MappingError
from facts.values import kinds

ROW_NUMBER = "_row"
EXACT_TYPES = ("auto", "int", "float", "bool", "text")
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


@dataclass(frozen=True, slots=True)
class TimeRule:
    """Where a time comes from: a column with its format and zone, or a constant."""

    column: str | None = None
    constant: datetime | None = None
    format: str | None = None
    zone: ZoneInfo | None = None
    repeated: Literal["first", "last"] | None = None


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """How one attribute's value is made from columns.

    ``fields`` maps the JSON names of a kind's numbers to a column or a constant; exact and list
    values have the one field ``column``; categoricals use ``labels``, ``probs`` and ``only_if``.
    """

    name: str
    kind: str
    fields: Mapping[str, str | float]
    type: str = "auto"
    required: bool = False
    separator: str = " "
    labels: tuple[str, ...] = ()
    probs: tuple[str, ...] = ()
    only_if: tuple[str, ...] = ()
    rest: str | None = None

    def columns(self) -> set[str]:
        """Return the columns the rule reads."""
        named = {v for v in self.fields.values() if isinstance(v, str)}
        return named | {*self.labels, *self.probs, *self.only_if}


@dataclass(frozen=True, slots=True)
class EventRule:
    """How one event of each row is made."""

    name: str
    id: str
    valid_from: TimeRule
    valid_to: TimeRule | None
    choice: str | None
    attributes: tuple[AttributeRule, ...]


@dataclass(frozen=True, slots=True)
class TableMapping:
    """A table mapping, checked; see the head of this module for the file format."""

    source: str
    prefix: str
    entity_column: str
    events: tuple[EventRule, ...]
    missing: frozenset[str]
    keep_others: bool = False

    def columns(self) -> set[str]:
        """Return every column the mapping reads."""
        found = {self.entity_column}
        for event in self.events:
            for rule in event.attributes:
                found |= rule.columns()
            for time in (event.valid_from, event.valid_to):
                if time is not None and time.column is not None:
                    found.add(time.column)
            for template in (event.id, event.choice or ""):
                found |= placeholders(template)
        return found - {ROW_NUMBER}


def placeholders(template: str) -> set[str]:
    """Return the names in braces of a template."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def shipped() -> list[str]:
    """Return the names of the mappings that come with the package."""
    folder = resources.files("facts").joinpath("mappings")
    return sorted(
        p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")
    )


def load_mapping(path_or_name: Path | str) -> TableMapping:
    """Read a mapping from a TOML file, or one that comes with the package by its name.

    Raises
    ------
    MappingError
        The file is missing, is no TOML, or breaks a rule; the message says which.
    """
    path = Path(path_or_name)
    try:
        if str(path_or_name) in shipped():
            folder = resources.files("facts").joinpath("mappings")
            text = folder.joinpath(f"{path_or_name}.toml").read_text("utf-8")
        else:
            text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(shipped())
        msg = f"no mapping file {str(path_or_name)!r} ({error}); shipped mappings: {names}"
        raise MappingError(msg) from error
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"mapping {str(path_or_name)!r} is not valid TOML: {error}"
        raise MappingError(msg) from error
    return parse_mapping(found)


class _Table:
    """A TOML table that is emptied while it is read, so that what is left over is unknown."""

    def __init__(self, where: str, found: object) -> None:
        if not isinstance(found, dict):
            msg = f"{where} must be a table; got {found!r}"
            raise MappingError(msg)
        self.where = where
        self._left = dict(found)
        self._known: list[str] = []

    def take[T](self, key: str, kind: type[T], default: T | None = None) -> T:
        """Return a key's value after checking its type; without default it is needed."""
        self._known.append(key)
        value = self._left.pop(key, default)
        if value is None:
            msg = f"{self.where}: {key} is missing"
            raise MappingError(msg)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            msg = f"{self.where}: {key} must be a {kind.__name__}; got {value!r}"
            raise MappingError(msg)
        return value

    def maybe[T](self, key: str, kind: type[T]) -> T | None:
        """Return a key's value after checking its type, or None."""
        if key not in self._left:
            self._known.append(key)
            return None
        return self.take(key, kind)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where it is missing."""
        found = self.take(key, list, [])
        if not all(isinstance(item, str) for item in found):
            msg = f"{self.where}: {key} must be a list of texts; got {found!r}"
            raise MappingError(msg)
        return tuple(found)

    def rest(self) -> dict[str, Any]:
        """Return what was not taken, and leave nothing."""
        left, self._left = self._left, {}
        return left

    def done(self) -> None:
        """Refuse what was not taken."""
        if self._left:
            unknown = ", ".join(map(repr, sorted(self._left)))
            msg = f"{self.where}: unknown key {unknown}; known are {', '.join(self._known)}"
            raise MappingError(msg)


def parse_mapping(found: Mapping[str, Any]) -> TableMapping:
    """Return the mapping that a TOML document describes.

    Raises
    ------
    MappingError
        A key is unknown, missing, or of the wrong type.
    """
    top = _Table("mapping", dict(found))
    source = top.take("source", str)
    missing = frozenset(top.texts("missing") or ("",))
    keep = top.take("keep_others", bool, False)
    entity = _Table("entity", top.take("entity", dict))
    prefix = entity.take("prefix", str, "")
    column = entity.take("column", str)
    entity.done()
    groups = top.take("events", list)
    top.done()
    events = tuple(_event(i, group, column) for i, group in enumerate(groups))
    names = [event.id for event in events]
    if not events or len(set(names)) < len(names):
        msg = f"mapping: needs one or more events with different ids; got {names}"
        raise MappingError(msg)
    return TableMapping(source, prefix, column, events, missing, keep)


def _event(number: int, found: object, entity_column: str) -> EventRule:
    table = _Table(f"events[{number}]", found)
    name = table.take("name", str)
    table.where = f"event {name!r}"
    template = table.take("id", str, f"{name}:{{{entity_column}}}")
    start = _time(f"{table.where} valid_from", table.take("valid_from", dict))
    end = table.maybe("valid_to", dict)
    choice = table.maybe("choice", str)
    attributes = table.take("attributes", dict)
    table.done()
    _check_template(table.where, template)
    if choice is not None:
        _check_template(table.where, choice)
    rules = tuple(_attribute(table.where, key, spec) for key, spec in attributes.items())
    if not rules:
        msg = f"{table.where}: needs at least one attribute"
        raise MappingError(msg)
    finish = None if end is None else _time(f"{table.where} valid_to", end)
    return EventRule(name, template, start, finish, choice, rules)


def _check_template(where: str, template: str) -> None:
    try:
        names = placeholders(template)
    except ValueError as error:
        msg = f"{where}: {template!r} is not a template: {error}"
        raise MappingError(msg) from error
    if not names or "" in names:
        msg = f"{where}: {template!r} must name a column in braces, so that it differs by row"
        raise MappingError(msg)


def _time(where: str, found: object) -> TimeRule:
    table = _Table(where, found)
    column = table.maybe("column", str)
    constant = table.maybe("constant", datetime)
    form = table.maybe("format", str)
    zone = table.maybe("zone", str)
    repeated = table.maybe("repeated", str)
    table.done()
    if (column is None) == (constant is None):
        msg = f"{where}: give either a column or a constant"
        raise MappingError(msg)
    if constant is not None and constant.tzinfo is None:
        msg = f"{where}: the constant needs a time zone, such as {constant.isoformat()}Z"
        raise MappingError(msg)
    if repeated not in (None, "first", "last"):
        msg = f"{where}: repeated must be first or last; got {repeated!r}"
        raise MappingError(msg)
    if form is not None and form not in EPOCHS and "%" not in form:
        msg = f"{where}: format must be {', '.join(EPOCHS)} or a strptime pattern; got {form!r}"
        raise MappingError(msg)
    return TimeRule(column, constant, form, _zone(where, zone), repeated)  # type: ignore[arg-type]


def _zone(where: str, name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        msg = f"{where}: unknown time zone {name!r}; use a name such as UTC or Europe/Berlin"
        raise MappingError(msg) from error


def _attribute(where: str, name: str, found: object) -> AttributeRule:
    table = _Table(f"{where} attribute {name!r}", found)
    kind = table.take("kind", str, "exact")
    required = table.take("required", bool, False)
    if kind in ("exact", "list"):
        return _simple(table, name, kind, required)
    if kind == "categorical":
        return _categorical(table, name, required)
    known = kinds()
    if kind not in known or not known[kind].forms:
        names = ["list", *(k for k, c in known.items() if c.forms or k in ("exact", "categorical"))]
        msg = f"{table.where}: unknown kind {kind!r}; known are {', '.join(sorted(names))}"
        raise MappingError(msg)
    fields = table.rest()
    if not any(set(fields) == set(form) for form in known[kind].forms):
        forms = " or ".join("(" + ", ".join(form) + ")" for form in known[kind].forms)
        msg = f"{table.where}: {kind} needs the columns {forms}; got {', '.join(sorted(fields))}"
        raise MappingError(msg)
    for key, value in fields.items():
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            msg = f"{table.where}: {key} must be a column's name or a number; got {value!r}"
            raise MappingError(msg)
    if not any(isinstance(value, str) for value in fields.values()):
        msg = f"{table.where}: at least one of {', '.join(sorted(fields))} must name a column"
        raise MappingError(msg)
    return AttributeRule(name, kind, fields, required=required)


def _simple(table: _Table, name: str, kind: str, required: bool) -> AttributeRule:
    column = table.take("column", str)
    form = table.take("type", str, "auto") if kind == "exact" else "text"
    separator = table.take("separator", str, " ") if kind == "list" else " "
    table.done()
    if form not in EXACT_TYPES:
        msg = f"{table.where}: type must be one of {', '.join(EXACT_TYPES)}; got {form!r}"
        raise MappingError(msg)
    if not separator:
        msg = f"{table.where}: separator must not be empty"
        raise MappingError(msg)
    return AttributeRule(name, kind, {"column": column}, form, required, separator)


def _categorical(table: _Table, name: str, required: bool) -> AttributeRule:
    labels, probs = table.texts("labels"), table.texts("probs")
    only_if = table.texts("only_if")
    rest = table.maybe("rest", str)
    table.done()
    if not labels or len(labels) != len(probs) or len(only_if) not in (0, len(labels)):
        msg = (
            f"{table.where}: categorical needs equally many labels and probs columns (and only_if,"
            f" if given); got {len(labels)}, {len(probs)} and {len(only_if)}"
        )
        raise MappingError(msg)
    if only_if and rest is None:
        msg = f"{table.where}: only_if needs a rest label for the guesses it sets aside"
        raise MappingError(msg)
    return AttributeRule(
        name, "categorical", {}, "auto", required, " ", labels, probs, only_if, rest
    )
