"""What the forecasts of one model showed once their outcomes were known. Bounded, incremental."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from worlds.watch.detector import Detector
from worlds.watch.sketch import LEVELS, Sketch, crps, inside, pit

BINS = 10
COVERED = {0.5: 0.10, 0.9: 0.05}
"""Levels of central intervals, and the coverage that may be missing: models are never exact."""
CROWDED = 1.5
"""Factor by which an outer tenth of the PIT may hold more outcomes than it should."""
OUTER = (0, 1, 2, 7, 8, 9)
"""Tenths of the PIT that are watched. Too many outcomes in the middle mean intervals that are
too wide: honest, and it costs score, which is watched by itself."""
BEYOND = 0.005
"""Share of outcomes that may lie where the model put a chance of 2 in 10,000."""
WORSE = 0.2
"""Relative difference of CRPS to the answer that was served, (a - b) / (a + b), that is let be."""


def _detectors() -> tuple[Detector, ...]:
    covered = [
        Detector(f"outcomes outside the {level:.0%} interval", 1 - level + slack)
        for level, slack in COVERED.items()
    ]
    tenths = [Detector(f"PIT in tenth {k + 1} of 10", CROWDED / BINS) for k in OUTER]
    return (
        *covered,
        *tenths,
        Detector("outcomes beyond the support", BEYOND),
        Detector("CRPS worse than the answer served", (1 + WORSE) / 2),
    )


@dataclass(slots=True)
class Evidence:
    """The record of one model since it was last moved.

    Parameters
    ----------
    scored
        Forecasts that met their outcome.
    """

    scored: int = 0
    covered: dict[float, float] = field(default_factory=lambda: dict.fromkeys(COVERED, 0.0))
    bins: list[float] = field(default_factory=lambda: [0.0] * BINS)
    beyond: int = 0
    crps: float = 0.0
    pool: float = 0.0
    detectors: tuple[Detector, ...] = field(default_factory=_detectors)

    def see(self, mine: Sketch, pool: Sketch, outcome: float) -> float:
        """Take a forecast and its outcome; return the evidence against the model."""
        span = pit(mine, outcome)
        self.scored += 1
        tenths = [inside(span, k / BINS, (k + 1) / BINS) for k in range(BINS)]
        self.bins = [a + b for a, b in zip(self.bins, tenths, strict=True)]
        covered = {level: inside(span, (1 - level) / 2, (1 + level) / 2) for level in COVERED}
        for level, hit in covered.items():
            self.covered[level] += hit
        beyond = float(span[0] >= LEVELS[-1] or span[1] <= LEVELS[0])
        self.beyond += int(beyond)
        ours, theirs = crps(mine, outcome), crps(pool, outcome)
        self.crps += ours
        self.pool += theirs
        worse = (ours - theirs) / (ours + theirs) if ours + theirs > 0 else 0.0
        seen = [1 - covered[level] for level in COVERED]
        seen += [tenths[k] for k in OUTER]
        seen += [beyond, (1 + worse) / 2]
        for detector, x in zip(self.detectors, seen, strict=True):
            detector.see(min(max(x, 0.0), 1.0))
        return self.evidence

    @property
    def evidence(self) -> float:
        """The average of all detectors, which is a detector itself.

        Of n forecasts of a calibrated model the chance that it reaches A is n / A at most.
        """
        return sum(one.evidence for one in self.detectors) / len(self.detectors)

    @property
    def worst(self) -> str:
        """What speaks against the model most."""
        return max(self.detectors, key=lambda one: one.evidence).name

    def to_json(self) -> dict[str, Any]:
        """Return what it shows, for people."""
        n = max(self.scored, 1)
        return {
            "scored": self.scored,
            "coverage": {f"{level:g}": round(x / n, 4) for level, x in self.covered.items()},
            "pit": [round(x / n, 4) for x in self.bins],
            "pit_distance": round(_distance(self.bins), 4) if self.scored else None,
            "beyond_support": self.beyond,
            "crps": _number(self.crps / n) if self.scored else None,
            "crps_served": _number(self.pool / n) if self.scored else None,
            "evidence": _number(self.evidence),
            "against": self.worst if self.evidence > 1 else None,
            "detectors": {one.name: _number(one.evidence) for one in self.detectors},
        }


def _distance(bins: list[float]) -> float:
    """Return the largest difference of the cumulative PIT from a uniform one."""
    total = np.cumsum(bins) / sum(bins)
    return float(np.abs(total - np.arange(1, BINS + 1) / BINS).max())


def _number(x: float) -> float:
    return float(f"{x:.5g}")


@dataclass(slots=True)
class Book:
    """The evidence on every model of every quantity, by (quantity, model)."""

    pages: dict[tuple[str, str], Evidence] = field(default_factory=dict)

    def of(self, quantity: str, model: str) -> Evidence:
        """Return the evidence on a model."""
        return self.pages.setdefault((quantity, model), Evidence())

    def reset(self, quantity: str, model: str) -> None:
        """Begin anew with a model."""
        self.pages.pop((quantity, model), None)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pages)

    def to_json(self) -> Mapping[str, Any]:
        """Return everything, for people."""
        return {f"{q}/{m}": page.to_json() for (q, m), page in self.pages.items()}
