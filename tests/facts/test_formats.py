"""Files of every earlier format open, are brought forward, and lose nothing."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from facts import RollUp, Store, StoreDamaged, StoreTooNew, chain
from facts.archive import verify
from facts.entitykey import EntityKeys
from facts.layout import FORMAT
from tests.facts.conftest import event

WHEN = datetime(2026, 1, 1, 12)  # noqa: DTZ001 the file's timestamps have no zone
SECRET = "00112233445566778899aabbccddeeff"  # noqa: S105 of a fixture
US = int(WHEN.replace(tzinfo=UTC).timestamp()) * 1_000_000


def write_format_1(path: Path) -> None:
    """Write a file as the first release did: no roll-ups."""
    with duckdb.connect(str(path)) as con:
        con.execute(
            "CREATE TABLE log (seq BIGINT, tx INTEGER, recorded_at TIMESTAMP, op UTINYINT,"
            " source VARCHAR, id VARCHAR, entity VARCHAR, attribute VARCHAR,"
            " kind VARCHAR, num DOUBLE, num2 DOUBLE, num3 DOUBLE, text VARCHAR,"
            " labels VARCHAR[], probs DOUBLE[], nums DOUBLE[], valid_from TIMESTAMP,"
            " valid_to TIMESTAMP, choice VARCHAR, refers_source VARCHAR, refers_id VARCHAR,"
            " extra VARCHAR, raw BLOB, chain BLOB)"
        )
        con.execute("CREATE TABLE shadow (seq BIGINT, recorded_at TIMESTAMP, step TINYINT)")
        con.execute("CREATE TABLE meta (key VARCHAR, value VARCHAR)")
        con.execute("INSERT INTO meta VALUES ('format', '1')")
        head = chain.GENESIS
        for seq, (name, op, num, refers) in enumerate(
            [("a", 0, 3.0, None), ("b", 0, 4.0, None), ("c", 1, 5.0, "a"), ("d", 2, None, "b")], 1
        ):
            kind, attribute = (None, "") if num is None else ("exact", "likes")
            source = None if refers is None else "app"
            row = [seq, seq, US + seq, op, "app", name, "post:1", attribute, kind, num]
            row += [None] * 6 + [US, None, None, source, refers, None, None]
            digest = chain.digest_rows([[cell] for cell in row])
            head = chain.link(head, seq, US + seq, 1, digest)
            row[2] = WHEN.replace(microsecond=seq)
            row[16] = WHEN
            con.execute(f"INSERT INTO log VALUES ({', '.join('?' * 24)})", [*row, head])  # noqa: S608
        con.execute(
            "INSERT INTO shadow VALUES (1, ?, 1), (2, ?, 1)",
            [WHEN.replace(microsecond=3), WHEN.replace(microsecond=4)],
        )


def write_format_2(path: Path) -> None:
    """Write a file as it was with roll-ups and without entity keys."""
    write_format_1(path)
    with duckdb.connect(str(path)) as con:
        con.execute(
            "CREATE TABLE rollups (name VARCHAR, attribute VARCHAR, bucket VARCHAR,"
            " dimension VARCHAR)"
        )
        con.execute(
            "CREATE TABLE rollup (name VARCHAR, bucket TIMESTAMP, dim VARCHAR,"
            " recorded_at TIMESTAMP, n DOUBLE, total DOUBLE, squares DOUBLE, sum_var DOUBLE)"
        )
        con.execute("UPDATE meta SET value = '2'")


def write_format_3(path: Path) -> None:
    """Write a file as it was with entity keys and without pins."""
    write_format_2(path)
    with duckdb.connect(str(path)) as con:
        key = EntityKeys(SECRET).one("post:1")
        con.execute("ALTER TABLE log ADD COLUMN ekey UBIGINT")
        con.execute("UPDATE log SET ekey = ?", [key])
        con.execute("INSERT INTO meta VALUES ('entity_key', ?)", [SECRET])
        con.execute("UPDATE meta SET value = '3' WHERE key = 'format'")


WRITERS = {1: write_format_1, 2: write_format_2, 3: write_format_3}


def test_every_earlier_format_has_a_fixture() -> None:
    assert sorted(WRITERS) == list(range(1, FORMAT))


@pytest.mark.parametrize("version", sorted(WRITERS))
def test_an_earlier_file_is_brought_forward(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.duckdb"
    WRITERS[version](path)
    with Store.open(path) as store:
        assert store.reader().facts().column("num").to_pylist() == [5.0]
        assert store.record([event("a", likes=3)])[0].status == "duplicate"
        store.declare_rollup(RollUp("hourly", "likes"))
        store.record([event("e", likes=6)])
        assert verify(store).problems == []
    with Store.open(path) as store:
        assert store.reader().facts().column("num").to_pylist() == [5.0, 6.0]
        assert store.reader().facts(entity="post:1").num_rows == 2


def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.duckdb"
    Store.open(path).close()
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE meta SET value = ? WHERE key = 'format'", [str(FORMAT + 1)])
    before = path.read_bytes()
    with pytest.raises(StoreTooNew, match=f"format {FORMAT + 1}"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_fact_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.duckdb").write_text("not a database, but long enough to look at" * 200)
    with pytest.raises(StoreDamaged, match="cannot be opened"):
        Store.open(tmp_path / "text.duckdb")
    with duckdb.connect(str(tmp_path / "other.duckdb")) as con:
        con.execute("CREATE TABLE t (x INTEGER)")
    with pytest.raises(StoreDamaged, match="no fact file"):
        Store.open(tmp_path / "other.duckdb")


def test_what_format_3_hid_is_seen(tmp_path: Path) -> None:
    """A correction of a correction added an attribute, and format 3 hid it."""
    path = tmp_path / "old.duckdb"
    more = {"likes": 7, "shares": 8}
    with Store.open(path) as store:
        store.record([event("e", likes=5)])
        store.record([event("c", likes=6, op="correct", refers=("app", "e"))])
        store.record([event("k", op="correct", refers=("app", "c"), **more)])
    with duckdb.connect(str(path)) as con:
        con.execute("INSERT INTO shadow SELECT seq, recorded_at, 1 FROM log WHERE seq = 4")
        con.execute("DELETE FROM meta WHERE key = 'pin'")
        con.execute("UPDATE meta SET value = '3' WHERE key = 'format'")
    with Store.open(path) as store:
        assert store.reader().facts().column("num").to_pylist() == [7.0, 8.0]
        assert verify(store).problems == []


@pytest.mark.parametrize("table", ["log", "shadow", "rollups", "rollup", "meta"])
def test_a_file_that_lost_a_table_is_refused(tmp_path: Path, table: str) -> None:
    path = tmp_path / "less.duckdb"
    Store.open(path).close()
    with duckdb.connect(str(path)) as con:
        con.execute(f"DROP TABLE {table}")
    with pytest.raises(StoreDamaged, match=table if table != "meta" else "no fact file"):
        Store.open(path)


def test_a_file_that_lost_a_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "less.duckdb"
    Store.open(path).close()
    with duckdb.connect(str(path)) as con:
        con.execute("ALTER TABLE log DROP COLUMN extra")
    with pytest.raises(StoreDamaged, match=r"lacks log\.extra"):
        Store.open(path)
