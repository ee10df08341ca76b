"""Paths and schemas of the Open Inference Protocol v2."""

from typing import Any

from api.inference import fields
from api.openapi.components import COUNT, NUMBER, TEXT, TRUTH, array, record, ref
from api.openapi.parts import JSON, Json, body, operation
from api.problems import KINDS
from worlds.domain import Domain

TAG = "inference"
MODEL = "/v2/models/{model}"
VERSIONED = f"{MODEL}/versions/{{version}}"


def inference(domain: Domain) -> Json:
    """Return the paths."""
    model: Json = {
        "name": "model",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": [domain.label]},
    }
    version: Json = {
        "name": "version",
        "in": "path",
        "required": True,
        "description": "A release; see versions of the model.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 80},
    }
    found: Json = {
        "/v2": {"get": _get("oip_server", "The server. Its name and extensions.", "Server")},
        "/v2/health/live": {"get": _get("oip_live", "Alive?", "Live")},
        "/v2/health/ready": {"get": _get("oip_ready", "Ready?", "Ready")},
    }
    for path, suffix, names in ((MODEL, "", [model]), (VERSIONED, "_version", [model, version])):
        found[path] = {
            "get": _get(f"oip_model{suffix}", "The model. What it takes and gives.", "Model", names)
        }
        found[f"{path}/ready"] = {
            "get": _get(f"oip_model_ready{suffix}", "Is the model ready?", "ModelReady", names)
        }
        found[f"{path}/infer"] = {"post": _infer(f"oip_infer{suffix}", names, domain)}
    return found


def _answers(schema: str, *problems: int) -> Json:
    good = {"description": "Done", "content": {JSON: {"schema": ref(f"Inference{schema}")}}}
    titles: dict[int, list[str]] = {}
    for kind in KINDS:
        titles.setdefault(kind.status, []).append(kind.title)
    bad = {
        str(code): {
            "description": "; or: ".join(titles[code]),
            "content": {JSON: {"schema": ref("InferenceError")}},
        }
        for code in problems
    }
    return {"200": good, **bad}


def _get(name: str, text: str, schema: str, parameters: list[Json] | None = None) -> Json:
    more: dict[str, Any] = {"parameters": parameters} if parameters else {}
    problems = (400, 404, 503) if parameters else (400,)
    return operation(name, TAG, text, _answers(schema, *problems), **more)


def _infer(name: str, parameters: list[Json], domain: Domain) -> Json:
    example = {field.name: field.example for field in domain.draft}
    texts = [field.name for field in domain.draft if field.type == "probabilities"][:1]
    drafts = {
        "inputs": [{"name": "draft", "shape": [2], "datatype": "BYTES", "data": [example, {}]}]
    }
    columns = {
        "inputs": [
            {"name": name, "shape": [1], "datatype": "BYTES", "data": [""]} for name in texts
        ]
        or drafts["inputs"],
        "outputs": [{"name": "quantiles"}, {"name": "exceedance"}],
        "parameters": {"quantiles": "0.05,0.5,0.95", "thresholds": "10,100"},
    }
    answers = _answers("Reply", 400, 404, 413, 415, 422, 503)
    answers["200"]["content"]["application/octet-stream"] = {
        "schema": {"type": "string", "format": "binary"}
    }
    return operation(
        name,
        TAG,
        f"Predict {domain.label}. Drafts as one BYTES tensor of JSON objects, or one tensor for "
        "each field; null, NaN and the empty text mean not known. The parameters quantiles and "
        "thresholds list numbers with commas. The extension binary_tensor_data is taken.",
        answers,
        parameters=[*parameters, _LENGTH],
        requestBody=body(
            {
                JSON: {
                    "schema": ref("InferenceRequest"),
                    "examples": {"drafts": {"value": drafts}, "columns": {"value": columns}},
                }
            }
        ),
    )


_LENGTH: Json = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "description": "Bytes of JSON before binary tensors.",
    "schema": {"type": "integer", "minimum": 1},
}


def schemas(domain: Domain) -> Json:
    """Return the schemas."""
    parameters: Json = {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    }
    shape: Json = array({"type": "integer"})
    described = record("A tensor that is taken or given.", name=TEXT, datatype=TEXT, shape=shape)
    wanted = record("A tensor that is wanted.", name=TEXT)
    wanted["properties"]["parameters"] = parameters
    request = record("Tensors of drafts.", inputs={**array(_input(domain)), "minItems": 1})
    request["properties"] |= {"id": TEXT, "outputs": array(wanted), "parameters": parameters}
    output = record("A prediction a draft.", name=TEXT, datatype=TEXT, shape=array(COUNT))
    output["properties"] |= {"data": array(NUMBER), "parameters": parameters}
    reply = record(
        "Tensors of predictions.", model_name=TEXT, model_version=TEXT, outputs=array(output)
    )
    reply["properties"] |= {"id": TEXT, "parameters": parameters}
    return {
        "InferenceServer": record("The server.", name=TEXT, version=TEXT, extensions=array(TEXT)),
        "InferenceLive": record("It answers.", live=TRUTH),
        "InferenceReady": record("It predicts.", ready=TRUTH),
        "InferenceModelReady": record("It predicts.", name=TEXT, ready=TRUTH),
        "InferenceModel": record(
            "The model.",
            name=TEXT,
            versions=array(TEXT),
            platform=TEXT,
            inputs=array(described),
            outputs=array(described),
        ),
        "InferenceRequest": request,
        "InferenceReply": reply,
        "InferenceError": record("What was wrong.", error=TEXT),
    }


def _input(domain: Domain) -> Json:
    names = ["draft", *(field.name for field in fields(domain))]
    found = record(
        "A tensor with one element a draft.",
        name={"type": "string", "enum": names},
        shape={"type": "array", "items": COUNT, "minItems": 1, "maxItems": 8},
        datatype={"enum": ["BYTES", "BOOL", "FP64", "FP32", "INT64", "INT32"]},
    )
    found["properties"] |= {"data": {"type": "array"}, "parameters": {"type": "object"}}
    return found
