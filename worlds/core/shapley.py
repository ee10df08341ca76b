"""Split one number fairly over the things that make it: Shapley values.

The value of a thing is what it adds to a set of others, averaged over all orders in which the set
can be built (Shapley 1953). The values do not depend on an order and sum to the value of all
things less that of none. As measures of importance of dependent inputs: Owen & Prieur 2017,
doi:10.1137/16M1097717.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial

import numpy as np

from worlds.core.distributions import Floats
from worlds.errors import QuestionError

EXACT = 10
"""Up to this many things every subset is evaluated: at most 1,024."""
MOST = 64
"""More things than this are refused."""
ORDERS = 200
"""Orders sampled beyond `EXACT` things, half of them the reverse of the others."""

type Game = Callable[[frozenset[int]], float]
"""What a subset of the things, given by position, is worth."""


@dataclass(frozen=True, slots=True)
class Split:
    """What everything adds.

    Parameters
    ----------
    values
        One number a thing; they sum to the value of all things less that of none.
    errors
        Standard errors; 0 where every subset was evaluated.
    method
        ``exact`` or ``sampled orders``.
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]
    method: str


def shapley(size: int, game: Game, *, orders: int = ORDERS, seed: int = 0) -> Split:
    """Return the Shapley values of `size` things.

    Parameters
    ----------
    size
        Number of things.
    game
        Worth of a subset; evaluated once a subset.
    orders
        How many orders are sampled where there are too many things for every subset.
    seed
        Seed of these orders.

    Raises
    ------
    QuestionError
        If there are more than `MOST` things.
    """
    if size > MOST:
        msg = f"{size} things are too many to split over; at most {MOST}"
        raise QuestionError(msg)
    worth = cache(game)
    if size <= EXACT:
        return _exact(size, worth)
    return _sampled(size, worth, max(orders // 2, 2), np.random.default_rng(seed))


def _exact(size: int, worth: Game) -> Split:
    values = np.zeros(size)
    masks = np.arange(1 << size)
    worths = np.array([worth(_members(int(mask), size)) for mask in masks])
    counts = np.array([int(mask).bit_count() for mask in masks])
    share = [factorial(k) * factorial(size - k - 1) / factorial(size) for k in range(size)]
    for thing in range(size):
        without = masks[(masks >> thing) & 1 == 0]
        gains = worths[without | (1 << thing)] - worths[without]
        values[thing] = np.array(share)[counts[without]] @ gains
    return Split(tuple(values.tolist()), (0.0,) * size, "exact")


def _members(mask: int, size: int) -> frozenset[int]:
    return frozenset(i for i in range(size) if mask >> i & 1)


def _sampled(size: int, worth: Game, pairs: int, rng: np.random.Generator) -> Split:
    """Return averages over orders and their reverses, with their standard errors."""
    found = np.empty((pairs, size))
    for row in found:
        order = rng.permutation(size)
        row[:] = (_gains(order, worth) + _gains(order[::-1], worth)) / 2
    errors = found.std(0, ddof=1) / np.sqrt(pairs)
    return Split(tuple(found.mean(0).tolist()), tuple(errors.tolist()), "sampled orders")


def _gains(order: Sequence[int] | np.ndarray, worth: Game) -> Floats:
    gains = np.empty(len(order))
    members: frozenset[int] = frozenset()
    before = worth(members)
    for thing in order:
        members = members | {int(thing)}
        after = worth(members)
        gains[thing] = after - before
        before = after
    return gains
