"""Read-only SQL over facts as known at a time."""

import re
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from facts.errors import QueryError
from facts.mark import Mark
from facts.shade import standing

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TAKEN = frozenset({"facts", "log", "shadow", "rollups"})
VISIBLE = (
    "seq, tx, entity, attribute, kind, num, num2, num3, text, labels, probs, nums,"
    " valid_from, valid_to, recorded_at, source, id, choice, extra"
)
NUMBERS = {
    "interval": ("lo", "hi"),
    "normal": ("mean", "sd"),
    "point": ("lat", "lon", "radius95_m"),
}


def run_sql(
    con: duckdb.DuckDBPyConnection,
    query: str,
    params: Sequence[Any],
    known_us: int,
    mark: Mark,
    seconds: float,
    tables: Mapping[str, pa.Table] | None = None,
) -> pa.Table:
    """Run one SELECT with the as-of views in reach; see ``Reader.sql``."""
    text = query.strip().rstrip(";")
    _check_select(con, text)
    beside = _beside(tables or {})
    timer = threading.Timer(seconds, con.interrupt)
    named = _tables(con, text) - set(beside)  # before the transaction: a failure would abort it
    for name, table in beside.items():
        con.register(name, table)
    con.execute("BEGIN TRANSACTION READ ONLY")
    timer.start()
    try:
        views = _views(con, named, known_us, mark)
        found: pa.Table = con.sql(
            f"WITH {views} SELECT * FROM ({text}\n)",  # noqa: S608 checked, and nothing can write
            params=list(params) or None,
        ).to_arrow_table()
    except duckdb.InterruptException as error:
        msg = f"the query took longer than {seconds:g} s and was broken off"
        raise QueryError(msg) from error
    except duckdb.Error as error:
        msg = f"the query failed: {error}"
        raise QueryError(msg) from error
    finally:
        timer.cancel()
        con.execute("ROLLBACK")
        for name in beside:
            con.unregister(name)
    return found


def _beside(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Return tables to be asked beside the facts, by names that are free."""
    for name in tables:
        if not NAME.fullmatch(name) or name.lower() in TAKEN:
            msg = f"a table beside the facts cannot be called {name!r}"
            raise QueryError(msg)
    return dict(tables)


def _check_select(con: duckdb.DuckDBPyConnection, text: str) -> None:
    try:
        statements = con.extract_statements(text)
    except duckdb.Error as error:
        msg = f"the query is no SQL: {error}"
        raise QueryError(msg) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(s.type.name for s in statements) or "nothing"
        msg = f"exactly one SELECT can be asked; got {kinds}"
        raise QueryError(msg)


def _tables(con: duckdb.DuckDBPyConnection, text: str) -> set[str]:
    """Return the tables a query names; its question marks stand for nothing here."""
    try:
        return {name.strip('"') for name in con.get_table_names(text.replace("?", "NULL"))}
    except duckdb.Error:
        return set()


def _views(con: duckdb.DuckDBPyConnection, named: set[str], known_us: int, mark: Mark) -> str:
    upto = f"make_timestamp({int(known_us)}::BIGINT)"
    views = [
        f"facts AS (SELECT {VISIBLE} FROM {standing(upto, mark)}"  # noqa: S608 constants
        f" WHERE op <= 1 AND recorded_at <= {upto})"
    ]
    wanted = {n: n.removesuffix("s") for n in named if n.endswith("s") and NAME.fullmatch(n)}
    wanted = {n: p for n, p in wanted.items() if n not in ("facts", "rollups")}
    if wanted:
        found = con.execute(
            "SELECT DISTINCT split_part(entity, ':', 1), attribute, kind, num IS NULL,"
            " text IN ('true', 'false') AND num IS NOT NULL FROM log WHERE op <= 1"
            " AND kind IS NOT NULL AND contains(entity, ':')"
            " AND split_part(entity, ':', 1) IN (SELECT unnest(?))",
            [list(wanted.values())],
        ).fetchall()
        for view, prefix in sorted(wanted.items()):
            columns = [row[1:] for row in found if row[0] == prefix]
            if columns:
                views.append(_wide(view, prefix, columns))
    return ", ".join(views)


def _wide(view: str, prefix: str, columns: list[tuple[Any, ...]]) -> str:
    """Return the common table expression of one entity prefix, a column per plain attribute."""
    shapes: dict[str, set[tuple[str, bool, bool]]] = defaultdict(set)
    for attribute, kind, no_number, truth in columns:
        if NAME.fullmatch(attribute):
            shapes[attribute].add((kind, no_number, bool(truth)))
    parts = [
        f"any_value({_expression(shape)}) FILTER (attribute = '{name}') AS \"{name}\""
        for name, shape in sorted(shapes.items())
    ]
    return (
        f"{view} AS (SELECT entity, min(valid_from) AS since, {', '.join(parts)} FROM ("  # noqa: S608
        f"SELECT * FROM facts WHERE starts_with(entity, '{prefix}:') QUALIFY row_number() OVER"
        " (PARTITION BY entity, attribute ORDER BY valid_from DESC, seq DESC) = 1)"
        " GROUP BY entity)"
    )


def _expression(shape: set[tuple[str, bool, bool]]) -> str:
    kinds = {kind for kind, _, _ in shape}
    if kinds == {"exact"}:
        if all(truth for _, _, truth in shape):
            return "num = 1"
        if all(no_number for _, no_number, _ in shape):
            return "text"
        if not any(no_number for _, no_number, _ in shape):
            return "num"
    if len(kinds) == 1:
        (kind,) = kinds
        if kind == "categorical":
            return "map_from_entries(list_zip(labels, probs))"
        if kind in NUMBERS:
            fields = zip(NUMBERS[kind], ("num", "num2", "num3"), strict=False)
            return "struct_pack(" + ", ".join(f"{a} := {b}" for a, b in fields) + ")"
    names = ("kind", "num", "num2", "num3", "text", "labels", "probs", "nums")
    return "struct_pack(" + ", ".join(f"{n} := {n}" for n in names) + ")"
