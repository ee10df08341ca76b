"""The Open Inference Protocol v2 (KServe, Triton) under ``/v2``, for anybody's client."""

from typing import Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from api.errors import MediaTypeError, RequestError
from api.inference import PLATFORM, Inference
from api.routes.replies import JSON, json_reply
from api.service import Service

VERSION = "1.0.0"
MODEL = "/v2/models/{model:str}"
VERSIONED = f"{MODEL}/versions/{{version:str}}"
LENGTH = "inference-header-content-length"
OCTETS = "application/octet-stream"


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""
    inference = Inference(service)

    @get("/v2", name="oip_server")
    async def server() -> ASGIResponse:
        content = {"name": PLATFORM, "version": VERSION, "extensions": ["binary_tensor_data"]}
        return json_reply(content)

    @get("/v2/health/live", name="oip_live")
    async def live() -> ASGIResponse:
        return json_reply({"live": True})

    @get("/v2/health/ready", name="oip_ready")
    async def ready() -> ASGIResponse:
        return json_reply({"ready": True})

    @get([MODEL, VERSIONED], name="oip_model")
    async def about(model: FromPath[str], version: FromPath[str | None] = None) -> ASGIResponse:
        inference.check_model(model)
        await inference.older(version)
        return json_reply(await service.desk.run(inference.metadata))

    @get([f"{MODEL}/ready", f"{VERSIONED}/ready"], name="oip_model_ready")
    async def model_ready(
        model: FromPath[str], version: FromPath[str | None] = None
    ) -> ASGIResponse:
        inference.check_model(model)
        await inference.older(version)
        return json_reply({"name": model, "ready": True})

    @post([f"{MODEL}/infer", f"{VERSIONED}/infer"], name="oip_infer", status_code=200)
    async def infer(
        request: Request[Any, Any, Any],
        model: FromPath[str],
        version: FromPath[str | None] = None,
    ) -> ASGIResponse:
        inference.check_model(model)
        if coding := request.headers.get("content-encoding"):
            raise MediaTypeError(coding[:100], "a body without content-encoding")
        header = _length(request.headers.get(LENGTH))
        body, length = await inference.infer(await request.body(), header, version)
        if length is None:
            return ASGIResponse(body=body, media_type=JSON)
        return ASGIResponse(body=body, media_type=OCTETS, headers={LENGTH: str(length)})

    return [server, live, ready, about, model_ready, infer]


def _length(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise RequestError(f"{LENGTH} must be a number of bytes; got {text[:40]!r}")
    return int(text)
