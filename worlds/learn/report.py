"""What a learning run says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worlds.publish import Release


@dataclass(frozen=True, slots=True)
class ModelLine:
    """What became of one model.

    Parameters
    ----------
    quantity, model
        Which one.
    snapshot
        Id of what serves under this name, or None.
    weight
        Its weight, or None.
    declined
        Why it was not learned now, or None.
    seconds
        Processor time of fit and back-test.
    summary
        Scores of its past forecasts.
    """

    quantity: str
    model: str
    snapshot: str | None
    weight: float | None
    declined: str | None
    seconds: float
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What was published, and what was not."""

    release_id: str
    release: Release
    lines: tuple[ModelLine, ...]
    periods: int
    items: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "release": self.release_id,
            "domain": self.release.domain,
            "as_of": self.release.as_of.isoformat(),
            "until": self.release.until.isoformat(),
            "simulated": self.release.simulated,
            "periods": self.periods,
            "items": self.items,
            "models": [
                {
                    "quantity": line.quantity,
                    "model": line.model,
                    "snapshot": line.snapshot,
                    "weight": line.weight,
                    "declined": line.declined,
                    "seconds": round(line.seconds, 3),
                    "scores": dict(line.summary),
                }
                for line in self.lines
            ],
            "evidence": dict(self.release.evidence),
        }

    def to_text(self) -> str:
        """Return a table for people."""
        head = (
            f"Release {self.release_id} of {self.release.domain}: {self.periods} periods and "
            f"{self.items} items known as of {self.release.as_of.isoformat()}"
        )
        rows = [head, f"{'quantity':<20}{'model':<13}{'weight':>7}  {'log score':>9}  cover 50/90"]
        for line in self.lines:
            if line.weight is None:
                rows.append(f"{line.quantity:<20}{line.model:<13}declined: {line.declined}")
                continue
            rows.append(f"{line.quantity:<20}{line.model:<13}{line.weight:>7.3f}  {_scores(line)}")
            if line.declined:
                rows.append(f"{'':<33}the last good one stays: {line.declined}")
        return "\n".join(rows)


def _scores(line: ModelLine) -> str:
    if not line.summary.get("forecasts"):
        return "   no past forecasts"
    cover = "/".join(f"{100 * line.summary[f'coverage_{level}']:.0f}%" for level in (50, 90))
    return f"{line.summary['log_score']:>9.3f}  {cover}"
