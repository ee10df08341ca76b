"""From facts to the answer of a view, in the form of every other answer."""

from collections.abc import Mapping, Sequence

from worlds.answer import Answer
from worlds.core.questions import Amount, Comparison, Question
from worlds.domain import Domain
from worlds.errors import QuestionError, UnknownNameError
from worlds.in_force import LEVELS
from worlds.membership.errors import GeoMissingError, MembershipError
from worlds.membership.views import general
from worlds.view import Reading, View


def views(domain: Domain) -> tuple[View, ...]:
    """Return the views of a domain: its own, and those that every domain has."""
    return (*domain.views, *general(domain.label))


def find_view(domain: Domain, name: str) -> View | None:
    """Return a view by name; None for the questions of the domain.

    Raises
    ------
    UnknownNameError
        If it is neither, with all names.
    """
    questions = [question.name for question in domain.questions]
    if name in questions:
        return None
    known = {view.name: view for view in views(domain)}
    if name not in known:
        raise UnknownNameError("question", name, [*questions, *known])
    return known[name]


def look(
    view: View,
    reading: Reading,
    *,
    where: Mapping[str, str] | None = None,
    given: Mapping[str, object] | None = None,
    threshold: float | str | None = None,
    levels: Sequence[float] = LEVELS,
) -> Answer:
    """Answer a view.

    Parameters
    ----------
    view
        What is asked.
    reading
        The facts.
    where
        What it is about, as the view takes it.
    given
        What was observed, as the view takes it.
    threshold, levels
        As a question takes them.

    Raises
    ------
    worlds.errors.WorldsError
        What cannot be asked, and what would be right.
    """
    where, given = dict(where or {}), dict(given or {})
    view.check(where, given)
    limit = view.threshold if threshold is None else threshold
    compared = None if limit is None else Comparison.parse(limit, ">")
    try:
        found = view.look(reading, where, given)
    except GeoMissingError:
        raise
    except MembershipError as error:  # what facts cannot be asked
        raise QuestionError(str(error)) from error
    unit = found.outcome.unit or view.unit
    tx, chain, count = reading.version
    return Answer(
        question=Question(view.name, Amount(view.name), unit, view.text),
        outcome=found.outcome,
        threshold=compared,
        levels=tuple(levels),
        start=found.start,
        end=found.end,
        assumptions={"given": given, "do": {}, "where": where},
        models=(),
        release=None,
        degraded=None,
        notes=found.notes,
        as_of=reading.as_of,
        simulated=reading.simulated,
        details={**found.details, "facts": {"tx": tx, "hash": chain, "count": count}},
    )
