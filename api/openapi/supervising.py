"""Paths of supervision and experiments."""

from typing import Any

import msgspec

from api.openapi.components import (
    MAYBE_TEXT,
    NUMBER,
    REF,
    TEXT,
    array,
    record,
    ref,
)
from api.openapi.parts import BODY, JSON, TIME, Json, body, operation, query, responses
from api.watch_schemas import ExperimentRequest, OverrideRequest
from worlds.domain import Domain

MAYBE_NUMBER: Json = {"type": ["number", "null"]}
FUTURE = "2036-01-01T00:00:00Z"
WHO = [
    query("by", {"type": "string", "maxLength": 100}, "Who", "mae"),
    query("reason", {"type": "string", "maxLength": 2000}, "Why", "it was a mistake"),
]


def supervising(domain: Domain) -> Json:
    """Return the paths."""
    size = domain.quantity("size").name
    return {
        "/v1/models/{name}/history": {"get": _history(size)},
        "/v1/models/{name}/override": {"post": _override(size)},
        "/v1/overrides": {
            "get": operation(
                "overrides",
                "models",
                "Overrides. What people decided about models and is in force now.",
                responses(200, record("Overrides.", overrides=array(ref("Override"))), 400),
            )
        },
        "/v1/overrides/{override_id}": {
            "delete": operation(
                "end_override",
                "models",
                "End an override. Before its time; the rules decide again.",
                responses(200, "Override", 400, 404, 503),
                parameters=[_part("override_id", "Id of the override"), *WHO],
            )
        },
        "/v1/experiments": {"get": _experiments(), "post": _declare(size)},
        "/v1/experiments/{name}": {
            "get": operation(
                "experiment",
                "experiments",
                "An experiment. Its results so far; they may be looked at as often as one likes: "
                "the intervals hold at all times at once, and p_value is valid whenever one stops.",
                responses(200, "Experiment", 400, 404, 503),
                parameters=[_part("name", "Name of the experiment")],
            ),
            "delete": operation(
                "end_experiment",
                "experiments",
                "End an experiment. Its results stay.",
                responses(200, "Experiment", 400, 404, 503),
                parameters=[_part("name", "Name of the experiment"), *WHO],
            ),
        },
    }


def supervising_components() -> Json:
    """Return the schemas of what is sent and answered."""
    _, found = msgspec.json.schema_components(
        [OverrideRequest, ExperimentRequest], ref_template=REF
    )
    made: Json = {name: _plain(schema) for name, schema in found.items()}
    for name in ("OverrideRequest", "ExperimentRequest"):
        made[name]["properties"]["until"] = TIME
    made["Override"] = record(
        "A decision of a person about a model.",
        id=TEXT,
        quantity=TEXT,
        model=TEXT,
        action={"enum": ["pin", "ban", "weight", "reinstate"]},
        by=TEXT,
        reason=TEXT,
        made_at=TIME,
        until=TIME,
        low=NUMBER,
        high=NUMBER,
    )
    made["Experiment"] = record(
        "An experiment as it was declared, and its results where they are told.",
        name=TEXT,
        mode={"enum": ["live", "shadow"]},
        metric=TEXT,
        bound=NUMBER,
        alpha=NUMBER,
        salt=TEXT,
        arms=array({"type": "object"}),
        guardrails=array({"type": "object"}),
        by=TEXT,
        reason=TEXT,
        started_at=TIME,
        until=TIME,
        stopped={"type": "object", "additionalProperties": TEXT},
        ended=MAYBE_TEXT,
    )
    made["Experiment"]["properties"] |= {
        "state": {"enum": ["running", "ended"]},
        "results": {"type": "object"},
    }
    return made


def _plain(schema: Json) -> Json:
    text = str(schema.get("description", "")).partition("\n\n")[0]
    return {**schema, "description": " ".join(text.split())}


def _part(name: str, text: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    }


def _model(size: str) -> Json:
    return _part("name", f"A model, or quantity.model where several have the name: {size}.learned")


def _history(size: str) -> Json:
    line = record(
        "Something that happened to the model, as a fact.",
        at=TIME,
        recorded_at=TIME,
        what=TEXT,
        value={"type": ["string", "number", "null"]},
        reason=MAYBE_TEXT,
        by=MAYBE_TEXT,
        fact={"type": "object"},
        detail={"type": "object"},
    )
    story = record(
        "Where a model stands, what its forecasts showed, and what was decided, newest first.",
        quantity=TEXT,
        model=TEXT,
        state={"enum": ["live", "probation", "quarantined", "retired"]},
        reason=TEXT,
        snapshot=MAYBE_TEXT,
        weight=NUMBER,
        published_weight=MAYBE_NUMBER,
        evidence={"type": ["object", "null"]},
        history=array(line),
    )
    return operation(
        "model_history",
        "models",
        "How a model fares. Where it stands (live, probation, quarantined, retired) and why, the "
        "record of its served forecasts, and every move, fault and decision as a fact.",
        responses(200, story, 400, 404, 422, 503),
        parameters=[
            _model(size),
            query("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "Most lines", 20),
        ],
    )


def _override(size: str) -> Json:
    ban = {"action": "ban", "by": "mae", "reason": "wrong since noon", "until": FUTURE}
    held: dict[str, Any] = {**ban, "action": "weight", "low": 0.1, "high": 0.5}
    return operation(
        "override",
        "models",
        "Decide about a model. pin holds it live whatever the rules say, ban holds its weight at "
        "zero, weight holds it in a range, reinstate puts it on probation. In force in every "
        "process within a second; ends by itself.",
        responses(200, "Override", *BODY, 404, 422, 503),
        parameters=[_model(size)],
        requestBody=body(
            {
                JSON: {
                    "schema": ref("OverrideRequest"),
                    "examples": {"ban": {"value": ban}, "range": {"value": held}},
                }
            }
        ),
    )


def _experiments() -> Json:
    line = record(
        "An experiment.",
        name=TEXT,
        state={"enum": ["running", "ended"]},
        mode=TEXT,
        metric=TEXT,
        arms=array(TEXT),
        until=TIME,
        ended=MAYBE_TEXT,
    )
    return operation(
        "experiments",
        "experiments",
        "Experiments. Those that run and those that ended.",
        responses(200, record("Experiments.", experiments=array(line)), 400, 503),
    )


def _declare(size: str) -> Json:
    arms = [
        {"name": "as-published", "share": 0.5},
        {"name": "one-model", "share": 0.5, "weights": {"historical": 1.0}},
    ]
    example = {
        "name": "historical-alone",
        "arms": arms,
        "mode": "shadow",
        "by": "mae",
        "reason": f"is {size} better without the learned model?",
        "until": FUTURE,
        "guardrails": [{"metric": "crps", "worse_by": 20}],
    }
    return operation(
        "declare_experiment",
        "experiments",
        "Declare an experiment. Entities fall into arms by a salted hash; an arm has its own "
        "weights of the models or something the client shows; the first is the control.",
        responses(200, "Experiment", *BODY, 422, 503),
        requestBody=body({JSON: {"schema": ref("ExperimentRequest"), "example": example}}),
    )
