"""The models of one quantity together: what each of them, and all of them, say of one thing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Distribution, Mixture
from worlds.core.features import Features
from worlds.core.forms import LogLinear, SizeForm
from worlds.core.forms.forest import Forest
from worlds.core.forms.stack import Stack, Stacked, together
from worlds.core.lattice import ERROR, METHOD, CdfTable
from worlds.watch.containment import check, fault_of

type Sized = tuple[str, float, SizeForm]
"""Model, weight, form."""
type Parts = Sequence[tuple[str, float, Distribution]]
"""Model, weight, and what it says."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Models that are evaluated together."""

    models: tuple[Sized, ...]
    stack: Stack
    weights: NDArray[np.float32]
    forests: tuple[tuple[str, float, Forest], ...] = ()


@dataclass(frozen=True, eq=False)
class Said:
    """What the models of a pool say of one thing.

    Parameters
    ----------
    unseen
        Labels and numbers that some model has not met, sorted.
    groups
        Models that were evaluated together, and what they say.
    others
        What the others say.
    """

    unseen: tuple[str, ...]
    groups: Sequence[tuple[_Group, Stacked]]
    others: Parts = field(default=())

    @cached_property
    def parts(self) -> Parts:
        """What every model says."""
        found = list(self.others)
        for group, stacked in self.groups:
            models = zip(group.models, stacked.tables(), strict=True)
            found += [(name, weight, table) for (name, weight, _), table in models]
        return found

    @cached_property
    def values(self) -> NDArray[np.floating] | None:
        """The cumulative probabilities of the mixture on the grid; None if some model has none."""
        values: NDArray[np.floating] | None = None
        for group, stacked in self.groups:
            one = stacked.mixed(group.weights)
            values = one if values is None else values + one
        for _, weight, part in self.others:
            if type(part) is not CdfTable:
                return None
            values = weight * part.values if values is None else values + weight * part.values
        return values

    @property
    def sure(self) -> bool:
        """Whether the mixture is a distribution by the way it is computed."""
        return not self.others

    @cached_property
    def mean(self) -> float:
        """The mean of the mixture."""
        mean = 0.0
        for group, stacked in self.groups:
            for (_, weight, _), one in zip(group.models, stacked.means_of(), strict=True):
                mean += weight * one
        return mean + sum(weight * part.mean() for _, weight, part in self.others)

    @cached_property
    def mixture(self) -> Distribution:
        """The mixture of the models."""
        return mix(self.parts)

    @property
    def method(self) -> str:
        """How it was computed."""
        return METHOD if self.groups else str(getattr(self.others[0][2], "method", "exact"))

    @property
    def error(self) -> float:
        """Bound on the error of a cumulative probability."""
        errors = [getattr(part, "error", 0.0) for _, _, part in self.others]
        return float(max([*errors, ERROR] if self.groups else errors))


class Pool:
    """Models of sizes with their weights.

    Parameters
    ----------
    quantity
        Its name.
    sizes
        The models; their weights sum to 1.
    """

    def __init__(self, quantity: str, sizes: Sequence[Sized]) -> None:
        self.quantity = quantity
        linear = [(one, one[2]) for one in sizes if isinstance(one[2], LogLinear)]
        forests = tuple((one[0], one[1], one[2]) for one in sizes if isinstance(one[2], Forest))
        self._groups = []
        stacks = list(together([form for _, form in linear]))
        for places in stacks or ([[]] if forests else []):
            models = tuple(linear[k][0] for k in places)
            weights = np.array([[weight] for _, weight, _ in models], np.float32)
            stack = Stack([linear[k][1] for k in places], [form.base for _, _, form in forests])
            self._groups.append(_Group(models, stack, weights, forests))
            forests = ()
        inside = {name for group in self._groups for name, _, _ in (*group.models, *group.forests)}
        self._others = tuple(one for one in sizes if one[0] not in inside)

    def of(self, features: Features, at: datetime | None = None) -> Said:
        """Return what the models say of one thing.

        Raises
        ------
        ModelFaultError
            If a model raised, or took too long.
        """
        unseen: set[str] = set()
        groups = []
        others: list[tuple[str, float, Distribution]] = []
        for group in self._groups:
            try:
                stacked = group.stack.of(features, at, unseen)
                for (name, weight, forest), parts in zip(
                    group.forests, stacked.carried, strict=True
                ):
                    others.append((name, weight, forest.around(features, parts)))
            except Exception:  # which of them is to blame is looked for only now
                for one in (*group.models, *group.forests):
                    self._ask(one, features, at, unseen)
                raise
            if group.models:
                groups.append((group, stacked))
        others += [(one[0], one[1], self._ask(one, features, at, unseen)) for one in self._others]
        return Said(tuple(sorted(unseen)), groups, others)

    def _ask(
        self, one: Sized, features: Features, at: datetime | None, unseen: set[str]
    ) -> Distribution:
        name, _, form = one
        try:
            unseen.update(form.surprises(features))
            return form.quick(features, at)
        except Exception as error:  # a model is anybody's code: it fails by itself
            raise fault_of(self.quantity, name, error) from error

    def blame(self, said: Said) -> None:
        """Raise the fault of the first model whose forecast is no distribution.

        Raises
        ------
        ModelFaultError
            If there is one.
        """
        for name, _, part in said.parts:
            try:
                check(part)
            except Exception as error:  # as above
                raise fault_of(self.quantity, name, error) from error


def mix(parts: Parts) -> Distribution:
    """Return the mixture; tables on the common grid are added up."""
    tables = [(weight, table) for _, weight, table in parts if type(table) is CdfTable]
    if len(tables) == len(parts):
        mean = square = 0.0
        values = tables[0][0] * tables[0][1].values
        for weight, table in tables[1:]:
            values += weight * table.values
        for weight, table in tables:
            first, variance = table.moments
            mean += weight * first
            square += weight * (variance + first**2)
        return CdfTable(values, (mean, square - mean**2), tables[0][1].error)
    weights = np.array([weight for _, weight, _ in parts])
    return Mixture(weights, tuple(table for _, _, table in parts))
