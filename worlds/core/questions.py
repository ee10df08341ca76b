"""What can be asked: quantities, questions over them, conditions and interventions."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from worlds.core.distributions import LARGEST
from worlds.core.formula import names, parse
from worlds.errors import QuestionError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Quantity:
    """A named unknown number.

    Parameters
    ----------
    name, unit
        How it is called, and what one of it is.
    role
        ``count``: how many things happen in a period; ``size``: how much one thing brings.
    per
        The grain: ``hour`` or ``day`` for counts, the thing (``post``) for sizes.
    usual
        Two numbers between which it lies nine times out of ten when nothing else is known:
        what the `default` model believes.
    text
        One sentence for people.
    """

    name: str
    unit: str
    role: Literal["count", "size"]
    per: str
    usual: tuple[float, float]
    text: str = ""


@dataclass(frozen=True, slots=True)
class SumOver:
    """The sum of one size over a random number of things: S = X_1 + ... + X_N."""

    size: str
    count: str

    def names(self) -> tuple[str, ...]:
        """Return the quantities it needs."""
        return (self.count, self.size)


@dataclass(frozen=True, slots=True)
class Amount:
    """One quantity by itself."""

    name: str

    def names(self) -> tuple[str, ...]:
        """Return the quantity."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula as people write it, such as ``sum(likes_per_post, posts) * 0.02``.

    Parameters
    ----------
    text
        The formula (see `worlds.core.formula`).
    units
        Pairs of a quantity and its unit; units that do not match are refused.
    conditions
        Comparisons that hold, such as ``"posts > 3"``.
    """

    text: str
    units: tuple[tuple[str, str], ...] = ()
    conditions: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Return the quantities it needs.

        Raises
        ------
        FormulaError
            If it cannot be read.
        """
        return tuple(dict.fromkeys(n for one in (self.text, *self.conditions) for n in _names(one)))


@lru_cache(maxsize=256)
def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.name for name in names(parse(text))))


type Formula = SumOver | Amount | Expression


@dataclass(frozen=True, slots=True)
class Question:
    """A named formula over quantities with a unit.

    `threshold` is the value whose exceedance is reported when nobody names another.
    """

    name: str
    formula: Formula
    unit: str
    text: str = ""
    threshold: float | None = None


def shown(raw: object) -> str:
    """Return what somebody wrote, shortened: whole numbers may have any number of digits."""
    if isinstance(raw, int) and abs(raw) > LARGEST:
        digits = int(raw.bit_length() * math.log10(2)) + 1
        return f"a whole number of about {digits} digits"
    text = repr(raw)
    return text if len(text) <= 200 else f"{text[:200]}..."


OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_COMPARISON = re.compile(
    r"\s*(>=|<=|>|<)?\s*([-+]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison with a number, such as ``> 200000``."""

    sign: str
    value: float

    @classmethod
    def parse(cls, text: str | float, default: str | None = None) -> "Comparison":
        """Read ``"> 200000"``; a bare number takes the `default` sign.

        Raises
        ------
        QuestionError
            If the text is not a comparison with one finite number.
        """
        found = _COMPARISON.fullmatch(shown(text) if isinstance(text, int) else str(text))
        sign = (found.group(1) or default) if found else None
        if found is None or sign is None:
            msg = f"not a comparison: {shown(text)}; write for example '> 200000'"
            raise QuestionError(msg)
        value = float(found.group(2))
        if abs(value) > LARGEST:
            msg = f"{value:g} is beyond any quantity here (at most {LARGEST:g})"
            raise QuestionError(msg)
        return cls(sign, value)

    def holds(self, x: float) -> bool:
        """Return whether x fulfils it."""
        return OPERATORS[self.sign](x, self.value)

    def __str__(self) -> str:
        return f"{self.sign} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Do:
    """An intervention: fix a quantity, or multiply its intensity."""

    fix: float | None = None
    times: float | None = None

    @classmethod
    def parse(cls, raw: object) -> "Do":
        """Read a number (fix) or ``{"times": factor}``."""
        if isinstance(raw, Do):
            return raw
        times = False
        if isinstance(raw, Mapping) and set(raw) == {"times"}:
            raw, times = raw["times"], True
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw <= LARGEST:
            msg = f'do takes a number in [0, {LARGEST:g}] or {{"times": factor}}; got {shown(raw)}'
            raise QuestionError(msg)
        return cls(times=float(raw)) if times else cls(fix=float(raw))


@dataclass(frozen=True, slots=True)
class Given:
    """A condition: which model of a quantity is right, and in which ranges the quantity lies."""

    model: str | None = None
    ranges: tuple[Comparison, ...] = ()

    @classmethod
    def parse(cls, raw: object) -> "Given":
        """Read ``"model = learned"``, a comparison such as ``">= 3"``, or several with ``and``.

        Raises
        ------
        QuestionError
            If it has no meaning, or names two models.
        """
        if isinstance(raw, Given):
            return raw
        if not isinstance(raw, str):
            msg = f"given takes 'model = NAME' or a comparison such as '>= 3'; got {shown(raw)}"
            raise QuestionError(msg)
        model: str | None = None
        ranges: list[Comparison] = []
        for part in re.split(r"\s+and\s+", raw.strip()):
            found = re.fullmatch(r"model\s*={1,2}\s*(\S+)", part)
            if found is None:
                ranges.append(Comparison.parse(part))
            elif model is not None and model != found.group(1):
                msg = f"only one model is right: not both {model!r} and {found.group(1)!r}"
                raise QuestionError(msg)
            else:
                model = found.group(1)
        return cls(model, tuple(ranges))

    def __str__(self) -> str:
        named = [] if self.model is None else [f"model = {self.model}"]
        return " and ".join([*named, *map(str, self.ranges)])


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a question assumes: conditions, interventions and a restriction to a group."""

    given: Mapping[str, Given] = field(default_factory=dict)
    do: Mapping[str, Do] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(
        cls,
        question: Question,
        given: Mapping[str, object] | None = None,
        do: Mapping[str, object] | None = None,
        where: Mapping[str, str] | None = None,
    ) -> "Assumptions":
        """Read the raw forms and check the names against the question.

        Raises
        ------
        UnknownNameError
            If a name is not a quantity of the question.
        QuestionError
            If a condition or an intervention has no meaning.
        """
        for name in [*(given or {}), *(do or {})]:
            if name not in question.formula.names():
                raise UnknownNameError("quantity", name, question.formula.names())
        return cls(
            {name: Given.parse(raw) for name, raw in (given or {}).items()},
            {name: Do.parse(raw) for name, raw in (do or {}).items()},
            dict(where or {}),
        )
