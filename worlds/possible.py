"""Ask across worlds that you state yourself: the shortest way in.

>>> from worlds import possible_worlds
>>> likes = possible_worlds(
...     counts={"pupdates": {"historical": 6500, "learned": 7250}},
...     sizes={"likes_per_pupdate": {"historical": 23, "learned": 28}},
... ).sum("likes_per_pupdate", over="pupdates", unit="likes")
>>> float(likes.prob("> 200000"))
0.25
"""

from collections.abc import Mapping
from dataclasses import dataclass

from worlds.core.engine import Belief, elicited, evaluate
from worlds.core.outcome import Outcome
from worlds.core.questions import Assumptions, Question, SumOver


@dataclass(frozen=True, slots=True)
class Stated:
    """Beliefs that somebody stated instead of a model that learned them."""

    beliefs: Mapping[str, Mapping[str, Belief]]

    def sum(
        self,
        size: str,
        *,
        over: str,
        unit: str = "",
        given: Mapping[str, object] | None = None,
        do: Mapping[str, object] | None = None,
    ) -> Outcome:
        """Return the outcome of summing `size` over the things counted by `over`.

        Parameters
        ----------
        size, over
            Names of a size and of a count stated before.
        unit
            Unit of the sum.
        given, do
            Conditions and interventions by quantity: ``{"pupdates": "model = learned"}``,
            ``{"pupdates": 9000}``, ``{"pupdates": {"times": 2}}``.
        """
        question = Question(f"{size} over {over}", SumOver(size, over), unit)
        return evaluate(question, self.beliefs, Assumptions.parse(question, given, do))


def possible_worlds(
    *,
    counts: Mapping[str, Mapping[str, float]],
    sizes: Mapping[str, Mapping[str, float]],
    weights: Mapping[str, Mapping[str, float]] | None = None,
) -> Stated:
    """State what competing models say of counts and sizes.

    Parameters
    ----------
    counts, sizes
        Quantity name to model name to the number that model expects.
    weights
        Quantity name to model name to probability; equal where left out.

    Returns
    -------
    Stated
        Ask it with `Stated.sum`.
    """
    shares = weights or {}
    return Stated(
        {
            **{name: elicited(m, shares.get(name), size=False) for name, m in counts.items()},
            **{name: elicited(m, shares.get(name), size=True) for name, m in sizes.items()},
        }
    )
