"""Polynomials with many coefficients at many points."""

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.arrays import Complexes, Floats

BLOCK = 1 << 18
"""Numbers that are held at once when a polynomial is evaluated."""


def polynomial(coefficients: Floats, x: ArrayLike) -> Complexes:
    """Return a polynomial at many points, array like x.

    In blocks: the powers up to the root of the degree are made once, one matrix product gives all
    blocks, and Horner's rule joins them (Paterson & Stockmeyer 1973, doi:10.1137/0202007).

    Parameters
    ----------
    coefficients
        Of the powers 0, 1, ... of x.
    x
        Points, complex or real.
    """
    points = np.asarray(x)
    flat = points.ravel().astype(complex if np.iscomplexobj(points) else float)
    width = int(np.ceil(np.sqrt(len(coefficients))))
    rows = -(-len(coefficients) // width)
    padded = np.zeros(rows * width)
    padded[: len(coefficients)] = coefficients
    blocks = padded.reshape(rows, width).astype(flat.dtype)
    found = np.empty_like(flat)
    step = max(BLOCK // (width + rows), 1)
    for start in range(0, len(flat), step):
        part = flat[start : start + step]
        powers = np.ones((width + 1, len(part)), flat.dtype)
        for k in range(1, width + 1):
            np.multiply(powers[k - 1], part, out=powers[k])
        values = blocks @ powers[:width]
        total = values[-1]
        for row in values[-2::-1]:
            total = total * powers[width] + row
        found[start : start + step] = total
    return found.reshape(points.shape)
