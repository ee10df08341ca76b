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
