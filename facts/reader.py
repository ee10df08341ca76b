"""Reading facts as they were known at any time.

Both times are closed-open: a fact recorded at T is known from T on, and a fact valid until V no
longer holds at V. A reader has its own cursor; calls on one reader are serialised, calls on
different readers run side by side and never wait for the writer.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facts.conditions import (
    FACTS,
    aware,
    in_order,
    with_empty,
    with_zones,
    without,
)
from facts.conditions import (
    columns as checked_columns,
)
from facts.conditions import (
    where as where_of,
)
from facts.errors import QueryError
from facts.layout import CORRECT, OP_NAMES
from facts.logread import bound_time
from facts.mark import NEVER, OPTIONAL
from facts.pages import PageReader
from facts.shade import standing
from facts.sql import run_sql
from facts.times import moment_of
from facts.values import Categorical, Value, value_from_cells
from facts.values.base import Cells

CHOICE = "choice:"
REMEMBERED = 8


def fact_value(row: Mapping[str, Any]) -> Value:
    """Return the value of one row of ``Reader.facts(...).to_pylist()``."""
    cells = Cells(*(row.get(name) for name in Cells._fields))
    return value_from_cells(row["kind"], cells)


class Reader(PageReader):
    """As-of reads of a store; made by ``Store.reader``."""

    def facts(
        self,
        *,
        as_of: datetime | None = None,
        entity: str | None = None,
        attribute: str | Sequence[str] | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
        begins_from: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the visible facts as known at a time, in the order recorded.

        Parameters
        ----------
        as_of : datetime, optional
            Known when; default: now.
        entity : str, optional
            Only this entity.
        attribute : str or sequence of str, optional
            Only these attributes.
        valid_from, valid_to : datetime, optional
            Only facts that hold at some time in ``[valid_from, valid_to)``. For what holds at one
            moment see ``at``.
        begins_from : datetime, optional
            Only facts whose own valid_from is not before it.
        columns : sequence of str, optional
            Only these columns; default: all of ``facts.conditions.FACTS``.

        Returns
        -------
        pyarrow.Table
            One row per fact. Times are in UTC with zone.

        Raises
        ------
        QueryError
            A time has no zone, or a column is unknown.
        """
        chosen = checked_columns(columns)
        known = self._known_at(as_of)
        where, bound = where_of(known, attribute, valid_from, valid_to, begins_from)
        read = [c for c in chosen if c != "seq"]
        if entity is not None:
            where, bound = f"ekey = ?::UBIGINT AND {where}", [self._entity_key(entity), *bound]
            read = [c for c in read if c != "entity"]
        source, mark = "log", self._mark()
        if entity is None and mark.shadowed_us > NEVER:
            source, bound = standing("?", mark), [bound_time(known), *bound]
        empty = [c for c in read if c in OPTIONAL and c not in mark.used]
        read = [c for c in read if c not in empty]
        table = self._table(
            f"SELECT {', '.join(['seq', *read])} FROM {source} WHERE {where}",  # noqa: S608 FACTS
            bound,
        )
        table = in_order(table) if entity is None else without(table, self._hidden(known))
        if entity is not None and "entity" in chosen:
            names = pa.repeat(pa.scalar(entity), table.num_rows)
            table = table.append_column("entity", names)
        return with_zones(with_empty(table, empty).select(chosen))

    def at(
        self,
        valid: datetime,
        *,
        as_of: datetime | None = None,
        entity: str | None = None,
        attribute: str | Sequence[str] | None = None,
    ) -> pa.Table:
        """Return what holds at one moment: the last fact of each entity and attribute.

        Of the facts with ``valid_from <= valid < valid_to``, the one with the latest valid_from
        (then the one recorded last) stands for its entity and attribute.

        Parameters
        ----------
        valid : datetime
            The moment in the world.
        as_of, entity, attribute
            As for ``facts``.
        """
        moment = aware("valid", valid)
        after = moment_of(moment + 1)
        table = self.facts(
            as_of=as_of, entity=entity, attribute=attribute, valid_from=valid, valid_to=after
        )
        table = table.sort_by([("valid_from", "descending"), ("seq", "descending")])
        keyed = table.append_column("_row", pa.array(np.arange(table.num_rows)))
        first = keyed.group_by(["entity", "attribute"]).aggregate([("_row", "min")])
        order = np.sort(first.column("_row_min").to_numpy())
        return table.take(pa.array(order)).sort_by("seq")

    def _hidden(self, known: int) -> NDArray[np.int64]:
        """Return the sequence numbers hidden as known at a time, sorted; remembered."""
        key = (self._access.generation, min(known, self._mark().shadowed_us))
        found = self._seen.get(key)
        if found is None:
            table = self._table(
                "SELECT seq FROM shadow WHERE recorded_at <= ? GROUP BY seq HAVING sum(step) > 0",
                [bound_time(key[1])],
            )
            found = np.sort(table.column("seq").to_numpy())
            while len(self._seen) >= REMEMBERED:
                self._seen.pop(next(iter(self._seen)))
            self._seen[key] = found
        return found

    def values(self, **conditions: Any) -> Iterator[tuple[str, str, Value]]:
        """Yield entity, attribute and value of the facts that ``facts`` returns."""
        for row in self.facts(**conditions).to_pylist():
            yield row["entity"], row["attribute"], fact_value(row)

    def choices(self, as_of: datetime | None = None) -> dict[str, Categorical]:
        """Return the named choices as known at a time, each with its alternatives.

        A choice is declared, and revised, by facts: a categorical value of any attribute about the
        entity ``choice:<name>``. The one with the latest valid_from, then recorded last, counts.
        """
        where = "op <= ? AND recorded_at <= ? AND kind = 'categorical' AND starts_with(entity, ?)"
        known = self._known_at(as_of)
        table = self._table(
            f"SELECT {', '.join(FACTS)} FROM log WHERE {where} ORDER BY seq",  # noqa: S608 constants
            [CORRECT, bound_time(known), CHOICE],
        )
        found: dict[str, tuple[datetime, Categorical]] = {}
        for row in without(table, self._hidden(known)).to_pylist():
            name, value = row["entity"].removeprefix(CHOICE), fact_value(row)
            if isinstance(value, Categorical):
                before = found.get(name)
                if before is None or row["valid_from"] >= before[0]:
                    found[name] = (row["valid_from"], value)
        return {name: value for name, (_, value) in sorted(found.items())}

    def rollup(
        self,
        name: str,
        *,
        as_of: datetime | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
    ) -> pa.Table:
        """Return a declared roll-up as known at a time.

        Returns
        -------
        pyarrow.Table
            One row per bucket and dimension with facts, in order: ``bucket`` (its start, UTC),
            ``dim``, ``n``, ``total``, ``squares`` and ``sum_var``.

        Raises
        ------
        QueryError
            There is no roll-up of that name.
        """
        self._check_rollup(name)
        low = -(2**62) if valid_from is None else aware("valid_from", valid_from)
        high = 2**62 if valid_to is None else aware("valid_to", valid_to)
        table = self._table(
            "SELECT bucket, dim, sum(n) AS n, sum(total) AS total, sum(squares) AS squares,"
            " sum(sum_var) AS sum_var FROM rollup"
            " WHERE name = ? AND recorded_at <= ? AND bucket >= ? AND bucket < ?"
            " GROUP BY bucket, dim HAVING sum(n) > 1e-9 ORDER BY bucket, dim",
            [name, bound_time(self._known_at(as_of)), bound_time(low), bound_time(high)],
        )
        return with_zones(table)

    def rollups(self) -> list[str]:
        """Return the names of the declared roll-ups, sorted."""
        return [row[0] for row in self._rows("SELECT name FROM rollups ORDER BY 1")]

    def _check_rollup(self, name: str) -> None:
        known = self.rollups()
        if name not in known:
            msg = f"no roll-up {name!r}; declared are: {', '.join(known) or 'none'}"
            raise QueryError(msg)

    def first_buckets(
        self, name: str, *, prefix: str = "", as_of: datetime | None = None
    ) -> pa.Table:
        """Return the first bucket of every dimension of a roll-up, as known at a time.

        Parameters
        ----------
        name : str
            A declared roll-up.
        prefix : str
            Only dimensions that start with it.
        as_of : datetime, optional
            Known when; default: now.

        Returns
        -------
        pyarrow.Table
            ``dim`` and ``bucket`` (its start, UTC), by bucket, then dimension.

        Raises
        ------
        QueryError
            There is no roll-up of that name.
        """
        self._check_rollup(name)
        table = self._table(
            "SELECT dim, min(bucket) AS bucket FROM (SELECT bucket, dim FROM rollup"
            " WHERE name = ? AND recorded_at <= ? AND starts_with(dim, ?)"
            " GROUP BY bucket, dim HAVING sum(n) > 1e-9) GROUP BY dim ORDER BY bucket, dim",
            [name, bound_time(self._known_at(as_of)), prefix],
        )
        return with_zones(table)

    def sources(self, prefix: str = "", *, as_of: datetime | None = None) -> list[str]:
        """Return the sources of visible facts about entities with a prefix, sorted."""
        table = self.sql(
            "SELECT DISTINCT source FROM facts WHERE starts_with(entity, ?) ORDER BY source",
            [prefix],
            as_of=as_of,
        )
        return [str(name) for name in table.column("source").to_pylist()]

    def entities(self, prefix: str = "", *, as_of: datetime | None = None) -> list[str]:
        """Return the entities with recorded facts whose name starts with a prefix, sorted."""
        rows = self._rows(
            "SELECT DISTINCT entity FROM log WHERE recorded_at <= ? AND op <= ?"
            " AND kind IS NOT NULL AND starts_with(entity, ?) ORDER BY entity",
            [bound_time(self._known_at(as_of)), CORRECT, prefix],
        )
        return [row[0] for row in rows]

    def attributes(self, *, as_of: datetime | None = None) -> list[str]:
        """Return the attributes with recorded facts, sorted."""
        rows = self._rows(
            "SELECT DISTINCT attribute FROM log WHERE recorded_at <= ? AND op <= ?"
            " AND kind IS NOT NULL ORDER BY attribute",
            [bound_time(self._known_at(as_of)), CORRECT],
        )
        return [row[0] for row in rows]

    def trace(
        self,
        *,
        seq: int | None = None,
        tx: int | None = None,
        source: str | None = None,
        id: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the rows of the log that match, each with what refers to it.

        Parameters
        ----------
        seq, tx, source, id
            Conditions, at least one: a row, a transaction, a source, an event's id.

        Returns
        -------
        list of dict
            The columns of the log by name, ``op`` as a word, and ``referred_by``: (seq, op) of
            the corrections and retractions of the row's event.

        Raises
        ------
        QueryError
            No condition is given.
        """
        given = {"seq": seq, "tx": tx, "source": source, "id": id}
        asked = {name: value for name, value in given.items() if value is not None}
        if not asked:
            msg = "trace needs at least one of seq, tx, source and id"
            raise QueryError(msg)
        where = " AND ".join(f"{name} = ?" for name in asked)
        table = self._table(
            f"SELECT * FROM log WHERE {where} ORDER BY seq",  # noqa: S608 names from above
            list(asked.values()),
        )
        rows = with_zones(table).to_pylist()
        refer = self._rows(
            "SELECT refers_source, refers_id, seq, op FROM log WHERE op IN (1, 2)"
            " AND refers_id IN (SELECT unnest(?)) ORDER BY seq",
            [[row["id"] for row in rows if row["id"] is not None]],
        )
        for row in rows:
            row["op"] = OP_NAMES[row["op"]]
            row["chain"] = None if row["chain"] is None else row["chain"].hex()
            key = (row["source"], row["id"])
            row["referred_by"] = [(s, OP_NAMES[op]) for a, b, s, op in refer if (a, b) == key]
        return rows

    def sql(
        self,
        query: str,
        params: Sequence[Any] = (),
        *,
        as_of: datetime | None = None,
        seconds: float = 30.0,
        tables: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """Answer one SELECT over the facts as known at a time; nothing can be changed.

        Parameters
        ----------
        query : str
            One SELECT. ``facts`` has the visible facts with the columns of ``Reader.facts``. An
            entity prefix makes a wide table with one row per entity: of ``post:1`` and the like,
            ``posts`` has ``entity``, ``since`` (its earliest valid_from) and a column per
            attribute. A wide column is a number, a text or a boolean where it is exact, else a
            struct (interval, normal, point) or a map from label to probability.
        params : sequence
            Values for the question marks.
        as_of : datetime, optional
            Known when; default: now.
        seconds : float
            After this time the query is broken off.
        tables : mapping, optional
            Arrow tables by name that can be asked beside the facts.

        Returns
        -------
        pyarrow.Table
            Also readable by ``polars.from_arrow`` and ``.to_pandas()``.

        Raises
        ------
        QueryError
            It is not one SELECT, is wrong, tries to reach outside, or takes too long.
        """
        known = self._known_at(as_of)
        with self._cursor() as con:
            found = run_sql(con, query, params, known, self._mark(), seconds, tables)
        return with_zones(found)
