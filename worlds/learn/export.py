"""Facts that another process exported to a Parquet file: read like the store itself."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from worlds.errors import FitError

VERSION = b"facts.version"
"""Key of the file's metadata that holds ``tx,hash,count``, if whoever wrote it knows."""


class ExportedFacts:
    """The visible facts of a store as of some time, from a file.

    Parameters
    ----------
    path
        A Parquet file with the columns of `facts.Reader.facts`.

    Raises
    ------
    FitError
        If it cannot be read as such.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._table = pq.read_table(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except (OSError, pa.ArrowException) as error:
            msg = f"{str(path)!r} is no export of facts: {error}"
            raise FitError(msg) from error
        missing = {"recorded_at", "entity", "attribute"} - set(self._table.column_names)
        if missing:
            msg = f"{str(path)!r} is no export of facts: it has no {sorted(missing)}"
            raise FitError(msg)
        stated = (self._table.schema.metadata or {}).get(VERSION)
        self._version = stated.decode().split(",") if stated else None
        self._digest = digest

    def _known(self, as_of: datetime | None) -> pa.Table:
        if as_of is None:
            return self._table
        limit = pa.scalar(as_of, self._table.schema.field("recorded_at").type)
        return self._table.filter(pc.less_equal(self._table["recorded_at"], limit))

    def facts(
        self, *, as_of: datetime | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the facts recorded up to a time."""
        table = self._known(as_of)
        return table if columns is None else table.select(list(columns))

    def version(self, as_of: datetime | None = None) -> tuple[int, str, int]:
        """Return last transaction, hash and number of facts; the file's own hash without them."""
        if self._version is not None:
            tx, chain, count = self._version
            return int(tx), chain, int(count)
        return 0, self._digest, self._known(as_of).num_rows

    def last_recorded(self) -> datetime | None:
        """Return when the last of the facts was recorded."""
        found: datetime | None = pc.max(self._table["recorded_at"]).as_py()
        return found
