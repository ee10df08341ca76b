"""Which worlds there are: the most probable ones first, the missing probability stated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats

type Index = NDArray[np.unsignedinteger]

MOST = 1 << 20
"""Most worlds listed at once."""


@dataclass(frozen=True, eq=False)
class Listed:
    """The most probable worlds.

    Parameters
    ----------
    names
        The choices.
    options
        Names of the options of every choice.
    index
        Array (choices, worlds): which option holds in which world.
    weights
        Array (worlds,): probability of every world, highest first.
    missing
        Probability of all worlds that are not listed.
    """

    names: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    index: Index
    weights: Floats
    missing: float

    def chosen(self, world: int) -> dict[str, str]:
        """Return the option of every choice in one world."""
        return {
            name: options[int(self.index[place, world])]
            for place, (name, options) in enumerate(zip(self.names, self.options, strict=True))
        }

    def column(self, name: str) -> Index:
        """Return which option of a choice holds in every world."""
        return np.asarray(self.index[self.names.index(name)])


def count(choices: Mapping[str, Mapping[str, float]]) -> int:
    """Return how many worlds have a probability above zero."""
    total = 1
    for weights in choices.values():
        total *= sum(1 for weight in weights.values() if weight > 0)
    return total


def listed(choices: Mapping[str, Mapping[str, float]], most: int = MOST) -> Listed:
    """Return the `most` most probable worlds of independent choices, best first.

    Choices are added one by one; after each the `most` best partial worlds are kept. This is
    exact: a partial world outside the best `most` has that many better ones with the same rest.

    Parameters
    ----------
    choices
        Choice to option to probability.
    most
        Bound on the number of worlds, and so on memory.
    """
    names: list[str] = []
    options: list[tuple[str, ...]] = []
    columns: list[Index] = []
    weights: Floats = np.ones(1)
    for name, table in choices.items():
        alive = [(option, weight) for option, weight in table.items() if weight > 0]
        probs = np.array([weight for _, weight in alive])
        names.append(name)
        options.append(tuple(option for option, _ in alive))
        grown = np.multiply.outer(weights, probs).ravel()
        kind = np.uint8 if len(probs) < 256 else np.uint32
        if len(grown) <= most:
            columns = [np.repeat(column, len(probs)) for column in columns]
            columns.append(np.tile(np.arange(len(probs), dtype=kind), len(weights)))
            weights = grown
            continue
        keep = np.sort(np.argpartition(-grown, most)[:most])
        parent, mine = np.divmod(keep, len(probs))
        columns = [column[parent] for column in columns]
        columns.append(mine.astype(kind))
        weights = grown[keep]
    order = np.argsort(-weights, kind="stable")
    index = np.array([column[order] for column in columns]) if columns else _nothing()
    missing = max(1 - float(weights.sum()), 0.0) if len(weights) >= most else 0.0
    return Listed(tuple(names), tuple(options), index, weights[order], missing)


def _nothing() -> Index:
    return np.zeros((0, 1), np.uint8)


def per_world(found: Listed, by: Sequence[str], table: Mapping[tuple[str, ...], float]) -> Floats:
    """Return a number that depends on some choices, for every world.

    Parameters
    ----------
    by
        The choices it depends on.
    table
        The number for every tuple of their options.
    """
    if len(by) == 1:
        options = found.options[found.names.index(by[0])]
        return np.array([table[(option,)] for option in options]).take(found.column(by[0]))
    shape = tuple(len(found.options[found.names.index(name)]) for name in by)
    values = np.zeros(shape)
    for place in np.ndindex(*shape):
        key = tuple(
            found.options[found.names.index(name)][i] for name, i in zip(by, place, strict=True)
        )
        values[place] = table[key]
    return np.asarray(values[tuple(found.column(name) for name in by)])
