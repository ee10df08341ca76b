"""From text to tokens, each with its place."""

import re
from dataclasses import dataclass
from typing import Literal

from worlds.core.formula.tree import Span
from worlds.errors import FormulaError

MAX_LENGTH = 50_000
"""Longest formula, in characters."""
LARGEST_NUMBER = 1e15

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][-+]?\d+)?%?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign><=|>=|==|!=|[-+*/(),<>])"
)
_SAME = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "≤": "≤", "≥": "≥"})
_WORDS = {"≤": "<=", "≥": ">="}


@dataclass(frozen=True, slots=True)
class Token:
    """A number, a name, a sign or the end."""

    kind: Literal["number", "name", "sign", "end"]
    text: str
    span: Span

    @property
    def value(self) -> float:
        """The number that is written."""
        text = self.text.replace("_", "")
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def tokenize(source: str) -> list[Token]:
    """Split a formula into tokens.

    Raises
    ------
    FormulaError
        At a character that no formula has, a number too large, or a text too long.
    """
    if len(source) > MAX_LENGTH:
        reason = f"a formula has at most {MAX_LENGTH:,} characters; this one has {len(source):,}"
        raise FormulaError(reason, source, (MAX_LENGTH, MAX_LENGTH + 1))
    text = source.translate(_SAME)
    tokens, place = [], 0
    while place < len(text):
        if text[place] in _WORDS:
            tokens.append(Token("sign", _WORDS[text[place]], (place, place + 1)))
            place += 1
            continue
        found = _TOKEN.match(text, place)
        if found is None:
            reason = (
                f"a formula cannot contain {source[place]!r}; it has numbers, names, "
                "+ - * / ( ) , and the comparisons < <= > >="
            )
            raise FormulaError(reason, source, (place, place + 1))
        token = _token(found, source)
        if token:
            tokens.append(token)
        place = found.end()
    tokens.append(Token("end", "", (len(source), len(source) + 1)))
    return tokens


def _token(found: re.Match[str], source: str) -> Token | None:
    span, text = found.span(), found.group()
    if found.lastgroup == "space":
        return None
    if found.lastgroup == "name":
        return Token("name", text, span)
    if found.lastgroup == "sign":
        if text in {"==", "!="}:
            reason = f"{text!r} is not a comparison here; use < <= > >="
            raise FormulaError(reason, source, span)
        return Token("sign", text, span)
    token = Token("number", text, span)
    if not token.value <= LARGEST_NUMBER:
        reason = f"{text} is too large; numbers go up to {LARGEST_NUMBER:g}"
        raise FormulaError(reason, source, span)
    return token
