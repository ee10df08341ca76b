"""Promote, roll back, pin: what a person does to the models in force. Nothing is ever deleted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from worlds.errors import SnapshotError
from worlds.publish import pins
from worlds.publish.carry import carried
from worlds.publish.snapshot import Release, Snapshot
from worlds.publish.store import SnapshotStore


@dataclass(frozen=True, slots=True)
class By:
    """Who does something, why, and when."""

    who: str
    reason: str
    now: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"by": self.who, "reason": self.reason, "at": self.now.isoformat()}


def in_force(store: SnapshotStore) -> Release:
    """Return the release in force.

    Raises
    ------
    SnapshotError
        If there is none, or it is damaged.
    """
    release = store.current()
    if release is None:
        msg = "nothing has been published yet: `worlds learn` publishes the first release"
        raise SnapshotError(msg)
    return release


def find(store: SnapshotStore, name: str) -> Release | Snapshot:
    """Return the release or the snapshot that an id, or the beginning of one, names.

    Raises
    ------
    SnapshotError
        If none or several have it, or if it is damaged.
    """
    if name == "current":
        return in_force(store)
    releases = {path.stem for path in (store.root / "releases").glob("*.json")}
    snapshots = {path.name for path in (store.root / "models").glob("[0-9a-f]*")}
    known = releases | snapshots
    found = [name] if name in known else sorted(one for one in known if one.startswith(name))
    if len(name) < 4 or len(found) != 1:
        several = f"begins {len(found)} ids: {', '.join(found[:5])}" if found else "names nothing"
        msg = (
            f"{name!r} {several}; name a release or a snapshot by its id "
            "(or at least 4 characters of it): `worlds models list` shows them"
        )
        raise SnapshotError(msg)
    return store.get_release(found[0]) if found[0] in releases else store.get(found[0])


def promote(store: SnapshotStore, name: str, by: By) -> Release:
    """Put a release, or one snapshot within the release in force, into force; return what is.

    A new release is written and named by the pointer in one step; readers see the old or the
    new one, never half of it.

    Raises
    ------
    SnapshotError
        If it does not exist, is damaged, or cannot predict what the release predicts.
    """
    with store.alone():
        found = find(store, name)
        if isinstance(found, Release):
            return _put(store, found, "promote", by)
        now = in_force(store)
        return _switch(store, _with(store, now, found), "promote", by, {"snapshot": found.id})


def rollback(store: SnapshotStore, by: By, name: str | None = None) -> Release:
    """Put the release that was in force before (or the one named) back into force.

    Raises
    ------
    SnapshotError
        If there is nothing to go back to, or it is damaged.
    """
    with store.alone():
        target = _before(store) if name is None else find(store, name)
        if not isinstance(target, Release):
            msg = f"{target.id} is a snapshot of {target.quantity}/{target.model}: promote it"
            raise SnapshotError(msg)
        return _put(store, target, "rollback", by)


def pin(store: SnapshotStore, name: str, by: By) -> tuple[str, str]:
    """Hold the release in force, or the snapshot of one model, through later learning.

    Parameters
    ----------
    name
        ``release``, ``quantity/model`` (its snapshot in force), or the id of a snapshot.

    Returns
    -------
    tuple of str
        What is pinned, and to which id.

    Raises
    ------
    SnapshotError
        If there is no such thing. A snapshot that is not in force must be promoted first.
    """
    with store.alone():
        now = in_force(store)
        if name == pins.RELEASE or name == now.id:
            key, target = pins.RELEASE, now.id
        else:
            key, target = _model(store, now, name)
        pins.write(store, {**pins.read(store), key: {"id": target, **by.to_json()}})
    return key, target


def unpin(store: SnapshotStore, name: str) -> list[str]:
    """Let go of what is pinned under a name, an id, or ``all``; return what was.

    Raises
    ------
    SnapshotError
        If it is not pinned.
    """
    with store.alone():
        held = pins.read(store)
        gone = [key for key, one in held.items() if name in (key, one["id"], "all")]
        if not gone:
            listed = ", ".join(sorted(held)) or "nothing"
            msg = f"{name!r} is not pinned; pinned: {listed}"
            raise SnapshotError(msg)
        pins.write(store, {key: one for key, one in held.items() if key not in gone})
    return gone


def _before(store: SnapshotStore) -> Release:
    """Return the release that was in force before: going back twice goes back twice as far."""
    now = in_force(store)
    taken = str(now.change.get("release") or now.id)
    order: list[str] = []
    for switch in store.log():
        name = switch.taken or switch.release
        if not order and switch.previous:  # in force before there was a log
            order.append(switch.previous)
        if switch.action == "rollback" and name in order:
            del order[order.index(name) + 1 :]
        elif not order or order[-1] != name:
            order.append(name)
    if taken in order:
        order = order[: len(order) - 1 - order[::-1].index(taken)]
    elif not order:  # a directory from before the log
        known = [one for one in store.releases() if one.as_of < now.as_of]
        order = [one.id for one in reversed(known)]
    if not order:
        msg = f"nothing was in force before {now.id}; `worlds models list` shows every release"
        raise SnapshotError(msg)
    return store.get_release(order[-1])


def _put(store: SnapshotStore, target: Release, action: str, by: By) -> Release:
    """Put the models of a release into force, once all of them can be read."""
    now = store.current_id()
    if target.id == now:
        msg = f"release {target.id} is in force already"
        raise SnapshotError(msg)
    for models in target.models.values():
        for name in models.values():
            store.get(name)
    taken = str(target.change.get("release") or target.id)
    return _switch(store, target, action, by, {"release": taken})


def _switch(
    store: SnapshotStore, release: Release, action: str, by: By, what: Mapping[str, Any]
) -> Release:
    change = {"action": action, **what, **by.to_json()}
    try:
        change["replaced"] = store.current_id()
    except SnapshotError:
        change["replaced"] = None
    made = replace(release, change=change, created_at=by.now)
    store.release(made)
    return made


def _with(store: SnapshotStore, now: Release, found: Snapshot) -> Release:
    """Return the release with one model's snapshot exchanged or added."""
    if found.quantity not in now.models:
        msg = f"release {now.id} has no quantity {found.quantity!r}: {', '.join(now.models)}"
        raise SnapshotError(msg)
    if found.provenance.get("domain", now.domain) != now.domain:
        msg = f"snapshot {found.id} is of domain {found.provenance.get('domain')!r}"
        raise SnapshotError(msg)
    fits = carried(found, now.until)
    if fits is None:
        msg = (
            f"snapshot {found.id} predicts from {getattr(found.form, 'start', 'another time')} on "
            f"and does not reach the period from {now.until.isoformat()}"
        )
        raise SnapshotError(msg)
    models = dict(now.models[found.quantity])
    if models.get(found.model) == fits.id:
        msg = f"snapshot {found.id} is in force already"
        raise SnapshotError(msg)
    weights = dict(now.weights[found.quantity])
    if found.model not in models:  # it has no record beside the others: an equal share
        share = 1 / (len(models) + 1)
        weights = {name: (1 - share) * weight for name, weight in weights.items()}
        weights[found.model] = share
    models[found.model] = store.put(fits)
    return replace(
        now,
        models={**now.models, found.quantity: models},
        weights={**now.weights, found.quantity: weights},
    )


def _model(store: SnapshotStore, now: Release, name: str) -> tuple[str, str]:
    for quantity, models in now.models.items():
        for model, snapshot in models.items():
            if name in (f"{quantity}/{model}", snapshot):
                return f"{quantity}/{model}", snapshot
    known = [f"{quantity}/{model}" for quantity, models in now.models.items() for model in models]
    if name[:1] in "0123456789abcdef" and "/" not in name:
        found = find(store, name)
        if isinstance(found, Snapshot):
            key = f"{found.quantity}/{found.model}"
            if now.models.get(found.quantity, {}).get(found.model) == found.id:
                return key, found.id
            msg = f"snapshot {found.id} is not in force: promote it first, then pin it"
        elif found.id == now.id:
            return pins.RELEASE, found.id
        else:
            msg = f"release {found.id} is not in force: promote it first, then pin it"
        raise SnapshotError(msg)
    msg = f"{name!r} is not in force; pin 'release' or one of {', '.join(known)}"
    raise SnapshotError(msg)
