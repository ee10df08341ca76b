"""Nothing a client can send gets a 500."""

from typing import Any

import pytest

from api import problems
from api.problems import KINDS, TABLE, kind_of
from tests.api.conftest import Client

POSTS = ["/v1/predictions/likes", "/v1/questions/likes_next_hour", "/v1/facts"]
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "half": b'{"draft":',
    "list": b"[]",
    "number": b"3",
    "null": b"null",
    "nan": b'{"draft": {"text_length": NaN}}',
    "deep list": b"[" * 200_000,
    "deep object": b'{"draft":' * 3000 + b"1" + b"}" * 3000,
    "deep inside": b'{"draft": {"x": ' + b"[" * 900 + b"]" * 900 + b"}}",
    "huge integer": b'{"draft": {"text_length": 1' + b"0" * 5000 + b"}}",
    "huge key": b'{"' + b"k" * 100_000 + b'": 1}',
    "bad utf-8": b'{"draft": {"x": "\xff"}}',
    "surrogate": b'{"draft": {"hashtags": ["\\ud800"]}}',
    "encoded surrogate": b'{"draft": {"x": "\xed\xa0\x80"}}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "nul": b'{"draft": {"breed": "a\\u0000b"}}',
}


def check(reply: Any) -> None:
    assert reply.status_code < 500, reply.text
    if reply.status_code >= 400:
        assert reply.headers["content-type"] == "application/problem+json"
        content = reply.json()
        assert content["status"] == reply.status_code
        assert {"type", "title", "detail", "instance"} <= set(content)
        assert content["type"].startswith("/problems#")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("name", BODIES)
def test_no_body_is_too_strange(client: Client, path: str, name: str) -> None:
    for kind in ("application/json", "application/cloudevents+json", "", "text/plain"):
        check(client.post(path, content=BODIES[name], headers={"content-type": kind}))


@pytest.mark.parametrize("path", POSTS)
def test_large_bodies_are_refused(client: Client, path: str) -> None:
    kind = "application/cloudevents+json" if path == "/v1/facts" else "application/json"
    reply = client.post(path, content=b"x" * 10_000_000, headers={"content-type": kind})
    check(reply)
    assert reply.status_code == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "GET"])
def test_wrong_methods_name_the_right_ones(client: Client, method: str) -> None:
    reply = client.request(method, "/v1/predictions/likes")
    check(reply)
    assert reply.status_code == 405
    assert "POST" in reply.headers["allow"]


def test_options_name_the_methods(client: Client) -> None:
    for path, method in (("/v1/predictions/likes", "POST"), ("/v1/questions", "GET")):
        reply = client.options(path)
        assert reply.status_code == 204
        assert method in reply.headers["allow"]


@pytest.mark.parametrize(
    "path",
    ["/nope", "/v1", "/v1/predictions/dislikes", "/v1/questions/a/b", "/static/../app.py",
     "/static/%2e%2e/app.py", "/v1/questions/%ff", "/v1/questions/%00", "//", "/%F0%9F%90%B6"],
)  # fmt: skip
def test_unknown_paths_are_problems(client: Client, path: str) -> None:
    reply = client.get(path)
    check(reply)
    assert reply.status_code in (404, 200) if path == "//" else reply.status_code == 404


@pytest.mark.parametrize("value", ["%ff", "%00", "%ed%a0%80", "a" * 5000, "%", "+", "'"])
@pytest.mark.parametrize("name", ["threshold", "level", "given", "do", "where", "as_of", "%ff"])
def test_no_query_is_too_strange(client: Client, name: str, value: str) -> None:
    check(client.get(f"/v1/questions/pupdates_next_hour?{name}={value}"))
    check(client.get(f"/v1/facts?{name}={value}"))


def test_every_kind_of_problem_is_explained(client: Client) -> None:
    page = client.get("/problems").text
    for kind in KINDS:
        assert f'id="{kind.slug}"' in page


def test_every_error_of_the_rooms_has_an_answer() -> None:
    import facts.errors
    import worlds.errors

    for module in (facts.errors, worlds.errors):
        for error in vars(module).values():
            if isinstance(error, type) and issubclass(error, Exception):
                made = error.__new__(error)
                assert kind_of(made) is not problems.FAULT, error
    assert all(kind in KINDS for kind in TABLE.values())


def test_a_mistake_of_the_service_tells_nothing_of_its_inside(client: Client) -> None:
    class Broken(Exception):
        pass

    kind, body, _ = problems.problem(Broken("secret of the house"), "/x")
    assert kind.status == 500
    assert "secret" not in str(body)
