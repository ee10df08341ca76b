"""Models: what is in force, where it comes from, what it was weighed on; and learning anew."""

from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from api.describe import describe
from api.processes.place import BY_RECORDER
from api.representations import conditional
from api.routes.health import age, staleness
from api.routes.replies import json_bytes, json_reply
from api.security.audit import acted
from api.service import Service


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""

    @get("/v1/models", name="models")
    async def models(request: Request[Any, Any, Any]) -> ASGIResponse:
        served = service.serving.current
        key = (served.serial, "models")
        known = await service.desk.compute(
            key, lambda: msgspec.json.encode(describe(served.answerer, service.serving.store))
        )
        # how old they are is another answer every time
        said = {
            "age_seconds": age(service),
            "stale": staleness(service),
            "learn_every": service.settings.learn_every,
            "last_run": service.learning.last,
        }
        reply = json_bytes(known[:-1] + b',"learning":' + msgspec.json.encode(said) + b"}")
        return conditional(request, reply, known + msgspec.json.encode(said["last_run"]))

    @get("/v1/learn", name="learning", opt=BY_RECORDER)
    async def learning() -> ASGIResponse:
        return json_reply(service.learning.last)

    @post("/v1/learn", name="learn", status_code=202, opt=BY_RECORDER)
    async def learn(request: Request[Any, Any, Any]) -> ASGIResponse:
        service.facts.store  # noqa: B018 - answers 503 with the reason if it is down
        started = service.learning.start()
        await acted(service, request, "learn")
        return json_reply(started, 202)

    return [models, learning, learn]
