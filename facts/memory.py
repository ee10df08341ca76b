"""What the writer remembers of the log: known events, references, erasures.

Everything here is read from the file when first needed and then kept up to date.
"""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facts.events import Event, RawBad
from facts.force import Key, Standing
from facts.identity import Hashes, Identities, hash_key, hash_keys
from facts.layout import QUARANTINE, RETRACT

FEW = 8
ERASED = "erased:"
Place = tuple[int, int] | None
RawName = tuple[str | None, str | None, str]


@dataclass(slots=True)
class Known:
    """What the log holds of one event: its rows by attribute, and what it refers to."""

    rows: dict[str, int] = field(default_factory=dict)
    op: int = 0
    target: Key | None = None


def digest_of(raw: bytes) -> str:
    """Return the name of quarantined bytes: the first 32 hex digits of their SHA-256."""
    return hashlib.sha256(raw).hexdigest()[:32]


def erased_name(secret: str, source: str, name: str) -> str:
    """Return what takes the place of an erased event's id: it tells nothing without the secret."""
    said = f"{source}\x1f{name}".encode()
    return ERASED + hmac.new(bytes.fromhex(secret), said, "sha256").hexdigest()[:32]


def find(index: Identities, keys: set[Key]) -> tuple[set[Key], Place]:
    """Return which keys an index may know, and the stretch of the log that holds them."""
    if len(keys) <= FEW:
        spans = {k: span for k in keys if (span := index.find_one(hash_key(*k))) is not None}
        places = spans.values()
        if not spans:
            return set(), None
        return set(spans), (min(p[0] for p in places), max(p[1] for p in places))
    listed = list(keys)
    hashes = hash_keys(pa.array([k[0] for k in listed]), pa.array([k[1] for k in listed]))
    mask, place = index.find_many(hashes)
    return {listed[i] for i in np.flatnonzero(mask).tolist()}, place


REFERENCES = "SELECT source, id, op, refers_source, refers_id, attribute, seq, recorded_at FROM log"
Reference = tuple[str, str, int, str | None, str | None, str, int, Any]


def replay(rows: Sequence[Reference], standing: Standing) -> Iterable[tuple[int, Any, int]]:
    """Add rows, given in order, to a graph; yield the (seq, recorded_at, step) they cause."""
    start = 0
    while start < len(rows):
        source, name, op, refers_source, refers_id, _, _, when = rows[start]
        end = start + 1
        while end < len(rows) and (*rows[end][:2], rows[end][7]) == (source, name, when):
            end += 1
        new = {row[5]: row[6] for row in rows[start:end]}
        target = None
        if refers_source is not None and refers_id is not None:
            target = (refers_source, refers_id)
        for seq, step in standing.add((source, name), op, new, target, {}):
            yield seq, when, step
        start = end


def all_references(con: duckdb.DuckDBPyConnection) -> list[Reference]:
    """Read every row of the log that refers or is referred to, in order."""
    rows = con.execute(
        f"{REFERENCES} WHERE op IN (1, 2) OR (op = 0 AND id IN"  # noqa: S608 constants
        " (SELECT refers_id FROM log WHERE op IN (1, 2))) ORDER BY seq"
    ).fetchall()
    targets = {(row[3], row[4]) for row in rows if row[4] is not None}
    return [row for row in rows if row[2] != 0 or (row[0], row[1]) in targets]


class Memory:
    """The writer's memory of one file.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        The writer's connection.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self.standing = Standing()
        self._ids: Identities | None = None
        self._targets = Identities()
        self._erased: set[str] = set()
        self._secret = ""

    def load(self) -> Identities:
        """Read what is not remembered yet."""
        if self._ids is None:
            ids = Identities()
            self._read_identities(ids)
            self._read_targets()
            self._read_erased()
            self._ids = ids
        return self._ids

    def _read_targets(self) -> None:
        """Read which events are referred to; what refers to them is read when it matters."""
        batches: Any = self._con.sql(
            "SELECT refers_source, refers_id, seq FROM log WHERE op IN (1, 2)"
        ).to_arrow_reader(1_000_000)
        for batch in batches:
            if batch.num_rows:
                seq = batch.column("seq").to_numpy()
                hashes = hash_keys(batch.column("refers_source"), batch.column("refers_id"))
                self._targets.add_many(hashes, int(seq.min()), int(seq.max()))

    def refer(self, target: Key, first: int, last: int) -> None:
        """Remember that rows with these numbers refer to an event."""
        self._targets.add_one(hash_key(*target), first, last)

    def connect(self, keys: set[Key]) -> None:
        """Bring all that is connected with some events by references into the graph."""
        ids = self.load()
        nodes, asked = self.standing.nodes, set(keys)
        found: dict[int, Reference] = {}
        while keys := {k for k in keys if k not in nodes}:
            rows = self._references("id", *find(ids, keys))
            rows += self._references("refers_id", *find(self._targets, keys))
            found.update({row[6]: row for row in rows})
            ends = {(row[0], row[1]) for row in rows}
            ends |= {(row[3], row[4]) for row in rows if row[3] is not None and row[4] is not None}
            keys = ends - asked
            asked |= keys
        rows = [found[seq] for seq in sorted(found)]
        linked = {(r[3], r[4]) for r in rows if r[4] is not None}
        rows = [r for r in rows if r[4] is not None or (r[0], r[1]) in linked]
        for _ in replay(rows, self.standing):
            pass  # the changes of visibility are in the file already

    def _references(self, column: str, keys: set[Key], place: Place) -> list[Reference]:
        if place is None:
            return []
        rows = self._con.execute(
            f"{REFERENCES} WHERE seq BETWEEN ? AND ? AND op <= ?"
            f" AND {column} IN (SELECT unnest(?))",
            [*place, RETRACT, [k[1] for k in keys]],
        ).fetchall()
        at = 0 if column == "id" else 3
        return [row for row in rows if (row[at], row[at + 1]) in keys]

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

    def _read_erased(self) -> None:
        found = self._con.execute("SELECT value FROM meta WHERE key = 'secret'").fetchall()
        if found:
            self._secret = found[0][0]
            rows = self._con.execute(
                "SELECT DISTINCT id FROM log WHERE op <= 2 AND starts_with(id, ?)", [ERASED]
            ).fetchall()
            self._erased = {row[0] for row in rows}

    @property
    def has_erased(self) -> bool:
        """Whether anything was erased from the log."""
        return bool(self._erased)

    def was_erased(self, key: Key) -> bool:
        """Whether an event's content was erased: it must not come back with a late duplicate."""
        return bool(self._erased) and erased_name(self._secret, *key) in self._erased

    def fetch(self, keys: set[Key], low: int, high: int) -> dict[Key, Known]:
        """Read what a stretch of the log holds of events, comparing source and id exactly."""
        if not keys:
            return {}
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

    def known(self, events: Sequence[Event]) -> tuple[dict[Key, Known], list[int]]:
        """Return what is known of a group's events and of what they refer to, and their hashes."""
        ids = self.load()
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
        touched = {e.refers for e in events if e.refers is not None}
        touched |= {(e.source, e.id) for e in events if e.refers is not None}
        touched |= self._aimed_at(events, hashes)
        if touched:
            self.connect(touched)
            more, place = find(ids, {k for k in touched if k not in self.standing})
            if place is not None:
                hit |= more
                places.append(place)
        if not places:
            return {}, hashes
        return self.fetch(hit, min(p[0] for p in places), max(p[1] for p in places)), hashes

    def _aimed_at(self, events: Sequence[Event], hashes: list[int]) -> set[Key]:
        """Return the events of a group to which something refers already."""
        if not self._targets:
            return set()
        if len(events) <= FEW:
            hits = [self._targets.find_one(h) is not None for h in hashes]
        else:
            hits = self._targets.find_many(np.array(hashes, dtype=np.uint64))[0].tolist()
        return {(e.source, e.id) for e, hit in zip(events, hits, strict=True) if hit}

    def known_raw(self, items: Sequence[RawBad]) -> set[RawName]:
        """Return the quarantined items among these that are kept already."""
        rows = self._con.execute(
            "SELECT source, id, attribute FROM log WHERE op = ?"
            " AND attribute IN (SELECT unnest(?))",
            [QUARANTINE, [digest_of(item.raw) for item in items]],
        ).fetchall()
        return {(source, name, digest) for source, name, digest in rows}

    def unknown_rows(self, table: pa.Table, hashes: Hashes) -> NDArray[np.bool_]:
        """Return which rows of a bulk table are facts that the log does not hold."""
        keep = np.ones(table.num_rows, dtype=bool)
        found, place = self.load().find_many(hashes)
        names = ["source", "id", "attribute"]
        if place is not None:
            at = np.flatnonzero(found)
            keep[self._known_rows(table.select(names), at, *place)] = False
        if self._erased:
            rows = table.select(names[:2]).to_pylist()
            keep &= [not self.was_erased((r["source"], r["id"])) for r in rows]
        return keep

    def _known_rows(self, table: pa.Table, at: NDArray[Any], low: int, high: int) -> list[int]:
        """Return which of the rows ``at`` a stretch of the log holds, comparing exactly."""
        asked = table.take(at).append_column("_at", pa.array(at))
        self._con.register("asked", asked)
        try:
            rows = self._con.execute(
                "SELECT DISTINCT _at FROM asked SEMI JOIN"
                " (SELECT source, id, attribute FROM log WHERE seq BETWEEN ? AND ? AND op <= ?)"
                " USING (source, id, attribute)",
                [low, high, RETRACT],
            ).fetchall()
        finally:
            self._con.unregister("asked")
        return [row[0] for row in rows]

    def late_steps(self, table: pa.Table, hashes: Hashes, first: int) -> list[tuple[int, int]]:
        """Return what changes because bulk rows belong to events that something refers to."""
        at = np.flatnonzero(self._targets.find_many(hashes)[0])
        if not len(at):
            return []
        rows = table.select(["source", "id", "attribute"]).take(at).to_pylist()
        self.connect({(row["source"], row["id"]) for row in rows})
        steps = []
        for i, row in zip(at.tolist(), rows, strict=True):
            key = (row["source"], row["id"])
            if key in self.standing:
                steps += self.standing.add(key, 0, {row["attribute"]: first + i}, None, {})
        return steps

    def remember(self, hashes: Hashes | list[int], first: int, last: int) -> None:
        """Remember new events whose rows have the numbers from ``first`` to ``last``."""
        ids = self.load()
        if isinstance(hashes, list) and len(hashes) <= FEW:
            for hashed in hashes:
                ids.add_one(hashed, first, last)
        elif len(hashes):
            ids.add_many(np.asarray(hashes, dtype=np.uint64), first, last)
