"""Joint draws of what one world brings in several periods, or to several groups.

What the parts share is drawn once: the model, the level of the counts, the shares, and the
posterior draw of the sizes. Only what is left after that is independent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from worlds.core.compound import Severity
from worlds.core.conditioned import Stated
from worlds.core.distributions import Count, Floats
from worlds.core.evaluators.algebra import leaves, parts_of
from worlds.core.evaluators.effort import Effort
from worlds.core.formula.tree import Call, Node
from worlds.core.formula.values import value
from worlds.core.laws import Atoms
from worlds.core.outcome import Outcome, World
from worlds.errors import QuestionError

DRAWS = 20_000
BATCH = 2_500
"""Draws between two looks at the clock."""
CERTAINTY = 1e-4
"""How often a stated error of draws may be exceeded."""

type Drawn = Callable[[np.random.Generator, int], Floats]
"""From a generator and a number of draws to an array (parts, draws)."""
type Brings = Callable[[np.random.Generator, Floats], Floats]
"""From a generator and counts (parts, draws) to what they bring, an array of the same shape."""


@dataclass(frozen=True, eq=False)
class Joint:
    """Worlds whose parts can be drawn together.

    Parameters
    ----------
    weights
        Array (W,): probability of every world.
    worlds
        How the parts are drawn in every world.
    """

    weights: Floats
    worlds: tuple[Drawn, ...]

    def draws(self, rng: np.random.Generator, size: int) -> Floats:
        """Return joint draws, array (parts, size)."""
        world = rng.choice(len(self.worlds), size=size, p=self.weights)
        found: Floats | None = None
        for index, drawn in enumerate(self.worlds):
            mine = world == index
            if not mine.any():
                continue
            values = drawn(rng, int(mine.sum()))
            found = np.empty((len(values), size)) if found is None else found
            found[:, mine] = values
        return np.zeros((0, size)) if found is None else found

    def in_time(self, effort: Effort) -> Floats:
        """Return `DRAWS` joint draws, always the same ones, or as many as there is time for."""
        if effort.until is None:
            return self.draws(np.random.default_rng(effort.seed), DRAWS)
        rng = np.random.default_rng(effort.seed)
        found = [self.draws(rng, BATCH)]
        while len(found) * BATCH < DRAWS and not effort.over:
            found.append(self.draws(rng, BATCH))
        return np.concatenate(found, axis=1)


def error_of_draws(size: int) -> float:
    """Bound the error of every cumulative probability of so many draws.

    By the inequality of Dvoretzky, Kiefer, Wolfowitz and Massart, but for one case in 10,000.
    """
    return float(np.sqrt(np.log(2 / CERTAINTY) / (2 * size)))


def empirical(values: Floats, unit: str) -> Outcome:
    """Return the outcome that draws stand for, with its error."""
    points, counts = np.unique(values, return_counts=True)
    method = f"{len(values):,} joint draws"
    law = Atoms(points, counts / len(values), method, error_of_draws(len(values)))
    spread = 4 * float(values.std()) / float(np.sqrt(len(values)))
    return Outcome((World({}, 1.0, Empirical(law, law.error, method, spread), {}),), unit)


@dataclass(frozen=True, slots=True, eq=False)
class Empirical(Stated):
    """The law of some draws; its mean has an error too (four standard errors)."""

    mean_error: float = 0.0


def themselves(rng: np.random.Generator, counts: Floats) -> Floats:  # noqa: ARG001 - a `Brings`
    """Return the counts: nothing but the things is asked."""
    return counts


def by_sums(sizes: Sequence[Severity]) -> Brings:
    """Return what things bring: the sum of their sizes, those of every part."""

    def brings(rng: np.random.Generator, counts: Floats) -> Floats:
        nodes = _nodes(rng, sizes, counts.shape[1])
        rows = zip(sizes, nodes, counts, strict=True)
        return np.array([each.sums_at(places, row, rng) for each, places, row in rows])

    return brings


def by_formula(tree: Node, count: str, sizes: Sequence[Severity]) -> Brings:
    """Return what a formula gives in every part, of its things and their sizes.

    Parameters
    ----------
    tree
        The formula.
    count
        Name of what is counted; every other name is the size.
    sizes
        The size of one thing in every part; none where the formula has no size.
    """
    asked = list(dict.fromkeys(leaves(tree)))

    def brings(rng: np.random.Generator, counts: Floats) -> Floats:
        nodes = _nodes(rng, sizes, counts.shape[1])
        found = np.empty(counts.shape)
        for part, row in enumerate(counts):
            known: dict[Node, Floats] = {}
            for leaf in asked:
                if parts_of(leaf) == (count,):
                    known[leaf] = row
                else:
                    items = row if isinstance(leaf, Call) else np.ones(len(row))
                    known[leaf] = sizes[part].sums_at(nodes[part], items, rng)
            found[part] = value(tree, known)
        if not np.isfinite(found).all():
            msg = "the formula leaves the range of numbers (overflow or division by zero)"
            raise QuestionError(msg)
        return found

    return brings


def of_groups(count: Count, alphas: Floats, brings: Brings) -> Drawn:
    """Return how groups are drawn.

    Parameters
    ----------
    count
        How many things come in all.
    alphas
        Array (G + 1,): the shares of the groups, and of all others, have this Dirichlet law.
    brings
        What the things of every group bring.
    """

    def drawn(rng: np.random.Generator, size: int) -> Floats:
        total = count.sample(rng, size).astype(np.int64)
        rates = rng.gamma(np.broadcast_to(alphas, (size, len(alphas))))
        shares = rates / np.maximum(rates.sum(1, keepdims=True), 1e-300)
        return brings(rng, rng.multinomial(total, shares)[:, :-1].T.astype(float))

    return drawn


def _nodes(
    rng: np.random.Generator, sizes: Sequence[Severity], size: int
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Return the node of every part in every draw: of one posterior draw where that is known."""
    if sizes and all(each is sizes[0] for each in sizes):
        drawn = rng.choice(len(sizes[0].weights), size=size, p=sizes[0].weights)
        return [drawn] * len(sizes)
    known = [each.members for each in sizes if each.members is not None]
    if known and len(known) == len(sizes) and len({len(members) for members in known}) == 1:
        drawn = rng.integers(len(known[0]), size=size)
        return [members[drawn] for members in known]
    return [rng.choice(len(each.weights), size=size, p=each.weights) for each in sizes]
