"""Levels of quantiles, and the search for quantiles among whole numbers."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.arrays import Floats
from worlds.errors import QuestionError

SECTIONS = 32
"""Parts into which the search for a few quantiles cuts its range at every step."""


def whole_quantile(
    cdf: Callable[[Floats], Floats],
    p: ArrayLike,
    mean: float,
    var: float,
    around: tuple[Floats, Floats] | None = None,
) -> Floats:
    """Invert a cdf on whole numbers >= 0: the smallest k with cdf(k) >= p.

    Parameters
    ----------
    cdf
        The cdf.
    p
        The levels.
    mean, var
        Moments: where the search begins.
    around
        Whole numbers below and above every answer, most likely: the search begins there instead.

    Raises
    ------
    QuestionError
        If a level lies outside (0, 1).
    """
    levels = check_levels(p)
    low = np.full(levels.shape, -1.0)
    high = np.full(levels.shape, np.ceil(mean + 4 * np.sqrt(var)) + 1)
    if around is not None:
        below, above = np.maximum(around[0], -1.0), np.maximum(around[1], 0.0)
        reached = cdf(np.stack([below, above])) >= levels
        low = np.where(reached[0], low, below)
        high = np.where(reached[1], above, np.maximum(high, above))
    known = around is not None and bool(reached[1].all())
    for _ in range(0 if known else 200):
        short = cdf(high) < levels
        if not short.any():
            break
        high = np.where(short, high * 2, high)
    parts = SECTIONS if levels.size <= SECTIONS else 2
    inner = np.arange(1, parts) / parts
    # beyond 2**53 neighbouring floats are further apart than 1: close is close enough there
    while (high - low > np.maximum(1.0, 1e-14 * high)).any():
        width = (high - low)[..., None]
        middle = np.minimum(np.floor(low[..., None] + width * inner), high[..., None])
        enough = cdf(middle) >= levels[..., None]
        high = np.where(enough, middle, high[..., None]).min(-1)
        low = np.where(enough, low[..., None], middle).max(-1)
    return high


def check_levels(p: ArrayLike) -> Floats:
    """Return levels as an array; every one must lie strictly between 0 and 1."""
    try:
        levels = np.asarray(p, float)
    except OverflowError:
        msg = "levels must lie strictly between 0 and 1; one is beyond any float"
        raise QuestionError(msg) from None
    if not ((levels > 0) & (levels < 1)).all():
        msg = f"levels must lie strictly between 0 and 1; got {levels.tolist()}"
        raise QuestionError(msg)
    return levels
