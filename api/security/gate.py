"""The door of every route: allowed hosts, keys with scopes, limits.

`Gate.admit` is what the hot path calls, so it is no coroutine and takes microseconds: one walk over
the headers, one hash of the token and one look into a dict. The file of keys is looked at again
when it changed, at most twice a second; a file that breaks leaves the keys before it in force, and
`trouble` says so.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.errors import (
    ForbiddenError,
    KeysError,
    LimitError,
    RequestError,
    SettingsError,
    UnauthorizedError,
)
from api.security import needs
from api.security.keys import Key, Keys, read
from api.security.meter import Bucket, Meter, buckets
from api.security.needs import ADMIN, Need

LOOK_SECONDS = 0.5
REALM = 'Bearer realm="worlds"'
BASIC = 'Basic realm="worlds", charset="UTF-8"'
USED = "worlds.used"
"""Where the scope's state keeps the limits' headers."""
ADMITTED = "worlds.admitted"
"""Key of a scope that the gate has let in already: it is not charged twice."""
WHO = b"x-worlds-who"
"""How a worker tells the recorder whose request it hands on."""
BEARER, BASIC_SCHEME = b"bearer ", b"basic "
NOBODY = "anonymous"
ANY_HOST = b"*"
UNIT_BYTES = 4096
"""So many bytes of a body take one cost unit more."""
UNKNOWN_LENGTH = 10
"""Cost units of a body that does not say how long it is."""

log = logging.getLogger("api")

type Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Holder:
    """A key as the gate holds it."""

    key: Key
    slot: int
    digest: bytes
    ends: float
    scopes: frozenset[str]
    buckets: tuple[Bucket | None, Bucket | None]

    @property
    def limited(self) -> bool:
        """Whether the key has a limit."""
        return self.buckets != (None, None)


class Gate:
    """Lets requests in, or says why not. Call from one event loop.

    Parameters
    ----------
    path
        The file of keys; None opens every route to everybody who can reach it.
    hosts
        Names by which the service may be called; none: those of this machine where there are no
        keys, so that no web page can reach it under a name of its own; else any.
    clock, seconds
        Seconds since 1970, and monotone ones.

    Raises
    ------
    SettingsError
        If there are keys, and they cannot be used.
    """

    def __init__(
        self,
        path: Path | None,
        hosts: tuple[str, ...] = (),
        clock: Callable[[], float] = time.time,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.trouble: str | None = None
        self.keys = Keys()
        self._hosts = frozenset(host.lower().encode() for host in hosts)
        self._good_hosts: set[bytes] = set()
        self._clock, self._seconds = clock, seconds
        self._holders: Mapping[bytes, Holder] = {}
        self._meter: Meter | None = None
        self._seen: object = None
        self._look_at = 0.0
        self._needs: dict[tuple[str, str], Need] = {}
        if path is not None:
            try:
                self._seen = _signature(path)
                self._hold(read(path))
            except KeysError as error:
                raise SettingsError(str(error)) from error

    def need(self, method: str, path: str) -> Need:
        """Return what a route asks for; its path is a template."""
        known = self._needs.get((method, path))
        if known is None:
            known = self._needs[method, path] = needs.need(method, path)
        return known

    def admit(self, scope: Any, need: Need) -> None:
        """Let a request in; whose it is stands in ``scope["auth"]`` then.

        Raises
        ------
        RequestError
            If it calls the service by a name that is not allowed.
        UnauthorizedError
            If it shows no key that opens anything, but needs one.
        ForbiddenError
            If its key may not do this.
        LimitError
            If its key has used up what it may use at once.
        """
        host = shown = token = None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"authorization":
                shown = value
            elif name == b"x-api-key":
                token = value
        if host not in self._good_hosts:
            self._check_host(host)
        if self.path is None or need.keyless:
            return
        if self._seconds() >= self._look_at:
            self._look()
        if shown is not None:
            token = _token(shown, scope["method"])
        holder = self._holder(token, scope)
        if need.scope is not None and not holder.scopes & {need.scope, ADMIN}:
            challenge = f'{REALM}, error="insufficient_scope", scope="{need.scope}"'
            msg = f"this needs a key with the scope {need.scope}; yours has {_listed(holder)}"
            raise ForbiddenError(msg, challenge)
        scope["auth"] = holder.key
        if holder.limited:
            self.charge(scope, holder, need.cost)

    def charge(self, scope: Any, holder: Holder, cost: float) -> None:
        """Take a request from a key's budget.

        Raises
        ------
        LimitError
            If there is no room for it.
        """
        if self._meter is None:
            self._meter = self._opened()
        if self._meter is None:
            return
        units = cost + _weight(scope)
        taken = self._meter.take(holder.slot, holder.buckets, units, self._seconds())
        scope["state"][USED] = [
            (b"ratelimit-policy", taken.policy),
            (b"ratelimit", taken.state),
        ]
        if taken.short is not None:
            msg = f"the key {holder.key.name!r} has used up its budget of {taken.short}"
            raise LimitError(msg, taken.wait)

    def _holder(self, token: bytes | None, scope: Any) -> Holder:
        if token is None:
            raise UnauthorizedError("this needs a key: send it as a bearer token", _ask(scope))
        found = hashlib.sha256(token).digest()
        holder = self._holders.get(found)
        # The look-up compares hashes, of which nobody chooses the first bytes; once more in
        # constant time, so that no property of dicts matters.
        if holder is None or not hmac.compare_digest(holder.digest, found):
            raise UnauthorizedError("this key is unknown, or was revoked", _ask(scope, "unknown"))
        if self._clock() >= holder.ends:
            raise UnauthorizedError("this key has expired", _ask(scope, "expired"))
        return holder

    def _check_host(self, host: bytes | None) -> None:
        name = _name_of(host)
        if ANY_HOST in self._hosts:
            good = True
        elif self._hosts:
            good = name in self._hosts or any(
                name.endswith(allowed[1:]) for allowed in self._hosts if allowed[:2] == b"*."
            )
        else:
            good = self.path is not None or _of_this_machine(name)
        if not good:
            msg = f"this service is not called {name.decode('latin-1')[:100]!r} (setting: hosts)"
            raise RequestError(msg, [("host", "not an allowed host")])
        if host is not None and len(self._good_hosts) < 1000:
            self._good_hosts.add(host)

    def _look(self) -> None:
        """Read the keys again if their file changed."""
        self._look_at = self._seconds() + LOOK_SECONDS
        if self.path is None:
            return
        try:
            signature = _signature(self.path)
            if signature == self._seen:
                self.trouble = None
                return
            found = read(self.path)
        except KeysError as error:
            if self.trouble is None:
                log.warning("the keys stay as they were: %s", error)
            self.trouble = f"{error}; the keys before it stay in force"
            return
        self._seen = signature
        self._hold(found)

    def _hold(self, found: Keys) -> None:
        self.keys, self.trouble = found, None
        self._holders = {
            bytes.fromhex(key.sha256): Holder(
                key,
                slot,
                bytes.fromhex(key.sha256),
                key.expires_at.timestamp() if key.expires_at is not None else float("inf"),
                frozenset(key.scopes),
                buckets(key.limits),
            )
            for slot, key in enumerate(found.keys)
            if key.revoked_at is None
        }

    def _opened(self) -> Meter | None:
        if self.path is None:
            return None
        try:
            return Meter(self.path.with_name(f"{self.path.name}.used"))
        except OSError as error:
            if self.trouble is None:
                log.warning("the limits of keys are not kept: %s", error)
            self.trouble = f"the limits of keys are not kept: {error}"
            return None

    def refreshed(self) -> Keys:
        """Return the keys as they are now."""
        self._look()
        return self.keys

    def usable(self) -> int:
        """Return how many keys open something now."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        return sum(key.usable(now) for key in self.keys.keys)


def guard(gate: Gate) -> Callable[[Any, BaseRouteHandler], Any]:
    """Return the guard of all routes that are not on the hot path."""

    async def check(
        connection: ASGIConnection[Any, Any, Any, Any],
        _: BaseRouteHandler,
    ) -> None:
        scope: Any = connection.scope
        gate.admit(scope, gate.need(scope["method"], scope["path_template"]))

    return check


def who(scope: Any, trusted: bool = False) -> str:
    """Return who sent a request: the name and id of its key.

    Parameters
    ----------
    scope
        Of the request.
    trusted
        Whether another process of this service sends it and says who in the header `WHO`.
    """
    if trusted:
        told = next((value for name, value in scope["headers"] if name == WHO), b"")
        return told.decode("utf-8", "replace")[:200] or NOBODY
    key = scope.get("auth")
    return f"{key.name} ({key.id})" if isinstance(key, Key) else NOBODY


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


def _weight(scope: Any) -> int:
    """Return the cost units of a body, by its length."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) // UNIT_BYTES if value.isdigit() else UNKNOWN_LENGTH
        if name == b"transfer-encoding":
            return UNKNOWN_LENGTH
    return 0


def _listed(holder: Holder) -> str:
    return ", ".join(sorted(holder.scopes))


def _token(shown: bytes, method: str) -> bytes | None:
    """Return the token in an Authorization header.

    Basic carries it as the password, for browsers, and for reading only: a browser sends it with
    every request, also with those that a foreign page makes it send.
    """
    if shown[:7].lower() == BEARER:
        return shown[7:].strip()
    if shown[:6].lower() == BASIC_SCHEME and method in ("GET", "HEAD"):
        try:
            return base64.b64decode(shown[6:], validate=True).partition(b":")[2]
        except binascii.Error:
            return None
    return None


def _ask(scope: Any, wrong: str | None = None) -> str:
    challenge = f'{REALM}, error="invalid_token", error_description="{wrong}"' if wrong else REALM
    accepts = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    page = scope["method"] == "GET" and b"text/html" in accepts
    return f"{challenge}, {BASIC}" if page else challenge


def _name_of(host: bytes | None) -> bytes:
    """Return the name in a Host header, without the port."""
    name = (host or b"").strip().lower()
    if name.startswith(b"["):
        return name.partition(b"]")[0][1:]
    return name.partition(b":")[0]


def _of_this_machine(name: bytes) -> bool:
    if name in (b"localhost", b"") or name.endswith(b".localhost"):
        return True
    try:
        return ip_address(name.decode("latin-1")).is_loopback
    except ValueError:
        return False
