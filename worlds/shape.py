"""More of the shape of an answer, where it is asked for: shortest intervals, curve, draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worlds.answer import Answer


@dataclass(frozen=True, slots=True)
class Shape:
    """What is wanted beside the usual numbers.

    Parameters
    ----------
    hdi
        Whether the shortest interval of every level is wanted (highest density).
    thresholds
        Values whose probability of being exceeded is wanted.
    curve
        Points of the cumulative distribution, equally spaced in probability; 0 for none.
    sample
        Number of draws; 0 for none.
    seed
        Of the draws: the same seed gives the same ones.
    """

    hdi: bool = False
    thresholds: Sequence[float] = ()
    curve: int = 0
    sample: int = 0
    seed: int = 0

    def of(self, answer: Answer) -> dict[str, Any]:
        """Return the JSON form of what is wanted of an answer."""
        outcome = answer.outcome
        found: dict[str, Any] = {}
        if self.hdi:
            ends = [(level, *outcome.hdi(level)) for level in answer.levels]
            found["hdi"] = [
                {
                    "level": level,
                    "low": float(low),
                    "high": float(high),
                    "error_bound": max(low.error, high.error),
                }
                for level, low, high in ends
            ]
        if self.thresholds:
            found["exceedances"] = [
                {"threshold": x, "prob": float(prob), "error_bound": prob.error}
                for x, prob in outcome.exceedance(self.thresholds)
            ]
        if self.curve:
            found["curve"] = [{"value": x, "prob_at_most": p} for x, p in outcome.table(self.curve)]
        if self.sample:
            rng = np.random.default_rng(self.seed)
            found["sample"] = outcome.sample(rng, self.sample).tolist()
        return found
