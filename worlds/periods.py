"""The periods of a horizon one by one: a total over a day has hours, and a largest hour.

All periods share the models, the level of the counts and the sizes; their noise is their own.
Conditions and interventions on a count speak of the total: every period is then given what the
total is said to be. The largest period is read from joint paths, with the error of their number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from worlds.core.compound import Severity
from worlds.core.counting import whole_range
from worlds.core.distributions import Count, Floats
from worlds.core.engine import Belief, assumed, evaluate
from worlds.core.joint import DRAWS, Joint, empirical, in_periods
from worlds.core.outcome import Outcome
from worlds.core.path_total import PathTotal
from worlds.core.pooling import pooled
from worlds.core.questions import Amount, Assumptions, Expression, SumOver
from worlds.errors import QuestionError
from worlds.groups import Options, Splitting
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

    def paths(self, rng: np.random.Generator, size: int) -> Floats:
        """Return joint draws, array (periods, size).

        Raises
        ------
        QuestionError
            If only the distribution of every single period is known.
        """
        if self.joint is None:
            msg = "these periods cannot be drawn together: ask a question without given or do"
            raise QuestionError(msg)
        return self.joint.draws(rng, size)

    @cached_property
    def peak(self) -> Outcome | None:
        """The largest of the periods, from joint paths."""
        if self.joint is None:
            return None
        found = self.joint.draws(np.random.default_rng(0), DRAWS)
        return empirical(found.max(0), self.wanted.question.unit)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        peak, threshold = self.peak, self.wanted.threshold
        return {
            "rows": [
                {
                    "start": row.start.isoformat(),
                    "end": row.end.isoformat(),
                    **summary(row.outcome, LEVELS, threshold),
                    "method": row.outcome.method,
                    "error_bound": row.outcome.error,
                }
                for row in self.rows
            ],
            "peak": None
            if peak is None
            else {
                **summary(peak, LEVELS, threshold),
                "method": peak.method,
                "error_bound": peak.error,
            },
        }


def periods(answerer: "Answerer", wanted: Splitting) -> Periods | str:
    """Answer a question about every period of its horizon; return why where that cannot be.

    The answer of a period is that to the same question (a formula is taken of the period by
    itself) with what the assumptions say of the total.
    """
    formula = wanted.question.formula
    if isinstance(formula, Expression) and formula.conditions:
        return "conditions that are formulas speak of the total: the periods are not split"
    effort = wanted.effort()
    try:
        beliefs = answerer.beliefs(wanted.question, wanted.assume.where, wanted.over)
        after = assumed(formula.names(), beliefs, wanted.assume)
        count = answerer.domain.quantity("count").name
        always = pooled(formula, {name: one for name, one in after.items() if name != count})
        rows = []
        for step in range(wanted.over):
            now = dict(always)
            if count in after:
                one = _one(count, after[count], beliefs[count], wanted.assume, step)
                now |= pooled(formula, {count: one})
            mine = effort.share(wanted.over - step) if effort else None
            outcome = evaluate(wanted.question, now, tolerance=TOLERANCE, effort=mine)
            start = answerer.start + step * answerer.domain.step
            rows.append(Period(start, start + answerer.domain.step, outcome))
    except QuestionError as error:
        return f"the periods are not split: {error}"
    return Periods(tuple(rows), wanted, _joint(answerer, wanted))


def _one(
    name: str, after: Options, paths: Mapping[str, Belief], assume: Assumptions, step: int
) -> Options:
    do, given = assume.do.get(name), assume.given.get(name)
    fixed = do is not None and do.fix is not None
    chosen = (
        {m: b.weight for m, b in paths.items()}
        if fixed
        else {m: b.weight for m, b in after.items()}
    )
    found = {}
    for model, weight in chosen.items():
        path = paths[model].content
        if not isinstance(path, PathTotal):
            msg = f"the model {model!r} gives totals, and does not say how they are made up"
            raise QuestionError(msg)
        if do is not None and do.times is not None:
            path = path.scaled(do.times)
        content: Count = path.period(step)
        if do is not None and do.fix is not None:
            content = path.period_given(step, int(do.fix), do.fix)
        elif given is not None and given.ranges:
            ends = [whole_range(one) for one in given.ranges]
            low, high = max(low for low, _ in ends), min(high for _, high in ends)
            content = path.period_given(step, int(low), high)
        found[model] = Belief(weight, content)
    return found


def _joint(answerer: "Answerer", wanted: Splitting) -> Joint | None:
    """Return how the periods are drawn together, where nothing is known of their total."""
    count = answerer.domain.quantity("count").name
    given, do = wanted.assume.given.get(count), wanted.assume.do.get(count)
    if (given is not None and given.ranges) or (do is not None and do.fix is not None):
        return None
    beliefs = answerer.beliefs(wanted.question, wanted.assume.where, wanted.over)
    found = assumed(wanted.question.formula.names(), beliefs, wanted.assume)
    sizes: list[tuple[float, Severity | None]]
    match wanted.question.formula:
        case SumOver(size=size):
            sizes = [
                (belief.weight, belief.content)
                for belief in found[size].values()
                if isinstance(belief.content, Severity)
            ]
        case Amount(name=name) if name == count:
            sizes = [(1.0, None)]
        case _:
            return None
    worlds, probs = [], []
    for belief, (weight, each) in product(found[count].values(), sizes):
        if not isinstance(belief.content, PathTotal):
            return None
        worlds.append(in_periods(belief.content, each))
        probs.append(belief.weight * weight)
    return Joint(np.array(probs) / np.sum(probs), tuple(worlds))
