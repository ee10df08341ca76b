"""What keys are, and what every operation answers to a request without the right one."""

from api.openapi.components import ref
from api.openapi.parts import JSON, Json
from api.problems import INFERENCE, KINDS, MEDIA_TYPE
from api.security.needs import MEANINGS, need

SCHEMES: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key, made by `worlds keys create`. Scopes: "
        + "; ".join(f"{scope}: {text}" for scope, text in MEANINGS.items())
        + ". admin has all of them. A service without keys listens on its own machine only, and "
        "asks for none.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
    "browser": {
        "type": "http",
        "scheme": "basic",
        "description": "For pages in a browser, GET only: any user, the key as password.",
    },
}
LIMITS: Json = {
    "RateLimit": {
        "description": "Only for keys with limits: what is left, and in how many seconds it is "
        'whole again: "requests";r=9;t=2.',
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "Only for keys with limits: units at once, and in how many seconds they "
        'come back: "requests";q=10;w=2.',
        "schema": {"type": "string"},
    },
}
AGAIN: Json = {
    "Retry-After": {
        "description": "Seconds after which there is room.",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def secured(paths: Json) -> Json:
    """Return the paths with what keys have to do with them."""
    return {
        path: {method: _secured(method, path, found) for method, found in operations.items()}
        for path, operations in paths.items()
    }


def _secured(method: str, path: str, found: Json) -> Json:
    wanted = need(method.upper(), path)
    if wanted.keyless:
        return {**found, "security": []}
    scopes = [wanted.scope] if wanted.scope is not None else []
    schemes = [{"bearer": scopes}, {"header": scopes}]
    if method == "get":
        schemes.append({"browser": scopes})
    text = f" Scope: {wanted.scope}." if wanted.scope else " Any key will do."
    text += f" Cost units: {wanted.cost}." if wanted.cost else ""
    answers = dict(found["responses"])
    for status in (401, *([403] if scopes else []), 429):
        answers.setdefault(str(status), _refused(status, path))
    return {
        **found,
        "description": f"{found['description'].rstrip('.')}.{text}",
        "responses": dict(sorted(answers.items())),
        "security": schemes,
    }


def _refused(status: int, path: str) -> Json:
    title = next(kind.title for kind in KINDS if kind.status == status)
    content = (
        {JSON: {"schema": ref("InferenceError")}}
        if path.startswith(INFERENCE)
        else {MEDIA_TYPE: {"schema": ref("Problem")}}
    )
    answer: Json = {"description": title, "content": content}
    return {**answer, "headers": {**AGAIN, **LIMITS}} if status == 429 else answer
