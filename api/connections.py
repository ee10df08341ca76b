"""Connections that do not do their part: clients that never finish, or that send no HTTP.

uvicorn closes a connection that stays idle after an answer, but waits for ever for the first
request, for the rest of a body, and for a client that does not take in its answer. Once a second
`Watch.sweep` looks at every connection, so that a request that does its part pays nothing for it.
When there are more connections than files may be open, the oldest one that never sent a request
makes room.
"""

import resource
from asyncio import Protocol
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from api.problems import BAD_HTTP, BUSY, MEDIA_TYPE, PAGE, TIMEOUT, Kind
from api.security.headers import EVERY

RESERVED_FILES = 256
"""Open files kept for everything that is no connection."""
MOST_FILES = 65_536
LEAST_CONNECTIONS = 16

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
    """

    def __init__(self, patience: float, most: int) -> None:
        self.patience = patience
        self.most = most
        self.silent: dict[Any, None] = {}
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
        if len(one.connections) <= self.most:
            return
        while self.silent:
            oldest = next(iter(self.silent))
            del self.silent[oldest]
            if oldest is one:
                break
            if oldest.cycle is None and not oldest.transport.is_closing():
                oldest.transport.abort()
                return
        refuse(one, BUSY, "this process has as many connections as it can hold")

    def left(self, one: Any) -> None:
        """Forget a connection."""
        self.silent.pop(one, None)


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


def watched(patience: float, wanted: int) -> type[Protocol]:
    """Return uvicorn's protocol with a watch.

    Parameters
    ----------
    patience
        Seconds a client has for a whole request, and for taking in its answer.
    wanted
        Connections at once; 0 is as many as there is room for.
    """
    base: Any = AutoHTTPProtocol

    class Watched(base):  # type: ignore[misc]
        """A connection that is watched."""

        watch: ClassVar[Watch] = Watch(patience, most_connections(wanted))

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.watch.arrived(self)

        def connection_lost(self, exc: Exception | None) -> None:
            self.watch.left(self)
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            """Answer what is no HTTP with a problem, unless an answer is under way."""
            cycle = self.cycle
            if cycle is not None and cycle.response_started and not cycle.response_complete:
                self.transport.abort()
            else:
                refuse(self, BAD_HTTP, msg)

    return Watched
