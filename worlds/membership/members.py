"""Facts that may be members of a set: how probably each, and through which shared choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facts.values import OneOf
from worlds.core.distributions import Floats
from worlds.membership.choices import Choice, Condition, stated
from worlds.membership.errors import MembershipError
from worlds.membership.reading import columns_for, probabilities, values
from worlds.membership.regions import AnyRegion

type Ints = NDArray[np.int64]
ALWAYS: Condition = ()


class FactSource(Protocol):
    """What is needed of a store: `facts.Reader` has it."""

    def facts(
        self,
        *,
        as_of: datetime | None = None,
        attribute: str | Sequence[str] | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the visible facts as known at a time."""
        ...


@dataclass(frozen=True, eq=False)
class Members:
    """Things that may lie in a set.

    Parameters
    ----------
    probs
        Array (n,): probability that a thing is a member, given that its choices allow it.
        Independent of all others.
    group
        Array (n,): which of the conditions a thing depends on; None if there are no choices.
    conditions
        For every group the alternatives of the choices under which its things are members.
    choices
        The choices the conditions name, by name.
    values, variances
        Arrays (n,): what a member brings, if something is to be added up.
    names
        The things, where they were matched by entity.
    """

    probs: Floats
    group: Ints | None = None
    conditions: tuple[Condition, ...] = (ALWAYS,)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    values: Floats | None = None
    variances: Floats | None = None
    names: Any = None

    def __post_init__(self) -> None:
        if not ((self.probs >= 0) & (self.probs <= 1)).all():
            bad = self.probs[~((self.probs >= 0) & (self.probs <= 1))][0]
            msg = f"probabilities of membership must lie in [0, 1]; got {bad!r}"
            raise MembershipError(msg)

    def __len__(self) -> int:
        return len(self.probs)

    def parts(self) -> list[NDArray[np.intp] | slice]:
        """Return the rows of every group."""
        if self.group is None:
            return [slice(None)]
        order = np.argsort(self.group.astype(np.int32), kind="stable")
        ends = np.searchsorted(self.group[order], np.arange(1, len(self.conditions)))
        return list(np.split(order, ends))

    def valued(self, values: Floats, variances: Floats | None = None) -> "Members":
        """Return the members with what each brings, arrays (n,)."""
        mean = np.asarray(values, float)
        var = np.zeros_like(mean) if variances is None else np.asarray(variances, float)
        if mean.shape != self.probs.shape or var.shape != mean.shape or (var < 0).any():
            msg = f"needs one value and variance >= 0 for each of {len(self)}; got {mean.shape}"
            raise MembershipError(msg)
        return replace(self, values=mean, variances=var)


def members(table: pa.Table, region: AnyRegion) -> Members:
    """Return the facts of a table as possible members of a set, one row one thing.

    Categorical facts with a choice are members together: when the choice takes a wanted
    alternative. A choice on facts of another kind does not matter here.

    Parameters
    ----------
    table
        Rows of `facts.Reader.facts`; with the column `choice`, if choices are to count.
    region
        The set.
    """
    if not isinstance(region, OneOf) or "choice" not in table.schema.names:
        return Members(probabilities(table, region))
    sharing = pc.and_(
        pc.is_valid(table["choice"]), pc.equal(table["kind"], pa.scalar("categorical"))
    )
    shared = np.asarray(sharing.to_numpy(zero_copy_only=False))
    if not shared.any():
        return Members(probabilities(table, region))
    rows = table.select(["choice", "labels", "probs"]).filter(pa.array(shared))
    probs = probabilities(table, region)
    probs[shared] = 1.0
    choices = stated(rows)
    codes: Any = rows["choice"].combine_chunks().dictionary_encode()
    group = np.zeros(table.num_rows, np.int64)
    group[shared] = codes.indices.to_numpy() + 1
    wanted = frozenset(str(m) for m in region.members if isinstance(m, str))
    conditions = tuple(((name, wanted),) for name in codes.dictionary.to_pylist())
    return Members(probs, group, (ALWAYS, *conditions), choices)


def matching(
    source: FactSource,
    where: Mapping[str, AnyRegion],
    *,
    value: str | None = None,
    as_of: datetime | None = None,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
) -> Members:
    """Return the entities that may fulfil all of some conditions.

    An entity fulfils a condition by the last recorded visible fact of the attribute; without
    one it does not. The conditions of one entity are independent, but for what shared choices
    tie together.

    Parameters
    ----------
    source
        Usually ``store.reader()``.
    where
        Attribute to the set it must lie in, at least one.
    value
        Attribute that is added up over the members; entities without one bring nothing.
    as_of, valid_from, valid_to
        As in `facts.Reader.facts`.
    """
    if not where:
        msg = "needs at least one attribute and the set it must lie in"
        raise MembershipError(msg)
    times = {"as_of": as_of, "valid_from": valid_from, "valid_to": valid_to}
    found: Members | None = None
    for attribute, region in where.items():
        columns = ("entity", "choice", *columns_for(region))
        table = _latest(source.facts(attribute=attribute, columns=columns, **times))
        one = replace(members(table, region), names=table["entity"].combine_chunks())
        found = one if found is None else both(found, one)
    assert found is not None and found.names is not None  # noqa: S101, PT018 - for the types
    if value is None:
        return found
    columns = ("entity", "kind", "num", "num2", "num3", "text", "labels", "probs", "nums")
    table = _latest(source.facts(attribute=value, columns=columns, **times))
    mean, var = values(table)
    at: Any = pc.index_in(found.names, value_set=table["entity"].combine_chunks())
    place = at.fill_null(len(mean)).to_numpy(zero_copy_only=False)
    return found.valued(np.append(mean, 0.0)[place], np.append(var, 0.0)[place])


def _latest(table: pa.Table) -> pa.Table:
    """Return the last row of every entity."""
    codes: Any = table["entity"].combine_chunks().dictionary_encode()
    if len(codes.dictionary) == table.num_rows:
        return table
    last = np.zeros(len(codes.dictionary), np.int64)
    last[codes.indices.to_numpy()] = np.arange(table.num_rows)
    return table.take(np.sort(last))


def only(some: Members, prefix: str) -> Members:
    """Return the things whose name begins with a prefix.

    Raises
    ------
    MembershipError
        If the things have no names.
    """
    if some.names is None:
        msg = "only members with names can be chosen by name: make them with `matching`"
        raise MembershipError(msg)
    rows = np.asarray(pc.starts_with(some.names, prefix).to_numpy(zero_copy_only=False), bool)
    return replace(
        some,
        probs=some.probs[rows],
        group=None if some.group is None else some.group[rows],
        values=None if some.values is None else some.values[rows],
        variances=None if some.variances is None else some.variances[rows],
        names=some.names.filter(pa.array(rows)),
    )


def both(first: Members, second: Members) -> Members:
    """Return the things that may be members of two sets at once, matched by name."""
    if first.names is None or second.names is None:
        msg = "only members with names can be matched: make them with `matching`"
        raise MembershipError(msg)
    at: Any = pc.index_in(first.names, value_set=second.names)
    rows = np.flatnonzero(pc.is_valid(at).to_numpy(zero_copy_only=False))
    other = at.take(pa.array(rows)).to_numpy()
    pairs = np.stack([_groups(first)[rows], _groups(second)[other]])
    unique, group = np.unique(pairs, axis=1, return_inverse=True)
    conditions = tuple(
        _and(first.conditions[a], second.conditions[b]) for a, b in unique.T.tolist()
    )
    return Members(
        first.probs[rows] * second.probs[other],
        np.asarray(group, np.int64).ravel(),
        conditions or (ALWAYS,),
        {**first.choices, **second.choices},
        None if first.values is None else first.values[rows],
        None if first.variances is None else first.variances[rows],
        first.names.take(pa.array(rows)),
    )


def _groups(some: Members) -> Ints:
    return np.zeros(len(some), np.int64) if some.group is None else some.group


def _and(first: Condition, second: Condition) -> Condition:
    """Return the condition that both hold; a choice named twice must fulfil both."""
    joint = dict(first)
    for name, labels in second:
        joint[name] = joint[name] & labels if name in joint else labels
    return tuple(sorted(joint.items()))


def together(first: Members, second: Members) -> Members:
    """Return two disjoint sets of possible members as one (plainly tagged, ambiguously tagged).

    Things of both that share a choice stay tied together.
    """
    shift = len(first.conditions)
    probs = np.concatenate([first.probs, second.probs])
    joined = Members(
        probs,
        np.concatenate([_groups(first), _groups(second) + shift]),
        first.conditions + second.conditions,
        {**first.choices, **second.choices},
    )
    if first.values is None or second.values is None:
        return joined
    assert first.variances is not None and second.variances is not None  # noqa: S101, PT018
    return joined.valued(
        np.concatenate([first.values, second.values]),
        np.concatenate([first.variances, second.variances]),
    )
