"""The hash chain over commits: tamper evidence for every row of the log.

The digest of a commit's rows is SHA-256 over the columns in order. Each column gives its name, a
byte per row (1 present, 0 null; a single ``N`` where all are null), and the present values:
integers and doubles as eight little-endian bytes, text and bytes as lengths followed by the bytes,
lists as lengths followed by the values in the same form. Times are their microseconds.

The chain hash of commit n is ``SHA-256(chain of n-1, tx, recorded_at, rows, digest)``.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facts.layout import LOG, LOG_COLUMNS

GENESIS = bytes(32)
DIGESTED = LOG_COLUMNS[:-1]


def link(previous: bytes, tx: int, recorded_us: int, rows: int, digest: bytes) -> bytes:
    """Return the chain hash of a commit."""
    head = struct.pack("<qqq", tx, recorded_us, rows)
    return hashlib.sha256(previous + head + digest).digest()


def digest_rows(columns: Sequence[Sequence[Any]]) -> bytes:
    """Return the digest of rows given as one Python sequence per column (without ``chain``)."""
    parts: list[bytes] = []
    for field, values in zip(LOG, columns, strict=False):
        present = [v for v in values if v is not None]
        parts.append(field.name.encode() + b"\x00")
        if not present:
            parts.append(b"N")
            continue
        parts.append(bytes(v is not None for v in values))
        parts.append(_python_values(field.type, present))
    return hashlib.sha256(b"".join(parts)).digest()


def _python_values(kind: pa.DataType, values: Sequence[Any]) -> bytes:
    if pa.types.is_floating(kind):
        return struct.pack(f"<{len(values)}d", *values)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        encoded = [v.encode() if isinstance(v, str) else v for v in values]
        return struct.pack(f"<{len(values)}q", *map(len, encoded)) + b"".join(encoded)
    if pa.types.is_list(kind):
        lengths = struct.pack(f"<{len(values)}q", *map(len, values))
        return lengths + _python_values(kind.value_type, [v for row in values for v in row])
    return struct.pack(f"<{len(values)}q", *values)


def digest_table(table: pa.Table) -> bytes:
    """Return the digest of rows given as an Arrow table with the columns of the log."""
    state = hashlib.sha256()
    for field in LOG:
        if field.name == "chain":
            continue
        column: Any = table.column(field.name)
        state.update(field.name.encode() + b"\x00")
        if column.null_count == len(column):
            state.update(b"N")
            continue
        if column.null_count:
            valid: Any = pc.is_valid(column)
            state.update(_single(valid).cast(pa.uint8()).to_numpy().data)
            column = column.drop_null()
        else:
            state.update(b"\x01" * len(column))
        for part in _arrow_values(field.type, _single(column)):
            state.update(part)
    return state.digest()


def _single(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _lengths(array: Any) -> tuple[np.ndarray[Any, Any], int, int]:
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)
    offsets = offsets[array.offset : array.offset + len(array) + 1]
    return np.diff(offsets).astype("<i8"), int(offsets[0]), int(offsets[-1])


def _arrow_values(kind: pa.DataType, array: Any) -> list[Any]:
    if pa.types.is_floating(kind):
        return [np.ascontiguousarray(array.to_numpy(zero_copy_only=False), dtype="<f8").data]
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        lengths, start, end = _lengths(array)
        data = array.buffers()[2]
        return [lengths.data, memoryview(data)[start:end] if data is not None else b""]
    if pa.types.is_list(kind):
        lengths, start, end = _lengths(array)
        inner = array.values.slice(start, end - start)
        return [lengths.data, *_arrow_values(kind.value_type, inner)]
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.int64())
    return [np.ascontiguousarray(array.to_numpy(zero_copy_only=False)).astype("<i8").data]
