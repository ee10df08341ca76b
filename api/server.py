"""Running the application under uvicorn: loopback, a clean end on SIGINT and SIGTERM."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module

import uvicorn
from litestar import Litestar

from api.app import create_app
from api.connections import Watch, watched
from api.errors import SettingsError
from api.logs import to_json
from api.processes.place import Place
from api.processes.supervisor import Supervisor, take_over
from api.service import Service
from api.settings import Settings
from api.tracing import Tracing, check, to_collector
from worlds.domain import load_domain

log = logging.getLogger("api")

DRAIN_SECONDS = 10
SHARED = (
    "api.processes.neighbours",
    "httpcore",
    "scipy.special",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
)
"""Modules that every part needs: loaded before they are forked, so that they share the memory."""
BACKLOG = 2048


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket, so that a port in use is known before anything is loaded.

    Raises
    ------
    SettingsError
        If the address cannot be used.
    """
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, else asyncio leaves Nagle's algorithm on: 40 ms a request.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, settings.port))
    except OSError as error:
        listener.close()
        msg = (
            f"cannot listen on {host}:{settings.port}: {error.strerror or error}; "
            "is a server running there? Choose another port with --port or WORLDS_PORT"
        )
        raise SettingsError(msg) from error
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


class Server(uvicorn.Server):
    """A server whose process ends well after SIGINT and SIGTERM, instead of dying of them.

    Parameters
    ----------
    config
        How it serves.
    service
        Whose listeners are let go when it ends: they would keep it waiting.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        tracing = tracing_of(service)
        if tracing is not None:
            config.app = tracing.around(config.app)  # type: ignore[arg-type]
        super().__init__(config)
        self._service = service
        self._tracing = tracing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let listeners go, finish what was begun."""
        self._service.bus.close()
        await super().shutdown(sockets)
        if self._tracing is not None:
            await self._tracing.close()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let both signals end the server; a second one ends it without waiting."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Do what is done ten times a second; look at the connections at every tenth of them."""
        watch: Watch | None = getattr(self.config.http, "watch", None)
        if watch is not None and counter % 10 == 0:
            watch.sweep(self.server_state.connections, time.monotonic())
        return await super().on_tick(counter)


def service_of(app: Litestar) -> Service:
    """Return the service of an application."""
    found: Service = app.state["service"]
    return found


def tracing_of(service: Service) -> Tracing | None:
    """Return what traces requests, if an address is set."""
    chosen = service.settings
    if not chosen.otel:
        return None
    plain = frozenset({f"/v1/predictions/{service.domain.label}"})
    return Tracing(to_collector(chosen.otel), chosen.otel_share, service.place.role, plain)


def configured(app: Litestar, settings: Settings) -> uvicorn.Config:
    """Return how an application is served."""
    service = service_of(app)
    return uvicorn.Config(
        app.state["lane"].beside(service.metrics.around(app)),
        http=watched(settings.client_seconds, settings.connections, settings.connections_each),
        lifespan="on",
        ws="none",
        access_log=settings.access_log,
        log_level="info" if settings.access_log else "warning",
        timeout_graceful_shutdown=DRAIN_SECONDS,
        server_header=False,
        log_config=uvicorn.config.LOGGING_CONFIG if settings.log_format == "text" else None,
    )


def server(settings: Settings) -> Server:
    """Return a server of the application, not yet running."""
    app = create_app(settings)
    return Server(configured(app, settings), service_of(app))


class PartServer(Server):
    """A server that tells the supervisor when it is up, and that it does not stand still."""

    def __init__(self, config: uvicorn.Config, service: Service, pulse: int) -> None:
        super().__init__(config, service)
        self._pulse = pulse

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._beat()

    async def on_tick(self, counter: int) -> bool:
        """Say every second that it lives."""
        if counter % 10 == 0:
            self._beat()
        return await super().on_tick(counter)

    def _beat(self) -> None:
        with suppress(OSError):  # a supervisor that was killed, or does not listen
            os.write(self._pulse, b"1")


def serve_part(settings: Settings, place: Place, listener: socket.socket, pulse: int) -> None:
    """Serve as a part of several processes, until SIGTERM.

    Parameters
    ----------
    settings, place
        How, and as which part.
    listener
        Where requests come in.
    pulse
        Descriptor on which the supervisor is told that it is up, and lives.
    """
    app = create_app(settings, place=place)
    PartServer(configured(app, settings), service_of(app), pulse).run(sockets=[listener])


def serve(settings: Settings, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first.

    Parameters
    ----------
    settings
        How to run.
    ready
        Called with the address once it listens.
    """
    if settings.log_format == "json":
        to_json()
    if settings.otel:
        check(settings.otel)
    folder = settings.root(load_domain(settings.domain).name)
    for pid in take_over(folder) if settings.workers else []:
        log.warning("process %d, left behind by a supervisor that was killed, was ended", pid)
    listener = listen(settings)
    if settings.workers:
        at = address(listener)
        for name in SHARED:
            import_module(name)
        parts = Supervisor(settings, folder, listener, at, partial(serve_part, settings))
        parts.run((lambda: ready(at)) if ready is not None else None)
        return
    running = server(settings)
    if ready is not None:
        ready(address(listener))
    running.run(sockets=[listener])


def address(listener: socket.socket) -> str:
    """Return the address of a listener."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
