"""Stored scenarios: a name means one scenario, a scenario has an id made from its content."""

import re
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from api.errors import BeyondError
from worlds.core.questions import Do, Given
from worlds.domain import Domain
from worlds.errors import QuestionError, UnknownNameError
from worlds.ranges import find_ranges
from worlds.scenarios import Scenario, ScenarioStore

MOST = 1000
"""Most scenarios of one domain."""
_LIKE_AN_ID = re.compile(r"[0-9a-f]{16}")
_writing = Lock()


def store_of(root: Path) -> ScenarioStore:
    """Return the scenarios below the directory of a domain."""
    return ScenarioStore(root / "scenarios")


def save(store: ScenarioStore, domain: Domain, scenario: Scenario) -> Scenario:
    """Store a scenario; its name then means this one and no other.

    Raises
    ------
    QuestionError, UnknownNameError
        If it cannot be asked in this domain, or there are too many.
    """
    check(domain, scenario)
    if _LIKE_AN_ID.fullmatch(scenario.name):
        msg = f"the name {scenario.name!r} looks like the id of a scenario; take another one"
        raise QuestionError(msg)
    with _writing:
        others = [one for one in store.list() if one.id != scenario.id]
        if len(others) >= MOST:
            msg = f"there are {MOST:,} scenarios already; remove one first"
            raise QuestionError(msg)
        store.put(scenario)
        for other in others:
            if other.name == scenario.name:
                store.remove(other.id)
    return scenario


def remove(store: ScenarioStore, name_or_id: str) -> Scenario:
    """Remove a scenario and return it.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    with _writing:
        found = store.find(name_or_id)
        store.remove(found.id)
    return found


def check(domain: Domain, scenario: Scenario) -> None:
    """Make sure that a scenario has a meaning in a domain.

    Raises
    ------
    QuestionError, UnknownNameError, BeyondError
        Naming what has none.
    """
    quantities = [quantity.name for quantity in domain.quantities]
    _known("quantity", {**scenario.given, **scenario.do}, quantities)
    _known("category", scenario.where, domain.shares)
    for condition in scenario.given.values():
        Given.parse(condition)
    try:
        ranges = {each.quantity for each in find_ranges(scenario.do)}
        for name, change in scenario.do.items():
            if name not in ranges:
                Do.parse(change)
    except OverflowError as error:
        msg = f"a number in the interventions of {scenario.name!r} is too large"
        raise BeyondError(msg) from error


def _known(kind: str, names: Mapping[str, object], known: list[str] | tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError(kind, name, known)
