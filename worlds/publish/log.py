"""Which release came into force when, why, and by whom."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from worlds.publish.snapshot import Release


@dataclass(frozen=True, slots=True)
class Switch:
    """One release coming into force.

    Parameters
    ----------
    release, previous
        Its id, and that of what was in force before.
    action
        ``learn``, ``promote`` or ``rollback``.
    at
        When, if whoever did it told the time.
    reason, by
        Why, and who; for people's switches.
    taken
        The release whose models these are: its own id, or that of the one promoted.
    """

    release: str
    previous: str | None
    action: str
    at: str | None
    reason: str | None = None
    by: str | None = None
    taken: str | None = None

    @classmethod
    def of(cls, release: Release, previous: str | None) -> Self:
        """Return the switch to a release."""
        change = release.change
        made = release.created_at.isoformat() if release.created_at else None
        return cls(
            release.id,
            previous,
            str(change.get("action", "learn")),
            change.get("at", made),
            change.get("reason"),
            change.get("by"),
            str(change.get("release") or release.id),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the line of the log."""
        return asdict(self)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "Switch | None":
        """Return the switch of a line, or None if it is none."""
        try:
            return cls(**raw)
        except TypeError:
            return None
