"""Counts and rates of uncertain members as outcomes: mixtures over the worlds of their choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from worlds.core.distributions import Distribution, Floats, Mixture, PmfTable
from worlds.core.outcome import Outcome, World
from worlds.membership.choices import MOST_WORLDS, Joint, enumerated
from worlds.membership.counting import Tally, joined_tables, tables, tally
from worlds.membership.errors import MembershipError
from worlds.membership.members import Members
from worlds.membership.scaled import scaled

MOST_MIXED_WORLDS = 256
WIDEST = 1 << 24
"""Values a pooled table spans at most; beyond, worlds are asked one by one."""


@dataclass(frozen=True, eq=False)
class Tallied(Outcome):
    """An outcome of whole numbers: its worlds are pooled in one table, so that asking is cheap."""

    factor: float = 1.0

    @cached_property
    def mixture(self) -> Mixture:
        """The mixture over the worlds, as one table where that is possible."""
        weights = np.array([world.weight for world in self.worlds])
        parts = [world.parts["count"] for world in self.worlds]
        tabled = [part for part in parts if isinstance(part, PmfTable)]
        low = min((part.start for part in tabled), default=0)
        high = max((part.start + len(part.probs) for part in tabled), default=0)
        if len(tabled) < len(parts) or high - low > WIDEST or len(parts) == 1:
            return Mixture(weights, tuple(world.outcome for world in self.worlds))
        pooled = np.zeros(high - low)
        for weight, part in zip(weights, tabled, strict=True):
            at = part.start - low
            pooled[at : at + len(part.probs)] += weight * part.probs
        error = float(sum(w * part.error for w, part in zip(weights, tabled, strict=True)))
        table = PmfTable(low, pooled / pooled.sum(), error, self.method)
        return Mixture(np.ones(1), (scaled(table, self.factor),))

    def chance(self, choice: str) -> dict[str, float]:
        """Return the probability of every alternative of a choice that was enumerated.

        Raises
        ------
        MembershipError
            If the choice does not matter for the answer.
        """
        if choice not in self.worlds[0].choices:
            known = ", ".join(sorted(self.worlds[0].choices)) or "none"
            msg = f"no choice {choice!r} decides about this answer; those that do: {known}"
            raise MembershipError(msg)
        chances: dict[str, float] = {}
        for world in self.worlds:
            label = world.choices[choice]
            chances[label] = chances.get(label, 0.0) + world.weight
        return chances

    def per(self, exposure: float, unit: str = "") -> "Tallied":
        """Return the rate per unit of a known exposure (kilometres walked, things looked at).

        Raises
        ------
        MembershipError
            If the exposure is not positive.
        """
        if not 0 < exposure < np.inf:
            msg = f"an exposure must be positive; got {exposure!r}"
            raise MembershipError(msg)
        factor = self.factor / exposure
        worlds = tuple(
            replace(world, outcome=scaled(world.parts["count"], factor)) for world in self.worlds
        )
        return Tallied(worlds, unit or f"{self.unit} per unit", factor=factor)


def count(members: Members, *, unit: str = "facts", most_worlds: int = MOST_WORLDS) -> Tallied:
    """Return how many things are members, as a distribution over all possible worlds.

    Parameters
    ----------
    members
        From `members`, `matching` or made by hand.
    unit
        What is counted.
    most_worlds
        Worlds enumerated. Choices beyond are mixed inside the worlds (same distribution of the
        count, fewer worlds to look at).
    """
    groups = [tally(members.probs[rows]) for rows in members.parts()]
    impact = np.array([group.mean for group in groups])
    joint = enumerated(members.choices, members.conditions, impact, most_worlds)
    if joint.mixed and len(joint.worlds) > MOST_MIXED_WORLDS:
        joint = enumerated(members.choices, members.conditions, impact, MOST_MIXED_WORLDS)
    return outcome(joint, with_mixed(tables(groups, joint.active), groups, joint.mixed), unit)


def outcome(joint: Joint, found: Sequence[Distribution], unit: str) -> Tallied:
    """Return the outcome of one distribution per world."""
    worlds = tuple(
        World(choices, float(weight), part, {"count": part})
        for choices, weight, part in zip(joint.worlds, joint.weights, found, strict=True)
    )
    return Tallied(worlds, unit)


def with_mixed(
    found: list[PmfTable], groups: Sequence[Tally], mixed: Mapping[int, float]
) -> list[PmfTable]:
    """Return the tables with the groups added that are left to chance inside every world."""
    if not mixed:
        return found
    alone = tables([groups[i] for i in mixed], np.eye(len(mixed), dtype=bool))
    chance: list[Floats] = []
    for prob, part in zip(mixed.values(), alone, strict=True):
        full = np.zeros(part.start + len(part.probs))
        full[part.start :] = prob * part.probs
        full[0] += 1 - prob
        chance.append(full)
    rest = joined_tables(chance)
    error = float(sum(part.error for part in alone)) + 1e-16 * len(rest)
    return [
        PmfTable(part.start, joined_tables([part.probs, rest]), part.error + error, "choices mixed")
        for part in found
    ]
