"""Paths of watching: events as they happen, counts and times."""

from api.openapi.components import TEXT
from api.openapi.parts import Json, operation, responses


def watching() -> Json:
    """Return the paths."""
    last: Json = {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "The last event the client has: those since are told first.",
        "schema": TEXT,
    }
    return {
        "/v1/events": {
            "get": operation(
                "events",
                "watching",
                "What changes, as it happens. Server-sent events: releases, states of models, "
                "alerts. The answer does not end.",
                responses(200, TEXT, 400, kind="text/event-stream"),
                parameters=[last],
            )
        },
        "/metrics": {
            "get": operation(
                "metrics",
                "watching",
                "Counts, times and states. In the text format of Prometheus.",
                responses(200, TEXT, 400, kind="text/plain"),
            )
        },
    }
