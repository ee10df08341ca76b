"""Whether an event that is sent again says the same as what was recorded of it.

A duplicate adds nothing, whatever it says. But a sender who changed the content under the same id
must hear that the change was not taken: the receipt then says in what it differs. What came along
in the envelope (``event`` in ``extra``) may differ from one delivery to the next and is not
compared.
"""

import json
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as arrow_compute
from numpy.typing import NDArray

from facts.events import Event, Receipt
from facts.memory import ERASED
from facts.plan import Plan
from facts.rows import event_table
from facts.values import Cells

pc: Any = arrow_compute  # its annotations do not know chunked arrays
Again = tuple[Receipt, Event, str, int]
VALUE = ("kind", *Cells._fields)
TIMES = ("valid_from", "valid_to")
REFERS = ("refers_source", "refers_id")
COMPARED = ("entity", "op", *VALUE, *TIMES, "choice", *REFERS, "extra")
MOST_NAMED = 5


def tell(con: duckdb.DuckDBPyConnection, plan: Plan, again: Sequence[Again]) -> None:
    """Say on receipts where facts sent again differ from what is recorded, or planned.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        The writer's connection.
    plan : Plan
        What will be recorded.
    again : sequence of (receipt, event, attribute, seq)
        The facts sent again, and the row that holds each.
    """
    found: dict[int, tuple[Receipt, list[str]]] = {}
    for inside in (True, False):
        rows = [row for row in again if (row[3] >= plan.first) is inside]
        if not rows:
            continue
        differ = _planned(plan, rows) if inside else differences(con, [r[1:] for r in rows])
        for at, what in differ.items():
            receipt = rows[at][0]
            found.setdefault(id(receipt), (receipt, []))[1].append(what)
    for receipt, parts in found.values():
        receipt.reason = reason(parts)


def _planned(plan: Plan, rows: Sequence[Again]) -> dict[int, str]:
    names = [attribute for _, _, attribute, _ in rows]
    theirs = event_table([event for _, event, _, _ in rows], names, 0, 0, 0)
    held = [plan.events[seq - plan.first] for _, _, _, seq in rows]
    return compare(theirs, event_table(held, names, 0, 0, 0), names)


def differences(
    con: duckdb.DuckDBPyConnection, said: Sequence[tuple[Event, str, int]]
) -> dict[int, str]:
    """Return in what facts sent again differ from the recorded ones.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        The writer's connection.
    said : sequence of (event, attribute, seq)
        What was sent, and the row that holds it.

    Returns
    -------
    dict of int to str
        For places of ``said`` that differ: the attribute and what differs of it.
    """
    events, names = [e for e, _, _ in said], [a for _, a, _ in said]
    theirs = event_table(events, names, 0, 0, 0)
    seqs = np.array([s for _, _, s in said])
    chosen = ", ".join(("seq", *COMPARED))
    stored = con.sql(
        f"SELECT {chosen} FROM log WHERE seq BETWEEN ? AND ? AND seq IN (SELECT unnest(?))",  # noqa: S608
        params=[int(seqs.min()), int(seqs.max()), seqs],
    ).to_arrow_table()
    order = np.argsort(stored.column("seq").to_numpy())
    at = order[np.searchsorted(stored.column("seq").to_numpy(), seqs, sorter=order)]
    return compare(theirs, stored.take(pa.array(at)), names)


def compare(theirs: pa.Table, ours: pa.Table, names: Sequence[str]) -> dict[int, str]:
    """Return for each row in which two tables differ its attribute and the columns."""
    found: dict[int, list[str]] = {}
    for column in COMPARED:
        for at in _unequal(theirs.column(column), ours.column(column), column):
            word = "value" if column in VALUE else column
            if word not in found.setdefault(at, []):
                found[at].append(word)
    return {at: f"{names[at]} ({', '.join(words)})" for at, words in found.items()}


def _unequal(a: Any, b: Any, name: str) -> list[int]:
    if a.null_count == b.null_count == len(a):
        return []
    b = b.cast(a.type)
    if pa.types.is_list(a.type):
        pairs = zip(a.to_pylist(), b.to_pylist(), strict=True)
        return [i for i, (x, y) in enumerate(pairs) if x != y]
    same = pc.or_kleene(pc.fill_null(pc.equal(a, b), False), pc.and_(pc.is_null(a), pc.is_null(b)))
    odd: NDArray[np.intp] = np.flatnonzero(~same.to_numpy())
    if name == "refers_id":  # an erasure renamed what it refers to
        return [int(i) for i in odd if not str(b[int(i)].as_py()).startswith(ERASED)]
    if name != "extra":
        return [int(i) for i in odd]
    return [int(i) for i in odd if _content(a[int(i)].as_py()) != _content(b[int(i)].as_py())]


def _content(extra: str | None) -> dict[str, Any]:
    kept: dict[str, Any] = {} if extra is None else json.loads(extra)
    return {name: value for name, value in kept.items() if name != "event"}


def reason(parts: Sequence[str]) -> str:
    """Return what the receipt says."""
    named = ", ".join(parts[:MOST_NAMED]) + (" and more" if len(parts) > MOST_NAMED else "")
    return (
        f"known with other content, which stays in force: {named} differs;"
        " to change it, send a correction with an id of its own"
    )
