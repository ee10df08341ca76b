"""Restoring: an archive becomes a store again, as it was or as it was at some time."""

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from facts.archive.audit import erasures_in
from facts.archive.durable import sync_folder
from facts.archive.manifest import Segment, read_manifest
from facts.archive.seal import read_segment
from facts.archive.sweep import reading
from facts.archive.verify import Report, check_archive
from facts.errors import ArchiveError, StoreDamaged
from facts.store import Store
from facts.times import micros, moment_of


def erased_since(store: Store, folder: Path | str) -> frozenset[int]:
    """Return the transactions from which a store erased content that an archive still holds.

    None where the archive is another store's. ``seal`` into the archive takes the content out.
    """
    manifest = read_manifest(folder)
    if not manifest.segments:
        return frozenset()
    with store.reader() as reader:
        if reader.chain_at(manifest.last_tx) != manifest.segments[-1].chain:
            return frozenset()
        return reader.erased_after(manifest.last_tx)


def restore(
    folder: Path | str,
    path: Path | str,
    *,
    as_of: datetime | None = None,
    check: bool = True,
    present: Store | None = None,
) -> int:
    """Make a new store of an archive, and return its rows.

    Parameters
    ----------
    folder : path
        The archive.
    path : path
        The new fact file; must not exist.
    as_of : datetime, optional
        Restore what was recorded up to this time; default: everything.
    check : bool
        Verify the archive first.
    present : Store, optional
        The store as it is now, where there is one: an old copy of the archive may hold what it
        erased since.

    Raises
    ------
    ArchiveError
        The file exists, the archive is empty, begins after ``as_of``, or holds what ``present``
        erased.
    StoreDamaged
        The archive fails its verification.
    """
    place, target = Path(folder), Path(path)
    if target.exists():
        msg = f"{target.name} exists; restore into a new file and put it in place yourself"
        raise ArchiveError(msg)
    if present is not None and (erased := erased_since(present, place)):
        msg = (
            f"{place.name} was copied before an erasure and holds the erased content of"
            f" {len(erased)} transactions: seal into it first (worlds facts seal), which takes it"
            " out; then restore, to any time"
        )
        raise ArchiveError(msg)
    with reading(place):
        manifest = read_manifest(place)
        if not manifest.segments:
            msg = f"{place.name} holds no segments to restore"
            raise ArchiveError(msg)
        _check_begin(place, manifest.segments[0], as_of)
        if check:
            problems = list(check_archive(place, manifest, None, Report()))
            if problems:
                said = "; ".join(map(str, problems[:5]))
                msg = f"{place.name} is damaged, nothing was restored: {said}"
                raise StoreDamaged(msg)
        return _fill(place, manifest.segments, target, as_of)


def _check_begin(place: Path, first: Segment, as_of: datetime | None) -> None:
    if as_of is None:
        return
    begin = read_segment(place / first.file).column("recorded_at").cast(pa.int64())[0].as_py()
    if micros(as_of) < begin:
        msg = (
            f"nothing was recorded by {as_of.isoformat()}: {place.name} begins at"
            f" {moment_of(begin).isoformat()}"
        )
        raise ArchiveError(msg)


def _fill(place: Path, segments: tuple[Segment, ...], target: Path, as_of: datetime | None) -> int:
    partial = target.with_name(f".{target.name}.restoring")
    for leftover in (partial, Path(f"{partial}.wal")):
        leftover.unlink(missing_ok=True)
    rows = 0
    later: list[str] = []
    with Store.open(partial) as store:
        for segment in segments:
            whole = read_segment(place / segment.file)
            table = _until(whole, as_of)
            later += erasures_in(whole.slice(table.num_rows))
            rows += table.num_rows
            if table.num_rows:
                store.adopt(table)
        store.keep_erasures(later)
        store.rebuild_derived()
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    sync_folder(target.parent)
    return rows


def _until(table: pa.Table, as_of: datetime | None) -> pa.Table:
    if as_of is None:
        return table
    recorded = table.column("recorded_at").cast(pa.int64()).to_numpy()
    return table.slice(0, int(np.searchsorted(recorded, micros(as_of), side="right")))
