"""Parts of the document that every path is made of."""

from typing import Any

from api.openapi.components import ref
from api.problems import KINDS, MEDIA_TYPE

type Json = dict[str, Any]

JSON = "application/json"
BODY = (400, 413, 415)
TIME: Json = {"type": "string", "format": "date-time"}


def responses(status: int, schema: str | Json, *problems: int, kind: str = JSON) -> Json:
    """Return the answer that goes well, and the problems there may be."""
    good = ref(schema) if isinstance(schema, str) else schema
    titles: dict[int, list[str]] = {}
    for known in KINDS:
        titles.setdefault(known.status, []).append(known.title)
    bad = {
        str(code): {
            "description": "; or: ".join(titles[code]),
            "content": {MEDIA_TYPE: {"schema": ref("Problem")}},
        }
        for code in sorted(set(problems))
    }
    return {str(status): {"description": "Done", "content": {kind: {"schema": good}}}, **bad}


def operation(name: str, tag: str, text: str, answers: Json, **more: object) -> Json:
    """Return an operation."""
    summary, _, description = text.partition(". ")
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description or summary,
        "responses": answers,
        **more,
    }


def query(name: str, schema: Json, text: str, example: object) -> Json:
    """Return a query parameter."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": schema,
        "description": text,
        "example": example,
    }


def body(content: Json) -> Json:
    """Return a body that is needed."""
    return {"required": True, "content": content}
