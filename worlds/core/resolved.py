"""The worlds of an outcome as arrays, grouped by what is resolved. Shared by explain and decide."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Distribution, Floats, Mixture
from worlds.core.outcome import Outcome, World
from worlds.core.questions import shown
from worlds.errors import QuestionError, UnknownNameError, WeightError

ABSENT = "-"
"""Option of a choice that a world does not have."""

NOT_BY_WORLD = (
    "the answer was not computed world by world: its choices count as inside the worlds; "
    "condition on some of them to see what they do"
)

type Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Resolution:
    """Which worlds remain when choices are resolved.

    Parameters
    ----------
    worlds
        The worlds with a positive weight.
    weights
        Array (W,): their weights, scaled to sum to 1.
    """

    worlds: tuple[World, ...]
    weights: Floats

    @classmethod
    def of(cls, outcome: Outcome) -> "Resolution":
        """Return the worlds of an outcome.

        An outcome that was not computed world by world is one world without choices.

        Raises
        ------
        WeightError
            If no world has a positive weight.
        """
        if getattr(outcome, "whole", None) is not None:
            return cls((World({}, 1.0, outcome.mixture, {}),), np.ones(1))
        alive = tuple(world for world in outcome.worlds if world.weight > 0)
        weights = np.array([world.weight for world in alive])
        total = float(weights.sum())
        if not alive or not np.isfinite(total):
            raise WeightError("the answer", total)
        return cls(alive, weights / total)

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """The names of all choices."""
        return tuple(dict.fromkeys(name for world in self.worlds for name in world.choices))

    @cached_property
    def open(self) -> tuple[str, ...]:
        """The names of the choices that have more than one option left."""
        return tuple(name for name in self.choices if len(self.options(name)) > 1)

    def options(self, name: str) -> tuple[str, ...]:
        """Return the options of a choice, in the order of the worlds.

        Raises
        ------
        UnknownNameError
            If there is no such choice.
        """
        return self._coded(name)[0]

    def mask(self, name: str, option: str) -> NDArray[np.bool_]:
        """Return array (W,): in which worlds the choice takes the option.

        Raises
        ------
        UnknownNameError
            If there is no such choice or option.
        """
        options, codes = self._coded(name)
        if option not in options:
            raise UnknownNameError(f"option of {name}", option, options)
        return np.asarray(codes == options.index(option))

    @cached_property
    def _codes(self) -> dict[str, tuple[tuple[str, ...], Codes]]:
        coded = {}
        for name in self.choices:
            values = [world.choices.get(name, ABSENT) for world in self.worlds]
            place = {option: i for i, option in enumerate(dict.fromkeys(values))}
            coded[name] = tuple(place), np.array([place[value] for value in values])
        return coded

    def _coded(self, name: str) -> tuple[tuple[str, ...], Codes]:
        if name not in self._codes:
            raise UnknownNameError("choice", name, self.choices)
        return self._codes[name]

    def groups(self, names: Iterable[str]) -> Codes:
        """Return array (W,): the same number for worlds that agree on all these choices."""
        key = np.zeros(len(self.worlds), np.int64)
        for name in names:
            options, codes = self._coded(name)
            key = np.unique(key * len(options) + codes, return_inverse=True)[1]
        return key

    def between(self, centres: Floats, names: Iterable[str]) -> float:
        """Return the variance of the mean given these choices.

        Parameters
        ----------
        centres
            Array (W,): the mean in every world.
        """
        mean = float(self.weights @ centres)
        groups = self.groups(names)
        mass = np.bincount(groups, self.weights)
        pull = np.bincount(groups, self.weights * (centres - mean))
        return float(np.sum(pull**2 / mass))


def group_quantile(found: Resolution, weights: Floats, level: float) -> float:
    """Return a quantile of the mixture of the worlds under other weights."""
    kept = [w for w in weights.tolist() if w > 0]
    parts: list[Distribution] = [
        world.outcome for world, w in zip(found.worlds, weights, strict=True) if w > 0
    ]
    mixed = parts[0] if len(parts) == 1 else Mixture(np.array(kept), tuple(parts))
    return float(mixed.quantile(level))


def missing(outcome: Outcome) -> float:
    """Return the probability of worlds that the outcome leaves out."""
    return 0.0 if note(outcome) else float(getattr(outcome, "missing", 0.0))


def note(outcome: Outcome) -> str:
    """Return what must be said of an outcome that was not computed world by world."""
    return NOT_BY_WORLD if getattr(outcome, "whole", None) is not None else ""


LARGEST_FLOAT = float(np.finfo(float).max)


def check_amount(label: str, value: object, *, highest: float = np.inf) -> float:
    """Return a number >= 0 that is finite and at most `highest`.

    Raises
    ------
    QuestionError
        If it is anything else.
    """
    usable = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not usable or not 0 <= value <= min(highest, LARGEST_FLOAT):  # type: ignore[operator]
        bound = f" and at most {highest:g}" if np.isfinite(highest) else ""
        msg = f"{label} must be a finite number >= 0{bound}; got {shown(value)}"
        raise QuestionError(msg)
    return float(value)  # type: ignore[arg-type]
