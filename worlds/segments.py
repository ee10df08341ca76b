"""Models of segments at the time of an answer: read when somebody asks for the segment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from worlds.core.forms import CountForm, SizeForm
from worlds.errors import SnapshotError

KEPT = 64
"""Segments whose models stay in memory."""

type Own = Mapping[str, Mapping[str, tuple[float, CountForm | SizeForm, str]]]
"""Quantity to model to weight, form and snapshot."""


@dataclass(frozen=True, slots=True)
class Found:
    """What answers for a segment: its own models of some quantities, and what went wrong."""

    own: Own
    note: str | None = None
    trouble: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SegmentModels:
    """The segments of a release.

    Parameters
    ----------
    entries
        As `worlds.publish.Release.segments` has them.
    read
        Returns the form of a quantity's snapshot, or raises `SnapshotError`.
    """

    entries: Mapping[str, Mapping[str, Any]]
    read: Callable[[str, str], CountForm | SizeForm]
    _kept: dict[str, Found] = field(default_factory=dict, repr=False)

    def find(self, where: Mapping[str, str]) -> Found | None:
        """Return the models of the segment that a restriction names, if they are in use.

        Of several segments the one whose record gained most over the models of everything counts;
        the rest of the restriction is left to its models.
        """
        names = [f"{category}={label}" for category, label in where.items()]
        used = [name for name in names if self._gain(name) is not None]
        if not used:
            return None
        name = max(used, key=lambda one: self._gain(one) or 0.0)
        found = self._kept.get(name)
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            found = self._kept[name] = self._load(name)
        return found

    def _gain(self, name: str) -> float | None:
        """Return the largest gain of a segment's quantities in use, or None."""
        gains = [
            float(line.get("record", {}).get("gain", 0.0))
            for line in self.entries.get(name, {}).values()
            if line.get("in_use")
        ]
        return max(gains, default=None)

    def _load(self, name: str) -> Found:
        own: dict[str, dict[str, tuple[float, CountForm | SizeForm, str]]] = {}
        trouble, said = [], []
        for quantity, line in self.entries[name].items():
            if not line.get("in_use"):
                continue
            try:
                own[quantity] = {
                    model: (line["weights"][model], self.read(quantity, snapshot), snapshot)
                    for model, snapshot in line["models"].items()
                }
            except SnapshotError as error:
                trouble.append(f"{name}: {quantity}: {error}; the models of everything answer")
                continue
            gain, error_of_it = line["record"]["gain"], line["record"]["error"]
            said.append(f"{quantity} ({gain:.2g} ± {error_of_it:.1g} in log score)")
        note = f"{name} has models of its own, better on its past: {', '.join(said)}"
        return Found(own, note if said else None, tuple(trouble))
