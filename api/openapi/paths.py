"""Paths of the document: what every address takes and gives, with examples."""

from api.cloudevents import BATCH, STRUCTURED
from api.openapi.asking import asking
from api.openapi.components import MAYBE_TEXT, TEXT, TRUTH, array, record, ref
from api.openapi.parts import BODY, JSON, TIME, Json, body, operation, query, responses
from api.openapi.supervising import supervising
from worlds.domain import Domain


def paths(domain: Domain) -> Json:
    """Return all paths."""
    return {
        "/v1/facts": {"post": _record(domain), "get": _read(domain)},
        "/v1/quarantine": {"get": _quarantine()},
        "/v1/erasures": {"post": _erase(domain)},
        f"/v1/predictions/{domain.label}": {"post": _predict(domain)},
        **asking(domain),
        "/v1/models": {
            "get": operation(
                "models",
                "models",
                "Models in force. With weights, where they come from, the checks they passed, "
                "what their weights were learned from, and which models declined and why.",
                responses(200, {"type": "object"}, 400, 503),
            )
        },
        **supervising(domain),
        "/v1/learn": {"get": _learning(), "post": _learn()},
        **_health(),
        **_pages(),
    }


def _erase(domain: Domain) -> Json:
    done = record(
        "An erasure: what took the entity's place, how much was emptied, which archives were "
        "written anew, and which could not be reached and why.",
        state={"enum": ["done"]},
        token=TEXT,
        rows={"type": "integer"},
        transactions={"type": "integer"},
        archives=array(TEXT),
        missed={"type": "object", "additionalProperties": TEXT},
    )
    answers = responses(200, done, *BODY, 503)
    running = {JSON: {"schema": record("It goes on.", state={"enum": ["running"]})}}
    answers["202"] = {"description": "Send the same again until it is done", "content": running}
    wanted = record(
        "What to erase, and a reason that stays and must not name it.",
        entity={"type": "string", "minLength": 1, "maxLength": 1000},
        reason={"type": "string", "minLength": 1, "maxLength": 1000},
    )
    example = {"entity": f"{domain.entity}:17", "reason": "request 2026-11"}
    return operation(
        "erase",
        "facts",
        "Erase an entity. Removes its content from the file and from every archive; a tombstone "
        "stays and verification still holds. It cannot be undone. Needs the scope admin.",
        answers,
        requestBody=body({JSON: {"schema": wanted, "example": example}}),
    )


def _record(domain: Domain) -> Json:
    data = {
        "entity": f"{domain.entity}/17",
        "attributes": {
            "text_length": 80,
            "breed": {"kind": "categorical", "alternatives": {"pug": 0.7, "other": 0.3}},
        },
    }
    event = {
        "specversion": "1.0",
        "id": "17",
        "source": "app",
        "type": "facts",
        "time": "2026-11-20T19:30:00Z",
        "data": data,
    }
    headers = [
        {"name": f"ce-{name}", "in": "header", "required": False, "schema": TEXT}
        for name in ("id", "source", "specversion", "type", "time")
    ]
    return operation(
        "record",
        "facts",
        "Record facts. CloudEvents 1.0: one structured event, a batch, or a binary event with "
        "ce-* headers. Answered after the facts are durable, with a receipt for every event: "
        "accepted, duplicate (harmless: send again when in doubt) or quarantined with the "
        "reason. A body that is no JSON at all is quarantined too and answered with 400.",
        responses(200, "Receipts", *BODY, 503),
        parameters=headers,
        requestBody=body(
            {
                STRUCTURED: {"schema": ref("CloudEvent"), "example": event},
                BATCH: {"schema": array(ref("CloudEvent")), "example": [event]},
                JSON: {"schema": {"type": "object"}, "example": data},
            }
        ),
    )


PAGING = [
    query("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "Most rows", 10),
    query("cursor", {"type": "integer", "minimum": 0}, "next_cursor of the page before", 0),
]


def _read(domain: Domain) -> Json:
    return operation(
        "facts",
        "facts",
        "Read facts. Those visible as of a time, corrections and retractions applied.",
        responses(200, "FactsPage", 400, 422, 503),
        parameters=[
            query("entity", TEXT, "Only facts about it", f"{domain.entity}/17"),
            query("attribute", array(TEXT), "Only these attributes", [domain.label]),
            query("as_of", TIME, "As known then", "2026-11-20T19:30:00Z"),
            *PAGING,
        ],
    )


def _quarantine() -> Json:
    return operation(
        "quarantine",
        "facts",
        "Read the quarantine. What could not be understood, as it came, with the reason.",
        responses(200, "QuarantinePage", 400, 503),
        parameters=PAGING,
    )


def _predict(domain: Domain) -> Json:
    example = {field.name: field.example for field in domain.draft}
    low, high = domain.quantity("size").usual
    return operation(
        "predict",
        "predictions",
        f"Predict {domain.label}. Of one draft or of many. Labels and features that the models "
        "have not met widen the answer and are listed; values without meaning are refused.",
        responses(
            200, {"oneOf": [ref("PredictionReply"), ref("PredictionsReply")]}, *BODY, 422, 503
        ),
        requestBody=body(
            {
                JSON: {
                    "schema": ref("PredictionRequest"),
                    "examples": {
                        "one": {"value": {"draft": example, "thresholds": [high]}},
                        "many": {"value": {"drafts": [example, {}], "thresholds": [low, high]}},
                    },
                }
            }
        ),
    )


def _learning() -> Json:
    return operation(
        "learning",
        "models",
        "The last run of learning. Whether it runs, and how it ended.",
        responses(200, "Run", 400),
    )


def _learn() -> Json:
    return operation(
        "learn",
        "models",
        "Learn anew. In a process of its own, from the facts as of now; the models in force "
        "stay until the new ones have passed their checks.",
        responses(202, "Run", 400, 503),
    )


def _health() -> Json:
    live = record("The process answers.", status={"const": "live"})
    ready = record(
        "What it answers from.",
        status={"enum": ["ready", "degraded"]},
        reasons=array(TEXT),
        domain=TEXT,
        predictions={"type": "object"},
        facts=record("The fact store.", available=TRUTH, reason=MAYBE_TEXT),
        replica={"type": ["object", "null"]},
        learning=ref("Run"),
        learning_stale=MAYBE_TEXT,
    )
    part = record(
        "One process.",
        name=TEXT,
        role={"enum": ["recorder", "questions", "worker"]},
        state={"enum": ["starting", "running", "waiting", "looping", "stopping"]},
        pid={"type": ["integer", "null"]},
        restarts={"type": "integer"},
        since=TIME,
        reason=MAYBE_TEXT,
    )
    status = record(
        "Every process of the service, and how the one that answers is.",
        role={"enum": ["all", "recorder", "questions", "worker"]},
        pid={"type": "integer"},
        supervisor={"type": ["integer", "null"]},
        parts=array(part),
        ready=ready,
    )
    return {
        "/health/live": {
            "get": operation("live", "health", "Alive?", responses(200, live, 400)),
        },
        "/health/ready": {
            "get": operation(
                "ready",
                "health",
                "Ready? Predictions are always answered; what is degraded says why.",
                responses(200, ready, 400),
            ),
        },
        "/v1/status": {
            "get": operation(
                "status",
                "health",
                "How every process of the service is, with restarts and their reasons.",
                responses(200, status, 400),
            ),
        },
        "/v1/events": {"get": _events()},
        "/metrics": {"get": _metrics()},
    }


def _events() -> Json:
    found = operation(
        "events",
        "health",
        "Listen to what changes. Server-sent events: releases, health, processes, models. After "
        "Last-Event-ID what was missed comes first; an event may come twice, none is left out.",
        responses(200, TEXT, 503),
        parameters=[
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "schema": TEXT,
                "description": "Id of the last event that was seen",
            }
        ],
    )
    found["responses"]["200"]["content"] = {"text/event-stream": {"schema": TEXT}}
    return found


def _metrics() -> Json:
    found = operation(
        "metrics",
        "health",
        "Counts and times. Of all processes together, in the text format of Prometheus.",
        responses(200, TEXT, 400),
    )
    found["responses"]["200"]["content"] = {"text/plain": {"schema": TEXT}}
    return found


def _pages() -> Json:
    pages = {"/": "landing", "/docs": "docs", "/problems": "problems"}
    return {
        path: {
            "get": operation(
                name, "pages", f"Page: {name}.", responses(200, TEXT, 400, kind="text/html")
            )
        }
        for path, name in pages.items()
    }
