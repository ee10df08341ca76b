"""Forward migrations: an older file is brought to this format when it is opened.

Each step goes from one format to the next in one transaction. Format 1 had no roll-ups.
"""

from collections.abc import Callable

import duckdb

from facts.layout import CREATE_ROLLUP, FORMAT

Step = Callable[[duckdb.DuckDBPyConnection], None]


def _add_rollups(con: duckdb.DuckDBPyConnection) -> None:
    for statement in CREATE_ROLLUP:
        con.execute(statement)


STEPS: dict[int, Step] = {1: _add_rollups}


def migrate(con: duckdb.DuckDBPyConnection, version: int) -> None:
    """Bring an open file from ``version`` to the present format, or leave it as it was."""
    con.execute("BEGIN")
    try:
        for at in range(version, FORMAT):
            STEPS[at](con)
        con.execute("UPDATE meta SET value = ? WHERE key = 'format'", [str(FORMAT)])
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
