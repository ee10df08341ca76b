"""A formula in the place of a named question: for scenarios, and for why two answers differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worlds.answer import Answer
from worlds.ask import PATIENCE, Answerer
from worlds.core.formula import check_names
from worlds.core.questions import Expression
from worlds.domain import Domain

NAME = "query"
"""What the question is called in answers."""


@dataclass(frozen=True, slots=True)
class Adhoc:
    """A formula with what belongs to it; everything else is asked as of a named question.

    Parameters
    ----------
    formula, unit, conditions, error, seconds
        As in `Answerer.query`.
    """

    formula: str
    unit: str | None = None
    conditions: tuple[str, ...] = ()
    error: float = 1e-5
    seconds: float | None = PATIENCE

    def names(self, domain: Domain) -> tuple[str, ...]:
        """Return the quantities it needs.

        Raises
        ------
        FormulaError, UnknownNameError
            With the place of what is wrong.
        """
        for text in (self.formula, *self.conditions):
            check_names(text, domain.units())
        return Expression(self.formula, (), self.conditions).names()

    def on(self, answerer: Answerer) -> "Asked":
        """Return what answers it where the name of a question is expected."""
        return Asked(answerer, self)


@dataclass(frozen=True, slots=True)
class Asked:
    """A formula and the models that answer it."""

    answerer: Answerer
    adhoc: Adhoc

    def ask(
        self,
        name: str,  # noqa: ARG002 - whatever it is called
        *,
        given: Mapping[str, object] | None = None,
        do: Mapping[str, object] | None = None,
        where: Mapping[str, str] | None = None,
        threshold: float | str | None = None,
        **more: Any,
    ) -> Answer:
        """Answer the formula."""
        return self.answerer.query(
            self.adhoc.formula,
            unit=self.adhoc.unit,
            conditions=self.adhoc.conditions,
            error=self.adhoc.error,
            seconds=self.adhoc.seconds,
            given=given,
            do=do,
            where=where,
            threshold=threshold,
            **more,
        )
