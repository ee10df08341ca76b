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
from worlds.core.laws import Atoms
from worlds.core.outcome import Outcome, World
from worlds.core.path_total import PathTotal

DRAWS = 20_000
CERTAINTY = 1e-4
"""How often a stated error of draws may be exceeded."""

type Drawn = Callable[[np.random.Generator, int], Floats]
"""From a generator and a number of draws to an array (parts, draws)."""


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


def in_periods(path: PathTotal, sizes: Severity | None) -> Drawn:
    """Return how the periods of a path are drawn: counts, or what they bring given `sizes`."""

    def drawn(rng: np.random.Generator, size: int) -> Floats:
        counts = path.paths(rng, size)
        if sizes is None:
            return counts
        nodes = rng.choice(len(sizes.weights), size=size, p=sizes.weights)
        return np.array([sizes.sums_at(nodes, row, rng) for row in counts])

    return drawn


def in_groups(count: Count, alphas: Floats, sizes: Sequence[Severity] | None) -> Drawn:
    """Return how groups are drawn: their counts, or what they bring if `sizes` is given.

    Parameters
    ----------
    count
        How many things come in all.
    alphas
        Array (G + 1,): the shares of the groups, and of all others, have this Dirichlet law.
    sizes
        The size of one thing of every group.
    """

    def drawn(rng: np.random.Generator, size: int) -> Floats:
        total = count.sample(rng, size).astype(np.int64)
        rates = rng.gamma(np.broadcast_to(alphas, (size, len(alphas))))
        shares = rates / np.maximum(rates.sum(1, keepdims=True), 1e-300)
        counts = rng.multinomial(total, shares)[:, :-1].T.astype(float)
        if sizes is None:
            return counts
        return np.array(
            [
                each.sums_at(nodes, row, rng)
                for each, nodes, row in zip(sizes, _nodes(rng, sizes, size), counts, strict=True)
            ]
        )

    return drawn


def _nodes(
    rng: np.random.Generator, sizes: Sequence[Severity], size: int
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Return the node of every group in every draw: of one posterior draw where that is known."""
    known = [each.members for each in sizes if each.members is not None]
    if len(known) == len(sizes) and len({len(members) for members in known}) == 1:
        drawn = rng.integers(len(known[0]), size=size)
        return [members[drawn] for members in known]
    return [rng.choice(len(each.weights), size=size, p=each.weights) for each in sizes]
