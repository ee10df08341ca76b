"""Other forms of an answer: CSV and Arrow, unchanged since (304), a link to the next page."""

from api.openapi.components import TEXT, array
from api.openapi.parts import BODY, JSON, Json, body, operation, query, responses
from api.representations import ARROW, CSV

TABLES = {
    ("/v1/facts", "get"),
    ("/v1/quarantine", "get"),
    ("/v1/questions/{question}", "get"),
    ("/v1/questions/{question}", "post"),
    ("/v1/query", "post"),
}
PAGED = {"/v1/facts", "/v1/quarantine"}
TAGGED = {"/v1/models", "/v1/questions", "/v1/releases", "/v1/releases/{release}"}
_RELEASE: Json = {
    "name": "release",
    "in": "path",
    "required": True,
    "description": "The id of a release, at least its first 4 characters, or current.",
    "schema": {"type": "string", "minLength": 4, "maxLength": 64},
}
_SWITCH: Json = {
    "type": "object",
    "required": ["reason"],
    "additionalProperties": False,
    "properties": {"reason": {"type": "string", "minLength": 1, "maxLength": 500}},
}
_KNOWN: Json = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The entity tag of what the client has; 304 if it is still so.",
    "schema": TEXT,
}


def releases() -> Json:
    """Return the paths of releases."""
    switch = body({JSON: {"schema": _SWITCH, "example": {"reason": "the counts are far too high"}}})
    page = {"type": "object", "properties": {"releases": array({"type": "object"})}}
    limit = query("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "Most of them", 20)
    line: Json = {"type": "object"}
    return {
        "/v1/releases": {
            "get": operation(
                "releases",
                "models",
                "Releases, newest first. Which is in force, who put it there, what is pinned.",
                responses(200, page, 400, 503),
                parameters=[limit],
            )
        },
        "/v1/releases/{release}": {
            "get": operation(
                "release",
                "models",
                "A release. What it holds and where that comes from.",
                responses(200, line, 400, 404, 503),
                parameters=[_RELEASE],
            )
        },
        "/v1/releases/{release}/promote": {
            "post": operation(
                "promote",
                "models",
                "Put a release into force. A new release with the same models is written; the "
                "reason and who it was are kept with it, and as a fact.",
                responses(200, line, *BODY, 404, 409, 503),
                parameters=[_RELEASE],
                requestBody=switch,
            )
        },
        "/v1/rollback": {
            "post": operation(
                "rollback",
                "models",
                "Go back to the release that was in force before. Twice goes back twice as far.",
                responses(200, line, *BODY, 409, 503),
                requestBody=switch,
            )
        },
    }


def formed(paths: Json) -> Json:
    """Return the paths with the other forms of their answers."""
    return {
        path: {method: _formed(method, path, found) for method, found in operations.items()}
        for path, operations in paths.items()
    }


def _formed(method: str, path: str, found: Json) -> Json:
    answers = dict(found["responses"])
    good = dict(answers.get("200", {}))
    if (path, method) in TABLES:
        rows = {"schema": {"type": "string", "description": "A row each, with a header."}}
        binary = {"schema": {"type": "string", "format": "binary"}}
        good["content"] = {**good["content"], CSV: rows, ARROW: binary}
    if path in PAGED and method == "get":
        text = 'The next page: </v1/facts?cursor=100>; rel="next".'
        good["headers"] = {"Link": {"description": text, "schema": TEXT}}
    if path in TAGGED and method == "get":
        good["headers"] = {"ETag": {"description": "Of this content.", "schema": TEXT}}
        found = {**found, "parameters": [*found.get("parameters", ()), _KNOWN]}
        answers["304"] = {"description": "It is as the client has it"}
    if good:
        answers["200"] = good
    return {**found, "responses": dict(sorted(answers.items()))}
