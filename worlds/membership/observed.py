"""What an observed number says about shared choices: Bayes over the worlds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from worlds.core.distributions import Distribution, Floats, PmfTable
from worlds.core.outcome import World
from worlds.core.questions import OPERATORS, Comparison
from worlds.errors import ImpossibleError
from worlds.membership.counts import Tallied
from worlds.membership.errors import MembershipError


@dataclass(frozen=True, slots=True)
class Seen:
    """A number of members somebody counted, with the standard error of the counting (0: exact)."""

    count: float
    sd: float = 0.0

    def likelihood(self, numbers: Floats) -> Floats:
        """Return the likelihood of every true number, up to a factor."""
        if self.sd == 0:
            return np.asarray(numbers == self.count, float)
        return np.asarray(np.exp(-0.5 * ((numbers - self.count) / self.sd) ** 2))


def given(answer: Tallied, *observations: Seen | Comparison | str | int) -> Tallied:
    """Return the outcome given what was observed of its count.

    Worlds are weighed anew by how probable they made the observations, and the count inside
    every world is conditioned on them.

    Parameters
    ----------
    answer
        From `worlds.membership.count`.
    observations
        The number counted, a comparison such as ``"> 300"``, or `Seen` with an error.

    Raises
    ------
    ImpossibleError
        If no world allows what was observed.
    """
    if answer.factor != 1:
        msg = "condition the count first, and make a rate of it then"
        raise MembershipError(msg)
    checks = [_read(raw) for raw in observations]
    worlds = [_conditioned(world, checks) for world in answer.worlds]
    alive = [world for world in worlds if world.weight > 0]
    total = sum(world.weight for world in alive)
    if not total > 0:
        raise ImpossibleError(" and ".join(map(str, observations)))
    kept = tuple(replace(world, weight=world.weight / total) for world in alive)
    return Tallied(kept, answer.unit)


def _read(raw: Seen | Comparison | str | int) -> Seen | Comparison:
    if isinstance(raw, Seen | Comparison):
        return raw
    return Comparison.parse(raw) if isinstance(raw, str) else Seen(float(raw))


def _conditioned(world: World, checks: Sequence[Seen | Comparison]) -> World:
    part: Distribution = world.parts["count"]
    if not isinstance(part, PmfTable):
        msg = f"only counts can be conditioned; this world holds a {type(part).__name__}"
        raise MembershipError(msg)
    numbers = part.start + np.arange(len(part.probs), dtype=float)
    probs = part.probs.copy()
    for check in checks:
        probs *= _fulfils(check, numbers)
    total = float(probs.sum())
    if not total > max(part.error, 1e-300):
        return replace(world, weight=0.0)
    error = min(1.0, 2 * part.error / total)
    table = PmfTable(part.start, probs / total, error, part.method)
    return replace(world, weight=world.weight * total, outcome=table, parts={"count": table})


def _fulfils(check: Seen | Comparison, numbers: Floats) -> Floats:
    if isinstance(check, Seen):
        return check.likelihood(numbers)
    return np.asarray(OPERATORS[check.sign](numbers, check.value), float)  # type: ignore[arg-type]
