"""What the supervisor says of the parts: one small file, replaced atomically."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from api.processes.child import is_part

FILE = "serving.json"
SILENT = 5.0
"""Seconds without a word after which the supervisor is taken to be gone."""

type Role = Literal["recorder", "questions", "worker"]
type State = Literal["starting", "running", "waiting", "looping", "stopping"]


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One process.

    Parameters
    ----------
    name, role
        ``worker-0`` and ``worker``.
    state
        ``waiting`` for its restart, ``looping`` if it ends again and again.
    pid
        Of the process, None between two.
    restarts
        How often it was started again.
    since
        When it entered its state (ISO 8601).
    reason
        How its predecessor ended.
    """

    name: str
    role: Role
    state: State
    pid: int | None
    restarts: int
    since: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """All processes of a service.

    Parameters
    ----------
    supervisor
        Its process.
    address
        Where the service listens.
    at
        When this was written, by the monotone clock of the machine.
    parts
        The other processes.
    """

    supervisor: int
    address: str
    at: float
    parts: tuple[PartStatus, ...]

    def write(self, path: Path) -> None:
        """Replace the file."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)), "utf-8")
        new.replace(path)


def read(path: Path) -> Status | None:
    """Return what the file says, None if there is none that can be read."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text("utf-8"))
        parts = tuple(PartStatus(**part) for part in raw.pop("parts"))
        return Status(**raw, parts=parts)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def troubles(status: Status | None, now: float) -> list[str]:
    """Return what is not as it should be.

    Parameters
    ----------
    status
        As read.
    now
        Now by the monotone clock of the machine, as in `Status.at`.
    """
    if status is None:
        return ["the supervisor has left no word of the other processes"]
    found = [
        f"{part.name}: {part.state}" + (f" ({part.reason})" if part.reason else "")
        for part in status.parts
        if part.state in {"waiting", "looping"}
    ]
    if now - status.at > SILENT:
        found.append("the supervisor is gone: nobody restarts what ends")
    return found


def left_over(status: Status) -> list[int]:
    """Return the parts of a service whose supervisor is gone, as far as they still run."""
    return [part.pid for part in status.parts if part.pid is not None and is_part(part.pid)]
