"""``worlds models override``, ``overrides``, ``lift``: with a server and without."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from api.cli.overrides import running
from api.cli.run import serving
from api.processes.status import FILE, SILENT, Status
from api.settings import Settings
from tests.api.building import publish
from tests.api.conftest import client_of
from tests.api.test_cli import run
from worlds.domain import load_domain

FUTURE = "2036-01-01T00:00:00Z"
WHY = ("--why", "counts twice too high", "--until", FUTURE, "--who", "ann")
LEARNED = "likes_per_pupdate/learned"


def models(*arguments: str) -> Any:
    return json.loads(run("models", *arguments, "--json").stdout)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    publish(Path("var"))


def told(history: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (one["what"], one["value"], one["by"], one["reason"], sorted(one["detail"]))
        for one in history
    ]


def test_without_a_server_the_same_facts_are_kept_as_over_http() -> None:
    made = models("override", LEARNED, "--ban", *WHY)
    assert (made["action"], made["by"], made["reason"]) == ("ban", "ann", WHY[1])
    assert [one["id"] for one in models("overrides")["overrides"]] == [made["id"]]
    body = {"action": "ban", "by": "ann", "reason": WHY[1], "until": FUTURE}
    with client_of(Path("var")) as client:
        found = client.get("/v1/overrides").json()["overrides"]
        assert [one["id"] for one in found] == [made["id"]]
        weights = client.get("/v1/models/likes_per_pupdate.learned/history").json()
        assert weights["weight"] == 0
        over_http = client.post("/v1/models/likes_per_pupdate.historical/override", json=body)
        assert over_http.status_code == 200
        theirs = client.get("/v1/models/likes_per_pupdate.historical/history").json()["history"]
        assert told(theirs) == told(weights["history"])
        audits = client.get("/v1/facts", params={"attribute": "audit.action"}).json()["facts"]
        assert len(audits) == 2
    lifted = models("lift", made["id"], "--why", "mended", "--who", "bob")
    assert lifted["id"] == made["id"]
    assert made["id"] not in [one["id"] for one in models("overrides")["overrides"]]


def test_a_running_server_is_asked_and_obeys_within_a_second() -> None:
    with serving(Settings(port=0, poll_seconds=0.05)) as address:
        there = ("--server", address)
        made = models("override", LEARNED, "--range", "0.1", "0.2", *WHY, *there)
        assert (made["action"], made["low"], made["high"]) == ("weight", 0.1, 0.2)
        text = run("models", "overrides", *there).output
        assert f"{LEARNED}: weight 0.1 to 0.2 until" in text
        assert "by ann: counts twice too high" in text
        ended = run("models", "lift", made["id"], "--why", "mended", *there).output
        assert ended.startswith(f"Ended: {made['id']}")
        assert run("models", "overrides", *there).output == "Nothing is overridden.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("override", LEARNED, *WHY), "say one of"),
        (("override", LEARNED, "--pin", "--range", "0", "1", *WHY), "say one of"),
        (("override", "nonsense", "--pin", *WHY), "nonsense"),
        (("override", "learned", "--pin", *WHY), "several models"),
        (("override", LEARNED, "--range", "0.5", "0.2", *WHY), "0.5 to 0.2"),
        (("override", LEARNED, "--range", "0", "7", *WHY), "high"),
        (("override", LEARNED, "--ban", "--why", "x", "--until", "2001-01-01T00:00:00Z"), "future"),
        (("override", LEARNED, "--ban", "--why", "x", "--until", "soon"), "until"),
        (("override", LEARNED, "--ban", "--why", "", "--until", FUTURE), "reason"),
        (("override", LEARNED, "--reinstate", *WHY), "is live"),
        (("lift", "none", "--why", "x"), "'none'"),
        (("overrides", "--server", "http://127.0.0.1:1"), "does not answer"),
        (("overrides", "--server", "nonsense"), "does not answer"),
    ],
)
def test_what_has_no_meaning_is_refused_in_words(arguments: tuple[str, ...], says: str) -> None:
    result = run("models", *arguments, code=1)
    assert says in result.output
    assert "Traceback" not in result.output
    assert models("overrides")["overrides"] == []


def test_the_server_is_found_by_its_file_while_it_says_that_it_lives() -> None:
    domain, chosen = load_domain("sniffable"), Settings()
    assert running(chosen, domain) is None
    path = Path("var/sniffable") / FILE
    Status(1, "http://127.0.0.1:7", time.monotonic(), ()).write(path)
    assert running(chosen, domain) == "http://127.0.0.1:7"
    Status(1, "http://127.0.0.1:7", time.monotonic() - 2 * SILENT, ()).write(path)
    assert running(chosen, domain) is None
