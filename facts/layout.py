"""The layout of the fact file: its tables, columns and format version.

Everything recorded is one row of ``log``, in the order it was recorded: facts, corrections,
retractions, quarantined input, releases and erasures. Rows are never changed (only an erasure
removes content, and says so in a row of its own). One table means one insert per commit, one hash
chain and one archive. ``tx`` numbers the commits; all rows of a commit share ``recorded_at``, and
its last row carries the commit's hash in ``chain``. The file has one more column than the log as
archived: ``ekey``, by which an entity's rows are found (see ``entitykey``).

``shadow`` says which facts a correction or retraction hides, as signed changes: it is written with
the row that causes the change and can be rebuilt from the log. ``rollups`` holds the declared
roll-ups and ``rollup`` their signed deltas, which can be rebuilt too. ``meta`` holds the format
version, the secrets of entity keys and of erased events, the archives to erase from, and what pins
``meta`` and ``rollups`` themselves (see ``stated``).
"""

import pyarrow as pa

FORMAT = 4

ASSERT, CORRECT, RETRACT, QUARANTINE, RELEASE, ERASE = range(6)
OPS = {"assert": ASSERT, "correct": CORRECT, "retract": RETRACT}
OP_NAMES = ("assert", "correct", "retract", "quarantine", "release", "erase")

_TIME: pa.DataType = pa.timestamp("us")
LOG = pa.schema(
    [
        ("seq", pa.int64()),
        ("tx", pa.int32()),
        ("recorded_at", _TIME),
        ("op", pa.uint8()),
        ("source", pa.string()),
        ("id", pa.string()),
        ("entity", pa.string()),
        ("attribute", pa.string()),
        ("kind", pa.string()),
        ("num", pa.float64()),
        ("num2", pa.float64()),
        ("num3", pa.float64()),
        ("text", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("probs", pa.list_(pa.float64())),
        ("nums", pa.list_(pa.float64())),
        ("valid_from", _TIME),
        ("valid_to", _TIME),
        ("choice", pa.string()),
        ("refers_source", pa.string()),
        ("refers_id", pa.string()),
        ("extra", pa.string()),
        ("raw", pa.binary()),
        ("chain", pa.binary()),
    ]
)

_SQL_TYPES: dict[pa.DataType, str] = {
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.uint8(): "UTINYINT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    _TIME: "TIMESTAMP",
    pa.list_(pa.string()): "VARCHAR[]",
    pa.list_(pa.float64()): "DOUBLE[]",
}

LOG_COLUMNS = tuple(LOG.names)
FILE_COLUMNS = (*LOG_COLUMNS, "ekey")
INSERT_LOG = f"INSERT INTO log VALUES ({', '.join('?' * len(FILE_COLUMNS))})"  # noqa: S608 no input


def create_log(name: str = "log") -> str:
    """Return the statement that creates the log table."""
    columns = ", ".join(f"{field.name} {_SQL_TYPES[field.type]}" for field in LOG)
    return f"CREATE TABLE {name} ({columns}, ekey UBIGINT)"


CREATE_ROLLUP = (
    "CREATE TABLE rollups (name VARCHAR, attribute VARCHAR, bucket VARCHAR, dimension VARCHAR)",
    "CREATE TABLE rollup (name VARCHAR, bucket TIMESTAMP, dim VARCHAR, recorded_at TIMESTAMP,"
    " n DOUBLE, total DOUBLE, squares DOUBLE, sum_var DOUBLE)",
)
TABLES = {"log", "shadow", "rollups", "rollup", "meta"}
CREATE = (
    create_log(),
    *CREATE_ROLLUP,
    "CREATE TABLE shadow (seq BIGINT, recorded_at TIMESTAMP, step TINYINT)",
    "CREATE TABLE meta (key VARCHAR, value VARCHAR)",
)
