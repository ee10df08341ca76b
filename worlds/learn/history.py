"""From facts as of a time to what models are fitted on: counts per period, items with labels.

A thing (an entity of the domain) begins with its earliest fact. Its features are what held when it
began; its label is the last value known, if that was observed when ripe. Nothing recorded after
`as_of` is read, and no thing that began at or after `until` counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facts import fact_value
from worlds.begins import begins
from worlds.core.distributions import Floats
from worlds.core.features import Features
from worlds.domain import Domain
from worlds.learn.clock import MONDAY
from worlds.learn.series import Counts, Items, Times, aware, utc64
from worlds.simulators import is_simulated

COLUMNS = (
    "seq", "entity", "attribute", "kind", "num", "num2", "num3", "text", "labels", "probs", "nums",
    "valid_from", "source",
)  # fmt: skip
MOST_ITEMS = 50_000
"""The latest items whose features are read; all of them are counted."""
BEGIN = "posted_at"
"""Name under which extractors find the begin of a thing, unless a fact has that name."""
UNKNOWN_TIME = np.datetime64("NaT", "us")


class FactSource(Protocol):
    """What learning needs of the facts: a `facts.Reader`, or an export of one."""

    def facts(
        self, *, as_of: datetime | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the visible facts as known at a time."""
        ...

    def version(self, as_of: datetime | None = None) -> tuple[int, str, int]:
        """Return last transaction, chain hash and number of facts."""
        ...

    def last_recorded(self) -> datetime | None:
        """Return when the last fact was recorded."""
        ...


@runtime_checkable
class RolledFacts(FactSource, Protocol):
    """Facts with roll-ups: a `facts.Reader`. Things are counted without reading every fact."""

    def facts(
        self,
        *,
        as_of: datetime | None = None,
        valid_to: datetime | None = None,
        begins_from: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the visible facts as known at a time."""
        ...

    def rollups(self) -> list[str]:
        """Return the names of the declared roll-ups."""
        ...

    def first_buckets(
        self, name: str, *, prefix: str = "", as_of: datetime | None = None
    ) -> pa.Table:
        """Return the first bucket of every dimension."""
        ...

    def sources(self, prefix: str = "", *, as_of: datetime | None = None) -> list[str]:
        """Return the sources of visible facts."""
        ...


@dataclass(frozen=True, slots=True)
class History:
    """Everything the models of a domain are fitted on, as known at a time.

    Parameters
    ----------
    counts, items
        What was seen before `until`.
    until
        End of the last complete period.
    simulated
        Whether any of it was sent by a simulator.
    """

    counts: Counts
    items: Items
    until: datetime
    simulated: bool


@dataclass(frozen=True, slots=True)
class _Things:
    """Things in order of their begin, and the rows of the fact table that speak of them."""

    names: list[str]
    begin: Times
    label: Floats
    label_at: Times


def read(
    domain: Domain, source: FactSource, *, as_of: datetime, until: datetime | None = None
) -> History:
    """Return counts and items of a domain as known at `as_of`.

    Parameters
    ----------
    domain
        Says which entities are things, what their label is and how features are extracted.
    source
        The facts.
    as_of
        Nothing recorded later is read.
    until
        Nothing that became valid later is used, labels included (where it is named). End of the
        last complete period; held down to a whole period. Where left out: the end
        of the period in which the last thing began, if that period was over at `as_of`; else
        its begin, because more of it is still to come.
    """
    seen = as_of if until is None else until
    older = None
    if isinstance(source, RolledFacts) and begins(domain).name in source.rollups():
        older = _older(domain, source, as_of, floor(seen, domain.step))
    if older is None:
        table = _about(domain, source.facts(as_of=as_of, columns=COLUMNS))
        things = _things(table, domain, seen)
        sources = [str(name) for name in pc.unique(table["source"]).to_pylist()]
    else:
        recent_facts = older.source.facts(as_of=as_of, begins_from=older.before, columns=COLUMNS)
        table = _about(domain, recent_facts)
        things = _joined(older, _things(table, domain, seen))
        sources = older.source.sources(f"{domain.entity}:", as_of=as_of)
    limit = _until(things.begin, domain.step, as_of, until)
    inside = np.flatnonzero(things.begin < utc64(limit))
    recent = inside[-MOST_ITEMS:]
    features = _features(table, things, recent, domain)
    items = Items(
        quantity=domain.quantity("size"),
        features=features,
        at=things.begin[recent],
        label=_ripe(things, recent, domain.label_ripens, limit),
        label_at=things.label_at[recent],
        ripens=domain.label_ripens,
    )
    counts = _counts(domain, things.begin[inside], items, limit)
    return History(counts, items, limit, any(is_simulated(name) for name in sources))


def _about(domain: Domain, table: pa.Table) -> pa.Table:
    return table.filter(pc.starts_with(table["entity"], f"{domain.entity}:"))


@dataclass(frozen=True, slots=True)
class _Older:
    """Things that began before the latest ones, as the roll-up has them: by period only.

    The begin of the first is exact, the others are at the begin of their period.
    """

    source: RolledFacts
    before: datetime
    names: list[str]
    begin: Times


def _older(domain: Domain, source: RolledFacts, as_of: datetime, until: datetime) -> _Older | None:
    """Return the things whose facts need not be read, or None where all are needed."""
    prefix = f"{domain.entity}:"
    table = source.first_buckets(begins(domain).name, prefix=prefix, as_of=as_of)
    begin = _times(table["bucket"])
    candidates = int(np.searchsorted(begin, utc64(until)))
    if candidates <= MOST_ITEMS:
        return None
    before = begin[candidates - MOST_ITEMS]
    old = int(np.searchsorted(begin, before))
    if old == 0:
        return None
    first = _about(
        domain,
        source.facts(
            as_of=as_of,
            valid_to=aware(begin[0]) + domain.step,
            columns=("entity", "attribute", "valid_from"),
        ),
    )
    first = first.filter(pc.not_equal(first["attribute"], pa.scalar(domain.label)))
    begin = begin[:old].copy()
    begin[0] = _times(first["valid_from"]).min()
    names = [str(name) for name in table["dim"].slice(0, old).to_pylist()]
    return _Older(source, aware(before), names, begin)


def _joined(older: _Older, latest: _Things) -> _Things:
    """Return all things in order: older ones without label, later facts of which are left out."""
    known = set(older.names)
    keep = np.array([name not in known for name in latest.names], dtype=bool)
    count = len(older.names)
    return _Things(
        [*older.names, *(name for name in latest.names if name not in known)],
        np.concatenate([older.begin, latest.begin[keep]]),
        np.concatenate([np.full(count, np.nan), latest.label[keep]]),
        np.concatenate([np.full(count, UNKNOWN_TIME), latest.label_at[keep]]),
    )


MOST_PERIODS = 50_000
STRAY_SHARE = 100
"""One thing in so many may stand far before all others (see `strays`)."""
"""Periods that are looked at: one event dated in antiquity must not make a million empty ones."""


def floor(moment: datetime, step: timedelta) -> datetime:
    """Return the begin of the period in which a moment lies; periods are aligned to UTC."""
    return moment - (moment - MONDAY) % step


def _things(table: pa.Table, domain: Domain, seen: datetime) -> _Things:
    """Return begin and last label, observed up to `seen`, of every entity with more than labels."""
    codes = table["entity"].combine_chunks().dictionary_encode()
    if len(codes) == 0:
        empty = np.array([], "datetime64[us]")
        return _Things([], empty, np.array([]), empty)
    names = codes.dictionary.to_pylist()
    entity = codes.indices.to_numpy()
    when = _times(table["valid_from"])
    is_label = pc.equal(table["attribute"], pa.scalar(domain.label)).to_numpy(zero_copy_only=False)
    latest = np.iinfo(np.int64).max
    begin = np.full(len(names), latest)
    np.minimum.at(begin, entity[~is_label], when[~is_label].astype(np.int64))
    label = np.full(len(names), np.nan)
    label_at = np.full(len(names), UNKNOWN_TIME)
    known = is_label & (when <= utc64(seen)) & (when.astype(np.int64) >= begin[entity])
    rows = np.flatnonzero(known)
    rows = rows[np.lexsort((table["seq"].to_numpy()[rows], when[rows]))]
    label[entity[rows]] = _numbers(table, rows)
    label_at[entity[rows]] = when[rows]
    order = np.lexsort((np.array(names), begin))
    order = order[begin[order] < latest]
    return _Things(
        [names[i] for i in order],
        begin[order].astype("datetime64[us]"),
        label[order],
        label_at[order],
    )


def _times(column: "pa.ChunkedArray[Any]") -> Times:
    return column.cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")


def _numbers(table: pa.Table, rows: NDArray[np.intp]) -> Floats:
    """Return labels as numbers; uncertain ones by their centre, others as nan."""
    part = table.take(rows)
    numbers = part["num"].to_numpy(zero_copy_only=False).astype(float)
    kinds = part["kind"].to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(kinds != "exact"):
        numbers[row] = _centre(fact_value(part.slice(int(row), 1).to_pylist()[0]).to_json())
    return np.asarray(np.where(numbers >= 0, np.round(numbers), np.nan))


def _centre(raw: Mapping[str, Any]) -> float:
    """Return the middle of an interval or the mean of a normal, from their JSON form."""
    if "lo" in raw and "hi" in raw:
        return (float(raw["lo"]) + float(raw["hi"])) / 2
    return float(raw.get("mean", np.nan))


def _ripe(things: _Things, chosen: NDArray[np.intp], ripens: timedelta, until: datetime) -> Floats:
    """Return labels that were observed when ripe, of things that were ripe by `until`."""
    final = things.begin[chosen] + np.timedelta64(ripens)
    observed = things.label_at[chosen]
    ripe = (observed >= final) & (final <= utc64(until))
    return np.asarray(np.where(ripe, things.label[chosen], np.nan))


def _until(begin: Times, step: timedelta, as_of: datetime, until: datetime | None) -> datetime:
    if until is not None:
        return floor(until, step)
    known = begin[begin < utc64(as_of)]
    begin_of_last = floor(aware(known[-1]) if len(known) else as_of, step)
    over = len(known) > 0 and begin_of_last + step <= as_of
    return begin_of_last + step if over else begin_of_last


def _features(
    table: pa.Table, things: _Things, chosen: NDArray[np.intp], domain: Domain
) -> list[Features]:
    """Return the features of things from what held when they began: their earliest values."""
    place = {things.names[i]: number for number, i in enumerate(chosen)}
    rows: list[dict[str, object]] = [{BEGIN: aware(things.begin[i])} for i in chosen]
    for name, attribute, value, since in _earliest(table, domain.label):
        number = place.get(name)
        if number is not None and since <= rows[number][BEGIN]:  # type: ignore[operator]
            rows[number][attribute] = value
    return [domain.features(row) for row in rows]


def _earliest(table: pa.Table, label: str) -> Iterator[tuple[str, str, object, datetime]]:
    """Yield entity, attribute, value and since when, without labels, the earliest valid one last.

    Of values valid from the same time the one recorded last counts.
    """
    kept = table.filter(pc.not_equal(table["attribute"], pa.scalar(label)))
    order = np.lexsort((kept["seq"].to_numpy(), -_times(kept["valid_from"]).astype(np.int64)))
    kept = kept.take(order)
    since = _times(kept["valid_from"])
    kept = kept.drop_columns(["seq", "valid_from", "source"])
    for row, moment in zip(kept.to_pylist(), since, strict=True):
        yield row["entity"], row["attribute"], _plain(row), aware(moment)


def _plain(row: Mapping[str, Any]) -> object:
    value = fact_value(row)
    return value.to_json() if value.kind != "exact" else value.value  # type: ignore[attr-defined]


def _counts(domain: Domain, begin: Times, items: Items, until: datetime) -> Counts:
    """Return counts from the first complete period on, with the shares of the latest items."""
    quantity, step = domain.quantity("count"), domain.step
    if len(begin) == 0:
        return Counts(quantity, until, step, np.zeros(0))
    first = aware(begin[strays(begin)])
    start = floor(first, step)
    start = start if start == first else start + step
    n = min(max((until - start) // step, 0), MOST_PERIODS)
    start = until - n * step
    y = np.bincount(_period(begin, start, step, n), minlength=n + 1)[:n].astype(float)
    shares = {name: _share(name, items, start, step, n) for name in domain.shares}
    return Counts(quantity, start, step, y, shares)


def strays(begin: Times) -> int:
    """Return how many things stand so far before all others that nothing is counted from there on.

    A thing whose time nobody set says 1970: what follows would be half a century in which nothing
    happened. Fewer than one in a hundred, before a gap that is longer than everything after it,
    do not say when counting began.

    Parameters
    ----------
    begin
        Array (n,), rising.
    """
    most = len(begin) // STRAY_SHARE
    if most == 0:
        return 0
    gaps = begin[1 : most + 1] - begin[:most]
    after = begin[-1] - begin[1 : most + 1]
    lonely = np.flatnonzero(gaps > after)
    return int(lonely[-1]) + 1 if len(lonely) else 0


def _period(begin: Times, start: datetime, step: timedelta, n: int) -> NDArray[np.intp]:
    """Return the period of every thing; n for those before the start."""
    index = (begin - utc64(start)) // np.timedelta64(step)
    return np.where(index < 0, n, np.minimum(index, n)).astype(np.intp)


def _share(
    category: str, items: Items, start: datetime, step: timedelta, n: int
) -> tuple[tuple[str, ...], Floats]:
    """Return labels and expected counts (n, L): uncertain labels count by their probability."""
    period = _period(items.at, start, step, n)
    pairs = [
        (place, label, prob)
        for place, item in zip(period, items.features, strict=True)
        for label, prob in item.categories.get(category, ())
        if place < n
    ]
    labels = tuple(sorted({label for _, label, _ in pairs}))
    index = {label: i for i, label in enumerate(labels)}
    soft = np.zeros((n, len(labels)))
    for place, label, prob in pairs:
        soft[place, index[label]] += prob
    return labels, soft
