"""A small algebra of units: likes, likes/post, EUR/hour."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from worlds.errors import QuestionError

_PART = re.compile(r"\s*([^\W\d][\w-]*|[%€$£°]|1)(?:\^(-?\d))?\s*")


@dataclass(frozen=True, slots=True)
class Units:
    """A product of powers of base units.

    `open` marks the unit of a bare number (it takes the unit of its surroundings) and of a
    quantity whose unit nobody stated.
    """

    powers: tuple[tuple[str, int], ...] = ()
    open: bool = False

    @classmethod
    def of(cls, powers: Mapping[str, int]) -> "Units":
        """Build from base units and their powers."""
        return cls(tuple(sorted((name, p) for name, p in powers.items() if p)))

    @classmethod
    def parse(cls, text: str | None) -> "Units":
        """Read ``likes/post``, ``likes per post``, ``EUR``; empty or None is left open.

        Raises
        ------
        QuestionError
            If the text is not a unit.
        """
        if not text or not text.strip():
            return ANY
        powers: dict[str, int] = {}
        for index, part in enumerate(re.split(r"\bper\b|/", text)):
            for factor in part.replace("*", " ").split() or [""]:
                found = _PART.fullmatch(factor)
                if found is None:
                    msg = f"not a unit: {text!r}; write for example likes, likes/post or EUR"
                    raise QuestionError(msg)
                if found.group(1) == "1":
                    continue
                power = int(found.group(2) or 1) * (1 if index == 0 else -1)
                base = singular(found.group(1))
                powers[base] = powers.get(base, 0) + power
        return cls.of(powers)

    def times(self, other: "Units", power: int = 1) -> "Units":
        """Return the unit of the product (or of the quotient, with power -1)."""
        if self.open and not self.powers:
            return other if power == 1 else Units.of({n: -p for n, p in other.powers})
        if other.open:
            return self
        powers = dict(self.powers)
        for name, exponent in other.powers:
            powers[name] = powers.get(name, 0) + power * exponent
        return Units.of(powers)

    def shown(self, words: Iterable[str]) -> str:
        """Return the unit as people write it, with the words that they declared (plural above)."""
        if not self.powers:
            return ""
        plural = {singular(word): word for word in sorted(words, key=len)}
        over = [_power(plural.get(name, name), p) for name, p in self.powers if p > 0]
        under = [_power(name, -p) for name, p in self.powers if p < 0]
        return "/".join([" ".join(over) or "1", *under])

    def __str__(self) -> str:
        if self.open:
            return "any unit"
        over = [_power(name, p) for name, p in self.powers if p > 0]
        under = [_power(name, -p) for name, p in self.powers if p < 0]
        return "/".join([" ".join(over) or ("1" if under else "no unit"), *under])


def _power(name: str, power: int) -> str:
    return name if power == 1 else f"{name}^{power}"


def singular(word: str) -> str:
    """Return a unit without the plural s: posts and post are one unit."""
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss") and word.islower():
        return word[:-1]
    return word


ANY = Units(open=True)
NONE = Units()


def alike(units: Sequence[Units]) -> Units | None:
    """Return the common unit, or None where two differ."""
    stated = [unit for unit in units if not unit.open]
    if not stated:
        return ANY
    return stated[0] if all(unit == stated[0] for unit in stated) else None
