"""Which events are known: a sorted 64-bit hash of every (source, id), in memory.

A hash that is not found proves that an event is new, which is the usual case and costs a binary
search. A hash that is found says only in which part of the log to compare source and id exactly.
The hashes live in runs, one per stretch of the log, merged as they grow: eight bytes per
event, no index on the table. The hash is our own, so that one event (in Python) and a million
(in NumPy) agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facts.entitykey import PART, words_of

MASK = 0xFFFF_FFFF_FFFF_FFFF
PRIME = 0x9E37_79B9_7F4A_7C15
MIX = 0xBF58_476D_1CE4_E5B9
RUNS = 6
Hashes = NDArray[np.uint64]


def hash_key(source: str, name: str) -> int:
    """Return the 64-bit hash of one source and id."""
    return _scalar(name.encode(), _scalar(source.encode(), 0))


def _scalar(data: bytes, h: int) -> int:
    for start in range(0, len(data), 8):
        h = ((h ^ int.from_bytes(data[start : start + 8], "little")) * PRIME) & MASK
        h ^= h >> 29
    h = ((h ^ len(data)) * MIX) & MASK
    return h ^ (h >> 32)


def hash_keys(sources: Any, names: Any) -> Hashes:
    """Return the hashes of arrays of sources and ids without nulls; equals ``hash_key``."""
    coded = sources.dictionary_encode()
    seeds = [_scalar(s.encode(), 0) for s in coded.dictionary.to_pylist()]
    h = np.array(seeds, dtype=np.uint64)[coded.indices.to_numpy(zero_copy_only=False)]
    return _vector(names, h)


def _vector(names: Any, h: Hashes) -> Hashes:
    if len(names) == 0:
        return h
    words, start, lengths = words_of(names)
    return np.concatenate(
        [
            _part(words, start[i : i + PART], lengths[i : i + PART], h[i : i + PART])
            for i in range(0, len(names), PART)
        ]
    )


def _part(
    words: NDArray[Any], start: NDArray[np.int64], lengths: NDArray[np.int64], h: Hashes
) -> Hashes:
    """Hash so many at once as fit the processor's cache; ``h`` is used up."""
    shortest = int(lengths.min())
    for k in range(0, int(lengths.max()), 8):
        left = lengths - k
        if shortest > k:
            h = _absorb(h, words[start + k], left)
        else:
            on = left > 0
            h[on] = _absorb(h[on], words[start[on] + k], left[on])
    h = (h ^ lengths.astype(np.uint64)) * np.uint64(MIX)
    return h ^ (h >> np.uint64(32))


_KEEP = np.array([(1 << (8 * n)) - 1 for n in range(8)] + [MASK], dtype=np.uint64)


def _absorb(h: Hashes, word: Hashes, left: NDArray[np.int64]) -> Hashes:
    if int(left.min()) < 8:
        word = word & _KEEP[np.minimum(left, 8)]
    h = (h ^ word) * np.uint64(PRIME)
    h ^= h >> np.uint64(29)
    return h


@dataclass(frozen=True, slots=True)
class _Run:
    hashes: Hashes
    first: int
    last: int


class Identities:
    """The hashes of all known events, and where in the log to look for the ones that match."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._recent: dict[int, tuple[int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._runs or self._recent)

    def add_one(self, h: int, first: int, last: int) -> None:
        """Add one event whose rows have the sequence numbers ``first`` to ``last``."""
        known = self._recent.get(h)
        self._recent[h] = (first if known is None else known[0], last)
        if len(self._recent) >= 50_000:
            self._settle()

    def add_many(self, hashes: Hashes, first: int, last: int) -> None:
        """Add events whose rows lie between two sequence numbers."""
        self._settle()
        self._push(_Run(np.sort(hashes), first, last))

    def _settle(self) -> None:
        if self._recent:
            spans = self._recent.values()
            hashes = np.sort(np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent)))
            self._push(_Run(hashes, min(s[0] for s in spans), max(s[1] for s in spans)))
            self._recent = {}

    def _push(self, run: _Run) -> None:
        self._runs.append(run)
        while len(self._runs) > 1 and (
            len(self._runs[-2].hashes) <= 2 * len(self._runs[-1].hashes) or len(self._runs) > RUNS
        ):
            b, a = self._runs.pop(), self._runs.pop()
            merged = np.concatenate([a.hashes, b.hashes])
            merged.sort(kind="stable")
            self._runs.append(_Run(merged, min(a.first, b.first), max(a.last, b.last)))

    def find_one(self, h: int) -> tuple[int, int] | None:
        """Return the stretch of the log where a matching event may lie, or None for a new one."""
        spans = [self._recent[h]] if h in self._recent else []
        key = np.uint64(h)
        for run in self._runs:
            at = int(np.searchsorted(run.hashes, key))
            if at < len(run.hashes) and run.hashes[at] == key:
                spans.append((run.first, run.last))
        return _span(spans)

    def find_many(self, hashes: Hashes) -> tuple[NDArray[np.bool_], tuple[int, int] | None]:
        """Return which hashes are known, and the stretch of the log that holds all of them."""
        found = np.zeros(len(hashes), dtype=bool)
        spans = []
        if self._recent:
            hits = [self._recent.get(h) for h in hashes.tolist()]
            spans += [s for s in hits if s is not None]
            found |= np.fromiter((s is not None for s in hits), dtype=bool, count=len(hits))
        asked = np.sort(hashes) if self._runs else hashes  # neighbours are found in the cache
        for run in self._runs:
            at = np.searchsorted(run.hashes, asked)
            at[at == len(run.hashes)] = 0
            same = run.hashes[at] == asked
            if same.any():
                found |= np.isin(hashes, asked[same])
                spans.append((run.first, run.last))
        return found, _span(spans)


def _span(spans: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    if not spans:
        return None
    return min(s[0] for s in spans), max(s[1] for s in spans)
