"""One reply to a question or a formula, the same for HTTP and the command line."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from api.asking import arguments
from api.errors import BeyondError, RequestError
from api.schemas import CompareRequest, FormulaCompareRequest, FormulaRequest, QuestionRequest
from worlds.adhoc import NAME, Adhoc
from worlds.answer import Answer
from worlds.ask import ERROR, PATIENCE, Answerer
from worlds.core.decide import Decision
from worlds.core.explain import Explanation
from worlds.core.newsvendor import Provision
from worlds.scenario_runs import Asks, ScenarioComparison, compare_scenarios
from worlds.scenarios import Scenario, ScenarioStore
from worlds.shape import Shape
from worlds.view import Reading, Source, View
from worlds.viewing import look
from worlds.why import Why, why

COMPARE_SECONDS = 10.0
"""After so long no further scenario, and no further point of a range, is begun."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, with the explanation and the decision that were asked for."""

    answer: Answer
    explanation: Explanation | None
    decision: Decision | Provision | None
    change: Why | None = None
    shape: Shape = field(default_factory=Shape)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        content = {**self.answer.to_dict(), **self.shape.of(self.answer)}
        if self.explanation is not None:
            content["explanation"] = self.explanation.to_dict()
        if self.decision is not None:
            content["decision"] = self.decision.to_dict()
        if self.change is not None:
            content["change"] = self.change.to_dict()
        return content


def respond(
    answerer: Answerer,
    name: str | None,
    wanted: QuestionRequest,
    then: Answerer | None = None,
) -> Reply:
    """Answer a question by name or, where `wanted` has one, a formula.

    Parameters
    ----------
    answerer
        The models.
    name
        Of the question; the first of the domain if None.
    wanted
        What is asked.
    then
        Models of before, if it is asked why the answer changed since.

    Raises
    ------
    worlds.errors.WorldsError
        What cannot be asked, and what would be right.
    """
    if isinstance(wanted, FormulaRequest):
        answer = adhoc(wanted).on(answerer).ask(NAME, **arguments(wanted))
    else:
        asked = name or answerer.domain.questions[0].name
        answer = answerer.ask(
            asked, **arguments(wanted), error=wanted.error, seconds=wanted.deadline
        )
    explanation = answer.explain(acts_at=wanted.acts_at) if wanted.explain else None
    decision = None if wanted.decide is None else answer.decide(wanted.decide)
    change = changed(then, answerer, answer, wanted) if then else None
    return Reply(answer, explanation, decision, change, _shape(wanted))


def respond_from_facts(
    view: View, source: Source, as_of: datetime | None, wanted: QuestionRequest
) -> Reply:
    """Answer a view from the facts themselves.

    Raises
    ------
    RequestError
        If something is asked that only questions about models have.
    worlds.errors.WorldsError
        What cannot be asked, and what would be right.
    """
    stray: dict[str, object] = {
        "do": wanted.do,
        "by": wanted.by,
        "since": wanted.since,
        "over": wanted.over > 1,
        "error": wanted.error,
        "deadline": wanted.deadline,
    }
    wrong = [(name, f"{view.name} asks facts, not models") for name in stray if stray[name]]
    if wrong:
        raise RequestError("this cannot be asked of facts", wrong)
    asked = arguments(wanted)
    parts = {name: asked[name] for name in ("where", "given", "threshold", "levels")}
    answer = look(view, Reading(source, as_of), **parts)
    explanation = answer.explain(acts_at=wanted.acts_at) if wanted.explain else None
    decision = None if wanted.decide is None else answer.decide(wanted.decide)
    return Reply(answer, explanation, decision, shape=_shape(wanted))


def _shape(wanted: QuestionRequest) -> Shape:
    return Shape(wanted.hdi, tuple(wanted.thresholds), wanted.curve, wanted.sample, wanted.seed)


def changed(then: Answerer, now: Answerer, answer: Answer, wanted: QuestionRequest) -> Why:
    """Say why an answer changed."""
    taken = answer.assumptions
    where = {category: str(label) for category, label in taken["where"].items()}
    assumed = Scenario("as asked", taken["given"], taken["do"], where)
    statistic = "mean" if wanted.threshold is None else "prob"
    asked: str | Adhoc = answer.question.name
    if isinstance(wanted, FormulaRequest):  # one of at most 8 answers
        asked = adhoc(wanted)
        asked = replace(asked, seconds=(asked.seconds or PATIENCE) / 8)
    return why(
        then,
        now,
        asked,
        (assumed, assumed),
        statistic=statistic,
        threshold=wanted.threshold,
        over=wanted.over,
    )


def adhoc(wanted: FormulaRequest | FormulaCompareRequest) -> Adhoc:
    """Return the formula of a request with what belongs to it."""
    error = ERROR if wanted.error is None else wanted.error
    seconds = PATIENCE if wanted.deadline is None else wanted.deadline
    return Adhoc(wanted.formula, wanted.unit, tuple(wanted.conditions), error, seconds)


def compare(
    answerer: Answerer, name: str | None, wanted: CompareRequest, stored: ScenarioStore
) -> ScenarioComparison:
    """Compare scenarios, stored or part of the request, with the first of them.

    They are asked the question of this name, or the formula of the request.

    Raises
    ------
    worlds.errors.WorldsError
        What cannot be asked, and what would be right.
    BeyondError
        If it takes too long.
    """
    scenarios = [
        stored.find(one)
        if isinstance(one, str)
        else Scenario(one.name, one.given, one.do, one.where, one.text)
        for one in wanted.scenarios
    ]
    asked = adhoc(wanted).on(answerer) if isinstance(wanted, FormulaCompareRequest) else answerer
    return compare_scenarios(
        Hurried(asked, time.monotonic() + COMPARE_SECONDS),
        name or NAME,
        scenarios,
        coupling=wanted.coupling,
        threshold=wanted.threshold,
        over=wanted.over,
    )


@dataclass(frozen=True, slots=True)
class Hurried:
    """Answers questions until a time, so that no comparison runs for ever."""

    answerer: Asks
    until: float
    clock: Callable[[], float] = time.monotonic

    def ask(
        self,
        name: str,
        *,
        given: Mapping[str, object] | None = None,
        do: Mapping[str, object] | None = None,
        where: Mapping[str, str] | None = None,
        threshold: float | str | None = None,
        over: int = 1,
    ) -> Answer:
        """Answer a question.

        Raises
        ------
        BeyondError
            If the time is up.
        """
        if self.clock() >= self.until:
            msg = (
                f"the comparison takes longer than {COMPARE_SECONDS:g} seconds: compare fewer "
                "scenarios, or give them fewer ranges"
            )
            raise BeyondError(msg)
        return self.answerer.ask(
            name, given=given, do=do, where=where, threshold=threshold, over=over
        )


def checked[T: Reply | ScenarioComparison](work: Callable[[], T]) -> tuple[T, dict[str, Any]]:
    """Return what `work` finds and its JSON form, in which every number is finite.

    Raises
    ------
    BeyondError
        If numbers leave the range of floating-point numbers.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            found = work()
            content: dict[str, Any] = found.to_dict()
    except OverflowError as error:
        raise BeyondError(_BEYOND) from error
    if not finite(content):
        raise BeyondError(_BEYOND)
    return found, content


_BEYOND = (
    "the numbers grow beyond 1.8e308, the largest there is: "
    "take fewer factors, smaller numbers or a larger unit"
)


def finite(content: object) -> bool:
    """Return whether every number in a JSON form is finite."""
    if isinstance(content, float):
        return math.isfinite(content)
    if isinstance(content, Mapping):
        return all(finite(value) for value in content.values())
    return all(finite(value) for value in content) if isinstance(content, list | tuple) else True
