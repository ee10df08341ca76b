"""From models in force to answers: build the worlds, say how and from what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, partial
from typing import Any

from worlds.answer import Answer
from worlds.core.coherent import total_of
from worlds.core.compound import Severity
from worlds.core.distributions import Count, CountMixture
from worlds.core.engine import Belief, Beliefs, evaluate
from worlds.core.evaluators.effort import Effort
from worlds.core.forms import CountForm, CountPath
from worlds.core.formula import check_names
from worlds.core.path_total import PathTotal
from worlds.core.questions import Assumptions, Comparison, Expression, Question
from worlds.errors import (
    ModelFaultError,
    QuestionError,
    UnknownNameError,
    WorldsError,
)
from worlds.groups import split
from worlds.in_force import LEVELS, InForce
from worlds.notes import aged, joint, unseen, untaught
from worlds.periods import periods
from worlds.splitting import Splitting
from worlds.watch.containment import check_content, fault_of

ERROR = 1e-5
"""Error of cumulative probabilities that is good enough where nobody says another."""
PATIENCE = 5.0
"""Seconds after which a formula without an exact route is answered as well as it is known."""
REMEMBERED = 256
"""Most beliefs that an answerer remembers (models times restrictions)."""


@dataclass(frozen=True)
class Answerer(InForce):
    """Models in force that are asked questions; what it is made of stands in `InForce`."""

    def ask(
        self,
        name: str,
        *,
        given: Mapping[str, object] | None = None,
        do: Mapping[str, object] | None = None,
        where: Mapping[str, str] | None = None,
        threshold: float | str | None = None,
        levels: Sequence[float] = LEVELS,
        over: int = 1,
        by: str | None = None,
        error: float | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """Answer a question of the domain about the next period, or the next few together.

        Parameters
        ----------
        name
            Name of the question.
        given, do
            Conditions and interventions by quantity (see `worlds.core.questions`).
        where
            Category to label: only things that carry it.
        threshold
            ``200000`` or ``"> 200000"``; the question's own where left out.
        levels
            Levels of the central intervals.
        over
            Number of periods whose total is asked. They share one level (see
            `worlds.core.path_total`); conditions and interventions speak of the total.
        by
            A category whose labels are answered one by one as well, or some labels of it:
            ``breed``, ``breed=pug,beagle`` (see `worlds.groups`).
        error
            The error of cumulative probabilities that is good enough; 1e-5 where left out.
        seconds
            After about so many the best answer so far is returned, with its error; without a
            limit where left out.

        Raises
        ------
        UnknownNameError, QuestionError, ImpossibleError
            What cannot be asked, and what would be right.
        """
        question = self.domain.question(name)
        effort = None
        if error is not None or seconds is not None:
            effort = _effort(seconds, ERROR if error is None else error, over, by)
        return self._answer(question, given, do, where, threshold, levels, over, by, effort)

    def query(
        self,
        formula: str,
        *,
        unit: str | None = None,
        given: Mapping[str, object] | None = None,
        do: Mapping[str, object] | None = None,
        where: Mapping[str, str] | None = None,
        conditions: Sequence[str] = (),
        threshold: float | str | None = None,
        levels: Sequence[float] = LEVELS,
        over: int = 1,
        by: str | None = None,
        error: float = ERROR,
        seconds: float | None = PATIENCE,
    ) -> Answer:
        """Answer a formula over the quantities of the domain about the next period.

        Parameters
        ----------
        formula
            Such as ``sum(likes_per_pupdate, pupdates) * 0.02`` (see `worlds.core.formula`).
        unit
            Unit of the answer; found from those of the quantities where left out.
        given, do, where, threshold, levels, over, by
            As in `ask`.
        conditions
            Comparisons that hold, such as ``"pupdates > 3"``.
        error
            The error of cumulative probabilities that is good enough.
        seconds
            After about so many the best answer so far is returned, with its error.

        Raises
        ------
        FormulaError
            With the place, what is wrong and what would be right.
        UnknownNameError, QuestionError, ImpossibleError
            What cannot be asked, and what would be right.
        """
        effort = _effort(seconds, error, over, by)
        known = self.domain.units()
        for text in (formula, *conditions):
            check_names(text, known)
        expression = Expression(formula, tuple(known.items()), tuple(conditions))
        if not expression.names():
            known_names = ", ".join(sorted(known))
            msg = f"the formula names no quantity of the domain; there are {known_names}"
            raise QuestionError(msg)
        question = Question("query", expression, unit or "", formula)
        return self._answer(question, given, do, where, threshold, levels, over, by, effort)

    def _answer(self, *asked: Any) -> Answer:
        """Answer without the models that fail while they are asked, and say so."""
        try:
            return self._evaluate(*asked)
        except ModelFaultError as fault:
            return self.without(fault)._answer(*asked)

    def _evaluate(
        self,
        question: Question,
        given: Mapping[str, object] | None,
        do: Mapping[str, object] | None,
        where: Mapping[str, str] | None,
        threshold: float | str | None,
        levels: Sequence[float],
        over: int,
        by: str | None = None,
        effort: Effort | None = None,
    ) -> Answer:
        if isinstance(over, bool) or not isinstance(over, int) or over < 1:
            msg = f"over takes a number of periods, 1 or more; got {over!r}"
            raise QuestionError(msg)
        where = self.normalised(where or {})
        assume = Assumptions.parse(question, given, do, where)
        limit = question.threshold if threshold is None else threshold
        compared = None if limit is None else Comparison.parse(limit, ">")
        again = effort.again() if effort else lambda: None
        mine = self.of_segment(where) if by is None else self
        outcome = evaluate(question, mine.beliefs(question, where, over), assume, effort=effort)
        question = replace(question, unit=question.unit or outcome.unit)
        wanted = Splitting(question, assume, over, tuple(levels), compared, again)
        groups = None if by is None else split(self, wanted, by)
        return Answer(
            question=question,
            outcome=outcome,
            threshold=compared,
            levels=tuple(levels),
            start=self.start,
            end=self.start + over * self.domain.step,
            assumptions={"given": dict(given or {}), "do": dict(do or {}), "where": where},
            models=tuple(use for use in mine.versions if use.quantity in question.formula.names()),
            release=self.release,
            degraded=mine.degraded,
            notes=(
                *aged(self.release, self.domain),
                *mine.notes.values(),
                *unseen(self.models, where),
                *untaught(mine.models, self.release, question.formula.names()),
                *joint(over),
            ),
            groups=groups,
            split=partial(periods, mine, wanted) if over > 1 else None,
        )

    def beliefs(self, question: Question, where: Mapping[str, str], over: int = 1) -> Beliefs:
        """Return what every model of the question's quantities believes of the next periods."""
        days = over * (self.domain.step / timedelta(days=1)) / 2
        beliefs: dict[str, dict[str, Belief]] = {}
        for name in question.formula.names():
            beliefs[name] = {}
            for model, loaded in self.models[name].items():
                content = self._content(name, model, where, days, over)
                beliefs[name][model] = Belief(loaded.weight, content)
        return beliefs

    def _content(
        self, name: str, model: str, where: Mapping[str, str], days: float, over: int
    ) -> Count | Severity:
        """Return what one model believes, computed once as long as few restrictions are asked."""
        key = (name, model, tuple(sorted(where.items())), days, over)
        if key not in self._contents:
            form = self.models[name][model].form
            if len(self._contents) >= REMEMBERED:
                self._contents.clear()
            try:
                self._contents[key] = check_content(
                    _total(form, where, over)
                    if isinstance(form, CountForm)
                    else form.severity(where, days)
                )
            except Exception as error:  # a model is anybody's code: it fails by itself
                if isinstance(error, WorldsError) and not isinstance(error, ModelFaultError):
                    raise  # what was asked has no meaning
                raise fault_of(name, model, error) from error
        return self._contents[key]

    @cached_property
    def _contents(self) -> dict[tuple[object, ...], Count | Severity]:
        return {}

    def normalised(self, where: Mapping[str, str]) -> dict[str, str]:
        """Return `where` with labels as the extractor writes them."""
        settled = {}
        for category, label in where.items():
            if category not in self.domain.shares:
                raise UnknownNameError("category", category, self.domain.shares)
            if not isinstance(label, str) or not label.strip():
                msg = f"where takes a label for {category!r}, such as 'pug'; got {label!r}"
                raise QuestionError(msg)
            found = self.domain.features({category: label}).categories.get(category)
            settled[category] = found[0][0] if found else label
        return settled


def _total(form: CountForm, where: Mapping[str, str], over: int) -> Count:
    """Return the count of the next period, or the total of the next few."""
    if over == 1:
        return form.count(where)
    horizon = int(getattr(form, "horizon", 1))
    if over > horizon:
        msg = f"the models reach {horizon} periods ahead; a total over {over} was asked"
        raise QuestionError(msg)
    if isinstance(form, CountPath):
        return total_of(form, where, over)
    periods = [form.count(where, step) for step in range(over)]
    return PathTotal.of([one for one in periods if isinstance(one, CountMixture)])


def _effort(seconds: float | None, error: float, over: int, by: str | None) -> Effort:
    """Return the effort for the whole; its periods and its groups take as long again."""
    parts = (2 if over > 1 else 1) + (1 if by is not None else 0)
    return Effort.within(None if seconds is None else seconds / parts, error)
