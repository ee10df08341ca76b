"""The file of keys: who may use the service, how much, and what was changed when.

A token is 256 random bits, so the file holds its SHA-256 and nothing slower: there is no list of
likely tokens to try, and a slow hash (scrypt, Argon2) would only delay every request by as much as
it delays a guesser who has no chance anyway. Records are never removed: a revoked key keeps its
place, and every change stays in the list of changes.
"""

import fcntl
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from api.errors import KeysError
from api.security.needs import SCOPES
from worlds.publish.files import replace_file

FORMAT = 1
MARK = "worlds"
WRITABLE_BY_OTHERS = 0o022
LONGEST_NAME = 100

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
Amount = Annotated[float, msgspec.Meta(gt=0, le=1e9)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much a key may use; None is no limit.

    Parameters
    ----------
    rate, burst
        Requests a second in the long run, and at once.
    cost, cost_burst
        Cost units a second in the long run, and at once.
    """

    rate: Amount | None = None
    burst: Amount | None = None
    cost: Amount | None = None
    cost_burst: Amount | None = None


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key as it lies on the disk: not the token, its hash.

    Parameters
    ----------
    id
        Public: it is part of the token, and shown in lists.
    name
        Whose it is.
    sha256
        Hash of the whole token, hexadecimal.
    scopes
        What it may do.
    created_at, expires_at, revoked_at
        With a zone. From `expires_at` on it opens nothing.
    limits
        How much it may use.
    """

    id: Name
    name: Name
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    limits: Limits = Limits()

    def usable(self, now: datetime) -> bool:
        """Return whether it opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that was done to a key."""

    at: datetime
    action: str
    key: str
    who: str
    why: str


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All keys there ever were, and what was done to them."""

    format: int = FORMAT
    keys: tuple[Key, ...] = ()
    changes: tuple[Change, ...] = ()

    def find(self, name: str) -> Key:
        """Return the key with an id, or the only usable one with a name.

        Raises
        ------
        KeysError
            If there is none, or there are several.
        """
        found = [key for key in self.keys if key.id == name]
        found = found or [key for key in self.keys if key.name == name and key.revoked_at is None]
        if len(found) != 1:
            known = ", ".join(f"{key.id} ({key.name})" for key in self.keys) or "none"
            several = f"{len(found)} keys are called" if found else "there is no key"
            raise KeysError(f"{several} {name!r}; take the id of one of these: {known}")
        return found[0]


class By(msgspec.Struct, frozen=True):
    """Who changes keys, why, and when."""

    who: str
    why: str
    now: datetime


def digest(token: str) -> bytes:
    """Return the hash of a token."""
    return hashlib.sha256(token.encode()).digest()


def read(path: Path) -> Keys:
    """Return what a file of keys says.

    Raises
    ------
    KeysError
        If it is not there, cannot be understood, or others may write it.
    """
    try:
        mode, raw = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError as error:
        msg = f"there is no file of keys at {str(path)!r}: `worlds keys create` makes it"
        raise KeysError(msg) from error
    except OSError as error:
        raise KeysError(f"the keys at {str(path)!r} cannot be read: {error.strerror}") from error
    if mode & WRITABLE_BY_OTHERS:
        msg = f"others may write {str(path)!r} and so give themselves keys: chmod go-w {path.name}"
        raise KeysError(msg)
    try:
        found = msgspec.json.decode(raw, type=Keys)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeysError(f"the keys at {str(path)!r} cannot be understood: {error}") from error
    if found.format != FORMAT:
        raise KeysError(f"the keys at {str(path)!r} have format {found.format}; known: {FORMAT}")
    return found


def create(
    path: Path,
    name: str,
    scopes: tuple[str, ...],
    by: By,
    *,
    limits: Limits | None = None,
    expires_at: datetime | None = None,
) -> tuple[Key, str]:
    """Add a key; return it and its token, which nothing keeps.

    Raises
    ------
    KeysError
        If a scope is unknown or the file cannot be used.
    """
    check_scopes(scopes)
    key, token = _made(name, scopes, by, limits or Limits(), expires_at)
    with _changing(path) as held:
        held.append((key, Change(by.now, "create", key.id, by.who, by.why)))
    return key, token


def revoke(path: Path, name: str, by: By) -> Key:
    """End a key at once.

    Raises
    ------
    KeysError
        If there is no such key.
    """
    with _changing(path) as held:
        key = msgspec.structs.replace(read(path).find(name), revoked_at=by.now)
        held.append((key, Change(by.now, "revoke", key.id, by.who, by.why)))
    return key


def rotate(path: Path, name: str, overlap: timedelta, by: By) -> tuple[Key, Key, str]:
    """Make a new key with the name, scopes and limits of another, which ends after a while.

    Returns
    -------
    tuple
        The old key, the new one, and the token of the new one.

    Raises
    ------
    KeysError
        If there is no such key, or it is not in use any more.
    """
    with _changing(path) as held:
        old = read(path).find(name)
        if not old.usable(by.now):
            raise KeysError(f"key {old.id} is not in use any more: create a new one")
        ends = by.now + overlap
        ends = min(ends, old.expires_at) if old.expires_at is not None else ends
        old = msgspec.structs.replace(old, expires_at=ends)
        new, token = _made(old.name, old.scopes, by, old.limits, None)
        held.append((old, Change(by.now, "rotate", old.id, by.who, by.why)))
        held.append((new, Change(by.now, "create", new.id, by.who, f"instead of {old.id}")))
    return old, new, token


def check_scopes(scopes: tuple[str, ...]) -> None:
    """Refuse scopes that are none.

    Raises
    ------
    KeysError
        Naming those there are.
    """
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        wrong = f"unknown scopes: {', '.join(unknown)}" if unknown else "a key needs a scope"
        raise KeysError(f"{wrong}; there are {', '.join(SCOPES)}")


def _made(
    name: str, scopes: tuple[str, ...], by: By, limits: Limits, expires_at: datetime | None
) -> tuple[Key, str]:
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise KeysError(f"a key is named with 1 to {LONGEST_NAME} printable characters")
    number = secrets.token_hex(4)
    token = f"{MARK}_{number}_{secrets.token_urlsafe(32)}"
    hashed = digest(token).hex()
    return Key(number, name, hashed, scopes, by.now, expires_at, None, limits), token


@contextmanager
def _changing(path: Path) -> Iterator[list[tuple[Key, Change]]]:
    """Hold the file alone; what is put into the list is written at the end, or nothing is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        changed: list[tuple[Key, Change]] = []
        yield changed
        known = read(path) if path.exists() else Keys()
        keys = {key.id: key for key in known.keys} | {key.id: key for key, _ in changed}
        found = Keys(
            keys=tuple(keys.values()),
            changes=known.changes + tuple(change for _, change in changed),
        )
        replace_file(path, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
