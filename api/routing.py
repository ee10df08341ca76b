"""Which entity gets the answer of which arm, while an experiment runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from worlds.ask import Answerer
from worlds.watch.experiments import Arm, Experiment


@dataclass(frozen=True, slots=True)
class Routed:
    """One arm as it is served.

    Parameters
    ----------
    experiment, arm
        Their names.
    answerer
        The models with the weights of the arm.
    head
        The part of a prediction that says so, as JSON.
    tail
        The part of every prediction of the arm that depends on the models only, as JSON.
    """

    experiment: str
    arm: str
    answerer: Answerer
    head: bytes
    tail: bytes


@dataclass(frozen=True, slots=True)
class Routing:
    """The arms of the experiment that is shown."""

    experiment: Experiment
    arms: dict[str, Routed]

    def of(self, entity: str) -> Routed | None:
        """Return the arm of an entity; None where it takes no part, or its arm was stopped."""
        arm = self.experiment.arm_of(entity)
        return self.arms.get(arm.name) if arm is not None else None


def routing(
    running: Sequence[Experiment], answerer: Answerer, tail_of: Callable[[Answerer], bytes]
) -> Routing | None:
    """Return the routing of the experiment that is shown, if there is one and it can be.

    While a model that an arm needs does not answer, the experiment rests: nobody is exposed,
    because leaving out some arms only would bend the comparison.
    """
    shown = next((one for one in running if one.mode == "live"), None)
    if shown is None:
        return None
    size = answerer.domain.quantity("size").name
    there = set(answerer.models[size])
    arms = [arm for arm in shown.arms if arm.name not in shown.stopped]
    if any(not _named(arm) <= there for arm in arms):
        return None
    return Routing(shown, {arm.name: _routed(shown, arm, answerer, size, tail_of) for arm in arms})


def _named(arm: Arm) -> set[str]:
    return {name for name, weight in (arm.weights or {}).items() if weight > 0}


def _routed(
    shown: Experiment,
    arm: Arm,
    answerer: Answerer,
    size: str,
    tail_of: Callable[[Answerer], bytes],
) -> Routed:
    mine = answerer if arm.weights is None else answerer.weighed({size: arm.weights})
    said = {
        "name": shown.name,
        "arm": arm.name,
        "presentation": arm.presentation,
        "models": [use for use in mine.versions if use.quantity == size],
    }
    head = b'"experiment":' + msgspec.json.encode(said)
    return Routed(shown.name, arm.name, mine, head, head + b"," + tail_of(mine))
