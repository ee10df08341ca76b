"""Verification: recompute every hash of a store, of an archive, or of both against each other."""

import itertools
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from facts.archive.audit import Problem, Trail, audit, erasures_in, finish, tombstones
from facts.archive.durable import file_hash
from facts.archive.manifest import START, Manifest, Segment, read_manifest
from facts.archive.seal import read_segment
from facts.archive.sweep import reading
from facts.errors import ArchiveError, StoreError
from facts.layout import LOG_COLUMNS
from facts.store import Store

BATCH = 200_000
MOST = 100


@dataclass(slots=True)
class Report:
    """What a verification found. ``ok`` is true when there are no problems."""

    rows: int = 0
    segments: int = 0
    head: str = ""
    archive_head: str = ""
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.problems


def verify(store: Store | None = None, folder: Path | str | None = None) -> Report:
    """Check a store, an archive, or both against each other.

    Finds any changed, missing, added or reordered row of the store, any flipped byte, missing or
    reordered segment of the archive, and derived tables that do not follow from the log. With
    both, it also finds rows cut off the end of the store, and names each differing row and column.

    Parameters
    ----------
    store : Store, optional
        An open store; it may go on writing.
    folder : path, optional
        An archive.

    Returns
    -------
    Report
        At most 100 problems, each naming its place.
    """
    report = Report()
    place = None if folder is None else Path(folder)
    with nullcontext() if place is None else reading(place):
        found = _problems(store, place, report)
        report.problems += itertools.islice(found, MOST)
    return report


def _is_empty(store: Store) -> bool:
    with store.reader() as reader:
        return reader.last_recorded() is None


def _problems(store: Store | None, folder: Path | None, report: Report) -> Iterator[Problem]:
    manifest = None
    if folder is not None:
        try:
            manifest = read_manifest(folder)
        except (ArchiveError, OSError) as error:
            yield Problem(f"archive {folder.name}", str(error))
        else:
            if not manifest.segments and not (store is not None and _is_empty(store)):
                what = "there is no archive here: its manifest names no segments"
                yield Problem(f"archive {folder.name}", what)
            report.archive_head = manifest.head
            yield from check_archive(folder, manifest, store, report)
    if store is not None:
        found = list(_check_store(store, report))
        yield from found
        if folder is not None and manifest is not None:
            yield from _compare(store, folder, manifest)


def check_archive(
    folder: Path, manifest: Manifest, store: Store | None, report: Report
) -> Iterator[Problem]:
    """Yield what is wrong with an archive: lines, files, rows, and the log's chain through them."""
    yield from _check_lines(manifest)
    tables: list[tuple[Segment, pa.Table]] = []
    trail = Trail()
    extras = []
    for segment in manifest.segments:
        table, problem = _load(folder, segment)
        report.segments += 1
        if problem is not None:
            yield problem
        if table is not None:
            extras += erasures_in(table)
            tables.append((segment, table))
    if store is not None:
        with store.reader() as reader, suppress(StoreError):  # told where the store is checked
            extras += reader.erasures()
    trail.changed = tombstones(extras)
    for segment, table in tables:
        yield from audit(trail, table, segment.file)
        if trail.head.hex() != segment.chain and trail.rest is None:
            yield Problem(segment.file, "ends with another chain hash than the manifest says")
    yield from finish(trail, f"archive {folder.name}")
    if store is None:
        report.rows, report.head = trail.rows, trail.head.hex()


def _check_lines(manifest: Manifest) -> Iterator[Problem]:
    previous = START
    for number, segment in enumerate(manifest.segments, 1):
        where = f"manifest line {number}"
        if segment.number != number:
            yield Problem(where, f"is numbered {segment.number}: lines are missing or reordered")
        if segment.previous != previous:
            yield Problem(where, f"({segment.file}) does not follow the line before")
        if segment.computed() != segment.hash:
            yield Problem(where, f"({segment.file}) was changed: its hash does not match")
        previous = segment.hash


def _load(folder: Path, segment: Segment) -> tuple[pa.Table | None, Problem | None]:
    path = folder / segment.file
    if not path.is_file():
        return None, Problem(segment.file, "is missing")
    problem = None
    if file_hash(path) != (segment.rewritten or segment.sha256):
        problem = Problem(segment.file, "has other bytes than were sealed")
    try:
        table = read_segment(path)
    except ArchiveError as error:
        return None, problem or Problem(segment.file, str(error))
    if table.num_rows == 0 or table.num_rows != segment.rows:
        problem = problem or Problem(segment.file, f"has {table.num_rows} rows, not {segment.rows}")
    return (table if table.num_rows else None), problem


def _check_store(store: Store, report: Report) -> Iterator[Problem]:
    try:
        with store.reader() as reader:
            trail = Trail(changed=tombstones(reader.erasures()))
            for table in reader.log_after(0, None, BATCH):
                yield from audit(trail, table, "store")
            yield from finish(trail, "store")
            report.rows, report.head = trail.rows, trail.head.hex()
    except StoreError as error:
        yield Problem("store, table log", str(error))
    try:
        for table_name, detail in store.check_derived():
            yield Problem(f"store, table {table_name}", detail)
    except StoreError as error:
        yield Problem("store, derived tables", str(error))


def _compare(store: Store, folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """Yield every row in which the store and its archive differ."""
    with store.reader() as reader:
        for segment in manifest.segments:
            table, _ = _load(folder, segment)
            if table is None:
                continue
            try:
                ours = reader.log_rows(segment.first_seq, segment.last_seq)
            except StoreError as error:
                yield Problem(f"store, rows of {segment.file}", str(error))
                continue
            if ours.equals(table):
                continue
            yield from _differences(ours, table, segment)


def _differences(ours: pa.Table, sealed: pa.Table, segment: Segment) -> Iterator[Problem]:
    mine = {row["seq"]: row for row in ours.to_pylist()}
    for row in sealed.to_pylist():
        other = mine.pop(row["seq"], None)
        if other is None:
            yield Problem(f"store, row {row['seq']}", f"is missing; {segment.file} has it")
        elif other != row:
            columns = [name for name in LOG_COLUMNS if other[name] != row[name]]
            said = ", ".join(f"{c}={other[c]!r} (sealed {row[c]!r})" for c in columns)
            yield Problem(f"store, row {row['seq']}", f"differs from {segment.file}: {said}")
    for seq in mine:
        yield Problem(f"store, row {seq}", f"is not in {segment.file}")
