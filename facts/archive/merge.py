"""Joining the small segments that a replica gathers at its end.

A replica gets a segment every few seconds. Left alone, a day would leave tens of thousands of
files. So neighbours of one day are joined while the one before is not much larger than the one
after: a day keeps a handful of small files, and each row is written anew some ten times at most.
Rows, their order and the log's hash chain stay as they are; the manifest's last lines are replaced.
"""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from facts.archive.durable import file_hash
from facts.archive.manifest import Manifest, Segment, write_manifest
from facts.archive.seal import read_segment, write_segment
from facts.archive.sweep import sweep, unread

MOST_ROWS = 100_000


def merge(place: Path, manifest: Manifest) -> Manifest:
    """Join small segments at the end of an archive, unless somebody reads it now.

    Parameters
    ----------
    place : Path
        The archive, held for writing.
    manifest : Manifest
        What it holds.
    """
    with unread(place) as alone:
        if not alone:
            return manifest
        start = _from(manifest.segments)
        if start == len(manifest.segments) - 1 or not _whole(place, manifest.segments[start:]):
            return manifest
        joined = _join(place, manifest, start)
        sweep(place, joined)
        return joined


def _from(segments: tuple[Segment, ...]) -> int:
    """Return from which segment on they become one."""
    at = len(segments) - 1
    rows = segments[at].rows if segments else 0
    while at > 0:
        before = segments[at - 1]
        fits = before.day == segments[at].day and before.rows + rows <= MOST_ROWS
        if not fits or before.rows > 2 * rows:
            break
        rows += before.rows
        at -= 1
    return at


def _whole(place: Path, segments: tuple[Segment, ...]) -> bool:
    """Whether files are as sealed: a damaged one must stay to be named."""
    try:
        return all(file_hash(place / s.file) == (s.rewritten or s.sha256) for s in segments)
    except OSError:
        return False


def _join(place: Path, manifest: Manifest, start: int) -> Manifest:
    kept, old = manifest.segments[:start], manifest.segments[start:]
    first, last = old[0], old[-1]
    name = f"segments/day={first.day}/{first.number:06d}-{first.first_seq}-{last.last_seq}.parquet"
    table = pa.concat_tables([read_segment(place / s.file) for s in old])
    write_segment(place / name, table)
    whole = replace(
        first,
        file=name,
        last_seq=last.last_seq,
        last_tx=last.last_tx,
        rows=table.num_rows,
        sha256=file_hash(place / name),
        chain=last.chain,
        rewritten=None,
    ).sealed()
    joined = Manifest((*kept, whole))
    write_manifest(place, joined)
    return joined
