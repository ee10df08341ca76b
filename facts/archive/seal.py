"""Sealing: what the log holds beyond the archive becomes new Parquet segments."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from facts.archive.durable import file_hash, write_file
from facts.archive.manifest import Manifest, Segment, read_manifest, write_manifest
from facts.archive.sweep import held, leftovers, sweep, unread
from facts.errors import ArchiveError
from facts.layout import LOG
from facts.reader import Reader
from facts.store import Store
from facts.times import moment_of

SEGMENT_ROWS = 1_000_000
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class SealReport:
    """What a sealing added: segments, rows, and the archive's head hash afterwards."""

    segments: int
    rows: int
    head: str
    last_tx: int


@contextmanager
def locked(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold an archive for writing, so that two processes never seal into it at once.

    Parameters
    ----------
    folder : Path
        The archive.
    patience : float
        Seconds to wait for whoever writes it now.

    Raises
    ------
    ArchiveError
        Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        if not held(handle, patience):
            msg = f"somebody else is writing the archive {folder.name}; try again later"
            raise ArchiveError(msg)
        yield
    finally:
        os.close(handle)


def seal(
    store: Store, folder: Path | str, *, through: datetime | None = None, patience: float = 0.0
) -> SealReport:
    """Add everything recorded since the last sealing; the store goes on writing meanwhile.

    Parameters
    ----------
    store : Store
        What to archive.
    folder : path
        The archive; made where it is missing. The store remembers it for erasures.
    through : datetime, optional
        Seal only what was recorded up to this time; default: everything committed so far.
    patience : float
        Seconds to wait for whoever writes the archive now.

    Raises
    ------
    ArchiveError
        The archive belongs to another store, is ahead of this one, or is being written.
    """
    place = Path(folder).resolve()
    with locked(place, patience):
        report = _seal(store, place, through)
        manifest = read_manifest(place)
        if leftovers(place, manifest):
            with unread(place, patience) as alone:
                if alone:
                    sweep(place, manifest)
        return report


def _seal(store: Store, place: Path, through: datetime | None) -> SealReport:
    manifest = read_manifest(place)
    with store.reader() as reader:
        if manifest.segments:
            last = manifest.segments[-1]
            ours = reader.chain_at(last.last_tx)
            if ours != last.chain:
                msg = (
                    f"the archive {place.name} does not continue this store: at transaction"
                    f" {last.last_tx} it says {last.chain[:16]}, the store says"
                    f" {(ours or 'nothing')[:16]}; seal into another folder"
                )
                raise ArchiveError(msg)
        store.remember_archive(place)
        erased = reader.erased_after(manifest.last_tx)
        rows = added = 0
        for table in reader.log_after(manifest.last_seq, through, SEGMENT_ROWS):
            for part in _by_day(table):
                manifest = _add(place, manifest, part)
                rows += part.num_rows
                added += 1
        manifest = _scrub(place, manifest, reader, erased)
    return SealReport(added, rows, manifest.head, manifest.last_tx)


def backup(store: Store, folder: Path | str) -> SealReport:
    """Make or refresh a complete copy in a folder while the store goes on writing; see ``seal``."""
    return seal(store, folder)


def _by_day(table: pa.Table) -> Iterator[pa.Table]:
    us = table.column("recorded_at").cast(pa.int64()).to_numpy()
    days = us // DAY_US
    cuts = np.flatnonzero(np.diff(days)) + 1
    edges = [0, *cuts.tolist(), table.num_rows]
    for start, end in itertools.pairwise(edges):
        if end > start:
            yield table.slice(start, end - start)


def _add(place: Path, manifest: Manifest, table: pa.Table) -> Manifest:
    number = len(manifest.segments) + 1
    first_us = table.column("recorded_at").cast(pa.int64())[0].as_py()
    day = moment_of(first_us).date().isoformat()
    name = f"segments/day={day}/{number:06d}.parquet"
    write_segment(place / name, table)
    segment = Segment(
        number=number,
        file=name,
        day=day,
        first_seq=table.column("seq")[0].as_py(),
        last_seq=table.column("seq")[-1].as_py(),
        first_tx=table.column("tx")[0].as_py(),
        last_tx=table.column("tx")[-1].as_py(),
        rows=table.num_rows,
        sha256=file_hash(place / name),
        chain=table.column("chain")[-1].as_py().hex(),
        previous=manifest.head,
    ).sealed()
    grown = Manifest((*manifest.segments, segment))
    write_manifest(place, grown)
    return grown


def _scrub(place: Path, manifest: Manifest, reader: Reader, erased: frozenset[int]) -> Manifest:
    """Write the segments anew from whose transactions an erasure took content."""
    for i, segment in enumerate(manifest.segments):
        if erased.isdisjoint(range(segment.first_tx, segment.last_tx + 1)):
            continue
        ours = reader.log_rows(segment.first_seq, segment.last_seq)
        path = place / segment.file
        write_segment(path, ours)
        fresh = replace(segment, rewritten=file_hash(path))
        manifest = Manifest((*manifest.segments[:i], fresh, *manifest.segments[i + 1 :]))
        write_manifest(place, manifest)
    return manifest


def write_segment(path: Path, table: pa.Table) -> None:
    """Write one segment durably."""
    write_file(path, lambda temporary: _write(table, temporary))


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(table.cast(LOG), path, compression="zstd")


def read_segment(path: Path) -> pa.Table:
    """Read one segment.

    Raises
    ------
    ArchiveError
        It is missing, truncated or no segment.
    """
    try:
        return pq.read_table(path, partitioning=None).cast(LOG)
    except (OSError, pa.ArrowException, ValueError) as error:
        msg = f"segment {path.name} cannot be read: {error}"
        raise ArchiveError(msg) from error
