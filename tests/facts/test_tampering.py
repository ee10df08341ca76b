"""Rows changed behind the writer's back with a bare connection: every table, every kind of change.

Whatever was done, ``verify`` names the table or the row, and a store that cannot go on says so
instead of recording on top of it.
"""

import contextlib
import random
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from facts import Event, Exact, RollUp, Store, StoreDamaged
from facts.archive import erase, export, restore, seal, verify
from facts.layout import LOG_COLUMNS
from tests.facts.conftest import START, Clock, event


@pytest.fixture
def filled(tmp_path: Path, clock: Clock) -> Path:
    path = tmp_path / "facts.duckdb"
    breeds = {"kind": "categorical", "alternatives": {"pug": 0.4, "beagle": 0.6}}
    with Store.open(path, clock=clock) as store:
        store.declare_rollup(RollUp("hourly", "likes"))
        store.record([event(str(i), f"post:{i}", likes=i, breed=breeds) for i in range(20)])
        clock.ahead(hours=1)
        store.record([event("c", likes=9, op="correct", refers=("app", "3"))])
        store.record([event("r", op="retract", refers=("app", "4"))])
        store.quarantine(b"x", "broken")
        erase(store, "post:9", "asked to")
        seal(store, tmp_path / "archive")
        clock.ahead(hours=1)
        store.record([event("z", likes=9, extra={"why": "late"}, choice="c")])
    return path


LOG_CHANGES = [
    ("UPDATE log SET num = num + 1 WHERE seq = 7", "rows 1 to 40"),
    ("UPDATE log SET entity = 'post:0' WHERE seq = 7", "rows 1 to 40"),
    ("UPDATE log SET ekey = 17 WHERE seq = 7", "row 7 has a key"),
    ("UPDATE log SET ekey = NULL WHERE seq = 7", "row 7 has a key"),
    ("UPDATE log SET kind = NULL WHERE seq = 7", "rows 1 to 40"),
    ("UPDATE log SET seq = NULL WHERE seq = 7", "row None is there 1 times"),
    ("UPDATE log SET seq = -seq WHERE seq = 7", "row -7 is there 1 times"),
    ("UPDATE log SET tx = NULL WHERE seq = 7", "transaction 0 (rows 7 to 7)"),
    ("UPDATE log SET recorded_at = NULL WHERE seq = 7", "rows 1 to 40"),
    ("UPDATE log SET recorded_at = '2300-01-01' WHERE seq = 45", "transaction 6"),
    ("UPDATE log SET recorded_at = NULL WHERE seq = 45", "row 45"),
    ("UPDATE log SET chain = NULL WHERE seq = 45", "row 45"),
    ("UPDATE log SET chain = 'abc'::BLOB WHERE seq = 41", "transaction 2"),
    ("UPDATE log SET op = 1 WHERE seq = 42", "transaction 3"),
    ("UPDATE log SET extra = '{}' WHERE op = 5", "transaction"),
    ("UPDATE log SET extra = 'nonsense' WHERE op = 5", "transaction"),
    ("DELETE FROM log WHERE seq = 20", "transaction 1"),
    ("DELETE FROM log WHERE op = 5", "transaction"),
    ("DELETE FROM log", "is missing"),
    ("INSERT INTO log SELECT * FROM log WHERE seq = 7", "row 7 is there 2 times"),
    ("INSERT INTO log SELECT * REPLACE (NULL AS seq) FROM log WHERE seq = 7", "row None"),
    ("INSERT INTO log SELECT * REPLACE (0 AS seq) FROM log WHERE seq = 7", "row 0"),
    (
        "INSERT INTO log SELECT * REPLACE (46 AS seq, 7 AS tx, NULL AS chain) FROM log"
        " WHERE seq = 45",
        "transaction 7",
    ),
    ("INSERT INTO log SELECT * REPLACE (46 AS seq, 7 AS tx) FROM log WHERE seq = 45", "46"),
]
OTHER_CHANGES = [
    ("UPDATE shadow SET seq = seq + 1", "shadow"),
    ("UPDATE shadow SET seq = NULL", "shadow"),
    ("UPDATE shadow SET recorded_at = NULL", "shadow"),
    ("UPDATE shadow SET step = NULL", "shadow"),
    ("INSERT INTO shadow VALUES (1, '2026-03-01', 1)", "shadow"),
    ("DELETE FROM shadow", "shadow"),
    ("UPDATE rollup SET total = total + 1", "rollup"),
    ("UPDATE rollup SET name = 'other'", "rollup"),
    ("UPDATE rollup SET n = NULL", "rollup"),
    ("INSERT INTO rollup SELECT * FROM rollup", "rollup"),
    ("INSERT INTO rollup SELECT * REPLACE ('ghost' AS name) FROM rollup", "'ghost'"),
    ("DELETE FROM rollup", "rollup"),
    ("UPDATE rollups SET attribute = 'shares'", "rollups"),
    ("DELETE FROM rollups", "rollups"),
    ("INSERT INTO rollups VALUES ('x', 'likes', 'day', '')", "rollups"),
    ("UPDATE meta SET value = '00' WHERE key = 'secret'", "'secret'"),
    ("UPDATE meta SET value = '00112233445566778899aabbccddeeff' WHERE key = 'entity_key'", "key"),
    ("DELETE FROM meta WHERE key = 'archive'", "'archive'"),
    ("INSERT INTO meta VALUES ('archive', '/elsewhere')", "'archive'"),
    ("INSERT INTO meta VALUES ('erasure', 'nonsense')", "'erasure'"),
    ("DELETE FROM meta WHERE key = 'pin'", "'pin'"),
    ("UPDATE meta SET value = '[]' WHERE key = 'pin'", "'pin'"),
]


@pytest.mark.slowish
@pytest.mark.parametrize(("statement", "named"), LOG_CHANGES + OTHER_CHANGES)
def test_any_change_behind_the_writers_back_is_named(
    filled: Path, clock: Clock, statement: str, named: str
) -> None:
    with duckdb.connect(str(filled)) as con:
        con.execute(statement)
    clock.now += timedelta(hours=1)
    with Store.open(filled, clock=clock) as store:
        said = "\n".join(map(str, verify(store, filled.parent / "archive").problems))
        assert named in said, said or "nothing was found"
        with contextlib.suppress(StoreDamaged):
            assert store.record([event("later", likes=1)])[0].status == "accepted"


@pytest.mark.slowish
@pytest.mark.parametrize("column", [c for c in LOG_COLUMNS if c not in ("seq", "tx")])
def test_a_change_of_any_column_is_found(filled: Path, clock: Clock, column: str) -> None:
    with duckdb.connect(str(filled)) as con:
        kind = con.execute(
            "SELECT data_type FROM duckdb_columns() WHERE table_name = 'log' AND column_name = ?",
            [column],
        ).fetchall()[0][0]
        other = {
            "TIMESTAMP": "'2020-01-01'",
            "VARCHAR[]": "['a', 'b']",
            "DOUBLE[]": "[0.5, 0.5]",
            "BLOB": "'zz'::BLOB",
            "VARCHAR": "'changed'",
        }.get(kind, "3")
        con.execute(f"UPDATE log SET {column} = {other} WHERE seq = 6")  # noqa: S608
    with Store.open(filled, clock=clock) as store:
        assert any("rows 1 to 40" in str(p) for p in verify(store).problems)


def test_an_untouched_file_has_no_problems(filled: Path) -> None:
    with Store.open(filled) as store:
        assert verify(store, filled.parent / "archive").problems == []


@pytest.mark.slowish
def test_a_flipped_byte_of_the_file_is_said_and_no_crash(tmp_path: Path) -> None:
    """Wherever the byte lies, the file is refused, or verification says what cannot be read."""
    path = tmp_path / "facts.duckdb"
    with Store.open(path) as store:
        store.declare_rollup(RollUp("hourly", "likes"))
        store.record([event(str(i), f"post:{i % 50}", likes=i, note=f"n{i}") for i in range(2000)])
        seal(store, tmp_path / "archive")
    good = path.read_bytes()
    chance = random.Random(5)
    seen = set()
    for k in range(40):
        at = chance.randrange(len(good)) if k % 2 else chance.randrange(16_384)
        path.write_bytes(
            good[:at] + bytes([good[at] ^ (1 << chance.randrange(8))]) + good[at + 1 :]
        )
        try:
            store = Store.open(path)
        except StoreDamaged:
            seen.add("refused")
            continue
        with store:
            if verify(store, tmp_path / "archive").problems:
                seen.add("named")
                continue
            assert store.reader().facts().num_rows == 4000
            seen.add("no harm")
    assert seen >= {"refused", "named"}
    restore(tmp_path / "archive", tmp_path / "again.duckdb")


HOSTILE = (
    "post:'; DROP TABLE log; --",
    'post:"quoted" \\ back',
    "post:new\nline\tand\rmore",
    "../../etc/passwd",
    "post:%s{0}$1?",
    "p" * 1000,
    "post:\u202eright to left",
    "\ud55c\uae00:\U0001f415",
    "NULL",
    ":",
    "erased:0123456789abcdef",
    " ",
)


@pytest.mark.slowish
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_names(store: Store, tmp_path: Path, name: str) -> None:
    store.declare_rollup(RollUp("all", "*", "day", "entity"))
    store.declare_rollup(RollUp("prefixes", "likes", "day", "prefix"))
    hostile = Event(name, name, name, {name: Exact(name), "likes": Exact(1)}, START, choice=name)
    assert store.record([hostile, event("other", likes=2)])[0].status == "accepted"
    assert store.record([hostile])[0].status == "duplicate"
    store.quarantine(name.encode(), name, name, name)
    reader = store.reader()
    assert reader.facts(entity=name).num_rows == reader.facts(attribute=name).num_rows + 1 == 2
    assert reader.page(0, 10, entity=name).num_rows == 2
    assert reader.sql("SELECT count(*) AS n FROM facts WHERE entity = ?", [name]).to_pylist() == [
        {"n": 2}
    ]
    assert reader.sql("SELECT sum(likes) AS n FROM posts").to_pylist()[0]["n"] >= 2
    assert reader.trace(source=name, id=name)[0]["entity"] == name
    assert name in [row["dim"] for row in reader.rollup("all").to_pylist()]
    assert store.check_derived() == []
    seal(store, tmp_path / "archive")
    for suffix in ("csv", "parquet"):
        assert export(store, tmp_path / f"out.{suffix}", entity=name) == 2
    erase(store, name, "asked")
    assert reader.facts(entity=name).num_rows == 0
    assert verify(store, tmp_path / "archive").problems == []
    assert reader.facts().num_rows == 1
