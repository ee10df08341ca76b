"""The periods of a horizon one by one: a total over a day has hours, and a largest hour.

All periods share the models, the level of the counts and the sizes; their noise is their own.
Conditions and interventions on a count speak of the total: every period is then given what the
total is said to be. The largest period is read from joint paths, with the error of their number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from worlds.core.counting import whole_range
from worlds.core.distributions import Floats
from worlds.core.engine import Belief, assumed
from worlds.core.evaluators.effort import Effort
from worlds.core.joint import Brings, Drawn, Joint, empirical
from worlds.core.outcome import Outcome
from worlds.core.path_given import PathGiven
from worlds.core.path_total import PathTotal
from worlds.core.questions import Assumptions, Expression
from worlds.errors import QuestionError
from worlds.splitting import Options, Splitting, drawn_together, together
from worlds.summary import summary

if TYPE_CHECKING:
    from worlds.ask import Answerer

LEVELS = (0.9,)
TOLERANCE = 1e-4
"""Error of cumulative probabilities of a single period: there are many of them."""


@dataclass(frozen=True, slots=True)
class Period:
    """What one period brings."""

    start: datetime
    end: datetime
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class Periods:
    """The periods of a horizon.

    Parameters
    ----------
    rows
        One for every period, in order of time.
    joint
        How all of them are drawn together; None where only the single ones are known.
    """

    rows: tuple[Period, ...]
    wanted: Splitting = field(repr=False)
    joint: Joint | None = field(repr=False, default=None)
    effort: Effort = field(repr=False, default_factory=Effort)

    def paths(self, rng: np.random.Generator, size: int) -> Floats:
        """Return joint draws, array (periods, size).

        Raises
        ------
        QuestionError
            If only the distribution of every single period is known.
        """
        if self.joint is None:
            msg = "these periods cannot be drawn together: their models do not give paths"
            raise QuestionError(msg)
        return self.joint.draws(rng, size)

    @cached_property
    def peak(self) -> Outcome | None:
        """The largest of the periods, from joint paths."""
        if self.joint is None:
            return None
        found = self.joint.in_time(self.effort)
        return empirical(found.max(0), self.wanted.question.unit)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        peak, threshold = self.peak, self.wanted.threshold
        rows = [
            {
                "start": row.start.isoformat(),
                "end": row.end.isoformat(),
                **summary(row.outcome, LEVELS, threshold),
                "method": row.outcome.method,
                "error_bound": row.outcome.error,
            }
            for row in self.rows
        ]
        if peak is None:
            return {"rows": rows, "peak": None}
        largest = summary(peak, LEVELS, threshold)
        return {
            "rows": rows,
            "peak": {**largest, "method": peak.method, "error_bound": peak.error},
        }


def periods(answerer: "Answerer", wanted: Splitting) -> Periods | str:
    """Answer a question about every period of its horizon; return why where that cannot be.

    The answer of a period is that to the same question (a formula is taken of the period by
    itself) with what the assumptions say of the total.
    """
    formula = wanted.question.formula
    if isinstance(formula, Expression) and formula.conditions:
        return "conditions that are formulas speak of the total: the periods are not split"
    effort = wanted.effort() or Effort(TOLERANCE)
    count = answerer.domain.quantity("count").name
    try:
        beliefs = answerer.beliefs(wanted.question, wanted.assume.where, wanted.over)
        after = assumed(formula.names(), beliefs, wanted.assume)
        after = {name: one for name, one in after.items() if name != count}
        told = _Told.of(count, beliefs, wanted) if count in beliefs else None
        split = told.split() if told else [{} for _ in range(wanted.over)]
        tables = [{**after, **one} for one in split]
        outcomes = together(wanted.question, tables, effort.share(2))
    except QuestionError as error:
        return f"the periods are not split: {error}"
    step = answerer.domain.step
    rows = tuple(
        Period(answerer.start + place * step, answerer.start + (place + 1) * step, outcome)
        for place, outcome in enumerate(outcomes)
    )

    def draw(model: str, brings: Brings) -> Drawn:
        def drawn(rng: np.random.Generator, size: int) -> Floats:
            paths = told.paths[model].draws if told else None
            return brings(rng, paths(rng, size) if paths else np.zeros((wanted.over, size)))

        return drawn

    counts = told.weights if told else {"": 1.0}
    joint = drawn_together(wanted.question, count, counts, tables, draw)
    return Periods(rows, wanted, joint, effort)


@dataclass(frozen=True, slots=True)
class _Told:
    """The paths of every model, with what is said of their total."""

    name: str
    paths: Mapping[str, PathTotal | PathGiven]
    weights: Mapping[str, float]

    @classmethod
    def of(cls, name: str, beliefs: Mapping[str, Options], wanted: Splitting) -> "_Told":
        do = wanted.assume.do.get(name)
        fixed = do is not None and do.fix is not None
        options = beliefs[name] if fixed else assumed([name], beliefs, wanted.assume)[name]
        low, high = _range(name, wanted.assume)
        paths: dict[str, PathTotal | PathGiven] = {}
        for model in options:
            path = beliefs[name][model].content
            if not isinstance(path, PathTotal):
                msg = f"the model {model!r} gives totals, and does not say how they are made up"
                raise QuestionError(msg)
            times = do.times if do is not None and do.times is not None else 1.0
            paths[model] = path.scaled(times).given(low, high)
        return cls(name, paths, {model: belief.weight for model, belief in options.items()})

    def split(self) -> list[dict[str, Options]]:
        """Return what is believed of the count of every period."""
        laws = {model: path.periods() for model, path in self.paths.items()}
        return [
            {self.name: {m: Belief(w, laws[m][step]) for m, w in self.weights.items()}}
            for step in range(len(next(iter(laws.values()))))
        ]


def _range(name: str, assume: Assumptions) -> tuple[float, float]:
    """Return between which whole numbers the total is said to be."""
    do, given = assume.do.get(name), assume.given.get(name)
    if do is not None and do.fix is not None:
        return do.fix, do.fix
    ends = [whole_range(one) for one in given.ranges] if given is not None else []
    return max((low for low, _ in ends), default=0.0), min(
        (high for _, high in ends), default=float("inf")
    )
