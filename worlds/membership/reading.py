"""From columns of facts to probabilities of lying in a set, and to values: whole columns at once.

Kinds this module does not know by name are asked one by one through their own `prob`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy
from numpy.typing import NDArray

from facts import ValueKindError, fact_value
from facts.values import Box, Disc, OneOf, Range
from worlds.core.distributions import Floats
from worlds.membership.errors import MembershipError
from worlds.membership.plane import in_box, in_disc
from worlds.membership.regions import AnyRegion, MapCells, Polygon, Tagged

SEPARATOR = "\x1f"
type Rows = NDArray[np.bool_]
type Answer = Callable[[pa.Table, Any], Floats]


def probabilities(table: pa.Table, region: AnyRegion) -> Floats:
    """Return the probability of every fact to lie in a set, array (n,).

    Parameters
    ----------
    table
        Rows of `facts.Reader.facts` with the columns `columns_for` names.
    region
        A set of numbers, labels, words or places.

    Raises
    ------
    MembershipError
        If a fact is of a kind which cannot lie in such a set.
    """
    probs = np.zeros(table.num_rows)
    left = np.ones(table.num_rows, bool)
    for kind, answer in ANSWERS.get(type(region), {}).items():
        rows = _of_kind(table, kind) & left
        if rows.all() and rows.size:
            return answer(table, region)
        if rows.any():
            probs[rows] = answer(table.filter(pa.array(rows)), region)
            left &= ~rows
    if left.any():
        probs[left] = _one_by_one(table.filter(pa.array(left)), region)
    return probs


def columns_for(region: AnyRegion) -> tuple[str, ...]:
    """Return the columns of facts that are needed to ask for a set."""
    wanted: tuple[str, ...] = ("kind", "num", "num2", "num3", "text", "labels", "probs", "nums")
    if isinstance(region, Disc | Box | Polygon | MapCells):
        wanted = ("kind", "num", "num2", "num3")
    return wanted


def _of_kind(table: pa.Table, kind: str) -> Rows:
    is_kind = pc.equal(table["kind"], pa.scalar(kind))
    return np.asarray(is_kind.to_numpy(zero_copy_only=False))


def _one_by_one(table: pa.Table, region: AnyRegion) -> Floats:
    if isinstance(region, Polygon | MapCells | Tagged):
        raise _wrong_kind(table["kind"][0].as_py(), table.num_rows, region)
    try:
        return np.array([fact_value(row).prob(region) for row in table.to_pylist()])
    except ValueKindError as error:
        raise _wrong_kind(table["kind"][0].as_py(), table.num_rows, region) from error


def _wrong_kind(kind: str, count: int, region: AnyRegion) -> MembershipError:
    return MembershipError(
        f"{count} facts of kind {kind!r} and the like cannot lie in {str(region)[:80]}"
    )


def _number(table: pa.Table, name: str) -> Floats:
    return np.asarray(table[name].to_numpy(), float)


def _places(table: pa.Table) -> tuple[Floats, Floats, Floats]:
    return _number(table, "num"), _number(table, "num2"), _number(table, "num3")


def _disc(table: pa.Table, region: Disc) -> Floats:
    return in_disc(*_places(table), (region.lat, region.lon), region.radius_m)


def _box(table: pa.Table, region: Box) -> Floats:
    parallels, meridians = (region.lat_lo, region.lat_hi), (region.lon_lo, region.lon_hi)
    return in_box(*_places(table), parallels, meridians)


def _outline(table: pa.Table, region: Polygon | MapCells) -> Floats:
    return region.probs(*_places(table))


def _exact_range(table: pa.Table, region: Range) -> Floats:
    x = _number(table, "num")
    if np.isnan(x).any():
        raise _wrong_kind("exact", int(np.isnan(x).sum()), region)
    below = x <= region.hi if region.closed else x < region.hi
    return np.asarray((x >= region.lo) & below, float)


def _normal_range(table: pa.Table, region: Range) -> Floats:
    mean, sd = _number(table, "num"), _number(table, "num2")
    scale = np.where(sd > 0, sd, 1.0)
    low, high = (region.lo - mean) / scale, (region.hi - mean) / scale
    upper = low > 0
    low, high = np.where(upper, -high, low), np.where(upper, -low, high)
    return np.where(
        sd > 0, scipy.special.ndtr(high) - scipy.special.ndtr(low), _exact_range(table, region)
    )


def _interval_range(table: pa.Table, region: Range) -> Floats:
    low, high = _number(table, "num"), _number(table, "num2")
    inside = np.minimum(high, region.hi) / 2 - np.maximum(low, region.lo) / 2
    part = np.clip(inside / np.where(high > low, high / 2 - low / 2, 1.0), 0.0, 1.0)
    return np.where(high > low, part, _exact_range(table, region))


def _quantiles_range(table: pa.Table, region: Range) -> Floats:
    """Read between quantiles in straight lines, as `facts.values.Quantiles` does."""
    level, value = _lists(table, "probs"), _lists(table, "nums")
    lengths = np.array([len(row) for row in level])
    probs = np.zeros(len(lengths))
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        p, x = (np.stack([part[i] for i in rows]) for part in (level, value))
        slope = np.diff(x) / np.diff(p)
        first = x[:, :1] - slope[:, :1] * p[:, :1]
        last = x[:, -1:] + slope[:, -1:] * (1 - p[:, -1:])
        knots = np.hstack([first, x, last])
        levels = np.hstack([np.zeros_like(first), p, np.ones_like(first)])
        high = _below(knots, levels, region.hi, included=region.closed)
        probs[rows] = high - _below(knots, levels, region.lo, included=False)
    return np.clip(probs, 0.0, 1.0)


def _below(knots: Floats, levels: Floats, at: float, *, included: bool) -> Floats:
    """Return P(X < at), or P(X <= at), of rows of knots."""
    passed = (knots <= at if included else knots < at).sum(1)
    left, right = np.maximum(passed - 1, 0), np.minimum(passed, knots.shape[1] - 1)
    rows = np.arange(len(knots))
    step = knots[rows, right] - knots[rows, left]
    with np.errstate(invalid="ignore"):
        part = (at - knots[rows, left]) / np.where(step > 0, step, 1.0)
        inner = levels[rows, left] + part * (levels[rows, right] - levels[rows, left])
    return np.where(passed == 0, 0.0, np.where(passed == knots.shape[1], 1.0, inner))


def _samples_range(table: pa.Table, region: Range) -> Floats:
    draws = _lists(table, "nums")
    sizes = np.array([len(row) for row in draws])
    x = np.concatenate(draws)
    inside = (x >= region.lo) & ((x <= region.hi) if region.closed else (x < region.hi))
    hits = np.bincount(np.repeat(np.arange(len(sizes)), sizes), inside, len(sizes))
    return np.asarray(hits / sizes)


def _lists(table: pa.Table, name: str) -> list[Floats]:
    column: Any = table[name].combine_chunks()
    flat = np.asarray(column.flatten(), float)
    offsets = np.asarray(column.offsets)
    return np.split(flat, (offsets - offsets[0])[1:-1])


def _labels(table: pa.Table, region: OneOf) -> Floats:
    """Add up the probabilities of the wanted labels without touching the others."""
    found = np.zeros(table.num_rows)
    wanted = pa.array([m for m in region.members if isinstance(m, str)], pa.string())
    start = 0
    labels: Any
    probs: Any
    for labels, probs in _chunks(table["labels"], table["probs"]):
        offsets = np.asarray(labels.offsets)
        flat = labels.values.slice(offsets[0], offsets[-1] - offsets[0])
        hit = np.flatnonzero(pc.is_in(flat, value_set=wanted).to_numpy(zero_copy_only=False))
        row = np.searchsorted(offsets - offsets[0], hit, side="right") - 1
        stated = np.asarray(probs.values)[int(probs.offsets[0].as_py()) :]
        found[start : start + len(labels)] = np.bincount(row, stated[hit], len(labels))
        start += len(labels)
    return np.minimum(found, 1.0)


def _chunks(first: Any, second: Any) -> list[tuple[Any, Any]]:
    """Return the chunks of two columns in pairs of one length."""
    if [len(c) for c in first.chunks] != [len(c) for c in second.chunks]:
        return [(first.combine_chunks(), second.combine_chunks())]
    return list(zip(first.chunks, second.chunks, strict=True))


def _exact_one_of(table: pa.Table, region: OneOf) -> Floats:
    truths = {str(m).lower() for m in region.members if isinstance(m, bool)}
    words = {m for m in region.members if isinstance(m, str)}
    numbers = [float(m) for m in region.members if not isinstance(m, bool | str)]
    plain = np.asarray(pc.is_null(table["num"]).to_numpy(zero_copy_only=False))
    stated = np.asarray(pc.is_null(table["text"]).to_numpy(zero_copy_only=False))
    as_word, as_truth = _text_in(table, words), _text_in(table, truths)
    as_number = np.isin(_number(table, "num"), numbers)
    chosen = np.where(plain, as_word, np.where(stated, as_number, as_truth))
    return np.asarray(chosen, float)


def _text_in(table: pa.Table, words: set[str]) -> Rows:
    wanted = pa.array(sorted(words), pa.string())
    return np.asarray(pc.is_in(table["text"], value_set=wanted).to_numpy(zero_copy_only=False))


def _tagged(table: pa.Table, region: Tagged) -> Floats:
    codes: Any = table["text"].combine_chunks().dictionary_encode()
    lists = [set((text or "").split(SEPARATOR)) for text in codes.dictionary.to_pylist()]
    holds = np.array([bool(words & region.words) for words in lists] + [False], float)
    indices: Any = codes.indices
    return np.asarray(holds[indices.fill_null(len(lists)).to_numpy(zero_copy_only=False)])


ANSWERS: dict[type, dict[str, Answer]] = {
    Disc: {"point": _disc},
    Box: {"point": _box},
    Polygon: {"point": _outline},
    MapCells: {"point": _outline},
    Range: {
        "exact": _exact_range,
        "normal": _normal_range,
        "interval": _interval_range,
        "quantiles": _quantiles_range,
        "samples": _samples_range,
    },
    OneOf: {"categorical": _labels, "exact": _exact_one_of},
    Tagged: {"exact": _tagged},
}


def values(table: pa.Table) -> tuple[Floats, Floats]:
    """Return expectation and variance of every fact's number, arrays (n,).

    Raises
    ------
    MembershipError
        If a fact is no number.
    """
    first = np.asarray(table["num"].to_numpy(zero_copy_only=False), float)
    mean, var = first.copy(), np.zeros(table.num_rows)
    kinds = table["kind"].to_numpy(zero_copy_only=False)
    spread = kinds != "exact"
    if spread.any():
        rows: Sequence[dict[str, Any]] = table.filter(pa.array(spread)).to_pylist()
        known = [fact_value(row) for row in rows]
        pairs = [(value.expectation(), value.variance()) for value in known]
        mean[spread] = [np.nan if m is None else m for m, _ in pairs]
        var[spread] = [np.nan if v is None else v for _, v in pairs]
    if not np.isfinite(mean).all():
        row = int(np.flatnonzero(~np.isfinite(mean))[0])
        msg = f"only numbers can be added up; fact {row} is of kind {kinds[row]!r}"
        raise MembershipError(msg)
    return mean, var
