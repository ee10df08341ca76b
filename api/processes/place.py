"""Which part of a service this process is, and which handlers only the recorder can serve."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

OWNER = "owner"
BY_RECORDER: dict[str, Any] = {OWNER: "recorder"}
"""The `opt` of a handler that needs the fact file: a worker hands its requests on."""
BY_QUESTIONS: dict[str, Any] = {OWNER: "questions"}
"""The `opt` of a handler that computes for long: predictions must not wait for it."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of this process among those of its service.

    Parameters
    ----------
    role
        ``all`` does everything itself; ``recorder`` owns the facts and learns; ``questions``
        computes answers that take long; a ``worker`` predicts, and hands on the rest to them.
    recorder, questions
        Their Unix sockets.
    status
        File in which the supervisor says how all parts are.
    counts, row, rows
        File in which every part counts, each in its own row.
    """

    role: Literal["all", "recorder", "questions", "worker"] = "all"
    recorder: Path | None = None
    questions: Path | None = None
    status: Path | None = None
    counts: Path | None = None
    row: int = 0
    rows: int = 1

    @property
    def records(self) -> bool:
        """Whether the fact file is owned by this process."""
        return self.role in {"all", "recorder"}


ALONE = Place()
