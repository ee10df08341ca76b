"""Import CSV, Parquet and Arrow tables through a mapping.

Rows arrive in groups through the store's queue like any other events, so an import can be broken
off and repeated: what is known is a duplicate and adds nothing.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from facts.errors import EventError, FactsError, MappingError
from facts.events import Event, RawBad, Receipt
from facts.importers.cells import row_events
from facts.importers.mapping import TableMapping
from facts.store import Store

CHUNK = 5_000
Found = tuple[bytes, dict[str, Any] | None, str | None]


@dataclass(slots=True)
class ImportReport:
    """What an import did.

    ``rows`` read, ``events`` made of them, and how many of these (and of the broken rows) were
    ``accepted``, were a ``duplicate`` or went to quarantine; ``reasons`` counts why, and which
    duplicates have other content than what is known.
    """

    rows: int = 0
    events: int = 0
    accepted: int = 0
    duplicate: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def count(self, receipts: list[Receipt]) -> None:
        """Add what became of some items."""
        for receipt in receipts:
            if receipt.status == "accepted":
                self.accepted += 1
            elif receipt.status == "duplicate":
                self.duplicate += 1
                if receipt.reason is not None:
                    self.reasons[receipt.reason] += 1
            else:
                self.quarantined += 1
                self.reasons[receipt.reason or ""] += 1


def import_table(
    store: Store,
    path: Path | str | pa.Table,
    mapping: TableMapping,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Record every row of a table as the mapping says.

    Parameters
    ----------
    store : Store
        Where to.
    path : path or pyarrow.Table
        A ``.csv``, ``.parquet``, ``.arrow`` or ``.feather`` file, or a table in memory.
    mapping : TableMapping
        From ``load_mapping``.
    progress : callable, optional
        Called with the rows done and the rows in all (0 where that is not known before the end).

    Raises
    ------
    MappingError
        The table lacks a column of the mapping, or the file is of no known type.
    FactsError
        The file cannot be read.
    """
    columns, total, rows = _open(path)
    lacking = sorted(mapping.columns() - set(columns))
    if lacking:
        msg = f"the table lacks the columns {', '.join(lacking)}; it has {', '.join(columns)}"
        raise MappingError(msg)
    report = ImportReport()
    waiting: Future[list[Receipt]] | None = None
    items: list[Event | RawBad] = []
    for number, (raw, row, reason) in enumerate(rows, 1):
        report.rows += 1
        items += _items(raw, row, reason, number, mapping, report)
        if len(items) >= CHUNK:
            waiting = _send(store, items, waiting, report)
            items = []
            if progress is not None:
                progress(report.rows, total)
    waiting = _send(store, items, waiting, report)
    report.count(waiting.result())
    if progress is not None:
        progress(report.rows, total or report.rows)
    return report


def _send(
    store: Store,
    items: list[Event | RawBad],
    before: Future[list[Receipt]] | None,
    report: ImportReport,
) -> Future[list[Receipt]]:
    """Wait for the chunk before, then queue this one: at most one is prepared ahead."""
    if before is not None:
        report.count(before.result())
    return store.submit(items)


def _items(
    raw: bytes,
    row: dict[str, Any] | None,
    reason: str | None,
    number: int,
    mapping: TableMapping,
    report: ImportReport,
) -> list[Event | RawBad]:
    if row is None:
        return [RawBad(raw, reason or "", mapping.source)]
    try:
        events = row_events(row, number, mapping)
    except EventError as error:
        return [RawBad(raw, str(error), mapping.source)]
    report.events += len(events)
    return list(events)


def _open(path: Path | str | pa.Table) -> tuple[list[str], int, Iterator[Found]]:
    if isinstance(path, pa.Table):
        return path.schema.names, path.num_rows, _arrow_rows(iter(path.to_batches(CHUNK)))
    place = Path(path)
    suffix = place.suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            return _open_csv(place, "\t" if suffix == ".tsv" else ",")
        if suffix in (".parquet", ".pq"):
            file = pq.ParquetFile(place)
            return (
                file.schema_arrow.names,
                file.metadata.num_rows,
                _arrow_rows(file.iter_batches(CHUNK)),
            )
        if suffix in (".arrow", ".feather", ".ipc"):
            table = pa.ipc.open_file(pa.memory_map(str(place))).read_all()
            return _open(table)
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"{place.name} cannot be read: {error}"
        raise FactsError(msg) from error
    msg = f"{place.name}: unknown type {suffix!r}; use .csv, .tsv, .parquet, .arrow or .feather"
    raise MappingError(msg)


def _arrow_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[Found]:
    for batch in batches:
        for row in batch.to_pylist():
            yield json.dumps(row, default=str).encode(), row, None


def _open_csv(path: Path, delimiter: str) -> tuple[list[str], int, Iterator[Found]]:
    with path.open("rb") as file:
        first = file.readline()
    try:
        head = next(csv.reader([first.decode("utf-8-sig")], delimiter=delimiter), [])
    except UnicodeDecodeError as error:
        msg = f"{path.name} is not UTF-8: {error}"
        raise FactsError(msg) from error
    if len(set(head)) != len(head) or not head:
        msg = f"{path.name}: the first line must name the columns, each once; got {head}"
        raise MappingError(msg)
    return head, 0, _csv_rows(path, head, delimiter)


def _csv_rows(path: Path, head: list[str], delimiter: str) -> Iterator[Found]:
    """Yield the raw bytes of each row with its cells, or with what is wrong with it."""
    raw: list[bytes] = []

    def lines() -> Iterator[str]:
        with path.open("rb") as file:
            file.readline()
            for line in file:
                raw.append(line)
                yield line.decode("utf-8", "surrogateescape")

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    while True:
        raw.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield b"".join(raw), None, f"not a CSV row: {error}"
            continue
        taken = b"".join(raw)
        if not cells:
            continue
        if len(cells) != len(head):
            yield taken, None, f"has {len(cells)} cells where the first line names {len(head)}"
        elif any("\udc80" <= c <= "\udcff" for cell in cells for c in cell if not cell.isascii()):
            yield taken, None, "is not UTF-8"
        else:
            yield taken, dict(zip(head, cells, strict=True)), None
