"""What every kind of uncertain value is: one class with one kind name.

A kind is one file in this folder (or in a package of your own, see ``facts.values.register``). It
validates and normalises at construction, knows the probability of lying in a region, draws samples,
and has a JSON form and a column form. The column form is how the store keeps it: a few narrow
typed columns (``Cells``), never a JSON document.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from facts.errors import ValueKindError


class Cells(NamedTuple):
    """The column form of a value: what the store keeps in its typed columns.

    ``num``, ``num2`` and ``num3`` are numbers, ``text`` a string, ``labels`` and ``probs`` lists of
    the same length, ``nums`` a list of numbers. What a kind does not use is None.
    """

    num: float | None = None
    num2: float | None = None
    num3: float | None = None
    text: str | None = None
    labels: Sequence[str] | None = None
    probs: Sequence[float] | None = None
    nums: Sequence[float] | None = None


@dataclass(frozen=True)
class Range:
    """The numbers ``lo <= x < hi``; an open end is infinite.

    ``closed`` includes ``hi`` as well, which matters only where a single number has probability.
    """

    lo: float = -math.inf
    hi: float = math.inf
    closed: bool = False

    def __post_init__(self) -> None:
        if math.isnan(self.lo) or math.isnan(self.hi) or self.hi < self.lo:
            msg = f"a range needs lo <= hi; got lo={self.lo!r}, hi={self.hi!r}"
            raise ValueKindError(msg)

    def holds(self, x: float) -> bool:
        """Whether one number lies in the range."""
        return self.lo <= x < self.hi or (self.closed and x == self.hi)


@dataclass(frozen=True)
class OneOf:
    """A set of alternatives: strings, numbers or booleans."""

    members: frozenset[Any]

    def __init__(self, *members: Any) -> None:
        object.__setattr__(self, "members", frozenset(members))


@dataclass(frozen=True)
class Disc:
    """All places within ``radius_m`` metres of a place given in degrees."""

    lat: float
    lon: float
    radius_m: float


@dataclass(frozen=True)
class Box:
    """All places between two parallels and two meridians, in degrees.

    ``lon_lo > lon_hi`` means a box across the antimeridian.
    """

    lat_lo: float
    lat_hi: float
    lon_lo: float
    lon_hi: float


Region = Range | OneOf | Disc | Box
Forms = tuple[tuple[str, ...], ...]


class Value(ABC):
    """An uncertain value of one kind.

    Subclasses are frozen dataclasses which set ``kind`` and implement the methods below. ``form``
    is the form the value came in (a 68 % radius, an expanded uncertainty with its coverage factor)
    where that differs from what is kept; it never takes part in comparisons. ``forms`` lists the
    sets of numbers a table's columns can give to make the value, by their JSON names.
    """

    kind: ClassVar[str]
    forms: ClassVar[Forms] = ()
    __slots__ = ()

    @property
    def form(self) -> Mapping[str, Any] | None:
        """The form the value came in, or None where it came as it is kept."""
        return None

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, which ``parse_value`` reads back to an equal value."""

    @classmethod
    @abstractmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Build the value from its JSON form.

        Raises
        ------
        ValueKindError
            A key is unknown or missing, or a number breaks a rule of the kind.
        """

    @abstractmethod
    def cells(self) -> Cells:
        """Return the column form."""

    @classmethod
    @abstractmethod
    def from_cells(cls, cells: Cells) -> Self:
        """Build the value from its column form."""

    @abstractmethod
    def prob(self, region: Region) -> float:
        """Return the probability that the value lies in a region.

        Raises
        ------
        ValueKindError
            The region is of a type that has no meaning for this kind.
        """

    @abstractmethod
    def sample(self, rng: np.random.Generator, size: int) -> NDArray[Any]:
        """Draw ``size`` independent samples; a place gives an array of shape ``(size, 2)``."""

    def expectation(self) -> float | None:
        """Return the expected number, or None where the kind is not a number."""
        return None

    def variance(self) -> float | None:
        """Return the variance of the number, or None where the kind is not a number."""
        return None

    @classmethod
    @abstractmethod
    def examples(cls) -> Sequence["Value"]:
        """Return a few typical and extreme values; the law suite runs over them."""


def finite(kind: str, name: str, value: object) -> float:
    """Return ``value`` as a float after checking that it is a finite real number.

    Raises
    ------
    ValueKindError
        It is not a number, or NaN, or infinite.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        msg = f"{kind}: {name} must be a number; got {value!r}"
        raise ValueKindError(msg)
    try:
        number = float(value)
    except OverflowError:
        bits = int(value).bit_length()
        msg = f"{kind}: {name} is too large for a double; got an integer of {bits} bits"
        raise ValueKindError(msg) from None
    if not math.isfinite(number):
        msg = f"{kind}: {name} must be finite; got {value!r}"
        raise ValueKindError(msg)
    return number


def text(kind: str, name: str, value: object) -> str:
    """Return ``value`` after checking that it is a string that UTF-8 can hold.

    Raises
    ------
    ValueKindError
        It is not a string, or holds a lone surrogate or a NUL.
    """
    if not isinstance(value, str):
        msg = f"{kind}: {name} must be a string; got {value!r}"
        raise ValueKindError(msg)
    if not storable(value):
        msg = f"{kind}: {name} must be text that UTF-8 can hold, without NUL; got {value!r}"
        raise ValueKindError(msg)
    return value


def storable(value: str) -> bool:
    """Whether a string can be stored: no NUL, no lone surrogate."""
    if "\x00" in value:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def take(
    kind: str, obj: Mapping[str, Any], *needed: str, optional: Sequence[str] = ()
) -> list[Any]:
    """Return the needed keys' values, checking that nothing is missing and nothing is unknown.

    Raises
    ------
    ValueKindError
        A needed key is missing, or a key is none of the known ones.
    """
    missing = [key for key in needed if key not in obj]
    if missing:
        msg = f"{kind}: missing {', '.join(missing)}; got the keys {sorted(obj)}"
        raise ValueKindError(msg)
    unknown = set(obj) - set(needed) - set(optional) - {"kind"}
    if unknown:
        known = ", ".join([*needed, *optional])
        msg = f"{kind}: unknown key {', '.join(map(repr, sorted(unknown)))}; known are {known}"
        raise ValueKindError(msg)
    return [obj[key] for key in needed]


def wrong_region(kind: str, region: object, fitting: str) -> ValueKindError:
    """Return the error for a region that has no meaning for a kind."""
    return ValueKindError(f"{kind}: cannot lie in {region!r}; ask with {fitting}")
