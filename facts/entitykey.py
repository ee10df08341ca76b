"""The 64-bit key of an entity, by which its facts are found without comparing text.

SipHash-1-3 (Aumasson and Bernstein, 2012) under a secret of the store: nobody can choose names
whose keys meet, and by chance two among ten million entities share one with probability 3e-6
(n**2 / 2**65). Reading the names themselves would cost twenty times as much. The key is derived:
it is neither hashed into the chain nor archived.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MASK = 0xFFFF_FFFF_FFFF_FFFF
START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
CACHE = 100_000
PART = 8192
Words = NDArray[np.uint64]


def _rotate(x: Any, bits: int) -> Any:
    if isinstance(x, int):
        return ((x << bits) | (x >> (64 - bits))) & MASK
    return (x << np.uint64(bits)) | (x >> np.uint64(64 - bits))


def _round(v0: Any, v1: Any, v2: Any, v3: Any) -> tuple[Any, Any, Any, Any]:
    """Return the state after one SipRound; works for integers and for arrays alike."""
    one = isinstance(v0, int)
    v0 = (v0 + v1) & MASK if one else v0 + v1
    v2 = (v2 + v3) & MASK if one else v2 + v3
    v1, v3 = _rotate(v1, 13) ^ v0, _rotate(v3, 16) ^ v2
    v0 = _rotate(v0, 32)
    v2 = (v2 + v1) & MASK if one else v2 + v1
    v0 = (v0 + v3) & MASK if one else v0 + v3
    v1, v3 = _rotate(v1, 17) ^ v2, _rotate(v3, 21) ^ v0
    return v0, v1, _rotate(v2, 32), v3


class EntityKeys:
    """Computes keys under one secret.

    Parameters
    ----------
    secret : str
        Sixteen bytes in hex.
    """

    def __init__(self, secret: str) -> None:
        raw = bytes.fromhex(secret)
        halves = [int.from_bytes(raw[i : i + 8], "little") for i in (0, 8)]
        self._start = tuple(halves[i % 2] ^ START[i] for i in range(4))
        self._cache: dict[str, int] = {}

    def one(self, entity: str) -> int:
        """Return the key of one entity."""
        found = self._cache.get(entity)
        if found is None:
            if len(self._cache) >= CACHE:
                self._cache.clear()
            found = self._cache[entity] = self._hash(entity.encode())
        return found

    def _hash(self, data: bytes) -> int:
        v0, v1, v2, v3 = self._start
        whole = len(data) - len(data) % 8
        last = int.from_bytes(data[whole:], "little") | ((len(data) & 0xFF) << 56)
        blocks = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
        for block in (*blocks, last):
            v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ block)
            v0 ^= block
        v2 ^= 0xFF
        for _ in range(3):
            v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        return v0 ^ v1 ^ v2 ^ v3

    def many(self, entities: Any) -> Words:
        """Return the keys of an Arrow array of entities; nulls have the key 0."""
        coded = entities.dictionary_encode()
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.combine_chunks()
        names = coded.dictionary
        few = len(names) <= 64
        keys = (
            np.array([self.one(n) for n in names.to_pylist()], dtype=np.uint64)
            if few
            else self._hash_all(names)
        )
        at = coded.indices.to_numpy(zero_copy_only=False)
        if coded.null_count:
            missing = np.isnan(at)
            keys = np.append(keys, np.uint64(0))
            at = np.where(missing, len(keys) - 1, at).astype(np.int64)
        return np.asarray(keys[at])

    def _hash_all(self, names: Any) -> Words:
        words, start, lengths = words_of(names)
        parts = [
            self._hash_part(words, start[i : i + PART], lengths[i : i + PART])
            for i in range(0, len(names), PART)
        ]
        return np.concatenate(parts)

    def _hash_part(
        self, words: NDArray[Any], start: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> Words:
        """Hash so many at once as fit the processor's cache."""
        state: list[Words] = [np.full(len(start), s, dtype=np.uint64) for s in self._start]
        whole = lengths // 8
        for k in range(int(whole.max())):
            on = np.flatnonzero(whole > k)
            if len(on) == len(start):
                state = self._absorb(state, words[start + 8 * k])
                continue
            some = self._absorb([s[on] for s in state], words[start[on] + 8 * k])
            for s, v in zip(state, some, strict=True):
                s[on] = v
        left = lengths % 8
        keep = (np.uint64(1) << (left * 8).astype(np.uint64)) - np.uint64(1)
        last = words[start + 8 * whole] & keep
        last |= (lengths & 0xFF).astype(np.uint64) << np.uint64(56)
        v0, v1, v2, v3 = self._absorb(state, last)
        v2 = v2 ^ np.uint64(0xFF)
        for _ in range(3):
            v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        return np.asarray(v0 ^ v1 ^ v2 ^ v3)

    def _absorb(self, state: list[Words], block: Words) -> list[Words]:
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ block)
        return [v0 ^ block, v1, v2, v3]


def words_of(texts: Any) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Return an Arrow array of texts as words to be gathered.

    Returns
    -------
    words : array
        The eight bytes from any place of the texts' bytes on, as little-endian integers.
    start, lengths : arrays
        Where each text begins, and its length in bytes.
    """
    places = _places(texts)
    low, high = int(places[0]), int(places[-1])
    padded = np.zeros(high - low + 16, dtype=np.uint8)
    padded[: high - low] = bytes_of(texts)[0][low:high]
    words: NDArray[Any] = np.ndarray((len(padded) - 7,), dtype="<u8", buffer=padded, strides=(1,))
    return words, places[:-1] - low, np.diff(places)


def _places(texts: Any) -> NDArray[np.int64]:
    """Return where in its bytes each text of an Arrow array begins, and where the last ends."""
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)
    return offsets[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)


def bytes_of(texts: Any) -> tuple[NDArray[np.uint8], int, int]:
    """Return the bytes behind an Arrow array of texts, and from where to where they are its own."""
    data = texts.buffers()[2]
    if data is None or len(texts) == 0:
        return np.zeros(0, dtype=np.uint8), 0, 0
    places = _places(texts)
    return np.frombuffer(data, dtype=np.uint8), int(places[0]), int(places[-1])
