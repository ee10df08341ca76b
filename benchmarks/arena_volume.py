"""The pool of volume models as a contender in an accuracy comparison of forecasts of counts.

``predict`` is what a user does: wrap the counts, fit, ask for quantiles. A fit is a pure function
of the history; between two fits counts are only taken in, as a service does.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from worlds.core.questions import Quantity
from worlds.learn.forecast import Forecaster
from worlds.learn.series import Counts

POSTS = Quantity("posts", "posts", "count", "hour", (0.0, 1e6))
REFIT = timedelta(days=1)
"""A nightly job."""

_last: dict[str, tuple[datetime, Forecaster]] = {}


def reset(_series: str) -> None:
    """Forget everything: another series begins."""
    _last.clear()


def predict(
    history: NDArray[np.float64],
    timestamps: NDArray[np.datetime64],
    horizon: int,
    quantiles: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the quantiles (horizon, levels) of the counts after a history."""
    step = (timestamps[1] - timestamps[0]).astype("timedelta64[s]").astype(int)
    counts = Counts(POSTS, aware(timestamps[0]), timedelta(seconds=int(step)), history)
    return forecaster(counts, horizon).forecast().quantiles(quantiles)


def forecaster(counts: Counts, horizon: int) -> Forecaster:
    """Return a forecaster that knows the counts: the last one while it is fresh, or a new fit."""
    known = _last.get("")
    if known is not None:
        fitted, found = known
        missing = (counts.end - found.view.history.end) // counts.step
        if counts.end - fitted < REFIT and 0 <= missing <= len(counts):
            found = found.update(counts.y[len(counts) - missing :]) if missing else found
            _last[""] = fitted, found
            return found
    found = Forecaster.fit(counts, horizon=horizon)
    _last[""] = counts.end, found
    return found


def aware(moment: np.datetime64) -> datetime:
    """Return a time without a zone as UTC."""
    return datetime.fromisoformat(str(moment.astype("datetime64[s]"))).replace(tzinfo=UTC)
