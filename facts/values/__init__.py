"""The kinds of uncertain values, found by looking: one file, one kind.

Every module in this folder that defines a subclass of ``Value`` adds a kind. A package of your own
adds one by an entry point in the group ``possible_worlds.values`` (loaded when a kind is not known
here), or by calling ``register`` before values are read.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from facts.errors import ValueKindError
from facts.values.base import Box, Cells, Disc, OneOf, Range, Region, Value
from facts.values.categorical import Categorical
from facts.values.exact import Exact
from facts.values.interval import Interval
from facts.values.normal import Normal
from facts.values.point import Point
from facts.values.quantiles import Quantiles
from facts.values.samples import Samples

__all__ = [
    "Box",
    "Categorical",
    "Cells",
    "Disc",
    "Exact",
    "Interval",
    "Normal",
    "OneOf",
    "Point",
    "Quantiles",
    "Range",
    "Region",
    "Samples",
    "Value",
    "kinds",
    "parse_value",
    "register",
    "value_from_cells",
]

_KINDS: dict[str, type[Value]] = {}


def register[V: type[Value]](cls: V) -> V:
    """Add a kind of value; also usable as a class decorator.

    Raises
    ------
    ValueKindError
        Another class already has this kind name.
    """
    known = _KINDS.setdefault(cls.kind, cls)
    if known is not cls and known.__qualname__ != cls.__qualname__:
        msg = f"value kind {cls.kind!r} is already {known.__qualname__}; choose another name"
        raise ValueKindError(msg)
    return cls


def _find() -> None:
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        loaded = importlib.import_module(module.name)
        for _, cls in inspect.getmembers(loaded, inspect.isclass):
            if issubclass(cls, Value) and not inspect.isabstract(cls):
                register(cls)


def _find_elsewhere() -> None:
    for entry in entry_points(group="possible_worlds.values"):
        register(entry.load())


def kinds() -> dict[str, type[Value]]:
    """Return every kind by name, those of installed packages included."""
    _find_elsewhere()
    return dict(sorted(_KINDS.items()))


def _kind(name: object) -> type[Value]:
    found = _KINDS.get(name) if isinstance(name, str) else None
    if found is None:
        found = kinds().get(name) if isinstance(name, str) else None
    if found is None:
        msg = f"unknown value kind {name!r}; known are {', '.join(sorted(_KINDS))}"
        raise ValueKindError(msg)
    return found


def parse_value(obj: object) -> Value:
    """Return the value of a JSON form; a bare number, string or boolean is exact.

    Raises
    ------
    ValueKindError
        The kind is unknown, or the value breaks a rule of its kind.

    Examples
    --------
    >>> parse_value({"kind": "normal", "mean": 20.1, "expanded": 0.4, "k": 2}).sd
    0.2
    """
    if isinstance(obj, Value):
        return obj
    if isinstance(obj, Mapping):
        return _parse_mapping(obj)
    if isinstance(obj, (bool, int, float, str)):
        return Exact(obj)
    msg = f"a value must be a number, a string, a boolean or an object with a kind; got {obj!r}"
    raise ValueKindError(msg)


def _parse_mapping(obj: Mapping[str, Any]) -> Value:
    if "kind" not in obj:
        msg = f"a value object must name its kind; got the keys {sorted(map(str, obj))}"
        raise ValueKindError(msg)
    return _kind(obj["kind"]).from_json(obj)


def value_from_cells(kind: str, cells: Cells) -> Value:
    """Return the value the store keeps in its columns."""
    return _kind(kind).from_cells(cells)


_find()
