"""Which worlds of two answers belong together: the same models hold in both.

Both answers keep their own weights. A choice that both leave open takes the same option in both
as often as these weights allow (maximal coupling, choice by choice; Lindvall 1992, I.5); where
they differ, because one answer was conditioned, the rest is paired independently. Choices that
only one answer has are independent of the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worlds.core.outcome import Outcome, World
from worlds.core.resolved import Resolution
from worlds.errors import QuestionError

MOST_PAIRS = 20_000
NEGLIGIBLE = 1e-12
"""Weight in which two answers may differ by rounding."""

type Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A world of each answer that hold together, with the probability of that."""

    a: World
    b: World
    weight: float
    same: bool


def common_choices(a: Resolution, b: Resolution) -> tuple[str, ...]:
    """Return the choices of both that share an option (an intervention shares none)."""
    return tuple(
        name
        for name in a.choices
        if name in b.choices and set(a.options(name)) & set(b.options(name))
    )


def couple(a: Outcome, b: Outcome) -> tuple[Pair, ...]:
    """Return the pairs of worlds of two answers, most probable first; weights sum to 1.

    Raises
    ------
    QuestionError
        If there are more than `MOST_PAIRS` pairs.
    """
    left, right = Resolution.of(a), Resolution.of(b)
    names = common_choices(left, right)
    everything = np.arange(len(left.worlds)), np.arange(len(right.worlds))
    pairs = []
    for i, j, weight, same in _match(left, right, names, everything, 1.0, same=True):
        pairs.append(Pair(left.worlds[i], right.worlds[j], weight, same))
        if len(pairs) > MOST_PAIRS:
            msg = f"the answers have more than {MOST_PAIRS:,} pairs of worlds: condition on models"
            raise QuestionError(msg)
    return tuple(sorted(pairs, key=lambda pair: -pair.weight))


def _match(
    a: Resolution,
    b: Resolution,
    names: Sequence[str],
    places: tuple[Places, Places],
    mass: float,
    *,
    same: bool,
) -> Iterator[tuple[int, int, float, bool]]:
    """Yield world of a, world of b, weight, and whether all common choices agree."""
    here, there = places
    if not names:
        left = a.weights[here] / a.weights[here].sum()
        right = b.weights[there] / b.weights[there].sum()
        for i, x in zip(here.tolist(), left.tolist(), strict=True):
            for j, y in zip(there.tolist(), right.tolist(), strict=True):
                yield i, j, mass * x * y, same
        return
    mine, theirs = _by_option(a, names[0], here), _by_option(b, names[0], there)
    p, q = _shares(a, mine), _shares(b, theirs)
    for first, second, weight in _overlap(p, q):
        next_same = same and first == second
        next_places = mine[first], theirs[second]
        yield from _match(a, b, names[1:], next_places, mass * weight, same=next_same)


def _by_option(found: Resolution, name: str, places: Places) -> dict[str, Places]:
    groups = {option: places[found.mask(name, option)[places]] for option in found.options(name)}
    return {option: group for option, group in groups.items() if len(group)}


def _shares(found: Resolution, groups: Mapping[str, Places]) -> dict[str, float]:
    mass = {option: float(found.weights[group].sum()) for option, group in groups.items()}
    total = sum(mass.values())
    return {option: value / total for option, value in mass.items()}


def _overlap(p: Mapping[str, float], q: Mapping[str, float]) -> Iterator[tuple[str, str, float]]:
    """Yield options of both with their joint probability: equal as often as can be."""
    shared = {option: min(p[option], q[option]) for option in p if option in q}
    rest = 1 - sum(shared.values())
    scale = 1.0 if rest > NEGLIGIBLE else 1 / (1 - rest)
    for option, weight in shared.items():
        yield option, option, weight * scale
    if rest <= NEGLIGIBLE:
        return
    for first, x in p.items():
        for second, y in q.items():
            weight = (x - shared.get(first, 0.0)) * (y - shared.get(second, 0.0)) / rest
            if weight > 0:
                yield first, second, weight
