"""Roll-ups: counts, sums and sums of squares per time bucket and dimension, kept while writing.

A roll-up is declared once. Every commit appends signed deltas in its own transaction: new facts
count up, facts hidden by a correction or retraction count down, facts shown again count up. Deltas
are never changed, so a roll-up can be read as known at any time, like the facts.

Per fact the number is its expectation; ``sum_var`` sums the variances, so the uncertainty of a sum
is known too. By ``label``, a categorical counts towards each alternative with its probability, and
``sum_var`` sums ``p (1 - p)``. Kinds without a number count with sums of zero. A roll-up of several
attributes only counts: the sum of different things means nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as arrow_compute
from numpy.typing import NDArray

from facts.errors import QueryError
from facts.values import Cells, value_from_cells

pc: Any = arrow_compute  # its annotations do not know chunked arrays
Bucket = Literal["minute", "quarter", "hour", "day"]
By = Literal["", "entity", "prefix", "source", "text", "choice", "label"]
BUCKETS: dict[str, int] = {
    "minute": 60_000_000,
    "quarter": 900_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
}
DIMENSIONS = ("", "entity", "prefix", "source", "text", "choice", "label")
NEEDED = (
    *("seq", "recorded_at", "op", "source", "entity", "attribute", "kind", "choice", "valid_from"),
    *Cells._fields,
)
TIME: pa.DataType = pa.timestamp("us")
DELTAS = pa.schema(
    [
        ("name", pa.string()),
        ("bucket", TIME),
        ("dim", pa.string()),
        ("recorded_at", TIME),
        ("n", pa.float64()),
        ("total", pa.float64()),
        ("squares", pa.float64()),
        ("sum_var", pa.float64()),
    ]
)
EVERY, ALL_BUT = "*", "*-"
SUMS = ("n", "total", "squares", "sum_var")


@dataclass(frozen=True, slots=True)
class RollUp:
    """A declared roll-up.

    Parameters
    ----------
    name : str
        Its name.
    attribute : str
        Which facts count: those of this attribute, all with ``*``, all but one with ``*-NAME``.
    bucket : {"minute", "quarter", "hour", "day"}
        The width of a bucket of ``valid_from``, in UTC.
    by : {"", "entity", "prefix", "source", "text", "choice", "label"}
        The dimension; ``prefix`` is the entity up to its colon, ``""`` makes one total.

    Raises
    ------
    QueryError
        The bucket or dimension is unknown, or a name is empty.
    """

    name: str
    attribute: str
    bucket: Bucket = "hour"
    by: By = ""

    def __post_init__(self) -> None:
        if not self.name or not self.attribute:
            msg = f"a roll-up needs a name and an attribute; got {self!r}"
            raise QueryError(msg)
        if self.attribute.startswith(EVERY) and self.by == "label":
            msg = f"a roll-up by label has one attribute; got {self!r}"
            raise QueryError(msg)
        if self.bucket not in BUCKETS or self.by not in DIMENSIONS:
            msg = (
                f"a roll-up's bucket is one of {', '.join(BUCKETS)} and its dimension one of"
                f" {', '.join(d or 'none' for d in DIMENSIONS)}; got {self!r}"
            )
            raise QueryError(msg)


def condition(attribute: str) -> tuple[str, list[str]]:
    """Return the SQL condition on the attribute of a roll-up, with its bound parameters."""
    if not attribute.startswith(EVERY):
        return "attribute = ?", [attribute]
    if attribute == EVERY:
        return "true", []
    return "attribute <> ?", [attribute.removeprefix(ALL_BUT)]


def concerned_one(wanted: str, attribute: str) -> bool:
    """Whether facts of an attribute count in a roll-up of ``wanted``."""
    if not wanted.startswith(EVERY):
        return attribute == wanted
    return wanted == EVERY or attribute != wanted.removeprefix(ALL_BUT)


def _concerned(attribute: str, names: Any) -> Any:
    if not attribute.startswith(EVERY):
        return pc.equal(names, attribute)
    if attribute == EVERY:
        return pc.is_valid(names)
    return pc.not_equal(names, attribute.removeprefix(ALL_BUT))


def deltas(
    rollup: RollUp, rows: pa.Table, signs: NDArray[np.float64], recorded: datetime | None = None
) -> pa.Table:
    """Return the deltas that rows of the log make, summed per bucket, dimension and commit.

    Parameters
    ----------
    rollup : RollUp
        What to sum.
    rows : pyarrow.Table
        Rows of the log with the columns ``NEEDED``.
    signs : array
        +1 for each row that counts up, -1 for each that counts down.
    recorded : datetime without zone, optional
        When the change is known; default: each row's own recorded time.
    """
    mine = pc.and_(
        _concerned(rollup.attribute, rows.column("attribute")),
        pc.and_(pc.less_equal(rows.column("op"), 1), pc.is_valid(rows.column("kind"))),
    )
    mask = pc.fill_null(mine, False).to_numpy()
    if not mask.any():
        return DELTAS.empty_table()
    if not mask.all():
        rows, signs = rows.filter(pa.array(mask)), signs[mask]
    if rollup.by == "label":
        rows, signs, weights = _alternatives(rows, signs)
        dim = rows.column("dim")
        sums = (weights, np.zeros(len(weights)), np.zeros(len(weights)), weights * (1 - weights))
    else:
        many = rollup.attribute.startswith(EVERY)
        mean, variance = np.zeros((2, rows.num_rows)) if many else _numbers(rows)
        dim = _dimension(rollup.by, rows)
        sums = (np.ones(len(mean)), mean, mean * mean, variance)
    width = BUCKETS[rollup.bucket]
    start = np.asarray(rows.column("valid_from").cast(pa.int64()).to_numpy()) // width * width
    when: Any = rows.column("recorded_at")
    if recorded is not None:
        when = pa.array([recorded] * rows.num_rows, pa.timestamp("us"))
    keyed = pa.table(
        {
            "bucket": pa.array(start).cast(pa.timestamp("us")),
            "dim": dim,
            "recorded_at": when,
            **{name: pa.array(s * signs) for name, s in zip(SUMS, sums, strict=True)},
        }
    )
    grouped = keyed.group_by(["bucket", "dim", "recorded_at"]).aggregate(
        [(name, "sum") for name in SUMS]
    )
    names = pa.array([rollup.name] * grouped.num_rows, pa.string())
    columns = [grouped.column(c) for c in ("bucket", "dim", "recorded_at")]
    columns += [grouped.column(f"{name}_sum") for name in SUMS]
    return pa.Table.from_arrays([names, *columns], schema=DELTAS)


def _numbers(rows: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the expectation and variance of each row, 0 where its kind is not a number."""
    num, num2 = (_filled(rows, name) for name in ("num", "num2"))
    kind = rows.column("kind").combine_chunks().dictionary_encode()
    names: Any = kind.dictionary.to_pylist()
    code = kind.indices.to_numpy(zero_copy_only=False)
    mean, variance = np.zeros(len(code)), np.zeros(len(code))
    for i, name in enumerate(names):
        at = code == i
        if name == "exact":
            mean[at] = num[at]
        elif name == "normal":
            mean[at], variance[at] = num[at], num2[at] ** 2
        elif name == "interval":
            mean[at], variance[at] = (num[at] + num2[at]) / 2, (num2[at] - num[at]) ** 2 / 12
        else:
            _other_kind(rows, name, at, mean, variance)
    return mean, variance


def _filled(rows: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(pc.fill_null(rows.column(name), 0.0).to_numpy())


def _other_kind(
    rows: pa.Table,
    kind: str,
    at: NDArray[np.bool_],
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> None:
    columns = rows.select(list(Cells._fields)).filter(pa.array(at)).to_pylist()
    for i, row in zip(np.flatnonzero(at), columns, strict=True):
        value = value_from_cells(kind, Cells(**row))
        mean[i], variance[i] = value.expectation() or 0.0, value.variance() or 0.0


def _dimension(by: str, rows: pa.Table) -> Any:
    if by == "":
        return pa.array([""] * rows.num_rows, pa.string())
    if by == "prefix":
        entity = rows.column("entity")
        return pc.replace_substring_regex(entity, r"(?s):.*$", ":")
    return pc.fill_null(rows.column(by), "")


def _alternatives(
    rows: pa.Table, signs: NDArray[np.float64]
) -> tuple[pa.Table, NDArray[np.float64], NDArray[np.float64]]:
    """Return one row per alternative of each categorical, with its probability."""
    rows = rows.append_column("sign", pa.array(signs))
    rows = rows.filter(pc.equal(rows.column("kind"), "categorical"))
    labels = rows.column("labels").combine_chunks()
    parent = pc.list_parent_indices(labels)
    found = rows.select(["valid_from", "recorded_at", "sign"]).take(parent)
    found = found.append_column("dim", pc.list_flatten(labels))
    weights = pc.list_flatten(rows.column("probs").combine_chunks())
    return found, found.column("sign").to_numpy(), np.asarray(weights.to_numpy())


def totals(tables: Sequence[pa.Table]) -> dict[tuple[str, int, str], tuple[float, ...]]:
    """Return the sums of deltas by name, bucket and dimension, without those that vanished."""
    found: dict[tuple[str, int, str], list[float]] = {}
    for table in tables:
        buckets: Any = table.column("bucket").cast(pa.int64()).to_pylist()
        names: Any = table.column("name").to_pylist()
        dims: Any = table.column("dim").to_pylist()
        sums = zip(*(table.column(s).to_pylist() for s in SUMS), strict=True)
        for name, bucket, dim, row in zip(names, buckets, dims, sums, strict=True):
            kept = found.setdefault((name, bucket, dim), [0.0] * len(SUMS))
            for i, x in enumerate(row):
                kept[i] += x
    return {key: tuple(row) for key, row in found.items() if abs(row[0]) > 1e-9}
