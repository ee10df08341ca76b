"""Contender for an accuracy arena of likes per post: what a user of the public API gets.

The arena calls ``fit(X, y)`` with data frames and ``predict_quantiles(X, levels)`` on what came
back. Nothing here knows a data set: the column ``days`` is the time of a post where there is one.
"""

from typing import Any

import numpy as np

from worlds.learn.forecaster import Forecaster


class Fitted:
    """A fitted pool behind the two names that the arena calls."""

    def __init__(self, forecaster: Forecaster) -> None:
        self.forecaster = forecaster

    def predict_quantiles(self, table: Any, levels: np.ndarray) -> np.ndarray:
        """Return an array (posts, levels)."""
        return self.forecaster.quantiles(table, levels)


def fit(table: Any, likes: np.ndarray) -> Fitted:
    """Fit the whole line-up, weighted and recalibrated on the later half of the table."""
    time = "days" if "days" in table else None
    return Fitted(Forecaster.fit(table, likes, time=time))
