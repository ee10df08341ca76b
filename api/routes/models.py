"""Models: what is in force, where it comes from, what it was weighed on; and learning anew."""

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from api.describe import describe
from api.processes.place import BY_RECORDER
from api.routes.health import age, staleness
from api.routes.replies import json_bytes, json_reply
from api.service import Service


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""

    @get("/v1/models", name="models")
    async def models() -> ASGIResponse:
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
        return json_bytes(known[:-1] + b',"learning":' + msgspec.json.encode(said) + b"}")

    @get("/v1/learn", name="learning", opt=BY_RECORDER)
    async def learning() -> ASGIResponse:
        return json_reply(service.learning.last)

    @post("/v1/learn", name="learn", status_code=202, opt=BY_RECORDER)
    async def learn() -> ASGIResponse:
        service.facts.store  # noqa: B018 - answers 503 with the reason if it is down
        return json_reply(service.learning.start(), 202)

    return [models, learning, learn]
