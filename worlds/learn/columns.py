"""A table of things and their labels as what size models are fitted on.

For data that never was a fact: a data frame, columns of a file, lists. Text becomes a category,
lists of words become tags, all else numbers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.core.features import Features, FeatureSpec
from worlds.core.questions import Quantity
from worlds.errors import FitError
from worlds.learn.series import Items, Times, utc64

BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
"""Time zero of things whose time is a number of days, or unknown."""
APART = np.timedelta64(1, "ms")
"""Time between things whose time is not known."""


class Columns(Protocol):
    """What has columns by name: a data frame, or a mapping of names to sequences."""

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        ...

    def __getitem__(self, name: str) -> Any:
        """Return a column."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column is what.

    Parameters
    ----------
    time
        Column with the begin of things, as times or in days; None: the table does not say.
    categories, tags, numbers
        Columns of one label a thing, of any number of labels, of a number.
    """

    time: str | None
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    numbers: tuple[str, ...]

    @classmethod
    def of(cls, columns: Columns, *, time: str | None) -> "Layout":
        """Tell the columns of a table apart by what is in them.

        Raises
        ------
        FitError
            If there is no column of the name that `time` gives.
        """
        names = [str(name) for name in columns]
        if time is not None and time not in names:
            msg = f"there is no column {time!r}; there are {', '.join(names)}"
            raise FitError(msg)
        kinds = {name: _kind(columns[name]) for name in names if name != time}

        def of_kind(kind: str) -> tuple[str, ...]:
            return tuple(name for name, found in kinds.items() if found == kind)

        return cls(time, of_kind("category"), of_kind("tags"), of_kind("number"))

    @property
    def spec(self) -> FeatureSpec:
        """What models are told of the features."""
        return FeatureSpec(self.categories, self.tags, self.numbers, "table")

    def features(self, columns: Columns) -> list[Features]:
        """Return what every row says; columns that are missing are not known."""
        names = {str(name) for name in columns}
        texts = {n: _texts(columns[n]) for n in self.categories if n in names}
        words = {n: list(columns[n]) for n in self.tags if n in names}
        numbers = {n: _numbers(columns[n]) for n in self.numbers if n in names}
        made = []
        for row in range(_length(columns)):
            labels = {n: ((text[row], 1.0),) for n, text in texts.items() if text[row]}
            tags = {n: tuple(map(str, _listed(word[row]))) for n, word in words.items()}
            known = {n: float(v[row]) for n, v in numbers.items() if np.isfinite(v[row])}
            made.append(Features(labels, tags, known))
        return made

    def times(self, columns: Columns) -> Times | None:
        """Return when every row began, or None where the table does not say."""
        if self.time is None or self.time not in {str(name) for name in columns}:
            return None
        raw = np.asarray(columns[self.time])
        if np.issubdtype(raw.dtype, np.datetime64):
            return raw.astype("datetime64[us]")
        days = _numbers(raw)
        if not np.isfinite(days).all():
            msg = f"every row needs a time; {int((~np.isfinite(days)).sum())} of {self.time!r} miss"
            raise FitError(msg)
        return np.asarray(utc64(BEGIN) + (days * 86400e6).astype("timedelta64[us]"))

    def items(
        self,
        columns: Columns,
        label: Sequence[float] | Floats,
        quantity: Quantity,
        rng: np.random.Generator,
    ) -> Items:
        """Return the table as items, oldest first; in random order where it gives no time.

        Raises
        ------
        FitError
            If labels and rows are not of one number.
        """
        known = np.asarray(label, float)
        features = self.features(columns)
        if known.shape != (len(features),):
            msg = f"there are {len(features)} rows and labels of shape {known.shape}"
            raise FitError(msg)
        known = np.where(known >= 0, np.round(known), np.nan)
        at = self.times(columns)
        if at is None:
            at = utc64(BEGIN) + rng.permutation(len(features)) * APART
        order = np.argsort(at, kind="stable")
        rows = [features[i] for i in order]
        return Items(quantity, rows, at[order], known[order], at[order])


def usual(label: Floats) -> tuple[float, float]:
    """Return the usual range of labels: what nine of ten lie in."""
    known = label[np.isfinite(label)]
    low, high = np.quantile(known, [0.05, 0.95]) if known.size else (0.0, 100.0)
    return float(low), float(max(high, low + 1))


def _kind(column: Iterable[Any]) -> str:
    raw = np.asarray(column) if not isinstance(column, list) else None
    if raw is not None and raw.dtype.kind in "biufM":
        return "number"
    values = [value for value in column if value is not None]
    if values and all(isinstance(value, list | tuple | set | frozenset) for value in values):
        return "tags"
    if values and all(isinstance(value, int | float | np.number) for value in values):
        return "number"
    return "category"


def _texts(column: Iterable[Any]) -> list[str]:
    return ["" if value is None or value != value else str(value) for value in column]


def _numbers(column: Any) -> Floats:
    return np.array([np.nan if value is None else value for value in column], float)


def _listed(value: Any) -> Sequence[Any]:
    return list(value) if isinstance(value, list | tuple | set | frozenset) else []


def _length(columns: Columns) -> int:
    lengths = {len(columns[name]) for name in columns}
    if len(lengths) != 1:
        msg = f"a table needs columns of one length; these have {sorted(lengths)}"
        raise FitError(msg)
    return int(lengths.pop())


type Rows = NDArray[np.intp]
