"""Expected excess E[max(X - c, 0)] of any distribution, with a bound of its error.

It is the integral of the survival function from c on (the stop-loss transform). Where a closed
form is known it is used: points, tables and negative binomials, and mixtures and multiples of
them. For all others the survival function is integrated by Gauss-Legendre rules between
quantiles; for whole-valued ones the sum over whole numbers is taken, directly where it is short.
The error bound adds the difference of two rules, the gap to the known mean, and what the error of
the cdf can do over the range.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.compound import Severity
from worlds.core.distributions import (
    CountMixture,
    Distribution,
    Floats,
    Mixture,
    Multiple,
    PmfTable,
    Point,
    negative_binomial_cdf,
)

ROUNDING = 1e-12
"""Relative error of the closed forms (special functions at double precision)."""
DIRECT = 64
"""Whole-valued panels up to this width are summed term by term."""
_TAILS = np.concatenate([10.0 ** np.arange(-12, -2), [0.003]])
LEVELS = np.concatenate([_TAILS, np.linspace(0.01, 0.99, 50), 1 - _TAILS[::-1]])
FINE, COARSE = 12, 7
"""Nodes of the rule that counts, and of the one that says how exact it is."""


def expected_excess(distribution: Distribution, points: ArrayLike) -> tuple[Floats, Floats]:
    """Return E[max(X - c, 0)] for every c, and bounds of the errors.

    Parameters
    ----------
    distribution
        Of X; one with a method ``expected_excess(points)`` of its own is asked itself.
    points
        Array (C,) of finite values c.
    """
    c = np.atleast_1d(np.asarray(points, float))
    own = getattr(distribution, "expected_excess", None)
    if own is not None:
        values, errors = own(c)
        return np.asarray(values), np.asarray(errors)
    match distribution:
        case Point(value=value):
            return np.maximum(value - c, 0.0), np.zeros_like(c)
        case Multiple(base=base, factor=factor):
            values, errors = expected_excess(base, c / factor)
            return factor * values, factor * errors
        case Mixture(weights=weights, parts=parts) | Severity(weights=weights, parts=parts):
            found = [expected_excess(part, c) for part in parts]
            return (
                np.tensordot(weights, np.array([values for values, _ in found]), 1),
                np.tensordot(weights, np.array([errors for _, errors in found]), 1),
            )
        case CountMixture():
            return _negative_binomial(distribution, c)
        case PmfTable():
            return _table(distribution, c)
    return _integrated(distribution, c)


def _negative_binomial(mixture: CountMixture, c: Floats) -> tuple[Floats, Floats]:
    """Return m P(X' > k - 1) - c P(X > k), k = floor(c), X' with one more success (size r + 1).

    Follows from k p(k; r, m) = m p(k - 1; r + 1, m (r + 1) / r) (Johnson, Kemp & Kotz, §5.6).
    """
    means, sizes = mixture.means, mixture.sizes
    k = np.floor(c)[:, None]
    finite = np.isfinite(sizes)
    growth = np.where(finite, 1 + 1 / np.where(finite, sizes, 1.0), 1.0)
    above = 1 - negative_binomial_cdf(k, means, sizes)
    biased = 1 - negative_binomial_cdf(k - 1, means * growth, sizes + 1)
    values = (means * biased - c[:, None] * above) @ mixture.weights
    return np.maximum(values, 0.0), ROUNDING * (mixture.mean() + np.abs(c))


def _table(pmf: PmfTable, c: Floats) -> tuple[Floats, Floats]:
    values = pmf.start + np.arange(len(pmf.probs), dtype=float)
    mass = np.concatenate([np.cumsum(pmf.probs[::-1])[::-1], [0.0]])
    moment = np.concatenate([np.cumsum((pmf.probs * values)[::-1])[::-1], [0.0]])
    first = np.searchsorted(values, c, side="right")
    width = np.maximum(values[-1] - np.maximum(c, values[0]), 0.0)
    errors = ROUNDING * (moment[0] + np.abs(c)) + pmf.error * width
    return np.maximum(moment[first] - c * mass[first], 0.0), errors


def _integrated(distribution: Distribution, c: Floats) -> tuple[Floats, Floats]:
    """Integrate the survival function between quantiles and the points."""
    marks = distribution.quantile(LEVELS)
    low, high = float(marks[0]), float(marks[-1])
    whole = whole_valued(distribution, marks)
    start = np.clip(np.ceil(c) if whole else c, low, high)
    edges = np.unique(np.concatenate([marks, start]))
    panels, doubt = _panels(_survival(distribution), edges, whole)
    beyond = np.concatenate([np.cumsum(panels[::-1])[::-1], [0.0]])
    mean = distribution.mean()
    gap = abs(mean - low - beyond[0])
    values = beyond[np.searchsorted(edges, start)]
    inside = (c > low) & (c < high)
    bridge = np.where(inside, start - c, 0.0) * _survival(distribution)(np.floor(c) if whole else c)
    values = np.where(c <= low, mean - c, np.where(c >= high, 0.0, values + bridge))
    reach = np.minimum(np.maximum(start - low, 0.0), np.maximum(high - start, 0.0))
    errors = doubt + gap + float(getattr(distribution, "error", 0.0)) * reach
    return np.maximum(values, 0.0), errors + ROUNDING * (abs(mean) + np.abs(c))


def _survival(distribution: Distribution) -> Callable[[Floats], Floats]:
    return lambda x: np.asarray(1 - distribution.cdf(x))


def whole_valued(distribution: Distribution, marks: Floats) -> bool:
    """Return whether all probability seems to lie on whole numbers."""
    some = np.unique(marks[:: max(len(marks) // 16, 1)])
    if (some != np.floor(some)).any():
        return False
    at = distribution.cdf(some)
    return bool(
        (distribution.cdf(some + 0.499) == at).all()
        and (distribution.cdf(some + 0.999) == at).all()
    )


def _panels(
    survival: Callable[[Floats], Floats], edges: Floats, whole: bool
) -> tuple[Floats, float]:
    """Return the integral over every panel, and how far two rules are apart in all."""
    widths = np.diff(edges)
    result = np.zeros_like(widths)
    short = whole & (widths <= DIRECT)
    if short.any():
        result[short] = _sums(survival, edges[:-1][short], widths[short])
    far = ~short
    if not far.any():
        return result, 0.0
    smooth = _between_halves(survival) if whole else survival
    fine = _rule(smooth, edges[:-1][far], widths[far], FINE)
    coarse = _rule(smooth, edges[:-1][far], widths[far], COARSE)
    result[far] = fine
    if whole:
        at = survival(edges - 1) - survival(edges)
        result[far] += (np.diff(at) / 8)[far]
    return result, float(np.abs(fine - coarse).sum())


def _sums(survival: Callable[[Floats], Floats], starts: Floats, widths: Floats) -> Floats:
    """Return the sum of the survival function over the whole numbers of every panel."""
    counts = widths.astype(int)
    panel = np.repeat(np.arange(len(counts)), counts)
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.bincount(panel, survival(starts[panel] + offset), minlength=len(counts))


def _between_halves(survival: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Return the survival function of whole numbers k, placed at k + 1/2 and joined by lines.

    Its integral over [a, b] is the sum over k = a, ..., b - 1 and (p(a) - p(b)) / 8 for the
    corners, p(k) being the probability of k.
    """

    def joined(x: Floats) -> Floats:
        left = np.floor(x - 0.5)
        share = x - 0.5 - left
        return np.asarray((1 - share) * survival(left) + share * survival(left + 1))

    return joined


@cache
def _legendre(number: int) -> tuple[Floats, Floats]:
    return np.polynomial.legendre.leggauss(number)


def _rule(
    function: Callable[[Floats], Floats],
    starts: Floats,
    widths: Floats,
    number: int,
) -> Floats:
    nodes, weights = _legendre(number)
    x = starts[:, None] + widths[:, None] * (nodes + 1) / 2
    return np.asarray(function(x) @ weights * widths / 2)
