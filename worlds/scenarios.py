"""Scenarios: named sets of conditions and interventions, stored so that they can be shared."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from worlds.errors import QuestionError, SnapshotError, UnknownNameError

ID_LENGTH = 16
LONGEST = 20_000
"""Most characters of a scenario."""
FIELDS = ("name", "given", "do", "where", "text")
_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")


@dataclass(frozen=True)
class Scenario:
    """What is assumed, under a name.

    Parameters
    ----------
    name
        What people call it; not part of its identity.
    given, do, where
        As a question takes them; in `do` a factor or a value may be a range:
        ``{"pupdates": {"times": [1.2, 2]}}``, ``{"pupdates": {"between": [500, 800]}}``.
    text
        One sentence for people; not part of its identity either.

    Raises
    ------
    QuestionError
        If it cannot be written as JSON, or has no name.
    """

    name: str
    given: Mapping[str, object] = field(default_factory=dict)
    do: Mapping[str, object] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 1 <= len(self.name.strip()) <= 100:
            msg = f"a scenario needs a name of 1 to 100 characters; got {self.name!r}"
            raise QuestionError(msg)
        if not isinstance(self.text, str):
            msg = f"the text of scenario {self.name!r} must be text; got {self.text!r}"
            raise QuestionError(msg)
        for part in ("given", "do", "where"):
            _check_part(self.name, part, getattr(self, part))
        if len(self.canonical) + len(self.text) > LONGEST:
            msg = f"scenario {self.name!r} is longer than {LONGEST:,} characters"
            raise QuestionError(msg)

    @cached_property
    def canonical(self) -> str:
        """The content in the one form that is hashed: names sorted, 2 and 2.0 alike."""
        content = {"given": self.given, "do": self.do, "where": self.where}
        try:
            return json.dumps(
                _plain(content), sort_keys=True, separators=(",", ":"), allow_nan=False
            )
        except (TypeError, ValueError, RecursionError) as error:
            msg = f"scenario {self.name!r} must be made of finite numbers, texts and lists: {error}"
            raise QuestionError(msg) from error

    @cached_property
    def id(self) -> str:
        """The address: a hash of the content."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:ID_LENGTH]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        content: dict[str, Any] = json.loads(self.canonical)
        return {"id": self.id, "name": self.name, "text": self.text, **content}

    @classmethod
    def from_json(cls, raw: object) -> Self:
        """Read a scenario that somebody wrote or shared.

        Raises
        ------
        QuestionError
            If it has unknown fields or no name, or another content than its id says.
        """
        if not isinstance(raw, Mapping):
            msg = f"a scenario is an object with {', '.join(FIELDS)}; got {raw!r}"
            raise QuestionError(msg)
        strange = sorted(str(key) for key in raw if key not in (*FIELDS, "id"))
        if strange:
            msg = f"a scenario takes {', '.join(FIELDS)}; got {', '.join(strange)}"
            raise QuestionError(msg)
        if "name" not in raw:
            msg = "a scenario needs a name"
            raise QuestionError(msg)
        scenario = cls(**{key: raw[key] for key in FIELDS if key in raw})
        if "id" in raw and raw["id"] != scenario.id:
            msg = (
                f"scenario {scenario.name!r} was changed: its content has the id {scenario.id}, "
                f"not {raw['id']!r}; leave the id out to store what it says now"
            )
            raise QuestionError(msg)
        return scenario


def _check_part(name: str, part: str, value: object) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        msg = f"{part!r} of scenario {name!r} must be an object by name; got {value!r}"
        raise QuestionError(msg)


def _plain(value: object) -> object:
    """Return JSON values with whole floats as integers and texts without outer blanks."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


class ScenarioStore:
    """A directory of scenarios, one JSON file each; written beside, then renamed into place.

    Parameters
    ----------
    root
        ``<var>/<domain>/scenarios``; made at the first write.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def put(self, scenario: Scenario) -> str:
        """Write a scenario and return its id; one of the same content takes the new name."""
        self.root.mkdir(parents=True, exist_ok=True)
        content = json.dumps(scenario.to_json(), indent=1, sort_keys=True, ensure_ascii=False)
        descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=self.root)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.encode())
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._path(scenario.id))
        finally:
            Path(temporary).unlink(missing_ok=True)
        return scenario.id

    def get(self, scenario_id: str) -> Scenario:
        """Read a scenario by its id.

        Raises
        ------
        UnknownNameError
            If there is none.
        SnapshotError
            If its file is damaged.
        """
        if not _ID.fullmatch(scenario_id) or not self._path(scenario_id).is_file():
            raise UnknownNameError("scenario", scenario_id, self._labels())
        try:
            scenario = Scenario.from_json(json.loads(self._path(scenario_id).read_bytes()))
        except (OSError, ValueError) as error:
            msg = f"scenario {scenario_id} cannot be read: {error}"
            raise SnapshotError(msg) from error
        if scenario.id != scenario_id:
            msg = f"scenario {scenario_id} is damaged: its content has the id {scenario.id}"
            raise SnapshotError(msg)
        return scenario

    def find(self, name_or_id: str) -> Scenario:
        """Read a scenario by its id or its name.

        Raises
        ------
        UnknownNameError
            If there is none.
        QuestionError
            If several have this name.
        """
        if _ID.fullmatch(name_or_id) and self._path(name_or_id).is_file():
            return self.get(name_or_id)
        found = [scenario for scenario in self.list() if scenario.name == name_or_id]
        if not found:
            raise UnknownNameError("scenario", name_or_id, self._labels())
        if len(found) > 1:
            ids = ", ".join(scenario.id for scenario in found)
            msg = f"{len(found)} scenarios are called {name_or_id!r}; say which by id: {ids}"
            raise QuestionError(msg)
        return found[0]

    def list(self) -> list[Scenario]:
        """Return all readable scenarios by name; `get` names the damage of others."""
        found = []
        for path in self.root.glob("*.json"):
            try:
                found.append(self.get(path.stem))
            except (SnapshotError, UnknownNameError):
                continue
        return sorted(found, key=lambda scenario: (scenario.name, scenario.id))

    def remove(self, scenario_id: str) -> None:
        """Delete a scenario.

        Raises
        ------
        UnknownNameError
            If there is none.
        """
        if not _ID.fullmatch(scenario_id) or not self._path(scenario_id).is_file():
            raise UnknownNameError("scenario", scenario_id, self._labels())
        self._path(scenario_id).unlink(missing_ok=True)

    def _path(self, scenario_id: str) -> Path:
        return self.root / f"{scenario_id}.json"

    def _labels(self) -> tuple[str, ...]:
        stems = (path.stem for path in self.root.glob("*.json"))
        return tuple(stem for stem in stems if _ID.fullmatch(stem))
