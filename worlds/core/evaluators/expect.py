"""Expectations and quantiles of laws that only offer the other functions."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from worlds.core.distributions import Distribution, Floats, check_levels
from worlds.core.views import atoms, legendre, nodes

PANELS = 40
ROUNDS = 30
EDGE = 1e-9
MOST_PANELS = 256


def expect(law: Distribution, function: Callable[[Floats], Floats]) -> float:
    """Return E[f(X)]: over the atoms of a discrete law, else by quadrature.

    Laws without nodes of their own are integrated over their quantile function.
    """
    listed = atoms(law, 200_000)
    if listed is not None:
        return float(function(listed.values) @ listed.probs)
    found = nodes(law, 128)
    if found is not None:
        return float(function(found[0]) @ found[1])
    return integrate(lambda levels: function(law.quantile(levels)))[0]


def integrate(values: Callable[[Floats], Floats]) -> tuple[float, float]:
    """Return the integral of a function of levels over (0, 1), and a bound on its error.

    Gauss-Legendre panels, finer towards both ends; a panel whose two halves disagree with it is
    split again, which closes in on kinks and jumps. So is one whose values at its ends are not
    what those inside lead to expect: a jump may hide between an end and the place next to it.
    """
    tail = np.geomspace(1e-15, 0.5, PANELS // 2 + 1)
    ends = np.concatenate([[1e-16], tail, 1 - tail[-2::-1]])
    left, width = ends[:-1], np.diff(ends)
    whole, _ = _panels(values, left, width)
    total = error = 0.0
    scale = float(np.abs(whole).sum())
    for _ in range(ROUNDS):
        half = width / 2
        parts, hidden = _panels(values, np.concatenate([left, left + half]), np.tile(half, 2))
        first, second = np.split(parts, 2)
        gap = np.abs(first + second - whole) + hidden[: len(half)] + hidden[len(half) :]
        open_ = gap > 1e-13 * scale
        total += float((first + second)[~open_].sum())
        error += float(gap[~open_].sum())
        if not open_.any():
            break
        left = np.concatenate([left[open_], (left + half)[open_]])
        width = np.tile(half[open_], 2)
        whole = np.concatenate([first[open_], second[open_]])
        if len(left) > MOST_PANELS:
            break
    else:
        gap = gap[open_]
    if open_.any():
        total, error = total + float(whole.sum()), error + float(gap.sum())
    return total, error


def _panels(
    values: Callable[[Floats], Floats], left: Floats, width: Floats
) -> tuple[Floats, Floats]:
    """Return the integral over every panel, and what may hide at its ends."""
    u, w = legendre(10)
    places = np.concatenate([[EDGE], u, [1 - EDGE]])
    levels = left[:, None] + width[:, None] * places
    found = values(np.clip(levels.ravel(), 1e-16, 1 - 1e-16)).reshape(levels.shape)
    inner, ends = found[:, 1:-1], found[:, [0, -1]]
    surprise = np.abs(inner @ _beyond() - ends)
    # rounding of the values grows when a polynomial is continued to the ends
    surprise = np.where(surprise > 1e-10 * np.abs(found).max(1, keepdims=True), surprise, 0.0)
    return np.asarray(inner @ w * width), np.asarray(surprise.max(1) * u[0] * width)


@lru_cache(maxsize=1)
def _beyond() -> Floats:
    """Return the weights (10, 2) that continue the polynomial through the places to both ends."""
    u, _ = legendre(10)
    ends = np.array([EDGE, 1 - EDGE])
    rows = []
    for place in range(len(u)):
        others = np.delete(u, place)
        rows.append(np.prod((ends[:, None] - others) / (u[place] - others), axis=1))
    return np.array(rows)


def bisect(
    cdf: Callable[[Floats], Floats], p: Floats, low: Floats, high: Floats, rounds: int = 90
) -> Floats:
    """Return the smallest x in (low, high] with cdf(x) >= p, to the last digits."""
    goal = check_levels(p) * (1 - 1e-14)
    low, high = np.broadcast_to(low, goal.shape), np.broadcast_to(high, goal.shape)
    for _ in range(rounds):
        middle = low + (high - low) / 2
        enough = cdf(middle) >= goal
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        if (high - low <= 1e-13 * np.maximum(np.abs(high), 1e-300)).all():
            break
    return np.asarray(high)
