"""A question that is to be answered part by part: by group, or period by period."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from worlds.core.compound import Severity
from worlds.core.engine import Belief, evaluate, sums
from worlds.core.evaluators.effort import Effort
from worlds.core.formula import parse
from worlds.core.joint import Brings, Drawn, Joint, by_formula, by_sums, themselves
from worlds.core.outcome import Outcome, World
from worlds.core.pooling import ALL, pooled
from worlds.core.questions import Amount, Assumptions, Comparison, Expression, Question, SumOver

type Options = Mapping[str, Belief]
type Tables = Sequence[Mapping[str, Options]]
"""For every part the beliefs about the quantities of the question."""


@dataclass(frozen=True, slots=True)
class Splitting:
    """A question that is to be answered part by part: what is asked, assumed and how exactly."""

    question: Question
    assume: Assumptions
    over: int = 1
    levels: tuple[float, ...] = (0.9,)
    threshold: Comparison | None = None
    effort: Callable[[], Effort | None] = field(default=lambda: None, repr=False)


def together(question: Question, tables: Tables, effort: Effort) -> list[Outcome]:
    """Answer a question for parts that share everything but their counts.

    Named questions are answered with all models as one: of parts only the whole is shown.
    """
    formula = question.formula
    if isinstance(formula, Expression):
        return [
            evaluate(question, table, effort=effort.share(len(tables) - done))
            for done, table in enumerate(tables)
        ]
    wholes = [pooled(formula, table) for table in tables]
    if not isinstance(formula, SumOver):
        return [evaluate(question, whole, effort=effort) for whole in wholes]
    counts = [whole[formula.count][ALL].content for whole in wholes]
    laws = sums(counts, wholes[0][formula.size][ALL].content, question, effort)
    return [Outcome((World({}, 1.0, law, {}),), question.unit) for law in laws]


def drawn_together(
    question: Question,
    count: str,
    counts: Mapping[str, float],
    tables: Tables,
    draw: Callable[[str, Brings], Drawn | None],
) -> Joint | None:
    """Return how parts are drawn together, over all models of their counts and their sizes.

    Parameters
    ----------
    count
        Name of the quantity that is counted.
    counts
        Models of the counts, with their weights.
    tables
        For every part what is believed of a size, by name and model.
    draw
        From a model of the counts, and what things bring, to draws; None where it cannot tell.
    """
    formula = question.formula
    names = [name for name in formula.names() if name != count]
    sizes: Options = tables[0][names[0]] if names else {"": Belief(1.0, _NOTHING)}
    worlds, probs = [], []
    for (model, weight), (each, belief) in product(counts.items(), sizes.items()):
        mine = [table[names[0]][each].content for table in tables] if names else []
        brings = _brings(formula, count, [one for one in mine if isinstance(one, Severity)])
        drawn = draw(model, brings)
        if drawn is None:
            return None
        worlds.append(drawn)
        probs.append(weight * belief.weight)
    return Joint(np.array(probs) / np.sum(probs), tuple(worlds))


_NOTHING = Severity(np.ones(1), ())


def _brings(
    formula: SumOver | Amount | Expression, count: str, sizes: Sequence[Severity]
) -> Brings:
    match formula:
        case SumOver():
            return by_sums(sizes)
        case Amount(name=name) if name == count:
            return themselves
        case Amount(name=name):
            return by_formula(parse(name), count, sizes)
        case Expression(text=text):
            return by_formula(parse(text), count, sizes)
