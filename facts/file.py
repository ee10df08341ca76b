"""Opening the fact file: who owns it, whether it is one, and which format it has."""

import contextlib
import errno
import logging
import os
import re
import secrets
import shutil
from pathlib import Path

import duckdb

from facts import stated
from facts.errors import StoreBusy, StoreDamaged, StoreError, StoreTooNew
from facts.layout import CREATE, FILE_COLUMNS, FORMAT, TABLES
from facts.migrate import migrate
from facts.times import moment_of

LOG = logging.getLogger(__name__)

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


def connect(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file for this process alone.

    Raises
    ------
    StoreBusy
        Another process has it open.
    StoreDamaged
        It cannot be opened.
    """
    try:
        return duckdb.connect(str(path), config=CONFIG)
    except duckdb.IOException as error:
        holder = re.search(r"PID (\d+)", str(error))
        if "lock" in str(error).lower():
            who = f"process {holder.group(1)}" if holder else "another process"
            msg = (
                f"{path.name} is held by {who}, and one process at a time owns a fact file."
                " Ask that process (the running service answers over HTTP), or read the sealed"
                " Parquet segments of its archive, which any process may open."
            )
            raise StoreBusy(msg) from error
        msg = f"{path.name} cannot be opened: {error}"
        raise StoreDamaged(msg) from error
    except duckdb.Error as error:
        msg = f"{path.name} cannot be opened as a fact file: {error}"
        raise StoreDamaged(msg) from error


def left_over(path: Path) -> int:
    """Return the bytes of the write-ahead log that a process left which did not close the file."""
    wal = Path(f"{path}.wal")
    return wal.stat().st_size if wal.exists() else 0


def say_what_was_recovered(path: Path, left: int, tx: int, recorded_us: int | None) -> None:
    """Log that a file was not closed, and up to where it holds everything."""
    at = "" if recorded_us is None else f", recorded at {moment_of(recorded_us).isoformat()}"
    LOG.warning(
        "%s was not closed: the %d bytes of its write-ahead log were read back; it holds"
        " everything up to transaction %d%s",
        *(path.name, left, tx, at),
    )


def copy_file(con: duckdb.DuckDBPyConnection, path: Path, target: Path) -> None:
    """Copy the file and its write-ahead log; by the writer, so that nothing is written meanwhile.

    Where the file system can, the copy shares its blocks with the file.

    Raises
    ------
    StoreError
        There is a file already.
    """
    if target.exists():
        msg = f"{target.name} exists already; name a new file"
        raise StoreError(msg)
    with contextlib.suppress(duckdb.Error):  # an empty write-ahead log need not be read back
        con.execute("CHECKPOINT")
    parts = [(path, target), (Path(f"{path}.wal"), Path(f"{target}.wal"))]
    try:
        for source, place in parts:
            if source.exists():
                _copy(source, place)
    except BaseException:
        for _, place in parts:
            place.unlink(missing_ok=True)
        raise


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("xb") as new:
        left = os.fstat(old.fileno()).st_size
        try:
            while left > 0 and (done := os.copy_file_range(old.fileno(), new.fileno(), left)):
                left -= done
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        if left > 0:  # from where the kernel stopped
            shutil.copyfileobj(old, new, 1 << 20)


def entity_secret(con: duckdb.DuckDBPyConnection) -> str:
    """Return the secret of the file's entity keys."""
    found = con.execute("SELECT value FROM meta WHERE key = 'entity_key'").fetchall()
    return str(found[0][0])


def prepare(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make the tables of a new file, or bring an older file to the present format.

    Raises
    ------
    StoreTooNew
        The file has a newer format.
    StoreDamaged
        It is no fact file.
    """
    tables = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not tables:
        con.execute("BEGIN")
        for statement in CREATE:
            con.execute(statement)
        con.execute("INSERT INTO meta VALUES ('format', ?)", [str(FORMAT)])
        con.execute("INSERT INTO meta VALUES ('entity_key', ?)", [secrets.token_hex(16)])
        stated.pin(con)
        con.execute("COMMIT")
        return
    if "meta" not in tables or "log" not in tables:
        msg = f"{path.name} is a DuckDB file but no fact file: it has no log; choose another path"
        raise StoreDamaged(msg)
    found = con.execute("SELECT value FROM meta WHERE key = 'format'").fetchall()
    if not found or not found[0][0].isdigit():
        msg = f"{path.name} does not say its format: its meta table was changed"
        raise StoreDamaged(msg)
    version = int(found[0][0])
    if version > FORMAT:
        msg = (
            f"{path.name} has format {version}, this code reads up to format {FORMAT};"
            " use the newer release that wrote it"
        )
        raise StoreTooNew(msg)
    if version < FORMAT:
        migrate(con, version)
    _check_shape(con, path)


def _check_shape(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    rows = con.execute("SELECT table_name, column_name FROM duckdb_columns()").fetchall()
    tables = {table for table, _ in rows}
    lacking = [*sorted(TABLES - tables)]
    lacking += [f"log.{c}" for c in FILE_COLUMNS if ("log", c) not in rows]
    if lacking:
        msg = (
            f"{path.name} was changed: it lacks {', '.join(lacking)};"
            " restore it from an archive (worlds facts restore)"
        )
        raise StoreDamaged(msg)
    if not con.execute("SELECT 1 FROM meta WHERE key = 'entity_key'").fetchall():
        msg = f"{path.name} was changed: its meta table lacks the key of entities; restore it"
        raise StoreDamaged(msg)
