"""Sums of what the members bring, as outcomes: mixtures over the worlds of their choices.

The characteristic function of the total is the product of 1 + p (chi(t) - 1) over the things, with
chi that of what a thing brings if it is a member: a number, or a normal with its mean and variance.
Few certain numbers are enumerated; whole numbers of a small range are inverted on their lattice
(exact); everything else by a cosine series (Fang & Oosterlee 2008, doi:10.1137/080718061) whose
error is measured by doubling its terms. Beyond `DIRECT` things the logarithm is expanded into six
cumulants, and the error of that measured against the function itself at a few frequencies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

from worlds.core.distributions import (
    Complexes,
    Distribution,
    Floats,
    Mixture,
    PmfTable,
    Point,
)
from worlds.core.outcome import Outcome, World
from worlds.membership.choices import MOST_WORLDS, enumerated
from worlds.membership.cumulants import cumulants, expansion
from worlds.membership.errors import MembershipError
from worlds.membership.members import Members
from worlds.membership.scaled import scaled
from worlds.membership.series import SeriesTotal, Summed

FEW = 14
"""Certain numbers whose subsets are enumerated."""
LATTICE = 1 << 16
WORK = 3e7
"""Things times frequencies that are computed one by one."""
DIRECT = 20_000
TAIL = 1e-10
TERMS = (64, 128, 256, 512, 1024, 2048, 4096)
WANTED = 1e-7
MOST_TERMS = 8192
FEW_WORLDS = 8
"""Up to so many worlds are computed one by one, each on an interval of its own."""
CHECKS = 8
"""Frequencies at which the expansion is compared with the function itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Things:
    """Members of one group: probability, mean and variance of what each brings."""

    probs: Floats
    mean: Floats
    var: Floats

    def moments(self) -> tuple[float, float]:
        """Return mean and variance of the sum."""
        first = self.probs * self.mean
        second = self.probs * (self.mean**2 + self.var)
        return float(first.sum()), float((second - first**2).sum())

    @property
    def certain(self) -> bool:
        """Whether every value is a plain number."""
        return not self.var.any()


def total(members: Members, *, unit: str = "", most_worlds: int = MOST_WORLDS) -> Outcome:
    """Return the sum of what the members bring, as a distribution over all possible worlds.

    Parameters
    ----------
    members
        With values (`matching(..., value="likes")` or `Members.valued`).
    unit
        Unit of the sum.
    most_worlds
        Worlds of the shared choices that are enumerated at most.

    Raises
    ------
    MembershipError
        If the members have no values, or their choices make too many worlds.
    """
    if members.values is None or members.variances is None:
        msg = "these members bring nothing: give a value to `matching`, or use `valued`"
        raise MembershipError(msg)
    mean, var = members.values, members.variances
    groups = [Things(members.probs[r], mean[r], var[r]) for r in members.parts()]
    impact = np.array([abs(group.moments()[0]) for group in groups])
    joint = enumerated(members.choices, members.conditions, impact, most_worlds)
    if joint.mixed:
        msg = (
            f"{len(members.choices)} shared choices make more than {most_worlds} worlds;"
            " sums need them all: ask for fewer choices at once"
        )
        raise MembershipError(msg)
    found = sums(groups, joint.active)
    worlds = tuple(
        World(choices, float(weight), part, {"total": part})
        for choices, weight, part in zip(joint.worlds, joint.weights, found, strict=True)
    )
    return Summed(worlds, unit)


def mean_value(outcome: Outcome, exposure: float, unit: str = "") -> Outcome:
    """Return a sum per unit of a known exposure.

    Raises
    ------
    MembershipError
        If the exposure is not positive.
    """
    if not 0 < exposure < np.inf:
        msg = f"an exposure must be positive; got {exposure!r}"
        raise MembershipError(msg)
    worlds = tuple(
        replace(world, outcome=scaled(world.outcome, 1 / exposure)) for world in outcome.worlds
    )
    return Outcome(worlds, unit or f"{outcome.unit} per unit")


def sums(groups: Sequence[Things], active: NDArray[np.bool_]) -> list[Distribution]:
    """Return the distribution of the sum of every world, active (W, G)."""
    unsure = sum(int(((g.probs > 0) & (g.probs < 1)).sum()) for g in groups)
    if len(active) > FEW_WORLDS and unsure > FEW:
        together = _on_one_interval(groups, active)
        if together is not None:
            return list(together)
    return [
        _one([group for group, holds in zip(groups, row, strict=True) if holds]) for row in active
    ]


def _on_one_interval(
    groups: Sequence[Things], active: NDArray[np.bool_]
) -> list[SeriesTotal] | None:
    """Return the sums of all worlds as series over one interval: each thing is looked at once.

    None if a world is too narrow for the interval, or nothing in it is uncertain.
    """
    moments = active @ np.array([group.moments() for group in groups])
    ends = np.array([_ends(group) for group in groups if len(group.probs)])
    low, high = _joint_ends(groups, moments, ends)
    narrow = float(np.sqrt(max(moments[:, 1].min(), 0.0)))
    terms = int(np.ceil(9 * (high - low) / np.pi / narrow)) + 2 if narrow > 0 else MOST_TERMS + 1
    things = sum(len(group.probs) for group in groups)
    whole = all(g.certain and (g.mean == np.floor(g.mean)).all() for g in groups)
    terms = min(terms, int(high - low)) if whole else terms
    if terms > MOST_TERMS:
        return None
    omega = np.arange(terms) * (np.pi / (high - low))
    direct = things <= DIRECT and things * terms <= 8 * WORK
    kappas = [] if direct else [cumulants(group.probs, group.mean, group.var) for group in groups]
    each = [expansion(kappa, omega) for kappa in kappas]
    logs = active @ np.array(each or [_log_transform(group, omega) for group in groups])
    missed = np.zeros(len(active)) if direct else _missed(groups, kappas, active, float(omega[-1]))
    nobody = [np.log1p(-np.minimum(g.probs[g.mean != 0], 1 - 1e-16)).sum() for g in groups]
    zeros = np.exp(active @ np.array(nobody)) if all(g.certain for g in groups) else 0 * narrow
    found = []
    for row, zero, pair, left_out in zip(
        logs, np.broadcast_to(zeros, len(active)), moments.tolist(), missed, strict=True
    ):
        start = SeriesTotal(
            low, high, np.zeros(1), float(zero), (pair[0], pair[1]), whole, 1.0, "cosine series"
        )
        part = _measured(replace(start, series=_coefficients(row, omega, start)))
        found.append(replace(part, error=part.error + float(left_out)))
    return found


def _missed(
    groups: Sequence[Things], kappas: Sequence[Floats], active: NDArray[np.bool_], top: float
) -> Floats:
    """Return what the expansion into cumulants misses in every world, measured (W,)."""
    nodes, weights = np.polynomial.legendre.leggauss(CHECKS)
    probe = (nodes + 1) / 2 * top
    exact = np.array([_log_transform(group, probe) for group in groups])
    expanded = np.array([expansion(kappa, probe) for kappa in kappas])
    gaps = np.abs(np.expm1(expanded - exact))
    off = np.exp(active @ exact.real) * (active @ gaps)
    return np.asarray(2 * ((off / probe) @ weights) * top / 2 / np.pi)


def _joint_ends(groups: Sequence[Things], moments: Floats, ends: Floats) -> tuple[float, float]:
    """Return an interval that holds the sum of every world."""
    most = max(float((np.abs(g.mean) + 8 * np.sqrt(g.var)).max(initial=0.0)) for g in groups)
    level = np.log(2 / TAIL)
    reach = most * level / 3 + np.sqrt((most * level / 3) ** 2 + 2 * level * moments[:, 1])
    low, high = float((moments[:, 0] - reach).min()), float((moments[:, 0] + reach).max())
    if (ends[:, 0] >= -2).all():
        low = max(low, -1.0)
    return float(np.floor(low)) - 0.5, float(np.ceil(high)) + 0.5


def _measured(part: SeriesTotal) -> SeriesTotal:
    """Return the series with its error: twice what its last quarter of terms changes."""
    points = np.linspace(part.low, part.high, 65)
    shorter = replace(part, series=part.series[: max(2, 3 * len(part.series) // 4)])
    error = 2 * float(np.abs(part.cdf(points) - shorter.cdf(points)).max()) + 2 * TAIL
    return replace(part, error=error)


def _one(groups: Sequence[Things]) -> Distribution:
    empty = np.zeros(0)
    whole = Things(
        np.concatenate([empty, *(g.probs for g in groups)]),
        np.concatenate([empty, *(g.mean for g in groups)]),
        np.concatenate([empty, *(g.var for g in groups)]),
    )
    matters = (whole.probs > 0) & ((whole.mean != 0) | (whole.var > 0))
    things = Things(whole.probs[matters], whole.mean[matters], whole.var[matters])
    if things.certain and (things.mean >= 0).all():
        counted = bool((things.mean == np.floor(things.mean)).all())
        step = float(np.gcd.reduce(things.mean.astype(np.int64))) if counted else 1.0
        if step > 1:
            finer = Things(things.probs, things.mean / step, things.var)
            return scaled(_one([finer]), step)
        unsure = things.probs < 1
        if int(unsure.sum()) <= FEW:
            return _enumerated(things, unsure)
        reach = float(things.mean.sum())
        if counted and reach < LATTICE and reach * unsure.sum() <= 2 * WORK:
            return _on_lattice(things, int(reach))
        return _by_series(things, counted)
    return _by_series(things, whole=False)


def _enumerated(things: Things, unsure: NDArray[np.bool_]) -> Distribution:
    """Return the mixture of points over all subsets of the uncertain members."""
    values, probs = np.array([things.mean[~unsure].sum()]), np.ones(1)
    for value, prob in zip(things.mean[unsure], things.probs[unsure], strict=True):
        values = np.concatenate([values, values + value])
        probs = np.concatenate([probs * (1 - prob), probs * prob])
    if (values == np.floor(values)).all() and values.max() < LATTICE:
        return PmfTable(0, np.bincount(values.astype(np.int64), probs), method="enumeration")
    places, index = np.unique(values, return_inverse=True)
    weights = np.bincount(index, probs)
    if len(places) == 1:
        return Point(float(places[0]))
    return Mixture(weights, tuple(Point(float(place)) for place in places))


def _on_lattice(things: Things, reach: int) -> PmfTable:
    size = scipy.fft.next_fast_len(reach + 1, real=True)
    t = 2 * np.pi / size * np.arange(size // 2 + 1)
    waves = np.exp(_log_transform(things, t))
    probs = np.maximum(scipy.fft.irfft(np.conj(waves), size)[: reach + 1], 0.0)
    return PmfTable(0, probs / probs.sum(), error=1e-15 * len(probs) + 1e-14, method="lattice")


def _log_transform(things: Things, t: NDArray[np.floating]) -> Complexes:
    """Return the logarithm of the characteristic function at frequencies (J,)."""
    logs = np.zeros(len(t), complex)
    step = max(1, int(1e5 // max(len(t), 1)))
    for start in range(0, len(things.probs), step):
        rows = slice(start, start + step)
        phase = np.multiply.outer(things.mean[rows], 1j * t)
        if things.var[rows].any():
            phase = phase - np.multiply.outer(things.var[rows] / 2, t * t)
        factors = 1 + things.probs[rows, None] * (np.exp(phase) - 1)
        factors = np.where(np.abs(factors) < 1e-300, 1e-300, factors)
        logs += np.log(factors).sum(0)
    return logs


def _by_series(things: Things, whole: bool) -> SeriesTotal:
    low, high = _ends(things)
    zero = float(np.exp(np.log1p(-np.minimum(things.probs, 1 - 1e-16)).sum()))
    zero = zero if zero > 1e-12 else 0.0
    start = SeriesTotal(low, high, np.zeros(1), zero, things.moments(), whole, 1.0, "cosine series")
    if len(things.probs) > DIRECT:
        return _from_cumulants(things, start)
    return _doubled(start, things)


def _ends(things: Things) -> tuple[float, float]:
    """Return an interval that holds all but 2e-10 (Bernstein for what one thing can bring)."""
    mean, var = things.moments()
    most = float((np.abs(things.mean) + 8 * np.sqrt(things.var)).max())
    level = np.log(2 / TAIL)
    reach = most * level / 3 + np.sqrt((most * level / 3) ** 2 + 2 * level * var)
    slack = 8 * np.sqrt(things.var)
    least = float(np.minimum(things.mean - slack, 0).sum())
    top = float(np.maximum(things.mean + slack, 0).sum())
    low, high = max(mean - reach, least), min(mean + reach, top)
    margin = 1.0 + 1e-9 * abs(high) if not things.var.any() else 1e-6 * (high - low)
    return float(np.floor(low - margin)) + 0.5, float(np.ceil(high + margin)) + 0.5


def _coefficients(logs: Complexes, omega: NDArray[np.floating], part: SeriesTotal) -> Floats:
    moved = np.exp(logs - 1j * omega * part.low) - part.zero * np.exp(-1j * omega * part.low)
    return np.asarray(2 / (part.high - part.low) * moved.real)


def _doubled(start: SeriesTotal, things: Things) -> SeriesTotal:
    """Add terms until twice the last change is small, or all frequencies of a lattice are in."""
    width = start.high - start.low
    points = np.linspace(start.low, start.high, 257)
    coefficients, last, current = np.zeros(0), None, start
    for limit in TERMS:
        terms = min(limit, int(width)) if start.whole else limit
        if terms <= len(coefficients) or (
            last is not None and len(things.probs) * terms > 4 * WORK
        ):
            break
        omega = np.arange(len(coefficients), terms) * (np.pi / width)
        more = _coefficients(_log_transform(things, omega), omega, start)
        coefficients = np.concatenate([coefficients, more])
        current = replace(current, series=coefficients)
        values = current.cdf(points)
        if last is not None:
            error = 2 * float(np.abs(values - last).max()) + 2 * TAIL
            current = replace(current, error=error)
            if error <= WANTED:
                break
        last = values
    return current


def _from_cumulants(things: Things, start: SeriesTotal) -> SeriesTotal:
    """Return the series whose coefficients come from six cumulants of the sum."""
    kappa = cumulants(things.probs, things.mean, things.var)
    width, var = start.high - start.low, start.moments[1]
    top = int(np.ceil(9 / np.sqrt(var) * width / np.pi)) + 1
    omega = np.arange(top) * (np.pi / width)
    logs = expansion(kappa, omega)
    nodes, weights = np.polynomial.legendre.leggauss(CHECKS)
    probe = (nodes + 1) / 2 * omega[-1]
    off = np.exp(expansion(kappa, probe)) - np.exp(_log_transform(things, probe))
    left_out = float((np.abs(off) / probe) @ weights) * omega[-1] / 2 / np.pi
    error = 2 * left_out + 2 * TAIL + 1e-12
    if things.certain:
        error += _between_lattice(things, omega[-1]) if start.whole else _roughness(things, var)
    series = _coefficients(logs, omega, start)
    return replace(start, series=series, error=float(error), method="cumulants, cosine series")


def _roughness(things: Things, var: float) -> float:
    """Return the size of the steps of a sum of plain numbers: one thing moved at most."""
    return float(np.abs(things.mean).max() / np.sqrt(2 * np.pi * var))


def _between_lattice(things: Things, cut: float) -> float:
    """Return what the frequencies beyond the cut hold, for whole values.

    |phi(t)| is at most exp(-sum p (1 - p) (1 - cos(t value))), a sum over all things that one
    discrete transform gives for all t.
    """
    top = int(things.mean.max())
    if top > WORK / 8:
        return _roughness(things, things.moments()[1])
    size = scipy.fft.next_fast_len(8 * top + 8, real=True)
    weights = np.bincount(things.mean.astype(np.int64), things.probs * (1 - things.probs))
    decay = weights.sum() - scipy.fft.rfft(weights, size).real
    t = 2 * np.pi / size * np.arange(1, size // 2 + 1)
    beyond = np.exp(-np.maximum(decay[1:], 0.0)) / (2 * np.sin(t / 2))
    return float(2 / size * beyond[t > cut].sum())
