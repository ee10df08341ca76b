"""Worlds and draws as tables beside the facts: on the command line and in Python alike."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.cli import worlds
from facts import Categorical, Event, Exact, QueryError, Store
from tests.api.building import publish
from worlds.errors import QuestionError
from worlds.query import Worlds, open_worlds

SEEN = datetime(2026, 9, 1, tzinfo=UTC)
JOINED = """
    SELECT w.world, w.weight, avg(d.value) AS drawn, any_value(w.mean) AS mean,
           (SELECT count(*) FROM facts WHERE attribute = 'breed') AS breeds
    FROM worlds w JOIN draws d USING (world) GROUP BY ALL ORDER BY w.world
"""


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    var = tmp_path_factory.mktemp("tables") / "var"
    publish(var)
    with Store.open(var / "sniffable" / "facts.duckdb") as store:
        breeds = [Categorical(("pug", "beagle"), (share, 1 - share)) for share in (0.9, 0.2, 0.5)]
        store.record(
            [
                Event("t", str(i), f"post:{i}", {"breed": breed, "likes": Exact(10 * i)}, SEEN)
                for i, breed in enumerate(breeds)
            ]
        )
    return var


@pytest.fixture
def opened(var: Path) -> Worlds:
    return open_worlds(var / "sniffable")


def ask(var: Path, *arguments: str) -> Result:
    return CliRunner().invoke(worlds, ["ask", "likes_next_hour", "--var", str(var), *arguments])


def rows(var: Path, *arguments: str) -> list[dict[str, Any]]:
    found = ask(var, *arguments, "--json")
    assert found.exit_code == 0, found.output
    listed: list[dict[str, Any]] = json.loads(found.stdout)["rows"]
    return listed


def test_worlds_join_draws_and_facts(var: Path, opened: Worlds) -> None:
    found = rows(var, "--sql", JOINED)
    plan = opened.ask("likes_next_hour")
    assert found == plan.sql(JOINED).to_pylist()
    assert [row["weight"] for row in found] == [world.weight for world in plan.worlds()]
    assert all(row["breeds"] == 3 for row in found)
    for row, world in zip(found, plan.worlds(), strict=True):
        assert row["mean"] == pytest.approx(world.outcome.mean())
        spread = (world.outcome.var() / (10_000 * world.weight)) ** 0.5
        assert abs(row["drawn"] - row["mean"]) < 5 * spread


def test_draws_are_as_many_as_asked_and_the_same_again(var: Path) -> None:
    text = "SELECT count(*) AS n, avg(value) AS mean FROM draws"
    first, again, other = (
        rows(var, "--sql", text, "--sample", "300", "--seed", seed)[0] for seed in "778"
    )
    assert first["n"] == 300
    assert first == again
    assert first["mean"] != other["mean"]


def test_groups_and_periods_are_tables_too(var: Path, opened: Worlds) -> None:
    text = """
        SELECT g.label, g.mean, sum(f.probs[list_position(f.labels, g.label)]) AS seen
        FROM groups g JOIN facts f ON f.attribute = 'breed' AND list_contains(f.labels, g.label)
        GROUP BY ALL ORDER BY g.label
    """
    found = rows(var, "--by", "breed=pug,beagle", "--sql", text)
    assert [row["label"] for row in found] == ["beagle", "pug"]
    assert [row["seen"] for row in found] == pytest.approx([1.4, 1.6])
    plan = opened.ask("likes_next_hour").over(2)
    table = plan.sql("SELECT period, mean, low, high FROM periods ORDER BY period")
    assert table["mean"].to_pylist() == [float(row.outcome.mean()) for row in plan.periods().rows]


def test_what_cannot_be_asked_is_said(var: Path, opened: Worlds) -> None:
    for text, message in (
        ("DELETE FROM facts", "exactly one SELECT"),
        ("SELECT * FROM periods", "periods does not exist"),
        ("SELECT * FROM read_csv('x.csv')", "the query failed"),
    ):
        found = ask(var, "--sql", text)
        assert found.exit_code != 0
        assert message in found.output
    found = CliRunner().invoke(
        worlds, ["ask", "facts_count", "--var", str(var), "--sql", "SELECT 1"]
    )
    assert "worlds facts sql" in found.output
    with pytest.raises(QueryError, match="exactly one SELECT"):
        opened.ask("likes_next_hour").sql("SELECT 1; SELECT 2")
    with pytest.raises(QuestionError, match="leave out error and seconds"):
        opened.ask("facts_count", error=0.1)


def test_tables_do_not_hide_the_facts(var: Path, opened: Worlds) -> None:
    table = opened.ask("likes_next_hour").to_arrow()
    with (
        Store.open(var / "sniffable" / "facts.duckdb", create=False) as store,
        store.reader() as reader,
    ):
        for name in ("facts", "log", "no name"):
            with pytest.raises(QueryError, match="cannot be called"):
                reader.sql("SELECT 1", tables={name: table})
        assert reader.sql("SELECT count(*) AS n FROM w", tables={"w": table})["n"][0].as_py() > 1
        with pytest.raises(QueryError, match="w does not exist"):
            reader.sql("SELECT * FROM w")
