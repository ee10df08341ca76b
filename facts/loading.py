"""Recording a bulk table in one commit, with two processors at work.

What takes long, beside the insert itself, is the hash of the commit, the keys of the entities and
the check for duplicates. Hash and keys are computed beside the check, as if every row were new,
which is usual; where some are known, they are computed again for the rest.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facts import bulk, chain
from facts.entitykey import Words
from facts.identity import Hashes
from facts.layout import LOG
from facts.mark import used_in_table
from facts.recorder import Recorder
from facts.rows import with_chain

PIECE = 122_880  # rows of a row group of the file


@dataclass(slots=True)
class _Commit:
    """Rows of the log to be committed, and what is computed of them meanwhile."""

    rows: pa.Table
    tx: int
    recorded_us: int
    head: Future[bytes]
    keys: Future[Words]

    def as_file(self) -> pa.RecordBatchReader:
        """Yield the rows as the file has them: with chain hash and keys of entities."""
        schema = LOG.append(pa.field("ekey", pa.uint64()))
        return pa.RecordBatchReader.from_batches(schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        count = self.rows.num_rows
        keys = pa.array(self.keys.result(), pa.uint64())
        for start in range(0, count, PIECE):
            part = self.rows.slice(start, PIECE)
            if start + PIECE >= count:
                part = with_chain(part, self.head.result())
            part = part.append_column("ekey", keys.slice(start, PIECE))
            yield from part.combine_chunks().to_batches()


def load(recorder: Recorder, table: pa.Table) -> tuple[int, int]:
    """Record normalised rows in one transaction; return how many are new and known.

    Rows are facts of their own; see ``facts.bulk``.
    """
    with recorder.working(), ThreadPoolExecutor(1, "facts-load") as beside:
        commit = _begin(recorder, table, beside)
        hashes, keep = _new(recorder, table)
        new = int(keep.sum())
        if new == 0:
            return 0, table.num_rows
        if new < table.num_rows:
            hashes, table = hashes[keep], table.filter(pa.array(keep))
            commit = _begin(recorder, table, beside)
        first, memory = recorder.seq + 1, recorder.memory
        steps = memory.late_steps(table, hashes, first)
        known = beside.submit(memory.remember, hashes, first, recorder.seq + new)
        recorder.insert(commit.as_file(), commit.rows, steps, commit.recorded_us)
        known.result()
        used = used_in_table(commit.rows)
        recorder.moved(new, commit.tx, commit.recorded_us, commit.head.result(), steps, used)
    return new, len(keep) - new


def _begin(recorder: Recorder, table: pa.Table, beside: ThreadPoolExecutor) -> _Commit:
    tx, now = recorder.tx + 1, recorder.next_time()
    rows = bulk.as_log(table, recorder.seq + 1, tx, now)
    previous = recorder.head

    def head() -> bytes:
        return chain.link(previous, tx, now, rows.num_rows, chain.digest_table(rows))

    keys = recorder.keys.many
    return _Commit(
        rows, tx, now, beside.submit(head), beside.submit(lambda: keys(rows.column("entity")))
    )


def _new(recorder: Recorder, table: pa.Table) -> tuple[Hashes, NDArray[np.bool_]]:
    """Return the hashes of the events, and which rows are neither known nor repeated."""
    events, facts = bulk.keys_of(table)
    keep = np.ones(table.num_rows, dtype=bool)
    if bulk.repeated(facts):
        keep &= bulk.first_of_each(table)
    keep &= recorder.memory.unknown_rows(table, events)
    return events, keep
