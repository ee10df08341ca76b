"""The errors of the worlds package, one tree."""

from collections.abc import Iterable


class WorldsError(Exception):
    """Base of everything this package raises on purpose."""


class UnknownNameError(WorldsError, LookupError):
    """A name that nobody declared."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(sorted(known))
        listed = ", ".join(self.known) or "none declared"
        super().__init__(f"unknown {kind} {name!r}; known: {listed}")


class QuestionError(WorldsError, ValueError):
    """A question, condition or intervention that has no meaning."""


class FormulaError(QuestionError):
    """A formula that cannot be read or has no meaning, with the place in it.

    Parameters
    ----------
    reason
        What is wrong and what would be right.
    source
        The text of the formula.
    span
        Begin and end of the place in the text.

    Attributes
    ----------
    line, column
        The place, counted from 1.
    """

    def __init__(self, reason: str, source: str, span: tuple[int, int]) -> None:
        start, end = span
        before = source[:start]
        self.reason = reason
        self.source = source
        self.span = span
        self.line = before.count("\n") + 1
        self.column = start - (before.rfind("\n") + 1) + 1
        super().__init__(f"{reason} (line {self.line}, column {self.column})\n{self._picture(end)}")

    def _picture(self, end: int) -> str:
        """Return the line around the place, with carets under it."""
        row = (self.source.splitlines() or [""])[self.line - 1 : self.line]
        text = row[0] if row else ""
        first = max(self.column - 41, 0)
        shown = text[first : first + 80]
        width = max(min(end - self.span[0], len(shown) - (self.column - 1 - first)), 1)
        return f"  {shown}\n  {' ' * (self.column - 1 - first)}{'^' * width}"


class ImpossibleError(QuestionError):
    """A condition that no possible world fulfils."""

    def __init__(self, condition: str) -> None:
        super().__init__(f"no possible world fulfils {condition}; loosen or drop the condition")


class WeightError(WorldsError, ValueError):
    """Weights that are not a probability distribution."""

    def __init__(self, quantity: str, total: float) -> None:
        super().__init__(
            f"weights of {quantity!r} must be >= 0 and sum to 1; they sum to {total:.6g}"
        )


class DomainError(WorldsError, ValueError):
    """A domain declaration that contradicts itself."""


class SnapshotError(WorldsError):
    """A snapshot or release that is missing, damaged or made for something else."""


class FitError(WorldsError):
    """A model could not be fitted on the facts it was given."""


class ModelFaultError(WorldsError):
    """A model that, while serving, raised, gave what is no distribution, or took too long.

    Parameters
    ----------
    quantity, model
        Whose fault it is.
    kind
        ``raised``, ``invalid`` or ``slow``.
    reason
        What it did.
    """

    def __init__(self, quantity: str, model: str, kind: str, reason: str) -> None:
        self.quantity = quantity
        self.model = model
        self.kind = kind
        self.reason = reason
        super().__init__(f"{quantity}/{model} {kind}: {reason}")
