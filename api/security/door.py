"""What stands around all routes: the gate, who may ask from other pages, headers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litestar import Router
from litestar.config.cors import CORSConfig
from litestar.handlers import ASGIRouteHandler, BaseRouteHandler

from api.processes.place import Place
from api.security.gate import ANY_HOST, Gate, guard
from api.security.headers import hook
from api.settings import Settings, words

GATED = "gated"
"""Key of a handler's `opt`: it asks the gate itself."""


def gate_of(settings: Settings, place: Place) -> Gate:
    """Return the gate of a process.

    Only workers have one: the parts behind them listen on private sockets.

    Raises
    ------
    SettingsError
        If there are to be keys, and they cannot be used.
    """
    if place.role in {"recorder", "questions"}:
        return Gate(None, (ANY_HOST.decode(),))
    return Gate(Path(settings.keys) if settings.keys else None, words(settings.hosts))


def behind(gate: Gate, handlers: Sequence[BaseRouteHandler]) -> list[BaseRouteHandler | Router]:
    """Return the handlers behind the gate."""
    hot = [one for one in handlers if isinstance(one, ASGIRouteHandler) and one.opt.get(GATED)]
    others = [one for one in handlers if one not in hot]
    return [*hot, Router("/", route_handlers=others, guards=[guard(gate)])]


def around(settings: Settings) -> dict[str, Any]:
    """Return what the application is told about headers and pages of other sites."""
    origins = words(settings.cors)
    cors = CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["authorization", "x-api-key", "content-type", "accept", "if-none-match"],
        expose_headers=["etag", "link", "retry-after", "ratelimit", "ratelimit-policy"],
    )
    return {"before_send": [hook()], "cors_config": cors if origins else None}
