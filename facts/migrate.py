"""Forward migrations: an older file is brought to this format when it is opened.

Each step goes from one format to the next in one transaction. Format 1 had no
roll-ups, format 2 no entity keys; format 3 did not pin ``meta``, and hid what a correction of a
correction added.
"""

import secrets
from collections.abc import Callable

import duckdb
import pyarrow as pa

from facts import derived, stated
from facts.entitykey import EntityKeys
from facts.layout import CREATE_ROLLUP, FORMAT
from facts.rollup import RollUp

Step = Callable[[duckdb.DuckDBPyConnection], None]


def _add_rollups(con: duckdb.DuckDBPyConnection) -> None:
    for statement in CREATE_ROLLUP:
        con.execute(statement)


def _add_keys(con: duckdb.DuckDBPyConnection) -> None:
    secret = secrets.token_hex(16)
    con.execute("INSERT INTO meta VALUES ('entity_key', ?)", [secret])
    con.execute("ALTER TABLE log ADD COLUMN ekey UBIGINT")
    found = con.sql("SELECT DISTINCT entity FROM log").to_arrow_table()
    keys = EntityKeys(secret).many(found.column("entity"))
    con.register("keyed", found.append_column("key", pa.array(keys, pa.uint64())))
    con.execute("UPDATE log SET ekey = key FROM keyed WHERE keyed.entity = log.entity")
    con.execute("UPDATE log SET ekey = 0 WHERE entity IS NULL")
    con.unregister("keyed")


def _compute_anew(con: duckdb.DuckDBPyConnection) -> None:
    found = con.execute("SELECT name, attribute, bucket, dimension FROM rollups").fetchall()
    derived.compute(con, [RollUp(*row) for row in found])


STEPS: dict[int, Step] = {1: _add_rollups, 2: _add_keys, 3: _compute_anew}


def migrate(con: duckdb.DuckDBPyConnection, version: int) -> None:
    """Bring an open file from ``version`` to the present format, or leave it as it was."""
    con.execute("BEGIN")
    try:
        for at in range(version, FORMAT):
            STEPS[at](con)
        con.execute("UPDATE meta SET value = ? WHERE key = 'format'", [str(FORMAT)])
        stated.pin(con)
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
