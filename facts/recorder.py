"""The writer's work: turn a group of items into one durable commit, and say what became of each.

Used by one thread only. A group is planned first (duplicates, references, rows), then written in
one transaction, then the writer's memory follows; after a failed commit the memory is read again
from the file.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa

from facts import chain, redelivery, rollup_few
from facts.entitykey import EntityKeys
from facts.errors import QueryError, StoreDamaged
from facts.events import Event, RawBad, Receipt, event_json
from facts.file import entity_secret
from facts.force import EVERYTHING, Key
from facts.layout import INSERT_LOG, OPS
from facts.mark import read_mark, used_in_rows, used_in_table
from facts.memory import FEW, Known, Memory, RawName, digest_of
from facts.plan import Plan
from facts.redelivery import Again
from facts.rollup import NEEDED, RollUp, deltas
from facts.rollup_few import Delta, few_deltas
from facts.rows import (
    ENTITY,
    LogRow,
    columns_of,
    parameters,
    with_chain,
)
from facts.times import micros, naive_of

Item = Event | RawBad
MARKS = INSERT_LOG.partition("VALUES ")[2]


@dataclass(slots=True)
class _Group:
    """What planning one group looks up and adds to.

    ``fresh`` maps the events that are new in this group to where their rows begin in the plan;
    ``again`` has the facts sent again, each with the row that holds it.
    """

    plan: Plan
    known: dict[Key, Known]
    raw: set[RawName]
    fresh: dict[Key, int] = field(default_factory=dict)
    again: list[Again] = field(default_factory=list)


class Recorder:
    """Plans and commits groups of items.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        The writer's own connection.
    clock : callable
        Returns the present time, with a zone. Recorded times follow it and always grow: where it
        stands still or steps back, the next recorded time is one microsecond after the last.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.use(con)

    def use(self, con: duckdb.DuckDBPyConnection) -> None:
        """Go on with a connection, reading from it where the log stands."""
        self.con = con
        self.forget()

    def forget(self) -> None:
        """Drop what is remembered of the file; it is read again when next needed.

        ``broken`` says what makes it impossible to go on with the log, None where nothing does.
        """
        self.memory = Memory(self.con)
        last = self.con.execute(
            "SELECT seq, tx, epoch_us(recorded_at), chain FROM log"
            " WHERE seq = (SELECT max(seq) FROM log)"
        ).fetchall()
        self.seq, self.tx, self.recorded_us, self.head = (
            last[0] if last else (0, 0, -(2**62), chain.GENESIS)
        )
        self.broken = self._damage()
        if self.recorded_us is None:
            self.recorded_us = -(2**62)
        self.mark = read_mark(self.con, self.recorded_us)
        self.keys = EntityKeys(entity_secret(self.con))
        found = self.con.execute(
            "SELECT name, attribute, bucket, dimension FROM rollups"
        ).fetchall()
        self.rollups = [RollUp(*row) for row in found]

    def _damage(self) -> str | None:
        """Return what makes it impossible to go on: rows come one by one, the last has a hash."""
        count, named, first = self.con.execute(
            "SELECT count(*), count(seq), min(seq) FROM log"
        ).fetchall()[0]
        if count != named or count != self.seq or (count and first != 1):
            return f"the log has {count} rows, numbered from {first} to {self.seq}"
        if None in (self.tx, self.recorded_us, self.head):
            return f"row {self.seq}, the last of the log, is no end of a transaction"
        return None

    def next_time(self) -> int:
        """Return the recorded time of the next commit, in microseconds."""
        after: int = self.recorded_us + 1
        return max(micros(self._clock()), after)

    # -- planning --------------------------------------------------------------------------------

    def plan(self, items: Sequence[Item]) -> Plan:
        """Return the commit of a group: what is new of it, in the order given."""
        events = [item for item in items if isinstance(item, Event)]
        known, hashes = self.memory.known(events) if events else ({}, [])
        bad = [item for item in items if isinstance(item, RawBad)]
        raw = self.memory.known_raw(bad) if bad else set()
        group = _Group(Plan(self.seq + 1, self.tx + 1, self.next_time()), known, raw)
        if not bad and not self.memory.has_erased:
            self._plan_events(events, hashes, group)
            redelivery.tell(self.con, group.plan, group.again)
            return group.plan
        hash_of = iter(hashes)
        for item in items:
            if isinstance(item, Event):
                self._plan_other(item, next(hash_of), group)
            else:
                self._plan_raw(item, group)
        redelivery.tell(self.con, group.plan, group.again)
        return group.plan

    def _plan_raw(self, item: RawBad, group: _Group) -> None:
        plan = group.plan
        name = (item.source, item.id, digest_of(item.raw))
        if name in group.raw:
            plan.receipts.append(Receipt(item.source, item.id, "duplicate", item.reason))
            return
        group.raw.add(name)
        plan.others.append(item)
        plan.receipts.append(Receipt(item.source, item.id, "quarantined", item.reason, plan.tx))

    def _plan_events(self, events: Sequence[Event], hashes: list[int], group: _Group) -> None:
        """Plan events; most are new and refer to nothing, and take the short way."""
        plan, known, fresh, nodes = group.plan, group.known, group.fresh, self.memory.standing.nodes
        tx, rows, names, receipts = plan.tx, plan.events, plan.attributes, plan.receipts
        for event, hashed in zip(events, hashes, strict=True):
            key = (event.source, event.id)
            if event.refers is not None or key in known or key in fresh or key in nodes:
                self._plan_other(event, hashed, group)
                continue
            fresh[key] = len(rows)
            for attribute in event.attributes:
                rows.append(event)
                names.append(attribute)
            plan.hashes.append(hashed)
            receipts.append(Receipt(event.source, event.id, "accepted", None, tx))

    def _plan_other(self, event: Event, hashed: int, group: _Group) -> None:
        """Plan an event that refers, is referred to, or may be known."""
        key, plan = (event.source, event.id), group.plan
        had = self._had(key, group)
        attributes = list(event.attributes) or [EVERYTHING]
        known: list[tuple[str, int]] = []
        if had is not None:
            known = [(a, had.rows[a]) for a in attributes if a in had.rows]
            attributes = [a for a in attributes if a not in had.rows]
        if not attributes or self.memory.was_erased(key):
            reason = None if not attributes else "its content was erased; it is not recorded again"
            plan.receipts.append(Receipt(*key, "duplicate", reason))
            group.again += [(plan.receipts[-1], event, a, seq) for a, seq in known]
            return
        reason = self._refusal(event, had)
        if reason is not None:
            again = RawBad(event_json(event), reason, *key)
            group.raw |= self.memory.known_raw([again])
            self._plan_raw(again, group)
            return
        first = plan.first + len(plan.events)
        plan.events += [event] * len(attributes)
        plan.attributes += attributes
        plan.hashes.append(hashed)
        plan.receipts.append(Receipt(*key, "accepted", None, plan.tx))
        group.again += [(plan.receipts[-1], event, a, seq) for a, seq in known]
        new = {attribute: first + i for i, attribute in enumerate(attributes)}
        standing = self.memory.standing
        if event.refers is not None:
            self.memory.refer(event.refers, first, first + len(attributes) - 1)
        if event.refers is not None or key in standing:
            target = self._had(event.refers, group) if event.refers is not None else None
            aimed = {} if target is None else target.rows
            plan.steps += standing.add(key, OPS[event.op], new, event.refers, aimed)
        if had is None:
            had = group.known[key] = Known({}, OPS[event.op], event.refers)
        had.rows.update(new)

    def _had(self, key: Key, group: _Group) -> Known | None:
        """Return what is known of an event, from the log and from this group."""
        if key in group.fresh:
            at, plan = group.fresh.pop(key), group.plan
            event = plan.events[at]
            rows = {a: plan.first + at + i for i, a in enumerate(event.attributes)}
            group.known[key] = Known(rows, OPS[event.op], event.refers)
        return group.known.get(key)

    def _refusal(self, event: Event, had: Known | None) -> str | None:
        if had is not None and (had.op, had.target) != (OPS[event.op], event.refers):
            return (
                "the event is known with another operation or reference; give this one its own id"
            )
        if event.refers is None:
            return None
        return self.memory.standing.refusal((event.source, event.id), event.refers)

    # -- committing ------------------------------------------------------------------------------

    def commit(self, items: Sequence[Item]) -> list[Receipt]:
        """Record a group in one transaction and return a receipt for every item, once durable."""
        with self.working():
            plan = self.plan(items)
            if plan.count:
                self._write(plan)
        return plan.receipts

    def release(self, seq: int, events: Sequence[Event], note: str | None) -> list[Receipt]:
        """Record the events that a quarantined row turned out to be, and that it is released.

        Raises
        ------
        QueryError
            An event is refused again; nothing was recorded.
        """
        with self.working():
            plan = self.plan(events)
            for receipt in plan.receipts:
                if receipt.status == "quarantined" or receipt.reason is not None:
                    msg = f"row {seq} stays in quarantine: {receipt.reason}"
                    raise QueryError(msg)
            plan.released = (seq, note)
            self._write(plan)
        return plan.receipts

    @contextmanager
    def working(self) -> Iterator[None]:
        """Refuse work on a broken log; after a failure, remember nothing of it."""
        if self.broken is not None:
            msg = f"{self.broken}: it was changed behind the writer's back; verify and restore it"
            raise StoreDamaged(msg)
        try:
            yield
        except BaseException:
            self.forget()
            raise

    def _write(self, plan: Plan) -> None:
        count = plan.count
        if count <= FEW and not plan.steps:
            rows = plan.rows()
            digest = chain.digest_rows(columns_of(rows))
            head = chain.link(self.head, plan.tx, plan.recorded_us, count, digest)
            new = (plan.events, plan.attributes, plan.recorded_us)
            self._insert_few(rows, head, few_deltas(self.rollups, *new))
            used = used_in_rows(rows)
        else:
            table = plan.table()
            digest = chain.digest_table(table)
            head = chain.link(self.head, plan.tx, plan.recorded_us, count, digest)
            whole = self.keyed(with_chain(table, head))
            self.insert(whole, table, plan.steps, plan.recorded_us)
            used = used_in_table(table)
        self.memory.remember(plan.hashes, self.seq + 1, self.seq + count)
        self.moved(count, plan.tx, plan.recorded_us, head, plan.steps, used)

    def moved(
        self,
        count: int,
        tx: int,
        recorded_us: int,
        head: bytes,
        steps: list[tuple[int, int]],
        used: set[str],
    ) -> None:
        """Take note of a commit: its rows, number, time, chain hash, steps and columns used."""
        self.mark = self.mark.after(recorded_us, steps, used)
        self.seq, self.tx, self.recorded_us, self.head = self.seq + count, tx, recorded_us, head

    def _insert_few(self, rows: list[LogRow], head: bytes, added: list[Delta]) -> None:
        """Insert some rows by bound parameters, which is quickest for a few."""
        last = len(rows) - 1
        values = [
            p
            for i, row in enumerate(rows)
            for p in parameters(row, head if i == last else None, self._key(row[ENTITY]))
        ]
        many = ", ".join([MARKS] * len(rows))
        statement = f"INSERT INTO log VALUES {many}"  # noqa: S608 question marks
        if not added:
            self.con.execute(statement, values)  # commits by itself
            return
        with self._transaction():
            self.con.execute(statement, values)
            many = ", ".join([rollup_few.MARKS] * len(added))
            self.con.execute(rollup_few.INSERT + many, [p for row in added for p in row])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.con.execute("BEGIN")
        try:
            yield
            self.con.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def insert(
        self,
        whole: pa.Table | pa.RecordBatchReader,
        table: pa.Table,
        steps: list[tuple[int, int]],
        recorded_us: int,
    ) -> None:
        """Insert rows with all that follows from them, in one transaction.

        Parameters
        ----------
        whole : pyarrow.Table or RecordBatchReader
            The rows as the file has them.
        table : pyarrow.Table
            The same rows; their chain hash and the keys of their entities are not read.
        steps : list of (seq, step)
            The changes of visibility they cause.
        recorded_us : int
            When they are recorded.
        """
        with self._transaction():
            self.con.from_arrow(whole).insert_into("log")
            if steps:
                self._insert_steps(steps, recorded_us)
            for rollup in self.rollups:
                self._insert_deltas(rollup, table, steps, recorded_us)

    def keyed(self, table: pa.Table) -> pa.Table:
        """Return rows of the log with their entities' keys, as the file has them."""
        keys = self.keys.many(table.column("entity"))
        return table.append_column("ekey", pa.array(keys, pa.uint64()))

    def _key(self, entity: str | None) -> int:
        return 0 if entity is None else self.keys.one(entity)

    def _insert_steps(self, steps: list[tuple[int, int]], recorded_us: int) -> None:
        times = pa.array([recorded_us] * len(steps), pa.int64()).cast(pa.timestamp("us"))
        columns = {
            "seq": pa.array([s for s, _ in steps], pa.int64()),
            "recorded_at": times,
            "step": pa.array([d for _, d in steps], pa.int8()),
        }
        self.con.from_arrow(pa.table(columns)).insert_into("shadow")

    def _insert_deltas(
        self, rollup: RollUp, table: pa.Table, steps: list[tuple[int, int]], recorded_us: int
    ) -> None:
        found = [deltas(rollup, table, np.ones(table.num_rows))]
        if steps:
            sign: dict[int, float] = {}
            for seq, step in steps:
                sign[seq] = sign.get(seq, 0.0) - step
            rows = self.con.sql(
                f"SELECT {', '.join(NEEDED)} FROM log WHERE seq IN (SELECT unnest(?))",  # noqa: S608
                params=[list(sign)],
            ).to_arrow_table()
            signs = np.array([sign[s] for s in rows.column("seq").to_pylist()])
            found.append(deltas(rollup, rows, signs, naive_of(recorded_us)))
        merged = pa.concat_tables(found)
        if merged.num_rows:
            self.con.from_arrow(merged).insert_into("rollup")

    def _roll_back(self) -> None:
        try:
            self.con.execute("ROLLBACK")
        except duckdb.Error:
            return  # the failure already ended the transaction
