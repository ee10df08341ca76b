"""Named streams of random numbers: adding a model moves no other model's draws."""

import hashlib

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the generator that belongs to a seed and a path of names."""
    digest = hashlib.sha256("\x1f".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))
