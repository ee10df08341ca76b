"""Exporting facts for other tools."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as feather
import pyarrow.parquet as pq

from facts.archive.durable import write_file
from facts.errors import ArchiveError
from facts.store import Store

SUFFIXES = (".parquet", ".arrow", ".feather", ".csv")


def export(
    store: Store, path: Path | str, *, as_of: datetime | None = None, **conditions: Any
) -> int:
    """Write the visible facts as known at a time to one file, and return how many.

    Parameters
    ----------
    store : Store
        Where from.
    path : path
        A ``.parquet``, ``.arrow``, ``.feather`` or ``.csv`` file; a CSV joins lists with ``|``.
    as_of : datetime, optional
        Known when; default: now.
    **conditions
        As for ``Reader.facts``: entity, attribute, valid_from, valid_to, columns.

    Raises
    ------
    ArchiveError
        The file's type is unknown.
    """
    place = Path(path)
    if place.suffix not in SUFFIXES:
        msg = f"unknown type {place.suffix!r} of {place.name}; use one of {', '.join(SUFFIXES)}"
        raise ArchiveError(msg)
    with store.reader() as reader:
        table = reader.facts(as_of=as_of, **conditions)
    write_file(place.resolve(), lambda temporary: _write(table, temporary, place.suffix))
    return table.num_rows


def _write(table: pa.Table, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pq.write_table(table, path, compression="zstd")
    elif suffix == ".csv":
        pacsv.write_csv(_flat(table), path)
    else:
        feather.write_feather(table, path, compression="lz4")


def _flat(table: pa.Table) -> pa.Table:
    for i, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            joined = [
                None if row is None else "|".join(map(str, row))
                for row in table.column(i).to_pylist()
            ]
            table = table.set_column(i, field.name, pa.array(joined, pa.string()))
    return table
