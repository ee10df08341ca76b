"""Connections that do not do their part: clients that never finish, or that send no HTTP.

uvicorn closes a connection that stays idle after an answer, but waits for ever for the first
request, for the rest of a body, and for a client that does not take in its answer. Once a second
`Watch.sweep` looks at every connection, so that a request that does its part pays nothing for it.
When there are more connections than files may be open, or more from one address than one may
have, the oldest such one that never sent a request makes room.
"""

import ipaddress
import re
import resource
from asyncio import Protocol
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from api.problems import BAD_HTTP, BUSY, LONG_HEAD, MEDIA_TYPE, PAGE, TIMEOUT, Kind
from api.security.headers import EVERY

RESERVED_FILES = 256
"""Open files kept for everything that is no connection."""
MOST_FILES = 65_536
LEAST_CONNECTIONS = 16

UPGRADE = re.compile(rb"(\r\n)upgrade:", re.IGNORECASE)
MOST_HEAD = 65_536
"""Bytes of a request before its body."""
MOST_HEADERS = 500
SHARE_EACH = 4
"""One address gets one of so many parts of all connections, if nothing else is said."""
PREFIX_V6 = 64
"""Bits of an IPv6 address that one customer of a provider usually has as one."""

PROGRESS_BYTES = 16_384
"""A client that takes in this much of an answer gets another while for the rest."""

type Stage = tuple[object, str, int]


class Watch:
    """Knows since when every connection of a process has made its peer wait.

    Parameters
    ----------
    patience
        Seconds a client has for a whole request, and for taking in some of its answer.
    most
        Connections at once.
    each
        Connections at once from one address; 0 is a part of all, and this machine may have all.
    """

    def __init__(self, patience: float, most: int, each: int = 0) -> None:
        self.patience = patience
        self.most = most
        self.each = each or max(most // SHARE_EACH, 1)
        self.local = not each
        self.silent: dict[Any, None] = {}
        self._from: dict[str, Origin] = {}
        self._since: dict[Any, tuple[Stage, float]] = {}

    def sweep(self, connections: Iterable[Any], now: float) -> int:
        """Close connections whose clients took too long; return how many.

        Parameters
        ----------
        connections
            uvicorn's protocols.
        now
            Monotone seconds.
        """
        known, self._since, closed = self._since, {}, 0
        for one in list(connections):
            stage = stage_of(one)
            if stage is None:
                continue
            before = known.get(one)
            since = before[1] if before is not None and before[0] == stage else now
            if now - since > self.patience:
                end(one, stage[1])
                closed += 1
            else:
                self._since[one] = stage, since
        return closed

    def arrived(self, one: Any) -> None:
        """Take note of a new connection; make room for it if there are too many."""
        self.silent[one] = None
        one.origin = where = origin(one.client, self.local)
        if where is not None:
            mine = self._from.setdefault(where, Origin())
            mine.count += 1
            mine.silent[one] = None
            if mine.count > self.each and not make_room(one, mine.silent):
                refuse(one, BUSY, "your address has as many connections as one may have here")
                return
        if len(one.connections) > self.most and not make_room(one, self.silent):
            refuse(one, BUSY, "this process has as many connections as it can hold")

    def left(self, one: Any) -> None:
        """Forget a connection."""
        self.silent.pop(one, None)
        mine = self._from.get(one.origin or "")
        if mine is not None:
            mine.silent.pop(one, None)
            mine.count -= 1
            if not mine.count:
                del self._from[one.origin]


@dataclass(slots=True)
class Origin:
    """What there is from one address: all connections, and those that never sent a request."""

    count: int = 0
    silent: dict[Any, None] = field(default_factory=dict)


def make_room(newest: Any, silent: dict[Any, None]) -> bool:
    """Close the oldest connection that never sent a request; return whether there was one.

    Those that did send one since are taken out, so that none is looked at twice.
    """
    while silent:
        oldest = next(iter(silent))
        del silent[oldest]
        if oldest is newest:
            return False
        if oldest.cycle is None and not oldest.transport.is_closing():
            oldest.transport.abort()
            return True
    return False


def origin(client: tuple[str, int] | None, local: bool) -> str | None:
    """Return what connections are counted by; None for those that are not.

    Parameters
    ----------
    client
        Address and port of the peer; None for a socket of this machine.
    local
        Whether this machine may have any number.
    """
    if client is None:
        return None
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return client[0]
    address = getattr(address, "ipv4_mapped", None) or address
    if local and address.is_loopback:
        return None
    if address.version == 6:
        return str(ipaddress.ip_network((address, PREFIX_V6), strict=False))
    return str(address)


def stage_of(one: Any) -> Stage | None:
    """Return what a connection waits for its client to do; None while the service works."""
    cycle, unsent = one.cycle, one.transport.get_write_buffer_size()
    if unsent:
        return cycle, "write", unsent // PROGRESS_BYTES
    if cycle is None or cycle.response_complete:
        return cycle, "head", 0
    return (cycle, "body", 0) if cycle.more_body else None


def end(one: Any, stage: str) -> None:
    """Close a connection whose client took too long."""
    if stage == "write":
        one.transport.abort()
    elif stage == "body" and not one.cycle.response_started:
        refuse(one, TIMEOUT, "the rest of the request did not come in time")
    else:
        one.transport.close()


def refuse(one: Any, kind: Kind, detail: str) -> None:
    """Answer with a problem, below the application, and close the connection."""
    if one.cycle is not None:
        one.cycle.disconnected = True
    body = msgspec.json.encode(
        {
            "type": f"{PAGE}#{kind.slug}",
            "title": kind.title,
            "status": kind.status,
            "detail": detail,
            "instance": "",
        }
    )
    headers = [
        *EVERY,
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    head = b"".join(b"%s: %s\r\n" % header for header in headers)
    one.transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (kind.status, PHRASES[kind], head, body))
    one.transport.close()


PHRASES = {
    BUSY: b"Service Unavailable",
    BAD_HTTP: b"Bad Request",
    LONG_HEAD: b"Request Header Fields Too Large",
    TIMEOUT: b"Request Timeout",
}


def most_connections(wanted: int) -> int:
    """Return how many connections a process takes; let it open as many files as it may.

    Parameters
    ----------
    wanted
        The setting; 0 is as many as there is room for.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < room:
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))
        soft = room
    soft = MOST_FILES if soft == resource.RLIM_INFINITY else soft
    most = max(soft - RESERVED_FILES, LEAST_CONNECTIONS)
    return min(wanted, most) if wanted else most


def staying(cycle: Any, scope: object, data: bytes) -> bytes:
    """Return a head without the wish for another protocol.

    There is none here, so the wish means nothing (RFC 9110, section 7.8); but httptools takes what
    follows such a head for the other protocol, and the body would be lost.
    """
    if cycle is not None and cycle.scope is scope and cycle.more_body:
        return data
    head, end, rest = data.partition(b"\r\n\r\n")
    if b"upgrade:" not in head.lower():
        return data
    return UPGRADE.sub(rb"\1x-asked:", head) + end + rest


def watched(patience: float, wanted: int, each: int = 0) -> type[Protocol]:
    """Return uvicorn's protocol with a watch.

    Parameters
    ----------
    patience
        Seconds a client has for a whole request, and for taking in its answer.
    wanted
        Connections at once; 0 is as many as there is room for.
    each
        Connections at once from one address (see `Watch`).
    """
    base: Any = AutoHTTPProtocol

    class Watched(base):  # type: ignore[misc]
        """A connection that is watched."""

        watch: ClassVar[Watch] = Watch(patience, most_connections(wanted), each)
        origin: str | None = None
        taken = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.watch.arrived(self)

        def connection_lost(self, exc: Exception | None) -> None:
            self.watch.left(self)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            """Take in what came; the parser itself takes heads of any length."""
            super().data_received(staying(self.cycle, self.scope, data))
            cycle = self.cycle
            begun = cycle is not None and cycle.scope is self.scope
            if begun and not cycle.more_body:
                self.taken = 0
                return
            self.taken += 0 if begun else len(data)
            if self.taken > MOST_HEAD or len(self.headers or ()) > MOST_HEADERS:
                self.send_problem(LONG_HEAD, f"a head has at most {MOST_HEAD:,} bytes")

        def send_400_response(self, msg: str) -> None:
            """Answer what is no HTTP with a problem."""
            self.send_problem(BAD_HTTP, msg)

        def send_problem(self, kind: Kind, detail: str) -> None:
            """Answer and close, unless an answer is under way: then only close."""
            cycle = self.cycle
            answering = cycle is not None and cycle.response_started and not cycle.response_complete
            if answering or getattr(self, "pipeline", None):
                self.transport.abort()
            elif not self.transport.is_closing():
                refuse(self, kind, detail)

        def _unsupported_upgrade_warning(self) -> None:
            """Say nothing: what a client would like to speak is no trouble of ours."""

    return Watched
