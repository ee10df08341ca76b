"""Worlds and draws as Arrow tables, data frames and ArviZ trees: the rim of every query."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from worlds.answer import Answer
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


def answer_tables(answer: Answer, rng: np.random.Generator, draws: int) -> dict[str, pa.Table]:
    """Return an answer as tables that can be asked in SQL.

    ``worlds`` has a row a world (``world`` is its place), ``draws`` a row a draw; ``periods`` and
    ``groups`` are there where they were asked for.
    """
    content = answer.to_dict()
    found = {"worlds": list(world_rows(content))}
    for name, part in (("periods", "periods"), ("groups", "groups")):
        if part in content:
            found[name] = [_flat(row) for row in content[part]["rows"]]
    tables = {name: pa.Table.from_pylist(_numbered(name, rows)) for name, rows in found.items()}
    return {**tables, "draws": draws_table(answer.outcome, rng, draws)}


def world_rows(content: Row) -> Iterator[dict[str, Any]]:
    """Yield one flat row a world of the JSON form of an answer."""
    for world in content["worlds"]:
        ends = {"low": world["interval"]["low"], "high": world["interval"]["high"]}
        flat = {k: v for k, v in world.items() if k not in {"choices", "interval"}}
        yield {**world["choices"], **flat, **ends}


def _flat(row: Row) -> dict[str, Any]:
    """Return a group or a period without lists: the first interval, the chance of the threshold."""
    kept = {k: v for k, v in row.items() if not isinstance(v, list | dict)}
    first, above = row["intervals"][0], row["exceedance"]
    prob = None if above is None else above["prob"]
    return {**kept, "low": first["low"], "high": first["high"], "exceedance": prob}


def _numbered(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name.removesuffix("s"): place, **row} for place, row in enumerate(rows)]


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
