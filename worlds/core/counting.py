"""Counts held inside a range of whole numbers."""

import numpy as np

from worlds.core.distributions import Count, PmfTable, Point
from worlds.core.questions import Comparison
from worlds.errors import QuestionError

MAX_TABLE = 100_000
"""Largest table of probabilities built to condition a count on a range."""


def condition_count(count: Count, condition: Comparison) -> tuple[Count, float]:
    """Return the count given a comparison, and the probability of the comparison.

    The table reaches to the quantile of 1 - 1e-12, and sixteen standard deviations beyond an
    edge that lies higher.
    """
    if isinstance(count, Point):
        return count, float(condition.holds(count.value))
    lowest, highest = whole_range(condition)
    tail = 16 * (np.sqrt(count.var()) + 3)
    reach = max(float(count.quantile(1 - 1e-12)), lowest + tail)
    top = int(min(highest, reach))
    if lowest > top:
        return count, 0.0
    if top - lowest > MAX_TABLE:
        msg = f"conditioning on {condition} spans {top - lowest:.3g} values; at most {MAX_TABLE:g}"
        raise QuestionError(msg)
    bottom = int(max(lowest, 0))
    probs = count.pmf(np.arange(bottom, top + 1))
    total = float(probs.sum())
    if total <= 0:
        return count, 0.0
    return PmfTable(bottom, probs / total, error=1e-12), total


def whole_range(condition: Comparison) -> tuple[float, float]:
    """Return the lowest and highest whole number that fulfil the comparison."""
    edge = condition.value
    if condition.sign in {">", ">="}:
        lowest = np.floor(edge) + 1 if condition.sign == ">" else np.ceil(edge)
        return max(float(lowest), 0.0), float("inf")
    highest = np.ceil(edge) - 1 if condition.sign == "<" else np.floor(edge)
    return 0.0, float(highest)
