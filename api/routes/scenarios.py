"""Stored scenarios: listed, read, written under a name, removed."""

from typing import Any

import msgspec
from litestar import Request, delete, get, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from api.routes.replies import json_reply, read
from api.scenarios import remove, save, store_of
from api.schemas import ScenarioRequest
from api.service import Service
from worlds.scenarios import Scenario

_decoder = msgspec.json.Decoder(ScenarioRequest)


def handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers."""
    store = store_of(service.settings.root(service.domain.name))
    run = service.desk.run

    @get("/v1/scenarios", name="scenarios")
    async def scenarios() -> ASGIResponse:
        found = await run(store.list)
        return json_reply({"scenarios": [each.to_json() for each in found]})

    @get("/v1/scenarios/{scenario:str}", name="scenario")
    async def scenario_by_name(scenario: FromPath[str]) -> ASGIResponse:
        found = await run(lambda: store.find(scenario))
        return json_reply(found.to_json())

    @put("/v1/scenarios/{scenario:str}", name="save_scenario")
    async def save_scenario(
        request: Request[Any, Any, Any], scenario: FromPath[str]
    ) -> ASGIResponse:
        wanted = await read(request, _decoder)
        written = Scenario(scenario, wanted.given, wanted.do, wanted.where, wanted.text)
        found = await run(lambda: save(store, service.domain, written))
        return json_reply(found.to_json())

    @delete("/v1/scenarios/{scenario:str}", name="remove_scenario", status_code=200)
    async def remove_scenario(scenario: FromPath[str]) -> ASGIResponse:
        found = await run(lambda: remove(store, scenario))
        return json_reply(found.to_json())

    return [scenarios, scenario_by_name, save_scenario, remove_scenario]
