"""Where all models stand, as a small file beside the snapshots, and what follows for weights.

The process that owns the facts writes the file; every process that answers reads it within a
second. It is a projection of facts: what is lost with it is read again from them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from worlds.errors import QuestionError, SnapshotError, UnknownNameError
from worlds.publish.files import replace_file
from worlds.watch.experiments import Experiment
from worlds.watch.overrides import Override, pinned, ranges, within
from worlds.watch.rules import LIVE, PROBATION, QUARANTINED, RETIRED, Standing, State

FILE = "standing.json"
FORMAT = 1
HELD = 0.2
"""Most weight of a model on probation, as long as another one is there to take the rest."""

type Models = Mapping[tuple[str, str], Standing]


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that changes how models are served.

    Parameters
    ----------
    models
        (quantity, model) to where it stands; what is not there is live.
    overrides
        What people decided.
    experiments
        Those that run.
    """

    models: Models = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    experiments: tuple[Experiment, ...] = ()

    def state(self, quantity: str, model: str) -> State:
        """Return the state of a model."""
        found = self.models.get((quantity, model))
        return found.state if found is not None else "live"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "format": FORMAT,
            "models": {
                f"{quantity}/{model}": {
                    "state": one.state,
                    "reason": one.reason,
                    "snapshot": one.snapshot,
                    "relapses": one.relapses,
                }
                for (quantity, model), one in sorted(self.models.items())
            },
            "overrides": [one.to_json() for one in self.overrides],
            "experiments": [one.to_json() for one in self.experiments],
        }

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "Board":
        """Read the JSON form.

        Raises
        ------
        SnapshotError
            If it is none.
        """
        try:
            if raw["format"] > FORMAT:
                msg = f"{FILE} is of format {raw['format']}; this version knows {FORMAT}"
                raise SnapshotError(msg)
            models = {}
            for name, one in raw["models"].items():
                quantity, _, model = name.partition("/")
                models[quantity, model] = Standing(**one)
            return cls(
                models,
                tuple(Override.read(one) for one in raw["overrides"]),
                tuple(Experiment.read(one) for one in raw["experiments"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"{FILE} cannot be understood: {error!r}"
            raise SnapshotError(msg) from error


EMPTY = Board()


def write(folder: Path, board: Board) -> None:
    """Write the file, atomically and durably."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / FILE, json.dumps(board.to_json(), indent=1, sort_keys=True).encode())


def signature(folder: Path) -> tuple[int, ...] | None:
    """Return what changes whenever the file is written anew; None where there is none."""
    try:
        found = (folder / FILE).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def load(folder: Path) -> Board:
    """Read the file; nothing has been decided where there is none.

    Raises
    ------
    SnapshotError
        If it is damaged.
    """
    try:
        raw = json.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        return EMPTY
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{FILE} cannot be read: {error}"
        raise SnapshotError(msg) from error
    if not isinstance(raw, dict):
        msg = f"{FILE} is damaged: it is no JSON object"
        raise SnapshotError(msg)
    return Board.read(raw)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows for the models of one quantity.

    Parameters
    ----------
    weights
        Of every model; zero for those that do not answer. All zero: the default answers.
    trouble
        Why the answers are degraded.
    """

    weights: tuple[tuple[str, float], ...]
    trouble: tuple[str, ...] = ()


def verdict(
    board: Board,
    quantity: str,
    weights: Mapping[str, float],
    tripped: Mapping[str, str],
    now: datetime,
) -> Verdict:
    """Return the weights of a quantity's models.

    Parameters
    ----------
    board
        What was decided.
    quantity
        Its name.
    weights
        As published, by model.
    tripped
        Model to the fault for which it is left out just now.
    now
        The time, for overrides.
    """
    held = pinned(board.overrides, quantity, now)
    out, capped, trouble = set(), set(), []
    for model in weights:
        stands = board.models.get((quantity, model))
        state = stands.state if stands is not None and model not in held else LIVE
        if stands is not None and state in (QUARANTINED, RETIRED):
            out.add(model)
            trouble.append(f"{quantity}/{model} is {state}: {stands.reason}")
        elif model in tripped:
            out.add(model)
            trouble.append(f"{quantity}/{model} is left out: {tripped[model]}")
        elif state == PROBATION:
            capped.add(model)
    limits = ranges(board.overrides, quantity, now)
    for model in capped:
        if any(other not in out and other not in capped for other in weights):
            limits.setdefault(model, (0.0, HELD))
    limits |= dict.fromkeys(out, (0.0, 0.0))
    found = within(weights, limits)
    if weights and sum(found.values()) <= 0:
        banned = [] if out else [f"every model of {quantity} is banned"]
        trouble += [*banned, f"{quantity}: the default belief answers"]
    return Verdict(tuple(sorted(found.items())), tuple(trouble))


def check_names(known: Sequence[tuple[str, str]], name: str) -> tuple[str, str]:
    """Return the (quantity, model) that a name means: ``model``, or ``quantity.model``.

    Raises
    ------
    QuestionError
        If several have the name.
    UnknownNameError
        If none has.
    """
    found = [(q, m) for q, m in known if name in (m, f"{q}.{m}", f"{q}/{m}")]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnknownNameError("model", name, [f"{q}.{m}" for q, m in known])
    several = ", ".join(f"{q}.{m}" for q, m in found)
    msg = f"{name!r} is the name of several models: say {several}"
    raise QuestionError(msg)
