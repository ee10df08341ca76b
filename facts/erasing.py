"""Erasing an entity's content from the fact file.

The file is written anew without the content and then put in the place of the old one, so nothing of
it stays in unused blocks, and a crash leaves either the old or the new file. Rows stay as empty
rows: their source, their event's id under a keyed hash (a late duplicate must not bring the content
back), operation, transaction and recorded time. A last row, the tombstone, names the reason and the
digests of the changed transactions before and after, so the hash chain still holds.
"""

import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from facts import chain, derived, stated
from facts.entitykey import EntityKeys
from facts.layout import CREATE, ERASE, LOG, LOG_COLUMNS, QUARANTINE, RETRACT
from facts.memory import ERASED, erased_name
from facts.rollup import RollUp

ALL = ", ".join(LOG_COLUMNS)
KEPT = ("seq", "tx", "recorded_at", "op", "source", "attribute", "refers_source", "chain")


@dataclass(frozen=True, slots=True)
class Wipe:
    """An erasure made ready: the changed rows, the tombstone, the name in the entity's place."""

    token: str
    erased: int
    transactions: tuple[int, ...]
    changed: pa.Table
    tombstone: pa.Table
    secret: str


def prepare(
    con: duckdb.DuckDBPyConnection,
    entity: str,
    reason: str,
    at: tuple[int, int, int, bytes],
) -> Wipe | None:
    """Return the erasure of an entity, or None where the log holds nothing of it.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        The file's connection.
    entity, reason : str
        Whose content goes, and why (kept in the tombstone).
    at : tuple of (seq, tx, recorded_us, previous chain hash)
        Where the tombstone goes.
    """
    keys = con.execute(
        "SELECT DISTINCT source, id FROM log WHERE entity = ? AND op <= ?", [entity, RETRACT]
    ).fetchall()
    raw = _mentions(con, entity)
    if not keys and not raw:
        return None
    found = con.execute("SELECT value FROM meta WHERE key = 'secret'").fetchall()
    secret = found[0][0] if found else secrets.token_hex(32)
    names = {(s, i): erased_name(secret, s, i) for s, i in keys if not i.startswith(ERASED)}
    token = ERASED + secrets.token_hex(8)
    touched = con.execute(
        "SELECT DISTINCT tx FROM log WHERE entity = ? OR seq IN (SELECT unnest(?))"
        " OR refers_id IN (SELECT unnest(?))",
        [entity, sorted(raw), [i for _, i in names]],
    ).fetchall()
    transactions = tuple(sorted(row[0] for row in touched))
    before = (
        con.sql(
            f"SELECT {ALL} FROM log WHERE tx IN (SELECT unnest(?)) ORDER BY seq",  # noqa: S608
            params=[list(transactions)],
        )
        .to_arrow_table()
        .cast(LOG)
    )
    rows = [_blank(row, entity, names, raw, token) for row in before.to_pylist()]
    after = pa.Table.from_pylist(rows, schema=LOG)
    erased = sum(a != b for a, b in zip(rows, before.to_pylist(), strict=True))
    marks = _marks(before, after)
    tombstone = _tombstone(token, reason, marks, at)
    return Wipe(token, erased, tuple(m[0] for m in marks), after, tombstone, secret)


def _mentions(con: duckdb.DuckDBPyConnection, entity: str) -> set[int]:
    """Return the quarantined rows whose bytes or reason mention an entity."""
    words = [word.encode() for word in _spellings(entity)]
    found = " OR ".join(["contains(hex(raw), hex(?::BLOB))"] * len(words))
    rows = con.execute(
        "SELECT seq, raw, text FROM log WHERE op = ? AND raw IS NOT NULL"  # noqa: S608 marks
        f" AND (contains(text, ?) OR {found})",
        [QUARANTINE, entity, *words],
    ).fetchall()
    return {
        seq
        for seq, raw, text in rows
        if entity in (text or "") or any(word in bytes(raw) for word in words)
    }


def _spellings(entity: str) -> list[str]:
    """Return how a name may be written in JSON: as it is, and with escapes."""
    plain = json.dumps(entity, ensure_ascii=False)[1:-1]
    escaped = json.dumps(entity)[1:-1]
    upper = re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), escaped)
    found = [entity, plain, escaped, upper]
    return sorted({*found, *(text.replace("/", "\\/") for text in found)})


def _blank(
    row: dict[str, Any],
    entity: str,
    names: dict[tuple[str, str], str],
    bad: set[int],
    token: str,
) -> dict[str, Any]:
    """Return a row without the entity's content, and with erased events under their new names."""
    out = dict(row)
    refers = (row["refers_source"], row["refers_id"])
    out["refers_id"] = names.get(refers, row["refers_id"])
    if row["seq"] in bad:
        return {**out, "raw": None, "text": "erased", "id": None}
    if row["entity"] != entity or row["op"] > RETRACT:
        return out
    kept = {name: out[name] if name in KEPT else None for name in LOG_COLUMNS}
    kept["refers_id"] = out["refers_id"]
    kept["id"] = names.get((row["source"], row["id"]), row["id"])
    kept["entity"] = token
    return kept


def _marks(before: pa.Table, after: pa.Table) -> list[tuple[int, str, str]]:
    """Return each changed transaction with its digests before and after."""
    found = []
    tx: Any = before.column("tx").to_pylist()
    start = 0
    for end in range(1, len(tx) + 1):
        if end == len(tx) or tx[end] != tx[start]:
            old = chain.digest_table(before.slice(start, end - start).combine_chunks())
            new = chain.digest_table(after.slice(start, end - start).combine_chunks())
            if old != new:
                found.append((tx[start], old.hex(), new.hex()))
            start = end
    return found


def _tombstone(
    token: str, reason: str, marks: list[tuple[int, str, str]], at: tuple[int, int, int, bytes]
) -> pa.Table:
    seq, tx, recorded_us, previous = at
    row: dict[str, Any] = dict.fromkeys(LOG_COLUMNS)
    row |= {"seq": seq, "tx": tx, "op": ERASE, "entity": token}
    row |= {"text": reason, "extra": json.dumps({"changed": marks})}
    table = pa.Table.from_pylist([row], schema=LOG)
    when = pa.array([recorded_us], pa.int64()).cast(pa.timestamp("us"))
    table = table.set_column(LOG.get_field_index("recorded_at"), LOG.field("recorded_at"), when)
    head = chain.link(previous, tx, recorded_us, 1, chain.digest_table(table))
    at_chain = LOG.get_field_index("chain")
    return table.set_column(at_chain, LOG.field("chain"), pa.array([head], pa.binary()))


def rewrite(path: Path, wipe: Wipe, keys: EntityKeys) -> None:
    """Write the closed file anew with the changed rows and the tombstone, and put it in place."""
    fresh = path.with_name(f".{path.name}.erasing")
    for leftover in (fresh, Path(f"{fresh}.wal")):
        leftover.unlink(missing_ok=True)
    con = duckdb.connect(":memory:")
    try:
        for name, place, mode in (("old", path, " (READ_ONLY)"), ("new", fresh, "")):
            quoted = str(place).replace("'", "''")
            con.execute(f"ATTACH '{quoted}' AS {name}{mode}")
        con.execute("USE new")
        _copy(con, wipe, keys)
        con.execute("USE memory")
        con.execute("DETACH new")
    finally:
        con.close()
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
    Path(f"{path}.wal").unlink(missing_ok=True)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy(con: duckdb.DuckDBPyConnection, wipe: Wipe, keys: EntityKeys) -> None:
    for statement in CREATE:
        con.execute(statement)
    for table in ("rollups", "meta"):
        con.execute(f"INSERT INTO {table} SELECT * FROM old.main.{table}")  # noqa: S608 constants
    con.execute("DELETE FROM meta WHERE key = 'secret'")
    con.execute("INSERT INTO meta VALUES ('secret', ?)", [wipe.secret])
    stated.pin(con)
    fresh = pa.concat_tables([wipe.changed, wipe.tombstone])
    ekeys = pa.array(keys.many(fresh.column("entity")), pa.uint64())
    con.register("fresh", fresh.append_column("ekey", ekeys))
    con.execute(
        f"INSERT INTO log SELECT {ALL}, ekey FROM old.main.log"  # noqa: S608 constants
        " WHERE seq NOT IN (SELECT seq FROM fresh)"
        f" UNION ALL SELECT {ALL}, ekey FROM fresh ORDER BY seq"
    )
    con.unregister("fresh")
    rollups = con.execute("SELECT name, attribute, bucket, dimension FROM rollups").fetchall()
    derived.compute(con, [RollUp(*row) for row in rollups])
    con.execute("CHECKPOINT new")
