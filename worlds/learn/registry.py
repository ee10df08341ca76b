"""Which models there are: those in `worlds.learn.models`, and a domain's own objects."""

import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pkgutil import iter_modules

from worlds.errors import DomainError, UnknownNameError
from worlds.learn.protocol import CountModel, Model, SizeModel

DEFAULT = "default"


@cache
def built_in() -> dict[tuple[str, str], Model]:
    """Return the models of this package by role and name.

    A model is a class without arguments that has a `name`, a `role` and a `fit`.
    """
    found: dict[tuple[str, str], Model] = {}
    for model in _scan():
        key = (model.role, model.name)
        if key in found:
            msg = f"two models are called {model.name!r} in role {model.role!r}"
            raise DomainError(msg)
        found[key] = model
    return found


def _scan() -> Iterator[Model]:
    package = importlib.import_module("worlds.learn.models")
    for info in iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for _, kind in sorted(inspect.getmembers(module, inspect.isclass)):
            if kind.__module__ == module.__name__ and hasattr(kind, "fit"):
                model = kind()
                if isinstance(model, CountModel | SizeModel):
                    yield model


def is_model(candidate: object, role: str) -> bool:
    """Return whether an object is a model of the role."""
    kind = CountModel if role == "count" else SizeModel
    return isinstance(candidate, kind) and candidate.role == role


def find(role: str, entry: object) -> Model:
    """Return the model that a domain names, or its own object.

    Raises
    ------
    UnknownNameError
        If there is no built-in model of that name in the role.
    DomainError
        If the object is not a model of the role.
    """
    if isinstance(entry, str):
        known = built_in()
        if (role, entry) not in known:
            raise UnknownNameError(f"{role} model", entry, [name for r, name in known if r == role])
        return known[role, entry]
    if not is_model(entry, role):
        msg = f"{entry!r} is no {role} model: it needs name, role {role!r} and fit"
        raise DomainError(msg)
    return entry  # type: ignore[return-value]  # checked above
