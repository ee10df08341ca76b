"""The tables that follow from the log: rebuilding them, and checking that they do follow."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from facts import stated
from facts.entitykey import EntityKeys
from facts.force import Standing
from facts.memory import all_references, replay
from facts.rollup import NEEDED, RollUp, condition, deltas, totals

Steps = dict[tuple[int, Any], int]


def computed_steps(con: duckdb.DuckDBPyConnection) -> Steps:
    """Return the changes of visibility that the log implies: (seq, recorded_at) to step.

    Rows whose content was erased are hidden from the moment they were recorded.
    """
    found: Steps = defaultdict(int)
    for seq, when, step in replay(all_references(con), Standing()):
        found[seq, when] += step
    erased = con.execute(
        "SELECT seq, recorded_at FROM log WHERE op <= 1 AND kind IS NULL"
    ).fetchall()
    for seq, when in erased:
        found[seq, when] += 1
    return {key: step for key, step in found.items() if step}


def stored_steps(con: duckdb.DuckDBPyConnection) -> Steps:
    """Return the changes of visibility that the file holds."""
    rows = con.execute(
        "SELECT seq, recorded_at, sum(step)::BIGINT FROM shadow"
        " GROUP BY seq, recorded_at HAVING sum(step) <> 0"
    ).fetchall()
    return {(seq, when): step for seq, when, step in rows}


def computed_deltas(
    con: duckdb.DuckDBPyConnection, rollup: RollUp, steps: Steps
) -> Iterator[pa.Table]:
    """Yield the deltas of a roll-up that the log and the changes of visibility imply."""
    columns = ", ".join(NEEDED)
    where, bound = condition(rollup.attribute)
    batches: Any = con.sql(
        f"SELECT {columns} FROM log WHERE op <= 1 AND {where}",  # noqa: S608 constants
        params=bound or None,
    ).to_arrow_reader(1_000_000)
    for batch in batches:
        table = pa.Table.from_batches([batch])
        yield deltas(rollup, table, np.ones(table.num_rows))
    for when in sorted({w for _, w in steps}):
        sign = {seq: -float(step) for (seq, w), step in steps.items() if w == when}
        rows = con.sql(
            f"SELECT {columns} FROM log WHERE seq IN (SELECT unnest(?))",  # noqa: S608 constants
            params=[list(sign)],
        ).to_arrow_table()
        signs = np.array([sign[s] for s in rows.column("seq").to_pylist()])
        yield deltas(rollup, rows, signs, when)


def fill_rollup(con: duckdb.DuckDBPyConnection, rollup: RollUp) -> None:
    """Write the deltas of a roll-up for everything recorded so far; within a transaction."""
    found = [t for t in computed_deltas(con, rollup, stored_steps(con)) if t.num_rows]
    if found:
        con.from_arrow(pa.concat_tables(found)).insert_into("rollup")


def compute(con: duckdb.DuckDBPyConnection, rollups: list[RollUp]) -> None:
    """Compute the derived tables anew from the log; within a transaction."""
    steps = computed_steps(con)
    con.execute("DELETE FROM shadow")
    con.execute("DELETE FROM rollup")
    if steps:
        columns = {
            "seq": pa.array([seq for seq, _ in steps], pa.int64()),
            "recorded_at": pa.array([when for _, when in steps], pa.timestamp("us")),
            "step": pa.array(list(steps.values()), pa.int8()),
        }
        con.from_arrow(pa.table(columns)).insert_into("shadow")
    for rollup in rollups:
        fill_rollup(con, rollup)


def rebuild(con: duckdb.DuckDBPyConnection, rollups: list[RollUp]) -> None:
    """Compute the derived tables anew from the log, in one transaction."""
    con.execute("BEGIN")
    try:
        compute(con, rollups)
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise


def check(
    con: duckdb.DuckDBPyConnection,
    rollups: list[RollUp],
    last: int,
    keys: EntityKeys,
    broken: str | None,
) -> Iterator[tuple[str, str]]:
    """Yield each table and row that does not follow from the log, and rows that are none of it.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        The writer's connection.
    rollups : list of RollUp
        The declared ones.
    last : int
        The number of the last row.
    keys : EntityKeys
        Gives the key of each entity.
    broken : str, optional
        What the writer found wrong with the log.
    """
    if broken is not None:
        yield "log", f"{broken}: it was changed behind the writer's back"
    for what in stated.changed(con):
        yield what.partition(",")[0], f"{what} was changed behind the writer's back"
    yield from _strange_rows(con, rollups, last)
    yield from _wrong_keys(con, keys)
    expected, found = computed_steps(con), stored_steps(con)
    for seq, when in sorted(expected.keys() | found.keys(), key=str):
        if expected.get((seq, when), 0) != found.get((seq, when), 0):
            yield "shadow", f"row {seq} at {when} does not follow from the log"
    yield from _wrong_sums(con, rollups, expected)


def _strange_rows(
    con: duckdb.DuckDBPyConnection, rollups: list[RollUp], last: int
) -> Iterator[tuple[str, str]]:
    """Yield rows that no read by number or by name would meet."""
    odd = con.execute(
        "SELECT seq, count(*) FROM log GROUP BY seq"
        " HAVING seq IS NULL OR seq < 1 OR seq > ? OR count(*) > 1 ORDER BY seq LIMIT 20",
        [last],
    ).fetchall()
    for seq, count in odd:
        yield "log", f"row {seq} is there {count} times, beside the rows 1 to {last}"
    names = [rollup.name for rollup in rollups]
    strange = con.execute(
        "SELECT DISTINCT name FROM rollup WHERE name IS NULL OR name NOT IN (SELECT unnest(?))"
        " OR bucket IS NULL OR dim IS NULL OR recorded_at IS NULL OR n IS NULL OR total IS NULL"
        " OR squares IS NULL OR sum_var IS NULL",
        [names],
    ).fetchall()
    for (name,) in strange:
        yield "rollup", f"rows of {name!r} belong to no declared roll-up, or are not whole"


def _wrong_keys(con: duckdb.DuckDBPyConnection, keys: EntityKeys) -> Iterator[tuple[str, str]]:
    """Yield rows whose entity could not be found by its key."""
    batches: Any = con.sql("SELECT seq, entity, ekey FROM log").to_arrow_reader(1_000_000)
    for batch in batches:
        if batch.num_rows == 0:
            continue
        stored = batch.column("ekey").fill_null(0).to_numpy()
        wrong = np.flatnonzero(stored != keys.many(batch.column("entity")))
        for seq in batch.column("seq").take(pa.array(wrong[:20])).to_pylist():
            yield "log", f"row {seq} has a key that is not its entity's"


def _wrong_sums(
    con: duckdb.DuckDBPyConnection, rollups: list[RollUp], expected: Steps
) -> Iterator[tuple[str, str]]:
    for rollup in rollups:
        want = totals(list(computed_deltas(con, rollup, expected)))
        kept = con.sql(
            "SELECT * FROM rollup WHERE name = ? AND COLUMNS(*) IS NOT NULL", params=[rollup.name]
        )
        have = totals([kept.to_arrow_table()])
        for key in sorted(want.keys() | have.keys()):
            a, b = np.array(want.get(key, (0.0,) * 4)), np.array(have.get(key, (0.0,) * 4))
            if not np.allclose(a, b, rtol=1e-9, atol=1e-6):
                yield (
                    "rollup",
                    f"{key[0]}, bucket {key[1]}, {key[2]!r} does not follow from the log",
                )
