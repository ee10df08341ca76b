"""The Open Inference Protocol v2: its form, its errors, the same numbers as our own route."""

import json
import struct
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litestar.testing import TestClient

from api.app import create_app
from api.cli.run import serving
from api.settings import Settings
from tests.api.building import UNTIL, publish
from tests.api.conftest import HERE, Client, client_of

FUTURE = "2036-01-01T00:00:00Z"
INFER = "/v2/models/likes/infer"
DRAFT = {"breed": {"pug": 0.7, "beagle": 0.3}, "hashtags": ["zoomies"], "text_length": 80}


def tensor(name: str, kind: str, *data: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": kind, "data": list(data), **more}


def infer(client: Client, *inputs: dict[str, Any], **more: Any) -> dict[str, np.ndarray[Any, Any]]:
    reply = client.post(INFER, json={"inputs": inputs, **more})
    assert reply.status_code == 200, reply.text
    return {
        one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in reply.json()["outputs"]
    }


def test_the_same_numbers_as_our_own_route(client: Client) -> None:
    asked = {"drafts": [DRAFT, {}], "levels": [0.9], "thresholds": [50]}
    ours = client.post("/v1/predictions/likes", json=asked).json()["predictions"]
    theirs = infer(
        client,
        tensor("draft", "BYTES", json.dumps(DRAFT), "{}"),
        parameters={"quantiles": "0.05,0.5,0.95", "thresholds": "50"},
    )
    for i, one in enumerate(ours):
        ends = one["intervals"][0]
        assert theirs["mean"][i] == one["mean"]
        assert theirs["median"][i] == one["median"]
        assert theirs["quantiles"][i].tolist() == [ends["low"], one["median"], ends["high"]]
        assert theirs["exceedance"][i].tolist() == [one["exceedance"][0]["prob"]]


def test_a_tensor_a_field_is_the_same(client: Client) -> None:
    whole = infer(client, tensor("draft", "BYTES", DRAFT, {"breed": "pug"}))
    fields = infer(
        client,
        tensor("breed", "BYTES", json.dumps(DRAFT["breed"]), "pug"),
        tensor("hashtags", "BYTES", '["zoomies"]', ""),
        {"name": "text_length", "shape": [2, 1], "datatype": "FP32", "data": [[80], [None]]},
    )
    for name, values in whole.items():
        assert fields[name].tolist() == values.tolist()


def logged(client: Client) -> list[dict[str, Any]]:
    """Return the forecasts among the facts, once they are there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        asked = {"attribute": "watch.forecast"}
        found: list[dict[str, Any]] = client.get("/v1/facts", params=asked).json()["facts"]
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("nothing was logged")


def test_predictions_are_logged_and_counted_like_those_of_our_own_route(var: Path) -> None:
    release = publish(var)
    with client_of(var, prediction_log=1000.0) as client:
        inputs = [tensor("draft", "BYTES", DRAFT), tensor("entity", "BYTES", "17")]
        reply = client.post(INFER, json={"inputs": inputs}).json()
        older = publish(var, level=4.0, as_of=UNTIL + timedelta(hours=1))
        past = f"/v2/models/likes/versions/{older.id}/infer"
        facts = logged(client)
        assert client.post(past, json={"inputs": inputs}).status_code == 200
        served = client.app.state.service.metrics.event("predictions")
    assert served in (1, 2)  # the second version may be in force by then
    [fact] = [one for one in facts if reply["parameters"]["predictions"] in one["entity"]]
    assert fact["entity"] == f"prediction:{reply['parameters']['predictions']}"
    extra = fact["extra"] if isinstance(fact["extra"], dict) else json.loads(fact["extra"])
    assert (extra["of"], extra["release"]) == ("post:17", release.id)


def test_an_entity_gets_the_answer_of_its_arm(var: Path) -> None:
    publish(var)
    arms = [
        {"name": "old", "share": 0.5, "weights": {"historical": 1.0}},
        {"name": "new", "share": 0.5, "weights": {"learned": 1.0}},
    ]
    stated = {"name": "t", "arms": arms, "by": "ann", "reason": "why", "until": FUTURE}
    with TestClient(create_app(Settings(var=str(var), poll_seconds=0.05)), base_url=HERE) as client:
        assert client.post("/v1/experiments", json=stated).status_code in (200, 201)
        names = [f"post:{i}" for i in range(20)]
        drafts = [{"breed": "pug", "entity": name} for name in names]
        ours = client.post("/v1/predictions/likes", json={"drafts": drafts}).json()["predictions"]
        inputs = [tensor("draft", "BYTES", *drafts)]
        reply = client.post(INFER, json={"inputs": inputs}).json()
    assert reply["parameters"]["arms"].split(",") == [one["experiment"]["arm"] for one in ours]
    means = next(one["data"] for one in reply["outputs"] if one["name"] == "mean")
    assert means == [one["mean"] for one in ours]
    assert len(set(means)) == 2


def test_a_batch(client: Client) -> None:
    many = infer(client, tensor("text_length", "INT64", *range(100)))
    assert many["quantiles"].shape == (100, 5)
    assert (np.diff(many["quantiles"], axis=1) >= 0).all()


def test_only_what_is_wanted(client: Client) -> None:
    found = infer(client, tensor("breed", "BYTES", "pug"), outputs=[{"name": "mean"}])
    assert list(found) == ["mean"]


def test_the_request_is_named_and_the_model_tells_its_version(client: Client) -> None:
    body = {"id": "17", "inputs": [tensor("breed", "BYTES", "pug")]}
    reply = client.post(INFER, json=body).json()
    release = client.app.state.service.serving.current.answerer.release
    assert reply["id"] == "17"
    assert reply["model_name"] == "likes"
    assert reply["model_version"] == release.id
    name = reply["parameters"].pop("predictions")
    assert name.endswith("-" + name.partition("-")[2])
    assert reply["parameters"] == {"simulated": True, "as_of": UNTIL.isoformat()}


def test_metadata(client: Client) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    about = client.get("/v2/models/likes").json()
    version = about["versions"][0]
    assert client.get(f"/v2/models/likes/versions/{version}").json() == about
    assert about["inputs"][0] == {"name": "draft", "datatype": "BYTES", "shape": [-1]}
    for path in ("/v2/models/likes/ready", f"/v2/models/likes/versions/{version}/ready"):
        assert client.get(path).json() == {"name": "likes", "ready": True}
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}


def test_an_older_version_still_answers(tmp_path: Path) -> None:
    old = publish(tmp_path, level=2.0)
    new = publish(tmp_path, level=5.0, as_of=UNTIL.replace(day=2))
    body = {"inputs": [tensor("breed", "BYTES", "pug")], "outputs": [{"name": "median"}]}
    with client_of(tmp_path) as client:
        assert client.get("/v2/models/likes").json()["versions"] == [new.id, old.id]
        medians = {
            version: client.post(f"/v2/models/likes/versions/{version}/infer", json=body).json()
            for version in (old.id, new.id)
        }
        now = client.post(INFER, json=body).json()
    assert now["outputs"] == medians[new.id]["outputs"]
    assert medians[old.id]["outputs"][0]["data"][0] < now["outputs"][0]["data"][0]


def test_without_models_the_default_answers_and_says_so(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        reply = client.post(INFER, json={"inputs": [tensor("breed", "BYTES", "pug")]}).json()
    assert reply["model_version"] == "default"
    assert "no release" in reply["parameters"]["degraded"]


def binary(header: dict[str, Any], *raw: bytes) -> tuple[bytes, dict[str, str]]:
    text = json.dumps(header).encode()
    return b"".join([text, *raw]), {"inference-header-content-length": str(len(text))}


def raw_tensor(name: str, kind: str, count: int, raw: bytes) -> dict[str, Any]:
    size = {"binary_data_size": len(raw)}
    return {"name": name, "shape": [count], "datatype": kind, "parameters": size}


def test_binary_tensors(client: Client) -> None:
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"pug", b"beagle"))
    lengths, photo = struct.pack("<2f", 80, float("nan")), b"\x01\x00"
    inputs = [
        raw_tensor("breed", "BYTES", 2, texts),
        raw_tensor("text_length", "FP32", 2, lengths),
        raw_tensor("has_photo", "BOOL", 2, photo),
    ]
    wanted = [{"name": "median", "parameters": {"binary_data": False}}, {"name": "quantiles"}]
    header = {"inputs": inputs, "outputs": wanted, "parameters": {"binary_data_output": True}}
    body, headers = binary(header, texts, lengths, photo)
    reply = client.post(INFER, content=body, headers=headers)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("application/octet-stream")
    size = int(reply.headers["inference-header-content-length"])
    median, quantiles = json.loads(reply.content[:size])["outputs"]
    values = np.frombuffer(reply.content[size:], "<f8").reshape(quantiles["shape"])
    assert quantiles["parameters"]["binary_data_size"] == values.nbytes
    same = infer(
        client,
        tensor("breed", "BYTES", "pug", "beagle"),
        tensor("text_length", "FP64", 80, None),
        tensor("has_photo", "BOOL", True, False),
    )
    assert values.tolist() == same["quantiles"].tolist()
    assert median["data"] == same["median"].tolist()


WRONG: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no inputs": {"inputs": []},
    "unknown input": {"inputs": [tensor("bred", "BYTES", "pug")]},
    "twice": {"inputs": [tensor("breed", "BYTES", "pug")] * 2},
    "unknown datatype": {"inputs": [tensor("text_length", "INT7", 3)]},
    "another datatype": {"inputs": [tensor("breed", "FP64", 3)]},
    "value without meaning": {"inputs": [tensor("text_length", "FP64", "many")]},
    "lengths": {"inputs": [tensor("breed", "BYTES", "a"), tensor("text_length", "FP64", 1, 2)]},
    "shape": {"inputs": [{**tensor("breed", "BYTES", "a"), "shape": [2]}]},
    "wide": {"inputs": [{**tensor("text_length", "FP64", 1, 2, 3, 4), "shape": [2, 2]}]},
    "no elements": {"inputs": [tensor("breed", "BYTES")]},
    "huge shape": {"inputs": [{**tensor("breed", "BYTES", "a"), "shape": [1_000_000] * 8}]},
    "no data": {"inputs": [{"name": "breed", "shape": [1], "datatype": "BYTES"}]},
    "no draft": {"inputs": [tensor("draft", "BYTES", "[1]")]},
    "broken draft": {"inputs": [tensor("draft", "BYTES", "{")]},
    "unknown output": {"inputs": [tensor("breed", "BYTES", "a")], "outputs": [{"name": "mode"}]},
    "quantiles": {"inputs": [tensor("breed", "BYTES", "a")], "parameters": {"quantiles": "0,1"}},
    "thresholds": {"inputs": [tensor("breed", "BYTES", "a")], "parameters": {"thresholds": "x"}},
    "too many": {"inputs": [tensor("text_length", "INT8", *[1] * 1001)]},
    "size without bytes": {"inputs": [raw_tensor("breed", "BYTES", 1, b"12345")]},
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_have_the_form_of_the_protocol(client: Client, name: str) -> None:
    reply = client.post(INFER, json=WRONG[name])
    assert reply.status_code == 400, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert list(reply.json()) == ["error"]
    assert len(reply.json()["error"]) > 10


def test_other_errors_too(client: Client) -> None:
    for method, path, status in (
        ("GET", "/v2/models/dislikes", 404),
        ("POST", "/v2/models/dislikes/infer", 404),
        ("GET", "/v2/models/likes/versions/0000/ready", 404),
        ("POST", "/v2/models/likes/versions/..%2f..%2fx/infer", 404),
        ("GET", "/v2/nothing", 404),
        ("PUT", INFER, 405),
        ("POST", INFER, 400),
    ):
        body = {"inputs": [tensor("breed", "BYTES", "a")]} if status == 404 else None
        reply = client.request(method, path, json=body if method == "POST" else None)
        assert reply.status_code == status, (path, reply.text)
        assert list(reply.json()) == ["error"]
    huge = client.post(INFER, content=b"x" * 5_000_000)
    assert (huge.status_code, list(huge.json())) == (413, ["error"])
    packed = client.post(INFER, content=b"x", headers={"content-encoding": "gzip"})
    assert (packed.status_code, list(packed.json())) == (415, ["error"])


@pytest.mark.parametrize("length", ["0", "-1", "99999999999999", "x", "7", "١"])
def test_a_wrong_length_of_the_header(client: Client, length: str) -> None:
    headers = {b"inference-header-content-length": length.encode()}
    reply = client.post(INFER, content=b'{"inputs": []}', headers=headers)
    assert reply.status_code == 400
    assert list(reply.json()) == ["error"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    var = tmp_path_factory.mktemp("inference")
    publish(var)
    with serving(Settings(var=str(var), port=0)) as found:
        yield found.removeprefix("http://")


@pytest.mark.slowish
@pytest.mark.parametrize("is_binary", [False, True], ids=["json", "binary"])
def test_a_client_of_others(address: str, is_binary: bool) -> None:
    triton = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("likes")
        about = client.get_model_metadata("likes")
        assert client.is_model_ready("likes", about["versions"][0])
        assert client.get_server_metadata()["name"] == "possible-worlds"
        breeds = triton.InferInput("breed", [3], "BYTES")
        breeds.set_data_from_numpy(np.array(["pug", "beagle", ""], object), is_binary)
        lengths = triton.InferInput("text_length", [3], "FP32")
        lengths.set_data_from_numpy(np.array([10, 80, 300], np.float32), is_binary)
        outputs = [
            triton.InferRequestedOutput(name, binary_data=is_binary)
            for name in ("median", "quantiles")
        ]
        found = client.infer("likes", [breeds, lengths], outputs=outputs, request_id="9")
        assert found.get_response()["id"] == "9"
        quantiles = found.as_numpy("quantiles")
        assert quantiles.shape == (3, 5)
        assert (quantiles[:, 2] == found.as_numpy("median")).all()
        everything = client.infer("likes", [breeds, lengths], model_version=about["versions"][0])
        assert everything.as_numpy("quantiles").tolist() == quantiles.tolist()
        with pytest.raises(triton.InferenceServerException, match="there is no model"):
            client.infer("dislikes", [breeds])
