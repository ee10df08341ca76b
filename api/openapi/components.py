"""Schemas of the document: from the structs where there are some, else stated here."""

from collections.abc import Mapping
from typing import Any

import msgspec

from api.learning import Run
from api.schemas import (
    CompareRequest,
    FormulaCompareRequest,
    FormulaRequest,
    PredictionRequest,
    QuestionRequest,
    ScenarioRequest,
)
from facts import Receipt
from worlds.answer import ModelUse
from worlds.domain import Domain, FieldType
from worlds.prediction import Prediction

type Json = dict[str, Any]

REF = "#/components/schemas/{name}"
TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer", "minimum": 0}
TRUTH: Json = {"type": "boolean"}
MAYBE_TEXT: Json = {"type": ["string", "null"]}
MAYBE_TIME: Json = {"type": ["string", "null"], "format": "date-time"}
ANY: Json = {"type": "object"}
PROBABILITY: Json = {"type": "number", "minimum": 0, "maximum": 1}


def ref(name: str) -> Json:
    """Return a reference to a schema."""
    return {"$ref": REF.format(name=name)}


def array(items: Json) -> Json:
    """Return the schema of an array."""
    return {"type": "array", "items": items}


def record(text: str, /, **properties: Json) -> Json:
    """Return the schema of an object that has all these properties."""
    return {
        "type": "object",
        "description": text,
        "required": list(properties),
        "properties": properties,
    }


DRAFT_TYPES: Mapping[FieldType, Json] = {
    "text": {"type": "string", "maxLength": 10_000},
    "number": {"type": "number", "minimum": -1e15, "maximum": 1e15},
    "truth": TRUTH,
    "texts": {
        "oneOf": [
            {"type": "string", "maxLength": 10_000},
            {"type": "array", "items": {"type": "string"}, "maxItems": 100},
        ]
    },
    "probabilities": {
        "oneOf": [
            {"type": "string", "maxLength": 10_000},
            {
                "type": "object",
                "description": "Labels and their probabilities, which sum to 1.",
                "additionalProperties": PROBABILITY,
                "minProperties": 1,
                "maxProperties": 32,
            },
        ]
    },
    "time": {"type": "string", "format": "date-time"},
    "place": {
        "type": "object",
        "required": ["lat", "lon"],
        "properties": {
            "lat": {"type": "number", "minimum": -90, "maximum": 90},
            "lon": {"type": "number", "minimum": -180, "maximum": 180},
            "radius95_m": {"type": "number", "minimum": 0, "maximum": 2.1e7},
        },
    },
}

PROBLEM: Json = {
    **record(
        "Problem details (RFC 9457).",
        type={"type": "string", "format": "uri-reference"},
        title=TEXT,
        status={"type": "integer"},
        detail=TEXT,
        instance=TEXT,
    ),
}
PROBLEM["properties"] |= {
    "errors": array(record("A field and what is wrong with it.", field=TEXT, message=TEXT)),
    "place": {
        **record(
            "Where in a formula: line and column from 1, start and end from 0, and the text there.",
            line=COUNT,
            column=COUNT,
            start=COUNT,
            end=COUNT,
            text=TEXT,
            reason=TEXT,
        ),
    },
    "known": {**array(TEXT), "description": "The names there are, for one that is not."},
}

TAIL: Json = {
    "quantity": TEXT,
    "unit": TEXT,
    "as_of": MAYBE_TIME,
    "release": MAYBE_TEXT,
    "simulated": TRUTH,
    "models": array(ref("ModelUse")),
    "path": {"enum": ["models", "last good models", "some models", "default"]},
    "degraded": {**MAYBE_TEXT, "description": "Why the answer comes from a fallback, or null."},
}

THRESHOLD: Json = {
    "oneOf": [
        {"type": "number", "minimum": -1e12, "maximum": 1e12},
        {"type": "string", "pattern": r"^(>=|<=|>|<)? ?[0-9]{1,9}$"},
        {"type": "null"},
    ]
}


def components(domain: Domain, batch_limit: int) -> Json:
    """Return all schemas."""
    _, found = msgspec.json.schema_components(
        [
            *(PredictionRequest, QuestionRequest, FormulaRequest, CompareRequest, ScenarioRequest),
            FormulaCompareRequest,
            *(Prediction, ModelUse, Receipt, Run),
        ],
        ref_template=REF,
    )
    made: Json = {name: _plain(schema) for name, schema in found.items()}
    _describe_requests(made, domain, batch_limit)
    made["Draft"] = draft(domain)
    made |= _predictions(made["Prediction"])
    made |= _answers()
    made |= _comparisons()
    made |= _facts()
    made["Problem"] = PROBLEM
    return made


def _plain(schema: Json) -> Json:
    """Keep the first paragraph of a docstring: the rest is for readers of the code."""
    text = str(schema.get("description", "")).partition("\n\n")[0]
    return {**schema, "description": " ".join(text.split())}


def _describe_requests(made: Json, domain: Domain, batch_limit: int) -> None:
    wanted = made["PredictionRequest"]["properties"]
    wanted["draft"] = ref("Draft")
    wanted["drafts"] = {**array(ref("Draft")), "minItems": 1, "maxItems": batch_limit}
    wanted["at"] = MAYBE_TIME
    made["PredictionRequest"]["oneOf"] = [{"required": ["draft"]}, {"required": ["drafts"]}]
    for name in ("QuestionRequest", "FormulaRequest", "CompareRequest", "FormulaCompareRequest"):
        made[name]["properties"] |= {"as_of": MAYBE_TIME, "threshold": THRESHOLD}
    for name in ("QuestionRequest", "FormulaRequest"):
        made[name]["properties"]["since"] = MAYBE_TIME
    quantities = [quantity.name for quantity in domain.quantities]
    for name in ("QuestionRequest", "FormulaRequest", "ScenarioRequest", "NamedScenario"):
        asked = made[name]["properties"]
        for part in ("given", "do"):
            asked[part] = {**asked[part], "propertyNames": {"enum": quantities}}
        asked["where"] = {**asked["where"], "propertyNames": {"enum": list(domain.shares)}}


def draft(domain: Domain) -> Json:
    """Return the schema of a draft; features beyond it are taken and listed as ignored."""
    return {
        "type": "object",
        "description": "What is known of the thing. Unknown features are listed as ignored.",
        "properties": {
            field.name: {
                **DRAFT_TYPES[field.type],
                "description": field.text,
                "examples": [field.example],
            }
            for field in domain.draft
        },
        "additionalProperties": True,
    }


def _predictions(prediction: Json) -> Json:
    single = {"id": TEXT, **prediction["properties"]}
    return {
        "PredictionReply": record("What one thing will bring.", **single, **TAIL),
        "PredictionsReply": record(
            "What many things will bring.",
            predictions=array(record("What one of them will bring.", **single)),
            **TAIL,
        ),
    }


def _answers() -> Json:
    interval = record("A central interval.", level=NUMBER, low=NUMBER, high=NUMBER)
    answer = record(
        "The distribution that answers a question: its worlds and their mixture.",
        question=TEXT,
        text=TEXT,
        unit=TEXT,
        period=record("The period.", start=TEXT, end=TEXT),
        as_of=MAYBE_TIME,
        release=MAYBE_TEXT,
        simulated=TRUTH,
        degraded=MAYBE_TEXT,
        notes=array(TEXT),
        assumptions=ANY,
        worlds=array(
            record(
                "One value for every choice.",
                choices=ANY,
                weight=PROBABILITY,
                mean=NUMBER,
                median=NUMBER,
                interval=interval,
                prob={"type": ["number", "null"]},
                method=TEXT,
                error_bound=NUMBER,
            )
        ),
        mean=NUMBER,
        sd=NUMBER,
        median=NUMBER,
        intervals=array(interval),
        safe=array(
            record(
                "The value not exceeded with a probability: what is enough.",
                level=PROBABILITY,
                value=NUMBER,
                error_bound=NUMBER,
            )
        ),
        exceedance={"type": ["object", "null"]},
        quantities=ANY,
        method=TEXT,
        error_bound=NUMBER,
        models=array(ref("ModelUse")),
        sentence=TEXT,
    )
    answer["properties"] |= {
        "cost": {**ANY, "description": "Worlds listed, and quasi-random points that were used."},
        "details": {**ANY, "description": "What else belongs to an answer from facts."},
        "groups": {**ANY, "description": "Every label by itself, if asked for (by)."},
        "periods": {**ANY, "description": "Every period and the largest, if asked for (over)."},
        "hdi": {**array(interval), "description": "The shortest intervals, if asked for."},
        "exceedances": {**array(ANY), "description": "Of the further thresholds, if asked for."},
        "curve": {**array(ANY), "description": "Cumulative probabilities, if asked for."},
        "sample": {**array(NUMBER), "description": "Draws, if asked for."},
        "explanation": {**ANY, "description": "Where width and chance come from, if asked for."},
        "decision": {**ANY, "description": "What to provide, if asked for."},
        "change": {**ANY, "description": "Why the answer changed since a time, if asked for."},
    }
    return {"Answer": answer}


def _comparisons() -> Json:
    scenario = record(
        "What is assumed, under a name; the id is a hash of given, do and where.",
        id={"type": "string", "pattern": "^[0-9a-f]{16}$"},
        name=TEXT,
        text=TEXT,
        given=ANY,
        do=ANY,
        where=ANY,
    )
    run = record(
        "An answer under a scenario; over a range, mixed by its prior and with its extremes.",
        scenario=ref("Scenario"),
        ranges=array(ANY),
        points=COUNT,
        range_error_bound=NUMBER,
        envelope=array(ANY),
        answer=ref("Answer"),
    )
    compared = record("Scenarios, compared with the first.", question=TEXT, unit=TEXT)
    compared["properties"] |= {"scenarios": array(run), "comparisons": array(ANY)}
    return {"Scenario": scenario, "Comparison": compared}


def _facts() -> Json:
    return {
        "Receipts": record(
            "What became of every event.",
            accepted=COUNT,
            duplicate=COUNT,
            quarantined=COUNT,
            receipts=array(ref("Receipt")),
        ),
        "FactsPage": record(
            "A page of facts.", facts=array(ANY), next_cursor={"type": ["integer", "null"]}
        ),
        "QuarantinePage": record(
            "A page of what could not be understood.",
            quarantined=array(ANY),
            next_cursor={"type": ["integer", "null"]},
        ),
        "CloudEvent": {
            **record(
                "A CloudEvent 1.0 whose data are facts about one entity.",
                specversion={"const": "1.0"},
                id={"type": "string", "minLength": 1},
                source={"type": "string", "minLength": 1},
                type={"type": "string", "minLength": 1},
                data=ANY,
            ),
            "additionalProperties": True,
        },
    }
