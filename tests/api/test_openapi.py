import re
from typing import Any

import pytest

from tests.api.conftest import Client
from worlds.domain import load_domain, shipped

METHODS = ("get", "post", "put", "patch", "delete")
UNLISTED = {"/schema/openapi.json", "/static/rapidoc-min.js"}


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    reply = client.get("/schema/openapi.json")
    assert reply.headers["content-type"] == "application/vnd.oai.openapi+json"
    found: dict[str, Any] = reply.json()
    return found


def test_the_document_has_exactly_the_routes_there_are(
    client: Client, document: dict[str, Any]
) -> None:
    served = {
        (re.sub(r":\w+}", "}", route.path), method.lower())
        for route in client.app.routes
        for method in getattr(route, "methods", None) or ["POST"]  # the hot path takes POST only
        if method != "OPTIONS" and route.path not in UNLISTED
    }
    listed = {
        (path, method)
        for path, operations in document["paths"].items()
        for method in operations
        if method in METHODS
    }
    assert listed == served


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert names <= set(document["components"]["schemas"])


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert any(status.startswith("2") for status in operation["responses"])
            for status, reply in operation["responses"].items():
                assert reply["description"]
                if not status.startswith(("2", "304")):
                    problem = "json" if path.startswith("/v2") else "problem+json"
                    assert list(reply["content"]) == [f"application/{problem}"]


def test_the_examples_work(client: Client, document: dict[str, Any]) -> None:
    tried = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            for kind, media in content.items():
                if kind == "application/json" and path == "/v1/facts":
                    continue  # binary mode needs its headers
                if path.endswith(("/promote", "/rollback")):
                    continue  # there is nothing before the only release
                if path == "/v1/erasures":
                    continue  # there is nothing of that entity; it has tests of its own
                release = client.app.state.service.serving.current.answerer.release.id
                url = path.format(
                    question="likes_next_hour",
                    scenario="growth",
                    model="likes",
                    version=release,
                    name="likes_per_pupdate.historical",
                )
                examples = [media["example"]] if "example" in media else []
                examples += [entry["value"] for entry in media.get("examples", {}).values()]
                for example in examples:
                    reply = client.request(
                        method, url, json=example, headers={"content-type": kind}
                    )
                    assert reply.status_code == 200, reply.text
                    tried += 1
    assert tried >= 12


@pytest.mark.parametrize("domain", [domain.name for domain in shipped()])
def test_drafts_are_described_by_the_domain(domain: str) -> None:
    from api.openapi.components import components

    found = load_domain(domain)
    draft = components(found, 10)["Draft"]["properties"]
    assert list(draft) == [field.name for field in found.draft]
    assert all(entry["examples"] and entry["description"] for entry in draft.values())


@pytest.mark.parametrize("path", ["/", "/docs", "/problems"])
def test_pages_load_nothing_from_elsewhere(client: Client, path: str) -> None:
    reply = client.get(path)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in reply.headers["content-security-policy"]
    assert not re.search(r"https?://", reply.text)
    assert not re.search(r"(src|href)=[\"']//", reply.text)
    for asset in re.findall(r"(?:src|href)=[\"'](/[^\"'#]*)", reply.text):
        assert client.get(asset).status_code == 200, asset


def test_the_documentation_page_asks_for_no_fonts(client: Client) -> None:
    assert 'load-fonts="false"' in client.get("/docs").text


def test_the_script_is_whole_and_licensed(client: Client) -> None:
    from api.routes.pages import SCRIPT, STATIC

    script = client.get(f"/static/{SCRIPT}")
    assert script.headers["content-type"].startswith("text/javascript")
    assert len(script.content) == (STATIC / SCRIPT).stat().st_size < 1_000_000
    assert "MIT" in (STATIC / f"{SCRIPT}.LICENSE.txt").read_text()


def test_the_landing_page_leads_on(client: Client) -> None:
    page = client.get("/").text
    assert 'href="/docs"' in page
    assert "likes_next_hour" in page
    assert "simulated" in page
