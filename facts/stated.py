"""What the file states about itself, pinned: a hash for each key of ``meta`` and for ``rollups``.

The log is pinned by its hash chain; these two small tables are not part of it. Whoever changes them
through the writer pins them anew in the same transaction; ``changed`` names what was changed
otherwise.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

PIN = "pin"
ROLLUPS = "rollups"


def _hashes(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    held: dict[str, list[object]] = {}
    for key, value in con.execute("SELECT key, value FROM meta").fetchall():
        if key != PIN:
            held.setdefault(f"meta, key {key!r}", []).append(value)
    held[ROLLUPS] = [list(row) for row in con.execute("SELECT * FROM rollups").fetchall()]
    return {
        name: hashlib.sha256(json.dumps(sorted(rows, key=repr)).encode()).hexdigest()
        for name, rows in held.items()
    }


def pin(con: duckdb.DuckDBPyConnection) -> None:
    """Write the hashes of the present content; within a transaction."""
    con.execute("DELETE FROM meta WHERE key = ?", [PIN])
    con.execute("INSERT INTO meta VALUES (?, ?)", [PIN, json.dumps(_hashes(con), sort_keys=True)])


@contextmanager
def pinned(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Run changes of ``meta`` and ``rollups`` in one transaction which pins them anew."""
    con.execute("BEGIN")
    try:
        yield
        pin(con)
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise


def changed(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return which keys of ``meta``, or ``rollups``, were changed behind the writer's back."""
    found = con.execute("SELECT value FROM meta WHERE key = ?", [PIN]).fetchall()
    try:
        (value,) = [row[0] for row in found]
        said = json.loads(value)
    except (ValueError, TypeError):
        said = None
    if not isinstance(said, dict) or ROLLUPS not in said:
        return [f"meta, key {PIN!r}"]
    present = _hashes(con)
    return sorted(k for k in present.keys() | said.keys() if present.get(k) != said.get(k))
