"""Which part of a service this process is, and which handlers only the recorder can serve."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

OWNER = "owner"
BY_RECORDER: dict[str, Any] = {OWNER: "recorder"}
"""The `opt` of a handler that needs the fact file: a worker hands its requests on."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of this process among those of its service.

    Parameters
    ----------
    role
        ``all`` does everything itself; ``recorder`` owns the facts and learns; a ``worker``
        answers, and hands on to the recorder what needs the facts.
    recorder
        Unix socket of the recorder.
    status
        File in which the supervisor says how all parts are.
    counts, row, rows
        File in which every part counts, each in its own row.
    """

    role: Literal["all", "recorder", "worker"] = "all"
    recorder: Path | None = None
    status: Path | None = None
    counts: Path | None = None
    row: int = 0
    rows: int = 1


ALONE = Place()
