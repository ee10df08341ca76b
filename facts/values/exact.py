"""Exact values: a number, a text, or yes/no, known without uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from facts.errors import ValueKindError
from facts.values.base import Cells, OneOf, Range, Region, Value, finite, take, text, wrong_region

SAFE_INTEGER = 2**53
SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Exact(Value):
    """A value without uncertainty.

    Parameters
    ----------
    value : float, int, str or bool
        Numbers must be finite. Whole numbers of any size are kept exactly: beyond 2**53 as their
        digits beside the nearest double. A whole float comes back as the equal integer.
    """

    kind: ClassVar[str] = "exact"
    value: float | int | str | bool

    def __post_init__(self) -> None:
        value = self.value
        if type(value) is int or type(value) is float:
            finite("exact", "value", value)
        elif isinstance(value, str):
            text("exact", "value", value)
        elif isinstance(value, np.generic):
            object.__setattr__(self, "value", value.item())
            self.__post_init__()
        elif not isinstance(value, bool):
            msg = f"exact: value must be a number, a string or a boolean; got {value!r}"
            raise ValueKindError(msg)

    @classmethod
    def listing(cls, items: Sequence[str]) -> Self:
        """Return an exact text that holds a list of texts: sorted, unique, joined by U+001F.

        ``as_list`` gives the list back. One text keeps a list a single exact value, equal to any
        other listing of the same members, and easy to split in SQL:
        ``string_split(text, chr(31))``.

        Raises
        ------
        ValueKindError
            An item is empty or holds the separator.
        """
        for item in items:
            if not item or SEPARATOR in item:
                msg = f"exact: a list item must be non-empty and without U+001F; got {item!r}"
                raise ValueKindError(msg)
        return cls(SEPARATOR.join(sorted(set(items))))

    def as_list(self) -> list[str]:
        """Return the members of a list made by ``listing``; an empty text is the empty list."""
        if not isinstance(self.value, str):
            msg = f"exact: only a text holds a list; got {self.value!r}"
            raise ValueKindError(msg)
        return self.value.split(SEPARATOR) if self.value else []

    def to_json(self) -> dict[str, Any]:
        """Return ``{"kind": "exact", "value": ...}``."""
        return {"kind": "exact", "value": self.value}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Build from ``{"value": ...}``."""
        return cls(*take("exact", obj, "value"))

    def cells(self) -> Cells:
        """Return the number in ``num``, a text in ``text``, yes/no as 1 or 0 with its name."""
        value = self.value
        if isinstance(value, str):
            return Cells(text=value)
        if isinstance(value, bool):
            return Cells(num=float(value), text="true" if value else "false")
        if isinstance(value, int) and abs(value) > SAFE_INTEGER:
            return Cells(num=float(value), text=str(value))
        return Cells(num=float(value))

    @classmethod
    def from_cells(cls, cells: Cells) -> Self:
        """Read back the column form."""
        if cells.num is None:
            return cls(cells.text or "")
        if cells.text in ("true", "false"):
            return cls(cells.text == "true")
        if cells.text is not None:
            return cls(int(cells.text))
        whole = cells.num.is_integer() and abs(cells.num) <= SAFE_INTEGER
        return cls(int(cells.num) if whole else cells.num)

    def prob(self, region: Region) -> float:
        """Return 1 where the value lies in the range or set, else 0."""
        if isinstance(region, OneOf):
            return float(self.value in region.members)
        if isinstance(region, Range) and not isinstance(self.value, str):
            return float(region.holds(float(self.value)))
        raise wrong_region("exact", region, "a OneOf, or a Range for a number")

    def sample(self, rng: np.random.Generator, size: int) -> NDArray[Any]:  # noqa: ARG002 certain
        """Return the value ``size`` times."""
        return np.full(size, self.value)

    def expectation(self) -> float | None:
        """Return the number; yes is 1, no is 0; a text has none."""
        return None if isinstance(self.value, str) else float(self.value)

    def variance(self) -> float | None:
        """Return 0 for a number, None for a text."""
        return None if isinstance(self.value, str) else 0.0

    @classmethod
    def examples(cls) -> Sequence[Value]:
        """Return numbers, texts and booleans, with extremes."""
        values = (0, -3, 12.5, 1e-300, 2**53 + 1, -(2**70), "", "pug", "Ünïcødé 犬", True, False)
        return [cls(v) for v in values]
