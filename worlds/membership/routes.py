"""Which of several routes is best, when the cells they pass are dirty with some probability."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from worlds.core.distributions import Floats
from worlds.core.estimate import Estimate
from worlds.membership.counts import Tallied, count
from worlds.membership.errors import MembershipError
from worlds.membership.members import Members

LARGEST = 2_000_000
"""Entries of the joint table of dirty cells on all routes; beyond, routes are simulated."""
DRAWS = 40_000


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """What one route brings.

    Parameters
    ----------
    name
        Of the route.
    clean
        Probability that no cell on it is dirty.
    dirty
        The number of dirty cells on it, a distribution.
    regret
        Expected number of dirty cells more than on the route that will turn out best.
    best
        Probability that no other route has fewer.
    """

    name: str
    clean: Estimate
    dirty: Tallied
    regret: Estimate
    best: Estimate


def compare(
    routes: Mapping[str, frozenset[str]], probs: Mapping[str, float], rng: np.random.Generator
) -> list[Route]:
    """Return the routes, that with the fewest dirty cells to expect first.

    Cells that routes share are dirty on all of them. The joint distribution of the numbers of
    dirty cells is computed exactly while its table is small, else simulated with the error of
    simulation stated (four standard errors).

    Parameters
    ----------
    routes
        The cells of every route; a cell passed twice counts once.
    probs
        Probability that a cell is dirty; independent.
    rng
        Used only where routes are simulated.

    Raises
    ------
    MembershipError
        If there is no route, or one has no cell.
    """
    if not routes or not all(routes.values()):
        msg = f"needs routes with at least one cell each; got {list(routes)}"
        raise MembershipError(msg)
    names = list(routes)
    cells = sorted(frozenset().union(*routes.values()))
    on = np.array([[cell in routes[name] for name in names] for cell in cells])
    dirty = np.array([probs[cell] for cell in cells])
    exact = float(np.prod(on.sum(0) + 1.0)) <= LARGEST
    regret, best = _exactly(on, dirty) if exact else _by_draws(on, dirty, rng)
    found = []
    for index, name in enumerate(names):
        mine = dirty[on[:, index]]
        outcome = count(Members(mine), unit="dirty cells")
        clean = Estimate(float(np.prod(1 - mine)), method="exact", error=1e-15)
        found.append(Route(name, clean, outcome, regret[index], best[index]))
    return sorted(found, key=lambda route: (float(route.dirty.mean()), route.name))


def _exactly(on: Floats, dirty: Floats) -> tuple[list[Estimate], list[Estimate]]:
    table = np.zeros(tuple(int(n) + 1 for n in on.sum(0)))
    table[(0,) * on.shape[1]] = 1.0
    for routes, prob in zip(on, dirty, strict=True):
        moved = np.zeros_like(table)
        to = tuple(slice(1, None) if hit else slice(None) for hit in routes)
        origin = tuple(slice(None, -1) if hit else slice(None) for hit in routes)
        moved[to] = table[origin]
        table = (1 - prob) * table + prob * moved
    numbers = np.indices(table.shape)
    least = numbers.min(0)
    regret = [float((table * (row - least)).sum()) for row in numbers]
    best = [float(table[row == least].sum()) for row in numbers]
    return (
        [Estimate(value, method="exact", error=1e-12) for value in regret],
        [Estimate(min(value, 1.0), method="exact", error=1e-12) for value in best],
    )


def _by_draws(
    on: Floats, dirty: Floats, rng: np.random.Generator
) -> tuple[list[Estimate], list[Estimate]]:
    state = rng.uniform(size=(DRAWS, len(dirty))) < dirty
    numbers = state.astype(float) @ on
    more = numbers - numbers.min(1, keepdims=True)
    return _estimates(more), _estimates((more == 0).astype(float))


def _estimates(draws: Floats) -> list[Estimate]:
    error = 4 * draws.std(0) / np.sqrt(len(draws)) + 1 / len(draws)
    return [
        Estimate(float(mean), method="simulation", error=float(wide))
        for mean, wide in zip(draws.mean(0), error, strict=True)
    ]
