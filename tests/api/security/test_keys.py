import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.cli import worlds
from api.errors import KeysError
from api.security import keys
from api.security.keys import By, Limits, digest, read

NOW = datetime(2026, 11, 2, tzinfo=UTC)
BY = By("ada", "a test", NOW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def run(path: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(worlds, ["keys", *arguments, "--keys", str(path)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_the_file_holds_no_token(path: Path) -> None:
    key, token = keys.create(path, "planner", ("query",), BY, limits=Limits(rate=5))
    text = path.read_text()
    assert token not in text
    assert token.split("_", 2)[2] not in text
    assert key.sha256 == digest(token).hex()
    assert len(token.split("_", 2)[2]) == 43  # 256 bits
    assert read(path).find("planner") == key
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_done_is_kept(path: Path) -> None:
    key, _ = keys.create(path, "planner", ("query",), BY)
    keys.revoke(path, key.id, By("bob", "lost", NOW))
    found = read(path)
    assert [(c.action, c.who, c.why) for c in found.changes] == [
        ("create", "ada", "a test"),
        ("revoke", "bob", "lost"),
    ]
    assert not found.keys[0].usable(NOW)


def test_rotation_overlaps(path: Path) -> None:
    keys.create(path, "app", ("predict",), BY, limits=Limits(rate=5))
    old, new, token = keys.rotate(path, "app", timedelta(hours=1), BY)
    assert (new.scopes, new.limits) == (old.scopes, old.limits)
    assert digest(token).hex() == new.sha256 != old.sha256
    assert old.usable(NOW + timedelta(minutes=59))
    assert not old.usable(NOW + timedelta(minutes=61))
    assert new.usable(NOW + timedelta(days=9))


def test_what_ended_is_not_rotated(path: Path) -> None:
    key, _ = keys.create(path, "app", ("predict",), BY)
    keys.revoke(path, key.id, BY)
    with pytest.raises(KeysError, match="not in use any more"):
        keys.rotate(path, key.id, timedelta(hours=1), BY)
    assert len(read(path).changes) == 2


@pytest.mark.parametrize(
    ("content", "wrong"),
    [("", "cannot be understood"), ("{}x", "cannot be understood"), ('{"format": 9}', "format 9"),
     ('{"keys": [{"id": "1"}]}', "cannot be understood"), ("\xff", "cannot be understood")],
)  # fmt: skip
def test_a_broken_file_is_refused(path: Path, content: str, wrong: str) -> None:
    path.write_bytes(content.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(KeysError, match=wrong):
        read(path)
    with pytest.raises(KeysError, match=wrong):
        keys.create(path, "app", ("predict",), BY)
    assert path.read_bytes() == content.encode("latin-1")


def test_a_file_that_others_may_write_is_refused(path: Path) -> None:
    keys.create(path, "app", ("predict",), BY)
    path.chmod(0o620)
    with pytest.raises(KeysError, match="chmod"):
        read(path)


@pytest.mark.parametrize("scopes", [(), ("root",), ("query", "Query")])
def test_scopes_are_known_ones(path: Path, scopes: tuple[str, ...]) -> None:
    with pytest.raises(KeysError, match="facts:write, predict, query, operate, admin"):
        keys.create(path, "app", scopes, BY)
    assert not path.exists()


@pytest.mark.parametrize("name", ["", "a" * 101, "a\nb"])
def test_names_are_short_and_printable(path: Path, name: str) -> None:
    with pytest.raises(KeysError, match="printable"):
        keys.create(path, name, ("query",), BY)


def test_several_may_write_at_once(path: Path) -> None:
    threads = [
        threading.Thread(target=keys.create, args=(path, f"app {i}", ("query",), BY))
        for i in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key.id for key in read(path).keys}) == 20


def test_the_command_line(path: Path) -> None:
    made = run(path, "create", "app", "--scope", "predict", "--scope", "query", "--rate", "5")
    assert made.stdout.startswith("worlds_")
    token = made.stdout.strip()
    listed = run(path, "list")
    assert token not in listed.output
    assert "live" in listed.output
    turned: dict[str, Any] = json.loads(run(path, "rotate", "app", "--json").stdout)
    assert turned["scopes"] == ["predict", "query"]
    assert turned["limits"] == {"rate": 5}
    run(path, "revoke", turned["instead_of"], "--reason", "over")
    states = [key["state"] for key in json.loads(run(path, "list", "--json").stdout)["keys"]]
    assert states == ["revoked", "live"]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["create", "a", "--scope", "x"], "unknown scopes: x"),
        (["create", "a", "--scope", "query", "--rate", "0"], "above 0"),
        (["revoke", "nobody"], "no file of keys"),
        (["list"], "worlds keys create"),
        (["rotate", "a", "--overlap", "soon"], "no time span"),
    ],
)
def test_mistakes_are_told_in_a_line(path: Path, arguments: list[str], wrong: str) -> None:
    result = run(path, *arguments, code=2 if "soon" in arguments else 1)
    assert wrong in result.output
    assert "Traceback" not in result.output


def test_without_a_file_it_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLDS_KEYS", raising=False)
    result = CliRunner().invoke(worlds, ["keys", "list"])
    assert result.exit_code == 1
    assert "--keys FILE" in result.output
