"""Randomised quasi-Monte Carlo: Sobol points, scrambled, in independent replicates.

Primitive polynomials and initial direction numbers: Joe & Kuo 2008, doi:10.1137/070709359 (the
first 64 dimensions of new-joe-kuo-6.21201). Scrambling: a random lower-triangular matrix and a
random shift for every dimension (Matousek 1998, doi:10.1006/jcom.1998.0489); every replicate is
unbiased, so the spread of replicates measures the error.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats

BITS = 30
DIMENSIONS = 64
_JOE_KUO = (
    "3:1 7:1,3 11:1,3,1 13:1,1,1 19:1,1,3,3 25:1,3,5,13 37:1,1,5,5,17 41:1,1,5,5,5 47:1,1,7,11,19 "
    "55:1,1,5,1,1 59:1,1,1,3,11 61:1,3,5,5,31 67:1,3,3,9,7,49 91:1,1,1,15,21,21 97:1,3,1,13,27,49 "
    "103:1,1,1,15,7,5 109:1,3,1,15,13,25 115:1,1,5,5,19,61 131:1,3,7,11,23,15,103 "
    "137:1,3,7,13,13,15,69 143:1,1,3,13,7,35,63 145:1,3,5,9,1,25,53 157:1,3,1,13,9,35,107 "
    "167:1,3,1,5,27,61,31 171:1,1,5,11,19,41,61 185:1,3,5,3,3,13,69 191:1,1,7,13,1,19,1 "
    "193:1,3,7,5,13,19,59 203:1,1,3,9,25,29,41 211:1,3,5,13,23,1,55 213:1,3,7,3,13,59,17 "
    "229:1,3,1,3,5,53,69 239:1,1,5,5,23,33,13 241:1,1,7,7,1,61,123 247:1,1,7,9,13,61,49 "
    "253:1,3,3,5,3,55,33 285:1,3,1,15,31,13,49,245 299:1,3,5,15,31,59,63,97 "
    "301:1,3,1,11,11,11,77,249 333:1,3,1,11,27,43,71,9 351:1,1,7,15,21,11,81,45 "
    "355:1,3,7,3,25,31,65,79 357:1,3,1,1,19,11,3,205 361:1,1,5,9,19,21,29,157 "
    "369:1,3,7,11,1,33,89,185 391:1,3,3,3,15,9,79,71 397:1,3,7,11,15,39,119,27 "
    "425:1,1,3,1,11,31,97,225 451:1,1,1,3,23,43,57,177 463:1,3,7,7,17,17,37,71 "
    "487:1,3,1,5,27,63,123,213 501:1,1,3,5,11,43,53,133 529:1,3,5,5,29,17,47,173,479 "
    "539:1,3,3,11,3,1,109,9,69 545:1,1,1,5,17,39,23,5,343 557:1,3,1,5,25,15,31,103,499 "
    "563:1,1,1,11,11,17,63,105,183 601:1,1,5,11,9,29,97,231,363 607:1,1,5,15,19,45,41,7,383 "
    "617:1,3,7,7,31,19,83,137,221 623:1,1,1,3,23,15,111,223,83 631:1,1,5,13,31,15,55,25,161 "
    "637:1,1,3,13,25,47,39,87,257"
)

type Words = NDArray[np.uint32]


@lru_cache(maxsize=1)
def _directions() -> Words:
    """Return direction numbers (DIMENSIONS, BITS), most significant bit first."""
    table = np.zeros((DIMENSIONS, BITS), np.uint64)
    table[0] = [1 << (BITS - 1 - i) for i in range(BITS)]
    for dim, entry in enumerate(_JOE_KUO.split(), start=1):
        head, _, rest = entry.partition(":")
        polynomial, first = int(head), [int(x) for x in rest.split(",")]
        degree = polynomial.bit_length() - 1
        m = list(first)
        for i in range(degree, BITS):
            new = m[i - degree] ^ (m[i - degree] << degree)
            for k in range(1, degree):
                if (polynomial >> (degree - k)) & 1:
                    new ^= m[i - k] << k
            m.append(new)
        table[dim] = [m[i] << (BITS - 1 - i) for i in range(BITS)]
    return table.astype(np.uint32)


class Scrambled:
    """One scrambled Sobol sequence in the natural order: any 2 ** m first points are a net.

    Parameters
    ----------
    dimensions
        At most `DIMENSIONS`.
    rng
        Where the scrambling comes from.
    """

    def __init__(self, dimensions: int, rng: np.random.Generator) -> None:
        if not 1 <= dimensions <= DIMENSIONS:
            msg = f"between 1 and {DIMENSIONS} dimensions are possible; got {dimensions}"
            raise ValueError(msg)
        self._columns = _scramble(_directions()[:dimensions], rng)
        self._shift = rng.integers(0, 1 << BITS, dimensions, dtype=np.uint32)

    def block(self, start: int, count: int) -> Floats:
        """Return points start .. start + count - 1, array (count, dimensions) inside (0, 1).

        Parameters
        ----------
        start, count
            The count a power of two, the start a multiple of it.
        """
        words = np.zeros((1, len(self._shift)), np.uint32)
        bit = 0
        while len(words) < count:
            words = np.concatenate([words, words ^ self._columns[:, bit]])
            bit += 1
        offset = self._shift.copy()
        for high in range(bit, BITS):
            if (start >> high) & 1:
                offset ^= self._columns[:, high]
        return np.asarray(((words ^ offset) + 0.5) / float(1 << BITS))


def _scramble(columns: Words, rng: np.random.Generator) -> Words:
    """Multiply the direction numbers by random lower-triangular binary matrices."""
    dims = len(columns)
    bits = (columns[:, :, None] >> np.arange(BITS - 1, -1, -1, dtype=np.uint32)) & 1
    lower = np.tril(rng.integers(0, 2, (dims, BITS, BITS)), -1) + np.eye(BITS, dtype=int)
    mixed = np.einsum("dij,dkj->dki", lower, bits.astype(int)) & 1
    powers = 1 << np.arange(BITS - 1, -1, -1)
    return np.asarray((mixed * powers).sum(2), np.uint32)
