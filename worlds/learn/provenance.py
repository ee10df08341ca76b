"""Where a snapshot comes from: versions of facts, code and extractor, seed and times."""

import hashlib
import inspect
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import worlds
from worlds.domain import Domain
from worlds.learn.protocol import Model

PACKAGE = "possible-worlds"
LIBRARIES = ("numpy", "scipy")
"""Packages whose arithmetic decides the last digits."""
SOURCES = ("core", "learn", "domains")
"""Rooms whose code decides what a fit gives."""


def provenance(
    domain: Domain,
    model: Model,
    *,
    as_of: datetime,
    until: datetime,
    facts: tuple[int, str, int],
    seed: int,
    inference: Mapping[str, Any],
    simulated: bool,
) -> dict[str, Any]:
    """Return the record that makes a snapshot reproducible."""
    tx, chain, count = facts
    return {
        "domain": domain.name,
        "as_of": as_of.isoformat(),
        "until": until.isoformat(),
        "facts": {"tx": tx, "hash": chain, "count": count},
        "code": {**code_version(), "model": source_hash(type(model))},
        "extractor": domain.spec.version,
        "seed": seed,
        "inference": dict(inference),
        "simulated": simulated,
    }


def code_version() -> dict[str, Any]:
    """Return what identifies the code that every fit passes through."""
    return {
        "package": package_version(),
        "sources": code_hash(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def package_version() -> str:
    """Return the version of the installed package."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "not installed"


@cache
def code_hash() -> str:
    """Return a hash of the sources that every fit passes through."""
    digest = hashlib.sha256()
    root = Path(worlds.__file__).parent
    for room in SOURCES:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def source_hash(thing: object) -> str:
    """Return a hash of the file in which a class or function is written, wherever that is."""
    module: ModuleType | None = sys.modules.get(str(getattr(thing, "__module__", "")))
    source = inspect.getsourcefile(module) if module is not None else None
    if source is None or not Path(source).is_file():
        return "unknown"
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()[:16]
