import json
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from api.cli import COMMANDS, worlds
from api.cli.predict import parse_draft
from facts import Store, parse_event
from tests.api.building import UNTIL, event, publish
from worlds.domain import load_domain

TABLE = "post_id,at,likes\n1,2026-01-01T00:00:00Z,3\n2,2026-01-02T00:00:00Z,x\n"
MAPPING = """
source = "test"
[entity]
prefix = "post:"
column = "post_id"
[[events]]
name = "counts"
valid_from = { column = "at" }
[events.attributes]
likes = { column = "likes", type = "int" }
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(worlds, list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def commands() -> list[list[str]]:
    def inside(names: list[str], command: click.Command) -> list[list[str]]:
        if not isinstance(command, click.Group):
            return [names]
        return [
            found
            for name in command.commands
            for found in inside([*names, name], command.commands[name])
        ]

    context = click.Context(worlds)
    found = []
    for name in COMMANDS:
        command = worlds.get_command(context, name)
        assert command is not None
        found += inside([name], command)
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_help_shows_an_example(command: list[str]) -> None:
    text = run(*command, "--help").output
    assert "Example" in text
    assert f"worlds {' '.join(command)}" in text


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_speaks_json(command: list[str]) -> None:
    assert "--json" in run(*command, "--help").output


def test_every_setting_is_in_the_help() -> None:
    from api.settings import MEANINGS

    text = run("serve", "--help").output
    assert all(name in text for name in MEANINGS)


def test_asking_without_a_release_is_degraded() -> None:
    found = run_json("ask", "pupdates_next_hour")
    assert found["degraded"] == "no release has been published yet"
    assert "Degraded" in run("ask", "pupdates_next_hour").output


@pytest.mark.slowish
def test_asking_from_the_files() -> None:
    release = publish(Path("var"))
    found = run_json(
        *shlex.split("ask likes_next_hour --threshold 100 --level 0.9 --do pupdates=x2"),
        *shlex.split("--given likes_per_pupdate=learned --where breed=pug"),
    )
    assert found["release"] == release.id
    assert len(found["worlds"]) == 2
    assert found["exceedance"]["comparison"] == "> 100"
    assert run_json("ask")["question"] == "likes_next_hour"
    assert run_json("ask", "--as-of", UNTIL.isoformat())["release"] == release.id


def test_an_answer_for_people() -> None:
    publish(Path("var"))
    text = run("ask", "--threshold", "100").output
    for part in ("Possible worlds", "P(> 100)", "95% interval", "In 90 of 100", "simulated"):
        assert part in text
    assert text.count("learned") >= 3


@pytest.mark.slowish
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ask nobody", "unknown question 'nobody'; known: facts_count"),
        ("ask --threshold abc", "not a comparison"),
        ("ask --given pupdates", "KEY=VALUE"),
        ("ask --do pupdates=many", "not a number"),
        ("ask --do dogs=3", "unknown quantity 'dogs'"),
        ("ask --as-of 2999-01-01T00:00:00Z", "lies in the future"),
        ("ask --as-of 2001-01-01T00:00:00Z", "nothing had been learned"),
        ("ask --as-of yesterday", "not a time"),
        ("ask --domain nowhere", "unknown domain 'nowhere'"),
        ("ask --domain nowhere.py", "no domain file"),
        ("predict text_length=long", "draft.text_length: expected a number"),
        ("predict breed=pug:0.5", "sum to 1"),
        ("predict '{\"text_length\": NaN}'", "NaN is not a number"),
        ("predict '{'", "not a JSON object"),
        ("serve --host 0.0.0.0", "reachable from other machines"),
        ("serve --port 99999", "port"),
        ("import nothing.csv --mapping dogposts", "no table"),
        ("import nothing.csv", "ships no mapping"),
        ("facts list", "import or record something first"),
        ("run --data nothing.csv", "no table"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(line: str, message: str) -> None:
    result = run(*shlex.split(line), code=1)
    assert message in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.output


def test_predicting_from_pairs_and_json() -> None:
    publish(Path("var"))
    pairs = run_json(*shlex.split("predict breed=pug:0.7,other:0.3 text_length=80 --threshold 10"))
    given = run_json("predict", '{"breed": {"pug": 0.7, "other": 0.3}, "text_length": 80}')
    assert pairs["intervals"] == given["intervals"]
    assert pairs["exceedance"][0]["prob"] > 0
    assert run_json("predict", "colour=red")["ignored"] == ["colour"]
    assert "median" in run("predict", "--worlds", "breed=hovawart").output


def test_pairs_are_read_as_the_domain_declares() -> None:
    fields = load_domain("sniffable").draft
    texts = shlex.split("breed=pug has_photo=yes hashtags=a,b text_length=8 place=52.4,4.9,500 x=1")
    assert parse_draft(texts, fields) == {
        "breed": "pug",
        "has_photo": True,
        "hashtags": ["a", "b"],
        "text_length": 8.0,
        "place": {"lat": 52.4, "lon": 4.9, "radius95_m": 500.0},
        "x": "1",
    }


def test_models_for_people_and_programs() -> None:
    release = publish(Path("var"))
    assert run_json("models")["release"] == release.id
    assert "historical" in run("models").output


@pytest.mark.slowish
def test_importing_and_looking(home: Path) -> None:
    (home / "t.csv").write_text(TABLE)
    (home / "map.toml").write_text(MAPPING)
    found = run_json("import", "t.csv", "--mapping", "map.toml")
    assert (found["rows"], found["accepted"], found["quarantined"]) == (2, 1, 1)
    assert "2 known already" in run("import", "t.csv", "--mapping", "map.toml").output
    rows = run_json("facts", "list", "--attribute", "likes")["facts"]
    assert [(row["entity"], row["value"]["value"]) for row in rows] == [("post:1", 3)]
    assert "post:1" in run("facts", "show", "post:1").output
    assert "likes" in run("facts", "quarantine", "list").output
    assert "no fact is known about 'post:9'" in run("facts", "show", "post:9", code=1).stderr
    run("facts", "list", "--as-of", "2001-01-01T00:00:00Z", code=1)


def test_what_was_kept_aside_is_released(home: Path) -> None:
    with Store.open(home / "var" / "sniffable" / "facts.duckdb") as store:
        for name in ("1", "2", "3"):
            store.quarantine(json.dumps(event(name)).encode(), "strange", "app", name)
    (home / "event.json").write_text(json.dumps(event("2b", attributes={"likes": 5})))
    rows = run_json("facts", "quarantine", "list")["quarantined"]
    first, second, third = [str(row["seq"]) for row in rows]
    assert run_json("facts", "quarantine", "release", first)["receipts"][0]["status"] == "accepted"
    assert "2b" in run("facts", "quarantine", "release", second, "--event", "event.json").output
    assert "dismissed" in run("facts", "quarantine", "release", third, "--dismiss").output
    assert "not in quarantine" in run("facts", "quarantine", "release", third, code=1).stderr
    assert "Nothing" in run("facts", "quarantine", "list").output
    assert len(run_json("facts", "list")["facts"]) == 2


def test_a_fact_file_in_use_says_what_to_do(home: Path) -> None:
    with Store.open(home / "var" / "sniffable" / "facts.duckdb") as store:
        store.record([parse_event(event())])
        text = run("facts", "list", code=1).stderr
    assert "/v1/facts" in text
    assert "POST /v1/learn" in text


def test_settings_in_the_directory_and_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "worlds.toml").write_text('domain = "dogposts"\n')
    assert run_json("predict")["quantity"] == "likes_per_post"
    monkeypatch.setenv("WORLDS_DOMAIN", "sniffable")
    assert run_json("predict")["quantity"] == "likes_per_pupdate"
    monkeypatch.setenv("WORLDS_NONSENSE", "1")
    assert "unknown settings" in run("predict", code=1).stderr


def test_a_domain_in_a_file(home: Path) -> None:
    (home / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from worlds.domains.sniffable import DOMAIN as base\n"
        "DOMAIN = replace(base, name='mine')\n"
    )
    assert run_json("predict", "--domain", "mine.py")["quantity"] == "likes_per_pupdate"
