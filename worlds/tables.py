"""Worlds and draws as Arrow tables, data frames and ArviZ trees: the rim of every query."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from worlds.core.outcome import Outcome

type Row = Mapping[str, Any]
type Table = pa.Table


class HasRows(Protocol):
    """Whatever yields one flat row a world."""

    def rows(self) -> Iterable[Row]:
        """Yield the rows."""
        ...


def worlds_table(source: HasRows) -> pa.Table:
    """Return one row a world: its choices, weight, mean, median, interval, method and error."""
    return pa.Table.from_pylist([dict(row) for row in source.rows()])


def draws_table(outcome: Outcome, rng: np.random.Generator, size: int) -> pa.Table:
    """Return draws: the world each comes from (its place in the list), its choices, its value.

    Parameters
    ----------
    rng
        Where the draws come from: the same generator gives the same table.
    size
        Number of draws.
    """
    if outcome.whole is not None:
        columns: dict[str, Any] = {"draw": np.arange(size)}
        return pa.table({**columns, "value": outcome.whole.sample(rng, size)})
    weights = np.array([world.weight for world in outcome.worlds])
    place = rng.choice(len(weights), size=size, p=weights / weights.sum())
    values = np.empty(size)
    for index, world in enumerate(outcome.worlds):
        mine = place == index
        values[mine] = world.outcome.sample(rng, int(mine.sum()))
    choices = {
        name: np.array([str(world.choices.get(name)) for world in outcome.worlds])[place]
        for name in outcome.worlds[0].choices
    }
    return pa.table({"draw": np.arange(size), "world": place, **choices, "value": values})


def datatree(
    outcome: Outcome, name: str, rng: np.random.Generator, *, chains: int, draws: int
) -> Any:
    """Return draws as an ArviZ tree (group ``posterior``) that its plots accept.

    Parameters
    ----------
    name
        Name of the variable.
    chains, draws
        Shape of the draws; they are independent.

    Raises
    ------
    ImportError
        If ArviZ is not installed (extra ``pymc``).
    """
    from arviz_base import from_dict

    values = outcome.sample(rng, chains * draws).reshape(chains, draws)
    return from_dict({"posterior": {name: values}})
