"""Traces of requests for OpenTelemetry: only with an address (`otel`), else nothing is loaded.

A request is traced if its caller says so (`traceparent`), else by chance (`otel_share`); of both
at most `MOST` a second, so that no caller can make the service spend its time on traces. Whoever
is not traced pays for one look at the headers. Spans are sent by a thread of OpenTelemetry's own;
what it cannot send it drops. A span holds the method, the route (never the path as sent, nor the
query), the status, and which process it was; a worker that hands a request on says whose it is.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

MOST = 100
"""Requests traced in a second."""
EVERY_MS = 1_000
SECONDS = 3.0
"""How long sending may take, and how long the end waits for the last of it."""
PARENT = b"traceparent"
ONWARD = "worlds.traceparent"
"""Where a request keeps what is handed on with it."""
ENDLESS = frozenset({"/v1/events"})
SAMPLED = 0x01

type Chance = Callable[[], float]


def check(address: str) -> None:
    """Refuse an address that cannot be used.

    Raises
    ------
    SettingsError
        If it is none, or OpenTelemetry is not installed.
    """
    if not address.startswith(("http://", "https://")):
        msg = f"otel = {address!r} is no address: it is that of a collector, http://host:4318/v1/traces"
        raise SettingsError(msg)
    if find_spec("opentelemetry") is None:
        msg = (
            f"otel = {address!r}, but OpenTelemetry is not installed: install possible-worlds[otel]"
        )
        raise SettingsError(msg)


def to_collector(address: str) -> "SpanExporter":
    """Return what sends spans to a collector, by OTLP over HTTP.

    Parameters
    ----------
    address
        Where it takes traces; headers with credentials come from OTEL_EXPORTER_OTLP_HEADERS.
    """
    check(address)
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    found: SpanExporter = import_module(name).OTLPSpanExporter(address, timeout=SECONDS)
    return found


class Tracing:
    """Makes spans of some requests.

    Parameters
    ----------
    exporter
        Where spans go.
    share
        Share of the requests that are traced without being asked for.
    role
        Which part of the service this is.
    plain
        Paths without a parameter that are answered beside the framework, which knows the others.
    chance, clock
        Random numbers in [0, 1), and monotone seconds.
    """

    def __init__(
        self,
        exporter: "SpanExporter",
        share: float,
        role: str,
        plain: frozenset[str] = frozenset(),
        chance: Chance = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        said = Resource.create({"service.name": "possible-worlds", "worlds.role": role})
        self._provider = TracerProvider(resource=said, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=EVERY_MS)
        )
        self._tracer = self._provider.get_tracer("possible-worlds")
        self._context = TraceContextTextMapPropagator()
        self._plain = plain
        self._share, self._chance, self._clock = share, chance, clock
        self._second, self._left = 0, MOST

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an application that traces the requests of another."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP or not self._chosen(scope):
                await app(scope, receive, send)
            else:
                await self._trace(app, scope, receive, send)

        return traced

    async def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        ended = threading.Thread(target=self._provider.shutdown, daemon=True)
        ended.start()
        await asyncio.to_thread(ended.join, SECONDS)

    def _chosen(self, scope: Any) -> bool:
        said = next((value for name, value in scope["headers"] if name == PARENT), None)
        wanted = self._chance() < self._share if said is None else asks(said)
        if not wanted or scope["path"] in ENDLESS:
            return False
        second = int(self._clock())
        if second != self._second:
            self._second, self._left = second, MOST
        self._left -= 1
        return self._left >= 0

    async def _trace(self, app: ASGIApp, scope: Any, receive: Receive, send: Send) -> None:
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        method = scope["method"]
        span = self._tracer.start_span(
            method, self._context.extract(headers), SpanKind.SERVER, {"http.request.method": method}
        )
        onward: dict[str, str] = {}
        self._context.inject(onward, set_span_in_context(span))
        scope[ONWARD] = onward.get(PARENT.decode(), "")
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, note)
        finally:
            path = scope["path"]
            if route := scope.get("path_template") or (path if path in self._plain else None):
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(StatusCode.ERROR)
            span.end()


def asks(traceparent: bytes) -> bool:
    """Return whether a caller traces this request (W3C Trace Context, the flag `sampled`)."""
    parts = traceparent.split(b"-")
    try:
        return len(parts) >= 4 and bool(int(parts[3][:2], 16) & SAMPLED)
    except ValueError:
        return False
