"""Checking rows of the log against its hash chain, wherever they lie."""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from facts import chain
from facts.layout import ERASE, LOG_COLUMNS

FEW_ROWS = 200
WORN = LOG_COLUMNS.index("chain")
TIMES = ("recorded_at", "valid_from", "valid_to")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not hold: where, and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class Trail:
    """How far a check has come, and what the erasures say about transactions they changed."""

    seq: int = 0
    tx: int = 0
    recorded_us: int = -(2**62)
    head: bytes = chain.GENESIS
    changed: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    rest: pa.Table | None = None
    rows: int = 0


def tombstones(extras: Iterable[str]) -> dict[int, tuple[bytes, bytes]]:
    """Return the digest before the first and after the last erasure, by transaction."""
    found: dict[int, tuple[bytes, bytes]] = {}
    for extra in extras:
        for tx, before, after in _changes(extra):
            first = found.get(tx, (bytes.fromhex(before), b""))[0]
            found[tx] = (first, bytes.fromhex(after))
    return found


def _changes(extra: str) -> list[tuple[int, str, str]]:
    """Return what a tombstone says; nothing where it was changed, which its own hash shows."""
    try:
        said = [(int(tx), str(a), str(b)) for tx, a, b in json.loads(extra)["changed"]]
        for _, a, b in said:
            bytes.fromhex(a + b)
    except (ValueError, TypeError, KeyError):
        return []
    return said


def erasures_in(table: pa.Table) -> list[str]:
    """Return the ``extra`` of the erasure rows of a table."""
    mask = np.asarray(table.column("op").to_numpy()) == ERASE
    return [x for x in table.column("extra").filter(pa.array(mask)).to_pylist() if x]


def audit(trail: Trail, table: pa.Table, where: str) -> Iterator[Problem]:
    """Check the next rows of the log, given in order; a cut transaction waits for its rest."""
    if trail.rest is not None:
        table = pa.concat_tables([trail.rest, table])
        trail.rest = None
    numbers: Any = table.column("tx")
    tx = numbers.fill_null(0).to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(tx)) + 1).tolist(), len(tx)]
    last_chain = table.column("chain")[-1].as_py() if len(tx) else None
    if last_chain is None and len(tx):
        trail.rest = table.slice(edges[-2])
        edges.pop()
    lists: dict[str, list[Any]] = {}
    for start, end in itertools.pairwise(edges):
        if end - start <= FEW_ROWS and not lists:
            lists = _lists(table)
        yield from _transaction(trail, table, lists, start, end, where)


def finish(trail: Trail, where: str) -> Iterator[Problem]:
    """Report a transaction without its end."""
    if trail.rest is not None:
        tx = trail.rest.column("tx")[0].as_py()
        yield Problem(where, f"transaction {tx} has no chain hash at its end: rows are missing")


def _lists(table: pa.Table) -> dict[str, list[Any]]:
    found = {}
    for name in LOG_COLUMNS:
        column: Any = table.column(name)
        found[name] = (column.cast(pa.int64()) if name in TIMES else column).to_pylist()
    return found


def _transaction(
    trail: Trail, table: pa.Table, lists: dict[str, list[Any]], start: int, end: int, where: str
) -> Iterator[Problem]:
    count = end - start
    if lists and count <= FEW_ROWS:
        columns = [lists[name][start:end] for name in LOG_COLUMNS[:WORN]]
        digest = chain.digest_rows(columns)
        chains = lists["chain"][start:end]
    else:
        part = table.slice(start, count)
        digest = chain.digest_table(part)
        chains = part.column("chain").to_pylist()
    seqs = table.column("seq").slice(start, count).to_numpy()
    tx = table.column("tx")[start].as_py() or 0
    times = _times(table.column("recorded_at").slice(start, count))
    span = f"{where}, transaction {tx} (rows {seqs[0]} to {seqs[-1]})"
    trail.rows += count
    for what in _order(trail, tx, seqs, times, chains):
        yield Problem(span, what)
    before, after = trail.changed.get(tx, (digest, digest))
    head = chain.link(trail.head, tx, int(times[0]), count, before)
    if after != digest or head != chains[-1]:
        yield Problem(span, "its content does not match its hash")
    trail.seq, trail.tx, trail.recorded_us = int(seqs[-1]), tx, int(times[-1])
    trail.head = chains[-1] or head


def _times(column: Any) -> Any:
    return column.cast(pa.int64()).fill_null(-(2**62)).to_numpy()


def _order(trail: Trail, tx: int, seqs: Any, times: Any, chains: list[Any]) -> Iterator[str]:
    if tx != trail.tx + 1:
        yield f"follows transaction {trail.tx}: transactions are missing or out of order"
    if seqs[0] != trail.seq + 1 or np.any(np.diff(seqs) != 1):
        yield f"its rows do not follow row {trail.seq} one by one: rows are missing or moved"
    if times[0] <= trail.recorded_us or np.any(times != times[0]):
        yield "its recorded time does not follow the one before"
    if any(c is not None for c in chains[:-1]):
        yield "carries a chain hash before its end"
