"""What a learning run says of itself."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from worlds.publish import Release

SHOWN = 10
"""Segments that are listed one by one for people."""


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
class SegmentLine:
    """What became of one segment.

    Parameters
    ----------
    segment
        Its name.
    things
        Things that carry the label.
    in_use
        Quantities that its own models answer.
    gains
        Quantity to the gain in log score over the models of everything, and its standard error.
    failed
        Why it was not learned now, or None.
    """

    segment: str
    things: int
    in_use: tuple[str, ...]
    gains: Mapping[str, tuple[float, float]]
    failed: str | None = None

    @classmethod
    def of(cls, name: str, entry: Mapping[str, Any] | None, failed: str | None) -> "SegmentLine":
        """Return the line of an entry of a release."""
        found = entry or {}
        gains = {
            quantity: (line["record"]["gain"], line["record"]["error"])
            for quantity, line in found.items()
            if "gain" in line.get("record", {})
        }
        used = tuple(quantity for quantity, line in found.items() if line.get("in_use"))
        things = max((int(line.get("things", 0)) for line in found.values()), default=0)
        return cls(name, things, used, gains, failed)


@dataclass(frozen=True, slots=True)
class Report:
    """What was published, and what was not.

    Parameters
    ----------
    release_id, release
        What was published.
    lines, segments
        What became of every model and segment.
    periods, items
        How much was known.
    stays
        Why the release did not come into force, or None.
    """

    release_id: str
    release: Release
    lines: tuple[ModelLine, ...]
    periods: int
    items: int
    segments: tuple[SegmentLine, ...] = ()
    stays: str | None = None

    @classmethod
    def of(
        cls,
        release: Release,
        learned: Mapping[str, Any],
        segments: Sequence[SegmentLine],
        history: Any,
        stays: str | None,
    ) -> "Report":
        """Return the report of a run."""
        lines = tuple(ModelLine(**line) for one in learned.values() for line in one.lines)
        sizes = len(history.counts), len(history.items)
        return cls(release.id, release, lines, *sizes, tuple(segments), stays)

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
            "segments": [asdict(line) for line in self.segments],
            "refused": {name: dict(models) for name, models in self.release.refused.items()},
            "pinned": {name: dict(models) for name, models in self.release.pinned.items()},
            "in_force": self.stays is None,
            "not_in_force_because": self.stays,
            "nothing_to_do": False,
            "evidence": dict(self.release.evidence),
        }

    def to_text(self) -> str:
        """Return a table for people."""
        return to_text(self.to_dict())


def to_text(report: Mapping[str, Any]) -> str:
    """Return the JSON form of a report as a table for people."""
    head = (
        f"Release {report['release']} of {report['domain']}: {report['periods']} periods and "
        f"{report['items']} items known as of {report['as_of']}"
    )
    if report["nothing_to_do"]:
        head = f"Nothing to do: the same facts, code and seed gave it before.\n{head}"
    rows = [head, f"{'quantity':<20}{'model':<13}{'weight':>7}  {'log score':>9}  cover 50/90"]
    for line in report["models"]:
        if line["weight"] is None:
            rows.append(f"{line['quantity']:<20}{line['model']:<13}declined: {line['declined']}")
            continue
        start = f"{line['quantity']:<20}{line['model']:<13}{line['weight']:>7.3f}"
        rows.append(f"{start}  {_scores(line['scores'])}")
        if line["declined"]:
            rows.append(f"{'':<33}the last good one stays: {line['declined']}")
    rows += _segments(report["segments"])
    rows += [
        f"{quantity}/{model} is pinned to {snapshot}"
        for quantity, models in report["pinned"].items()
        for model, snapshot in models.items()
    ]
    if report["not_in_force_because"]:
        rows.append(f"It does not come into force: {report['not_in_force_because']}")
    return "\n".join(rows)


def _segments(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    if not lines:
        return []
    used = [line for line in lines if line["in_use"]]
    failed = [line for line in lines if line["failed"]]
    rows = [
        f"{len(lines)} segments: {len(used)} answer by models of their own, "
        f"{len(lines) - len(used) - len(failed)} are better answered by the whole, "
        f"{len(failed)} failed"
    ]
    rows += [f"  {line['segment']}: {', '.join(line['in_use'])}" for line in used[:SHOWN]]
    if len(used) > SHOWN:
        rows.append(f"  and {len(used) - SHOWN} more: worlds models show")
    rows += [f"  {line['segment']} failed: {line['failed']}" for line in failed]
    return rows


def _scores(summary: Mapping[str, Any]) -> str:
    if not summary.get("forecasts"):
        return "   no past forecasts"
    cover = "/".join(f"{100 * summary[f'coverage_{level}']:.0f}%" for level in (50, 90))
    return f"{summary['log_score']:>9.3f}  {cover}"
