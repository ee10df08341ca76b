"""What a domain declares, and how one is found. No engine code names a domain."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Literal

from worlds.core.features import Features, FeatureSpec
from worlds.core.questions import Quantity, Question
from worlds.errors import DomainError, UnknownNameError
from worlds.view import View

type FieldType = Literal["text", "number", "truth", "texts", "probabilities", "time", "place"]


@dataclass(frozen=True, slots=True)
class DraftField:
    """Something a client may say of a thing before it exists."""

    name: str
    type: FieldType
    text: str
    example: object


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain: quantities, questions, features and models, declared in one file.

    Parameters
    ----------
    name, title, text
        How it is called, for machines and for people.
    entity
        Prefix of its entities in the fact store (``post`` for ``post:123``).
    grain
        Length of a period: ``hour`` or ``day``.
    quantities
        One of role ``count`` (things a period) and one of role ``size`` (what a thing brings).
    questions
        Named formulas over them; the first is the main one.
    label
        Attribute whose known value a size model learns to predict.
    label_ripens
        How long after a thing begins its label is final.
    features
        The extractor: from a wide row of facts, or from a client's draft, to features. Pure,
        never raises on what it does not know; the same function learns and serves.
    spec
        What the extractor yields, with its version.
    draft
        What a client may say in a draft.
    models
        For every quantity the names of built-in models, or model objects of the domain's own.
    shares
        Categories that questions may be restricted to (``where``).
    mapping
        Name of a shipped mapping that imports tables of this domain.
    simulate
        ``module:function`` of a simulator for machines without data.
    views
        Questions of its own about the facts themselves (see `worlds.view`).
    """

    name: str
    title: str
    text: str
    entity: str
    grain: Literal["hour", "day"]
    quantities: tuple[Quantity, ...]
    questions: tuple[Question, ...]
    label: str
    label_ripens: timedelta
    features: Callable[[Mapping[str, object]], Features]
    spec: FeatureSpec
    draft: tuple[DraftField, ...] = ()
    models: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    shares: tuple[str, ...] = ()
    mapping: str | None = None
    simulate: str | None = None
    views: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        names = [quantity.name for quantity in self.quantities]
        roles = sorted(quantity.role for quantity in self.quantities)
        if roles != ["count", "size"]:
            msg = f"domain {self.name!r} needs one count and one size quantity; it has {roles}"
            raise DomainError(msg)
        for question in self.questions:
            for name in question.formula.names():
                if name not in names:
                    raise UnknownNameError(f"quantity in question {question.name!r}", name, names)
        if not self.questions:
            msg = f"domain {self.name!r} declares no question"
            raise DomainError(msg)

    def quantity(self, role: str) -> Quantity:
        """Return the quantity of a role (``count`` or ``size``)."""
        return next(quantity for quantity in self.quantities if quantity.role == role)

    def units(self) -> dict[str, str]:
        """Return the unit of every quantity in formulas: that of a size is per counted thing."""
        count, size = self.quantity("count"), self.quantity("size")
        return {count.name: _unit(count.unit), size.name: f"{_unit(size.unit)}/{_unit(count.unit)}"}

    def question(self, name: str) -> Question:
        """Return a question by name.

        Raises
        ------
        UnknownNameError
            With the known names.
        """
        for question in self.questions:
            if question.name == name:
                return question
        raise UnknownNameError("question", name, [question.name for question in self.questions])

    @property
    def step(self) -> timedelta:
        """Length of a period."""
        return timedelta(hours=1) if self.grain == "hour" else timedelta(days=1)


def shipped() -> Iterator[Domain]:
    """Yield the domains that come with the project."""
    package = importlib.import_module("worlds.domains")
    for module in iter_modules(package.__path__):
        if not module.name.startswith("_"):
            yield _declared(importlib.import_module(f"worlds.domains.{module.name}"), "DOMAIN")


def load_domain(name: str) -> Domain:
    """Find a domain by name, by path of a Python file, or as ``package.module[:ATTRIBUTE]``.

    The file or module declares it as ``DOMAIN``.

    Raises
    ------
    UnknownNameError
        If there is no such domain.
    DomainError
        If the file is there but declares no domain.
    """
    if name.endswith(".py"):
        return _declared(_load_file(Path(name)), "DOMAIN")
    modules = iter_modules(importlib.import_module("worlds.domains").__path__)
    known = [module.name for module in modules if not module.name.startswith("_")]
    if name in known:
        return _declared(importlib.import_module(f"worlds.domains.{name}"), "DOMAIN")
    module_name, _, attribute = name.partition(":")
    try:
        found = importlib.util.find_spec(module_name) if "." in name or ":" in name else None
    except (ImportError, ValueError):  # no such module, or no name of one
        found = None
    if found is None:
        raise UnknownNameError("domain", name, [*known, "path/to/file.py", "package.module:DOMAIN"])
    return _declared(importlib.import_module(module_name), attribute or "DOMAIN")


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        msg = f"no domain file at {str(path)!r}"
        raise DomainError(msg)
    name = f"worlds_domain_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        msg = f"{str(path)!r} is not a Python file"
        raise DomainError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # somebody else's file may raise anything
        del sys.modules[name]
        msg = f"{str(path)!r} cannot be loaded: {type(error).__name__}: {error}"
        raise DomainError(msg) from error
    return module


def _declared(module: ModuleType, attribute: str) -> Domain:
    domain = getattr(module, attribute, None)
    if not isinstance(domain, Domain):
        msg = f"{module.__name__} declares no domain: it needs {attribute} = Domain(...)"
        raise DomainError(msg)
    return domain


def _unit(text: str) -> str:
    """Return a unit as one word of the algebra of units."""
    return "_".join(re.findall(r"\w+", text)) or "things"
