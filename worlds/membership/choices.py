"""Shared choices: what many facts have in common, and the worlds their alternatives make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.errors import UnknownNameError, WeightError
from worlds.membership.errors import MembershipError

MOST_WORLDS = 4096
"""Worlds enumerated; choices beyond are mixed inside the worlds."""

type Condition = tuple[tuple[str, frozenset[str]], ...]
"""Which alternatives of which choices make the facts of a group members; () is always true."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A named discrete uncertainty that facts share, with the probability of each alternative."""

    name: str
    probs: Mapping[str, float]

    def __post_init__(self) -> None:
        total = sum(self.probs.values())
        if min(self.probs.values(), default=-1.0) < 0 or abs(total - 1) > 1e-6:
            raise WeightError(self.name, total)

    def within(self, labels: frozenset[str]) -> float:
        """Return the probability that one of the labels is the right one."""
        return min(1.0, sum(p for label, p in self.probs.items() if label in labels))


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """The worlds that the enumerated choices make, and the groups that none of them decides.

    Parameters
    ----------
    worlds, weights
        Alternative of every choice, and probability, of each of W worlds.
    active
        Array (W, G): which groups are members in which world; False for mixed groups.
    mixed
        Groups left to chance inside every world, with their probability.
    """

    worlds: tuple[Mapping[str, str], ...]
    weights: Floats
    active: NDArray[np.bool_]
    mixed: Mapping[int, float]


def stated(table: pa.Table) -> dict[str, Choice]:
    """Return the choices that categorical facts share.

    Every fact of a choice states the same unknown; where they disagree their probabilities are
    averaged.

    Parameters
    ----------
    table
        Categorical rows with a choice, columns `choice`, `labels` and `probs`.
    """
    if table.num_rows == 0:
        return {}
    names: Any = table["choice"].combine_chunks().dictionary_encode()
    lists: Any = table["labels"].combine_chunks()
    offsets = np.asarray(lists.offsets)
    labels = lists.flatten().dictionary_encode()
    stated_probs: Any = table["probs"].combine_chunks()
    flat = np.asarray(stated_probs.flatten(), float)
    owner = np.repeat(names.indices.to_numpy(), np.diff(offsets))
    count = len(labels.dictionary)
    cell = owner.astype(np.int64) * count + labels.indices.to_numpy()
    found, where = np.unique(cell, return_inverse=True)
    total = np.bincount(where, flat)
    rows = np.bincount(names.indices.to_numpy())
    words, titles = labels.dictionary.to_pylist(), names.dictionary.to_pylist()
    probs: dict[str, dict[str, float]] = {title: {} for title in titles}
    for key, amount in zip(found.tolist(), total.tolist(), strict=True):
        probs[titles[key // count]][words[key % count]] = amount / rows[key // count]
    return {title: Choice(title, alternatives) for title, alternatives in probs.items()}


def enumerated(
    choices: Mapping[str, Choice],
    conditions: Sequence[Condition],
    impact: Floats,
    most: int = MOST_WORLDS,
) -> Joint:
    """Return the joint alternatives of the choices that matter.

    Alternatives of a choice that make the same facts members are one. Choices are enumerated
    from the one with the largest influence on, as long as there are at most `most` worlds; a
    choice of one group alone that is left is mixed inside every world.

    Parameters
    ----------
    choices
        Every choice the conditions name.
    conditions
        One per group of facts.
    impact
        Array (G,): how much a group weighs (its expected number or value).

    Raises
    ------
    UnknownNameError
        If a condition names an unknown choice.
    MembershipError
        If choices that are left tie several groups together.
    """
    classes = {name: _classes(choices, name, conditions) for name in _named(conditions)}
    classes = {name: kinds for name, kinds in classes.items() if len(kinds) > 1}
    weight = {name: _influence(name, classes[name], conditions, impact) for name in classes}
    chosen: list[str] = []
    worlds = 1
    for name in sorted(classes, key=lambda n: (-weight[n], n)):
        if worlds * len(classes[name]) > most:
            break
        chosen.append(name)
        worlds *= len(classes[name])
    left = set(classes) - set(chosen)
    mixed = _left_over(choices, conditions, left)
    return _worlds(choices, conditions, {n: classes[n] for n in sorted(chosen)}, mixed)


def _named(conditions: Sequence[Condition]) -> list[str]:
    return sorted({name for condition in conditions for name, _ in condition})


def _classes(
    choices: Mapping[str, Choice], name: str, conditions: Sequence[Condition]
) -> list[tuple[frozenset[str], float]]:
    """Return the alternatives of a choice, those that act alike as one, and their probability."""
    if name not in choices:
        raise UnknownNameError("choice", name, choices)
    wanted = sorted({labels for c in conditions for n, labels in c if n == name}, key=sorted)
    classes: dict[tuple[bool, ...], set[str]] = {}
    for label, prob in choices[name].probs.items():
        if prob > 0:
            classes.setdefault(tuple(label in labels for labels in wanted), set()).add(label)
    groups = [frozenset(labels) for labels in classes.values()]
    return [(labels, choices[name].within(labels)) for labels in groups]


def _influence(
    name: str,
    classes: list[tuple[frozenset[str], float]],
    conditions: Sequence[Condition],
    impact: Floats,
) -> float:
    most = max(prob * (1 - prob) for _, prob in classes)
    held = [impact[i] for i, c in enumerate(conditions) if any(n == name for n, _ in c)]
    return float(most * sum(held) ** 2)


def _left_over(
    choices: Mapping[str, Choice], conditions: Sequence[Condition], left: set[str]
) -> dict[int, float]:
    """Return groups decided by one left-over choice of their own, with their probability."""
    mixed: dict[int, float] = {}
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        names = {name for name, _ in condition} & left
        if not names:
            continue
        if len(condition) > 1 or names & seen:
            msg = (
                f"{len(left)} choices are too many to enumerate, and {sorted(names)[0]!r} ties"
                " several groups of facts together; ask for fewer choices at once"
            )
            raise MembershipError(msg)
        seen |= names
        ((name, labels),) = condition
        mixed[index] = choices[name].within(labels)
    return mixed


def _worlds(
    choices: Mapping[str, Choice],
    conditions: Sequence[Condition],
    classes: Mapping[str, list[tuple[frozenset[str], float]]],
    mixed: Mapping[int, float],
) -> Joint:
    combos = list(product(*classes.values()))
    weights = np.array([np.prod([prob for _, prob in combo]) for combo in combos], float)
    active = np.ones((len(combos), len(conditions)), bool)
    position = {name: i for i, name in enumerate(classes)}
    for group, condition in enumerate(conditions):
        if group in mixed:
            active[:, group] = False
            continue
        for name, labels in condition:
            at = position.get(name)
            if at is None:
                active[:, group] &= choices[name].within(labels) > 0
            else:
                active[:, group] &= [combo[at][0] <= labels for combo in combos]
    named = [
        {
            name: " or ".join(sorted(labels))
            for name, (labels, _) in zip(classes, combo, strict=True)
        }
        for combo in combos
    ]
    return Joint(tuple(named), weights / weights.sum(), active, mixed)
