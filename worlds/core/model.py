"""What is declared: choices, drivers, quantities, named formulas. Pure declarations.

>>> from worlds.core.model import Choice, Driver, Model, Unknown
>>> from worlds.core.laws import Lognormals
>>> model = Model.of(
...     Choice("season", {"peak": 0.3, "calm": 0.7}),
...     Unknown("visits", {"peak": Lognormals.of(900, 0.2), "calm": Lognormals.of(400, 0.2)},
...             unit="visits", by="season"),
... )
>>> sorted(model.quantities)
['visits']
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from worlds.core.compound import Severity
from worlds.core.distributions import Count, CountMixture, Distribution, Point
from worlds.core.formula.checks import Symbol
from worlds.core.formula.functions import FUNCTIONS
from worlds.core.formula.ranges import Range
from worlds.core.formula.units import Units
from worlds.core.laws import Atoms
from worlds.core.views import bounds
from worlds.errors import QuestionError, UnknownNameError, WeightError

type Content = Distribution | Severity
type Role = Literal["amount", "count", "size"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A named discrete uncertainty: one of its options is right.

    Parameters
    ----------
    name
        How formulas and conditions call it.
    weights
        Option to probability.
    """

    name: str
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        total = sum(self.weights.values())
        if not (all(w >= 0 for w in self.weights.values()) and abs(total - 1) <= 1e-9):
            raise WeightError(self.name, total)


@dataclass(frozen=True, slots=True)
class Driver:
    """A named continuous uncertainty that quantities share, such as the uplift of a campaign."""

    name: str
    law: Distribution
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A quantity whose law depends on choices and is multiplied by drivers.

    Parameters
    ----------
    name, unit
        How it is called, and what one of it is.
    cases
        One law, or a law for every option of its choice (for every tuple of options, in the
        order of `by`, where there are several). A `Severity` for a size.
    by
        The choices it depends on: a name, or several.
    drivers
        Drivers that multiply it: the value of an amount, the intensity of a count or a size.
    role
        Found from the laws where left out: counts are counts, severities sizes, all else amounts.
    """

    name: str
    cases: Content | Mapping[str, Content] | Mapping[tuple[str, ...], Content]
    unit: str = ""
    by: str | tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    role: Role | None = None

    @property
    def choices(self) -> tuple[str, ...]:
        """The choices it depends on."""
        return (self.by,) if isinstance(self.by, str) else self.by

    @property
    def table(self) -> dict[tuple[str, ...], Content]:
        """The law for every tuple of options."""
        if not isinstance(self.cases, Mapping):
            return {(): self.cases}
        return {
            key if isinstance(key, tuple) else (key,): content
            for key, content in self.cases.items()
        }

    @property
    def kind(self) -> Role:
        """Its role."""
        if self.role is not None:
            return self.role
        contents = list(self.table.values())
        if all(isinstance(content, Severity) for content in contents):
            return "size"
        counted = any(isinstance(content, CountMixture) for content in contents)
        whole = all(isinstance(content, Count) for content in contents)
        return "count" if counted and whole else "amount"

    def bounds(self) -> Range:
        """Return the range of its values over all cases."""
        found = [bounds(content) for content in self.table.values()]
        whole = found[0]
        for other in found[1:]:
            whole = whole.union(other)
        return whole


@dataclass(frozen=True)
class Model:
    """Everything that is declared."""

    choices: Mapping[str, Choice] = field(default_factory=dict)
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    quantities: Mapping[str, Unknown] = field(default_factory=dict)
    formulas: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, *declared: Choice | Driver | Unknown, formulas: Mapping[str, str] | None = None
    ) -> "Model":
        """Collect declarations and check them against each other.

        Raises
        ------
        QuestionError
            If a name is declared twice or is no name, or a case has no law.
        UnknownNameError
            If a quantity depends on a choice or driver that is not there.
        """
        names = [one.name for one in declared] + list(formulas or {})
        for name in names:
            if names.count(name) > 1 or not name.isidentifier() or name in FUNCTIONS:
                why = "is declared twice" if names.count(name) > 1 else "is not a name"
                msg = f"{name!r} {why}; every name is one word, used once, and no function"
                raise QuestionError(msg)
        model = cls(
            {one.name: one for one in declared if isinstance(one, Choice)},
            {one.name: one for one in declared if isinstance(one, Driver)},
            {one.name: one for one in declared if isinstance(one, Unknown)},
            dict(formulas or {}),
        )
        for unknown in model.quantities.values():
            _check(unknown, model)
        return model

    def symbols(self) -> dict[str, Symbol]:
        """Return what names stand for in formulas."""
        found = {
            name: Symbol("amount", Units.parse(driver.unit), bounds(driver.law))
            for name, driver in self.drivers.items()
        }
        for name, unknown in self.quantities.items():
            span = unknown.bounds()
            for driver in unknown.drivers:
                span = span.times(bounds(self.drivers[driver].law))
            found[name] = Symbol(unknown.kind, Units.parse(unknown.unit), span)
        return found

    def with_quantity(self, unknown: Unknown) -> "Model":
        """Return the model with one quantity replaced."""
        return replace(self, quantities={**self.quantities, unknown.name: unknown})

    def with_choice(self, choice: Choice) -> "Model":
        """Return the model with one choice replaced."""
        return replace(self, choices={**self.choices, choice.name: choice})

    def with_driver(self, driver: Driver) -> "Model":
        """Return the model with one driver replaced."""
        return replace(self, drivers={**self.drivers, driver.name: driver})


def _check(unknown: Unknown, model: Model) -> None:
    for choice in unknown.choices:
        if choice not in model.choices:
            raise UnknownNameError(f"choice of {unknown.name!r}", choice, model.choices)
    for driver in unknown.drivers:
        if driver not in model.drivers:
            raise UnknownNameError(f"driver of {unknown.name!r}", driver, model.drivers)
        span = bounds(model.drivers[driver].law)
        if unknown.kind != "amount" and span.low < 0:
            msg = f"driver {driver!r} multiplies {unknown.name!r}, so it cannot be negative"
            raise QuestionError(msg)
    wanted = 1
    for choice in unknown.choices:
        wanted *= len(model.choices[choice].weights)
    table = unknown.table
    known = [
        key
        for key in table
        if len(key) == len(unknown.choices)
        and all(o in model.choices[c].weights for c, o in zip(unknown.choices, key, strict=True))
    ]
    if len(known) != wanted or len(known) != len(table):
        msg = (
            f"{unknown.name!r} needs one law for each of {wanted} cases of {unknown.choices}; "
            f"it has {sorted(table)}"
        )
        raise QuestionError(msg)
    if not all(isinstance(content, Distribution | Severity) for content in table.values()):
        msg = f"the cases of {unknown.name!r} must be laws such as Lognormals.of(900, 0.2)"
        raise QuestionError(msg)


def single(content: Content) -> float | None:
    """Return the value of a law that has only one, else None."""
    if isinstance(content, Point):
        return float(content.value)
    if isinstance(content, Atoms) and len(content.values) == 1:
        return float(content.values[0])
    if isinstance(content, Severity) and len(content.parts) == 1:
        return single(content.parts[0])
    return None
