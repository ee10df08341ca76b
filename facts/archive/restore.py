"""Restoring: an archive becomes a store again, as it was or as it was at some time."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from facts.archive.audit import erasures_in
from facts.archive.manifest import Segment, read_manifest
from facts.archive.merge import reading
from facts.archive.seal import read_segment
from facts.archive.verify import Report, check_archive
from facts.errors import ArchiveError, StoreDamaged
from facts.store import Store
from facts.times import micros


def restore(
    folder: Path | str, path: Path | str, *, as_of: datetime | None = None, check: bool = True
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

    Raises
    ------
    ArchiveError
        The file exists, or the archive is empty.
    StoreDamaged
        The archive fails its verification.
    """
    place, target = Path(folder), Path(path)
    if target.exists():
        msg = f"{target.name} exists; restore into a new file and put it in place yourself"
        raise ArchiveError(msg)
    with reading(place):
        manifest = read_manifest(place)
        if not manifest.segments:
            msg = f"{place.name} holds no segments to restore"
            raise ArchiveError(msg)
        if check:
            problems = list(check_archive(place, manifest, None, Report()))
            if problems:
                said = "; ".join(map(str, problems[:5]))
                msg = f"{place.name} is damaged, nothing was restored: {said}"
                raise StoreDamaged(msg)
        return _fill(place, manifest.segments, target, as_of)


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
    partial.replace(target)
    return rows


def _until(table: pa.Table, as_of: datetime | None) -> pa.Table:
    if as_of is None:
        return table
    recorded = table.column("recorded_at").cast(pa.int64()).to_numpy()
    return table.slice(0, int(np.searchsorted(recorded, micros(as_of), side="right")))
