"""The writer's work: turn a group of items into one durable commit, and say what became of each.

Used by one thread only. A group is planned first (duplicates, references, rows), then written in
one transaction, then the planner's memory follows; a failed commit leaves the memory to be read
again from the file.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from facts import chain
from facts.events import Event, RawBad, Receipt, event_json
from facts.force import EVERYTHING, Key, Standing
from facts.identity import Identities, hash_key, hash_keys
from facts.layout import CORRECT, INSERT_LOG, OPS, QUARANTINE, RETRACT
from facts.rows import (
    ATTRIBUTE,
    LogRow,
    columns_of,
    event_rows,
    parameters,
    quarantine_row,
    table_of,
)
from facts.times import micros

Item = Event | RawBad
FEW = 8


@dataclass(slots=True)
class Known:
    """What the log holds of one event: its rows by attribute, and what it refers to."""

    rows: dict[str, int] = field(default_factory=dict)
    op: int = 0
    target: Key | None = None


@dataclass(slots=True)
class Plan:
    """A group made ready: rows, changes of visibility, the new hashes, and the receipts."""

    tx: int
    recorded_us: int
    rows: list[LogRow] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)


def digest_of(raw: bytes) -> str:
    """Return the name of quarantined bytes: the first 32 hex digits of their SHA-256."""
    return hashlib.sha256(raw).hexdigest()[:32]


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
        self._con = con
        self._clock = clock
        self._ids: Identities | None = None
        self._standing = Standing()
        self._position()

    def _position(self) -> None:
        last = self._con.execute(
            "SELECT seq, tx, epoch_us(recorded_at), chain FROM log"
            " WHERE seq = (SELECT max(seq) FROM log)"
        ).fetchall()
        self.seq, self.tx, self.recorded_us, self.head = (
            last[0] if last else (0, 0, -(2**62), chain.GENESIS)
        )

    def forget(self) -> None:
        """Drop what is remembered of the file; it is read again when next needed."""
        self._ids = None
        self._standing = Standing()
        self._position()

    # -- what is known ---------------------------------------------------------------------------

    def _identities(self) -> Identities:
        if self._ids is None:
            self._ids = Identities()
            self._read_identities(self._ids)
            self._read_references()
        return self._ids

    def _read_identities(self, ids: Identities) -> None:
        batches: Any = self._con.sql(
            "SELECT source, id, seq FROM log WHERE op <= ?", params=[RETRACT]
        ).to_arrow_reader(1_000_000)
        for batch in batches:
            if batch.num_rows:
                seq = batch.column("seq").to_numpy()
                hashes = hash_keys(batch.column("source"), batch.column("id"))
                starts = np.ones(len(hashes), dtype=bool)
                starts[1:] = hashes[1:] != hashes[:-1]
                ids.add_many(hashes[starts], int(seq.min()), int(seq.max()))

    def _read_references(self) -> None:
        found = self._con.execute(
            "SELECT source, id, op, refers_source, refers_id, attribute, seq FROM log"
            " WHERE op IN (?, ?) ORDER BY seq",
            [CORRECT, RETRACT],
        ).fetchall()
        targets = self._fetch({(r[3], r[4]) for r in found}, None)
        rows: dict[int, tuple[Key, int, Key, str]] = {
            r[6]: ((r[0], r[1]), r[2], (r[3], r[4]), r[5]) for r in found
        }
        roots = {
            seq: (key, known.op, attribute)
            for key, known in targets.items()
            if known.target is None
            for attribute, seq in known.rows.items()
        }
        for seq in sorted(rows.keys() | roots.keys()):
            if seq in rows:
                key, op, target, attribute = rows[seq]
                self._standing.add(key, op, {attribute: seq}, target, {})
            else:
                key, op, attribute = roots[seq]
                self._standing.add(key, op, {attribute: seq}, None, {})

    def _fetch(self, keys: set[Key], span: tuple[int, int] | None) -> dict[Key, Known]:
        """Read what the log holds of events, comparing source and id exactly."""
        if not keys:
            return {}
        low, high = span or (0, self.seq)
        found: dict[Key, Known] = defaultdict(Known)
        rows = self._con.execute(
            "SELECT source, id, attribute, seq, op, refers_source, refers_id FROM log"
            " WHERE seq BETWEEN ? AND ? AND op <= ? AND id IN (SELECT unnest(?))",
            [low, high, RETRACT, [k[1] for k in keys]],
        ).fetchall()
        for source, name, attribute, seq, op, refers_source, refers_id in rows:
            if (source, name) in keys:
                known = found[source, name]
                known.rows[attribute] = seq
                known.op = op
                known.target = None if refers_id is None else (refers_source, refers_id)
        return dict(found)

    def _known(self, events: Sequence[Event]) -> tuple[dict[Key, Known], list[int]]:
        """Return what is known of a group's events and of what they refer to, and their hashes."""
        ids = self._identities()
        if len(events) <= FEW:
            hashes = [hash_key(e.source, e.id) for e in events]
            spans = [(e, ids.find_one(h)) for e, h in zip(events, hashes, strict=True)]
            hit = {(e.source, e.id) for e, s in spans if s is not None}
            places = [s for _, s in spans if s is not None]
        else:
            array = hash_keys(
                pa.array([e.source for e in events]), pa.array([e.id for e in events])
            )
            mask, place = ids.find_many(array)
            hashes = array.tolist()
            hit = {(events[i].source, events[i].id) for i in mask.nonzero()[0].tolist()}
            places = [] if place is None else [place]
        for event in events:
            if event.refers is not None and event.refers not in self._standing:
                at = ids.find_one(hash_key(*event.refers))
                if at is not None:
                    hit.add(event.refers)
                    places.append(at)
        span = (min(p[0] for p in places), max(p[1] for p in places)) if places else None
        return self._fetch(hit, span), hashes

    def _known_raw(self, items: Sequence[RawBad]) -> set[tuple[str | None, str | None, str]]:
        digests = [digest_of(item.raw) for item in items]
        rows = self._con.execute(
            "SELECT source, id, attribute FROM log WHERE op = ?"
            " AND attribute IN (SELECT unnest(?))",
            [QUARANTINE, digests],
        ).fetchall()
        return {(source, name, digest) for source, name, digest in rows}

    # -- planning --------------------------------------------------------------------------------

    def plan(self, items: Sequence[Item]) -> Plan:
        """Return the commit of a group: what is new of it, in the order given."""
        events = [item for item in items if isinstance(item, Event)]
        known, hashes = self._known(events) if events else ({}, [])
        bad = [item for item in items if isinstance(item, RawBad)]
        known_raw = self._known_raw(bad) if bad else set()
        now = max(micros(self._clock()), self.recorded_us + 1)
        plan = Plan(self.tx + 1, now)
        hash_of = iter(hashes)
        for item in items:
            if isinstance(item, Event):
                self._plan_event(item, next(hash_of), known, known_raw, plan)
            else:
                self._plan_raw(item, known_raw, plan)
        return plan

    def _plan_raw(
        self, item: RawBad, known: set[tuple[str | None, str | None, str]], plan: Plan
    ) -> None:
        digest = digest_of(item.raw)
        name = (item.source, item.id, digest)
        if name in known:
            plan.receipts.append(Receipt(item.source, item.id, "duplicate", item.reason))
            return
        known.add(name)
        seq = self.seq + len(plan.rows) + 1
        plan.rows.append(quarantine_row(item, digest, seq, plan.tx, plan.recorded_us))
        plan.receipts.append(Receipt(item.source, item.id, "quarantined", item.reason, plan.tx))

    def _plan_event(
        self,
        event: Event,
        hashed: int,
        known: dict[Key, Known],
        known_raw: set[tuple[str | None, str | None, str]],
        plan: Plan,
    ) -> None:
        key = (event.source, event.id)
        had = known.get(key)
        attributes = list(event.attributes) or [EVERYTHING]
        if had is not None:
            attributes = [a for a in attributes if a not in had.rows]
            if not attributes:
                plan.receipts.append(Receipt(*key, "duplicate"))
                return
        reason = self._refusal(event, had)
        if reason is not None:
            raw = event_json(event)
            self._plan_raw(RawBad(raw, reason, *key), known_raw, plan)
            return
        first = self.seq + len(plan.rows) + 1
        rows = event_rows(event, attributes, first, plan.tx, plan.recorded_us)
        plan.rows.extend(rows)
        plan.hashes.append(hashed)
        plan.receipts.append(Receipt(*key, "accepted", None, plan.tx))
        new = {row[ATTRIBUTE]: first + i for i, row in enumerate(rows)}
        if event.refers is not None or key in self._standing:
            target = known.get(event.refers) if event.refers is not None else None
            aimed = {} if target is None else target.rows
            plan.steps += self._standing.add(key, OPS[event.op], new, event.refers, aimed)
        if had is None:
            had = known[key] = Known({}, OPS[event.op], event.refers)
        had.rows.update(new)

    def _refusal(self, event: Event, had: Known | None) -> str | None:
        if had is not None and (had.op, had.target) != (OPS[event.op], event.refers):
            return (
                "the event is known with another operation or reference; give this one its own id"
            )
        if event.refers is None:
            return None
        return self._standing.refusal((event.source, event.id), event.refers)

    # -- committing ------------------------------------------------------------------------------

    def commit(self, items: Sequence[Item]) -> list[Receipt]:
        """Record a group in one transaction and return a receipt for every item, once durable."""
        try:
            plan = self.plan(items)
            if plan.rows:
                self._write(plan)
        except BaseException:
            self.forget()
            raise
        return plan.receipts

    def _write(self, plan: Plan) -> None:
        columns = columns_of(plan.rows)
        count = len(plan.rows)
        if count <= FEW:
            digest = chain.digest_rows(columns)
            head = chain.link(self.head, plan.tx, plan.recorded_us, count, digest)
            self._write_few(plan, head)
        else:
            table = table_of(columns, b"")
            head = chain.link(
                self.head, plan.tx, plan.recorded_us, count, chain.digest_table(table)
            )
            marks = pa.array([None] * (count - 1) + [head], pa.binary())
            self._transact(plan, table.set_column(len(table.schema) - 1, "chain", marks))
        ids = self._identities()
        first, last = self.seq + 1, self.seq + count
        for hashed in plan.hashes:
            ids.add_one(hashed, first, last)
        self.seq, self.tx, self.recorded_us, self.head = last, plan.tx, plan.recorded_us, head

    def _write_few(self, plan: Plan, head: bytes) -> None:
        alone = len(plan.rows) == 1 and not plan.steps
        if alone:
            self._con.execute(INSERT_LOG, parameters(plan.rows[0], head))
            return
        self._con.execute("BEGIN")
        try:
            many = ", ".join(INSERT_LOG.partition("VALUES ")[2] for _ in plan.rows)
            last = len(plan.rows) - 1
            values = [
                p
                for i, row in enumerate(plan.rows)
                for p in parameters(row, head if i == last else None)
            ]
            self._con.execute(f"INSERT INTO log VALUES {many}", values)  # noqa: S608 only marks
            self._write_steps(plan)
            self._con.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _transact(self, plan: Plan, table: pa.Table) -> None:
        self._con.execute("BEGIN")
        try:
            self._con.from_arrow(table).insert_into("log")
            self._write_steps(plan)
            self._con.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        try:
            self._con.execute("ROLLBACK")
        except duckdb.Error:
            return  # the failure already ended the transaction

    def _write_steps(self, plan: Plan) -> None:
        if plan.steps:
            count = len(plan.steps)
            table = pa.table(
                {
                    "seq": pa.array([s for s, _ in plan.steps], pa.int64()),
                    "recorded_at": pa.array([plan.recorded_us] * count, pa.int64()).cast(
                        pa.timestamp("us")
                    ),
                    "step": pa.array([d for _, d in plan.steps], pa.int8()),
                }
            )
            self._con.from_arrow(table).insert_into("shadow")
