"""``worlds models``: releases are listed, compared and switched; a running server follows."""

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api.building import UNTIL, damage, publish
from tests.api.conftest import client_of
from tests.api.test_cli import run

WHY = ("--reason", "counts too high", "--by", "ann")


def models(*arguments: str) -> Any:
    return json.loads(run("models", *arguments, "--json").stdout)


@pytest.fixture(autouse=True)
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.chdir(tmp_path)
    first = publish(Path("var"), level=3.0, as_of=UNTIL)
    second = publish(Path("var"), level=4.0, as_of=UNTIL + timedelta(hours=1))
    return first.id, second.id


def test_releases_are_listed_with_who_and_why(two: tuple[str, str]) -> None:
    assert models("list")["current"] == two[1]
    made = models("rollback", *WHY)
    assert made["change"]["release"] == two[0]
    found = models("list")
    assert found["current"] == made["release"]
    line = found["releases"][0]
    assert (line["in_force"], line["change"]["by"]) == (True, "ann")
    text = run("models", "list").output
    assert f"rollbackof{two[0]}byann" in "".join(text.split())
    assert "rollback by ann" in run("models").output
    assert models()["change"]["reason"] == "counts too high"


def test_show_and_diff(two: tuple[str, str]) -> None:
    shown = models("show", two[0][:6])
    assert shown["id"] == two[0]
    name = shown["models"]["likes_per_pupdate"]["learned"]
    assert models("show", name)["releases"] == [two[0]]
    assert "Checks" in run("models", "show", name).output
    found = models("diff", two[0], "current")
    line = found["quantities"]["likes_per_pupdate"]["learned"]
    assert line["parameters"][0]["name"] == "intercept"
    assert line["forecast"][0]["mean"] < line["forecast"][1]["mean"]
    assert "intercept" in run("models", "diff", two[0]).output


def test_pin_and_unpin() -> None:
    assert models("pin", "pupdates/learned", *WHY)["pinned"] == "pupdates/learned"
    assert "Pinned: pupdates/learned" in run("models", "list").output
    assert models("unpin", "all")["unpinned"] == ["pupdates/learned"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("promote", "nothing", *WHY), "names nothing"),
        (("promote", "../../etc", *WHY), "names nothing"),
        (("promote", "current", *WHY), "in force already"),
        (("rollback", "--reason", " "), "--reason is empty"),
        (("pin", "likes/x", *WHY), "pin 'release' or one of"),
        (("unpin", "release"), "pinned: nothing"),
        (("diff", "abcd"), "names nothing"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    output = run("models", *arguments, code=1).output
    assert said in output
    assert "Traceback" not in output


def test_a_damaged_release_is_not_put_into_force(two: tuple[str, str]) -> None:
    damage(Path("var"), models("show", two[0])["models"]["pupdates"]["learned"])
    assert "cannot be read" in run("models", "rollback", *WHY, code=1).output
    assert models("list")["current"] == two[1]


def test_a_running_server_follows_without_a_restart(two: tuple[str, str]) -> None:
    with client_of(Path("var")) as client:
        before = client.get("/v1/models").json()
        assert before["release"] == two[1]
        assert before["learning"]["learn_every"] == 0
        made = models("rollback", *WHY)
        deadline = time.monotonic() + 20
        while client.get("/v1/models").json()["release"] != made["release"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        found = client.post("/v1/predictions/likes", json={"draft": {}}).json()
        assert found["release"] == made["release"]
        assert client.get("/v1/models").json()["change"]["by"] == "ann"
        ready = client.get("/health/ready").json()
        assert ready["predictions"]["age_seconds"] > 0
        assert ready["learning_stale"] is None


def test_a_disk_that_takes_nothing_changes_nothing(
    two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("worlds.publish.files.sync", full)
    for words in (("rollback", *WHY), ("pin", "release", *WHY)):
        said = run("models", *words, code=1).output
        assert "No space left" in said
        assert "nothing was changed" in said
    assert models("list")["current"] == two[1]
    assert models("list")["pins"] == {}
    assert not list(Path("var").rglob(".new-*"))
