"""The numbers of a distribution in their one JSON form: of an answer, a group, a period."""

from collections.abc import Sequence
from typing import Any

from worlds.core.outcome import Outcome
from worlds.core.questions import Comparison

SAFE = (0.9, 0.95, 0.99)
"""Levels of what is enough: the value not exceeded with this probability."""


def summary(
    outcome: Outcome, levels: Sequence[float], threshold: Comparison | None
) -> dict[str, Any]:
    """Return mean, spread, central intervals, what is enough, and the chance of a threshold."""
    median, *ends = outcome.quantiles(
        [0.5, *(p for level in levels for p in ((1 - level) / 2, (1 + level) / 2))]
    )
    return {
        "mean": float(outcome.mean()),
        "sd": float(outcome.sd()),
        "median": float(median),
        "intervals": [
            {
                "level": level,
                "low": float(ends[2 * i]),
                "high": float(ends[2 * i + 1]),
                "error_bound": max(ends[2 * i].error, ends[2 * i + 1].error),
            }
            for i, level in enumerate(levels)
        ],
        "safe": [
            {"level": level, "value": float(value), "error_bound": value.error}
            for level, value in zip(SAFE, outcome.quantiles(SAFE), strict=True)
        ],
        "exceedance": exceedance(outcome, threshold),
    }


def exceedance(outcome: Outcome, threshold: Comparison | None) -> dict[str, Any] | None:
    """Return the probability of a comparison, if there is one."""
    if threshold is None:
        return None
    possible, prob = outcome.possible(threshold)
    return {
        "comparison": str(threshold),
        "threshold": threshold.value,
        "prob": float(prob),
        "possible": possible,
        "certain": outcome.certain(threshold)[0],
        "error_bound": prob.error,
    }
