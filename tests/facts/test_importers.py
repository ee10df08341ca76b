"""Importing other people's tables through a mapping."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from facts import (
    Categorical,
    Exact,
    FactsError,
    Interval,
    MappingError,
    Normal,
    Point,
    Store,
    fact_value,
    import_table,
    load_mapping,
)
from facts.importers.mapping import TableMapping, shipped

MAPPING = """
source = "shop"
missing = ["", "NA"]
keep_others = true

[entity]
prefix = "order:"
column = "no"

[[events]]
name = "placed"
choice = "tag:{tag}"
valid_from = { column = "at", zone = "Europe/Berlin" }
valid_to = { column = "until", format = "epoch_s" }
[events.attributes]
amount = { column = "amount", type = "float", required = true }
paid = { column = "paid", type = "bool" }
tags = { kind = "list", column = "tags", separator = "|" }
weight = { kind = "normal", mean = "kg", expanded = "kg_u", k = 2 }
width = { kind = "interval", lo = "w_lo", hi = "w_hi" }
place = { kind = "point", lat = "lat", lon = "lon", radius68_m = 15 }
breed = { kind = "categorical", labels = ["b1", "b2"], probs = ["p1", "p2"], rest = "other" }

[[events]]
name = "seen"
id = "{no}/seen/{_row}"
valid_from = { constant = 2026-05-01T00:00:00Z }
[events.attributes]
views = { column = "views" }
"""
HEAD = "no,at,until,amount,paid,tags,kg,kg_u,w_lo,w_hi,lat,lon,b1,p1,b2,p2,tag,views,colour"
GOOD = "7,2026-03-01 12:00:00,1800000000,9.5,yes,b|a,20,1,1,2,52,13,pug,0.6,beagle,0.3,x,12,red"


@pytest.fixture
def mapping(tmp_path: Path) -> TableMapping:
    path = tmp_path / "shop.toml"
    path.write_text(MAPPING)
    return load_mapping(path)


def table(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text("\n".join([HEAD, *lines]) + "\n")
    return path


def test_every_kind_of_column_becomes_its_value(
    store: Store, tmp_path: Path, mapping: TableMapping
) -> None:
    report = import_table(store, table(tmp_path, GOOD), mapping)
    assert (report.rows, report.events, report.accepted) == (1, 2, 2)
    rows = store.reader().facts(entity="order:7").to_pylist()
    found = {row["attribute"]: fact_value(row) for row in rows}
    place = found.pop("place")
    assert isinstance(place, Point)
    assert place.radius95_m > 15
    breed = found.pop("breed")
    assert isinstance(breed, Categorical)
    assert breed.alternatives == pytest.approx({"pug": 0.6, "beagle": 0.3, "other": 0.1})
    assert found == {
        "amount": Exact(9.5),
        "paid": Exact(True),
        "tags": Exact.listing(["a", "b"]),
        "weight": Normal(20, 0.5),
        "width": Interval(1, 2),
        "views": Exact(12),
    }
    first = rows[0]
    assert first["valid_from"] == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert first["valid_to"] == datetime.fromtimestamp(1_800_000_000, UTC)
    assert (first["id"], first["choice"]) == ("placed:7", "tag:x")
    assert '"colour":"red"' in first["extra"]
    assert rows[-1]["id"] == "7/seen/1"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (GOOD.replace("9.5", "much"), "column 'amount' must hold a number"),
        (GOOD.replace("9.5", ""), "'amount' is required"),
        (GOOD.replace("9.5", "inf"), "must be finite"),
        (GOOD.replace("yes", "perhaps"), "column 'paid' must hold yes or no"),
        (GOOD.replace("20,1,", "20,,"), "column 'kg_u' is empty"),
        (GOOD.replace("1,2,52", "2,1,52"), "lo must not be above hi"),
        (GOOD.replace("52,13", "152,13"), "lat must lie in"),
        (GOOD.replace("0.6", "0.9"), "must not sum to more than 1"),
        (GOOD.replace("2026-03-01 12:00:00", "2026-03-29 02:30:00"), "does not exist"),
        (GOOD.replace("2026-03-01 12:00:00", "2026-10-25 02:30:00"), "happens twice"),
        (GOOD.replace("2026-03-01 12:00:00", "soon"), "no time of the stated format"),
        (GOOD.replace("2026-03-01 12:00:00", ""), "the time is empty"),
        (GOOD.replace("7,", ",", 1), "names the entity and is empty"),
        (GOOD.replace("1800000000", "1"), "valid_to must be after"),
        (GOOD + ",more", "has 20 cells"),
        (GOOD.replace("pug", ""), "column 'b1' is empty"),
    ],
)
def test_a_broken_row_goes_to_quarantine_with_its_bytes(
    store: Store, tmp_path: Path, mapping: TableMapping, broken: str, reason: str
) -> None:
    path = table(tmp_path, broken, GOOD.replace("7,", "8,", 1))
    for expected in ((2, 1), (0, 0)):
        report = import_table(store, path, mapping)
        assert (report.rows, report.accepted, report.quarantined) == (2, *expected)
    (held,) = store.reader().quarantined()
    assert reason in held["reason"]
    assert held["raw"] == broken.encode() + b"\n"


def test_bytes_that_are_no_text_go_to_quarantine(
    store: Store, tmp_path: Path, mapping: TableMapping
) -> None:
    path = table(tmp_path, GOOD)
    path.write_bytes(path.read_bytes() + GOOD.replace("red", "r\x00d").encode("latin-1"))
    path.write_bytes(path.read_bytes().replace(b"r\x00d", b"r\xe9d"))
    report = import_table(store, path, mapping)
    assert (report.accepted, report.quarantined) == (2, 1)
    assert b"r\xe9d" in store.reader().quarantined()[0]["raw"]


def test_quoted_cells_may_hold_line_breaks(
    store: Store, tmp_path: Path, mapping: TableMapping
) -> None:
    path = table(tmp_path, GOOD.replace("red", '"light\nred"'), GOOD.replace("7,", "8,", 1))
    report = import_table(store, path, mapping)
    assert (report.rows, report.accepted) == (2, 4)


def test_parquet_and_arrow_say_the_same_as_csv(
    store: Store, tmp_path: Path, mapping: TableMapping
) -> None:
    path = table(tmp_path, *[GOOD.replace("7,", f"{i},", 1) for i in range(30)])
    with path.open() as file:
        rows = list(csv.DictReader(file))
    frame = pa.Table.from_pylist(rows)
    pq.write_table(frame, tmp_path / "orders.parquet")
    feather.write_feather(frame, tmp_path / "orders.arrow", compression="uncompressed")
    assert import_table(store, path, mapping).accepted == 60
    for other in (tmp_path / "orders.parquet", tmp_path / "orders.arrow", frame):
        assert import_table(store, other, mapping).duplicate == 60


def test_typed_columns_need_no_parsing(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        'source = "s"\n[entity]\ncolumn = "k"\n[[events]]\nname = "e"\n'
        'valid_from = { column = "t" }\n[events.attributes]\nx = { column = "x" }\n'
    )
    when = datetime(2026, 1, 1, tzinfo=UTC)
    frame = pa.table(
        {
            "k": [1, 2, 3],
            "t": [when, when + timedelta(hours=1), None],
            "x": pa.array([1.5, float("nan"), 2.0]),
        }
    )
    report = import_table(store, frame, load_mapping(path))
    assert (report.rows, report.accepted, report.quarantined) == (3, 1, 1)


def test_progress_is_reported(store: Store, tmp_path: Path, mapping: TableMapping) -> None:
    path = table(tmp_path, *[GOOD.replace("7,", f"{i},", 1) for i in range(6000)])
    seen: list[tuple[int, int]] = []
    import_table(store, path, mapping, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (6000, 6000)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('source = "shop"', "", "source is missing"),
        ('source = "shop"', "source = 3", "source must be a str"),
        ("keep_others", "keep_other", "unknown key 'keep_other'"),
        ('prefix = "order:"', 'prefxi = "order:"', "entity: unknown key 'prefxi'"),
        ("zone =", "zoen =", "unknown key 'zoen'"),
        ("Europe/Berlin", "Europe/Nowhere", "unknown time zone"),
        ("epoch_s", "epoch_days", "format must be"),
        ('type = "float"', 'type = "flaot"', "type must be one of"),
        ('kind = "normal"', 'kind = "nromal"', "unknown kind 'nromal'"),
        ('expanded = "kg_u", k = 2', 'expanded = "kg_u"', r"needs the columns \(mean, sd\)"),
        ('probs = ["p1", "p2"]', 'probs = ["p1"]', "equally many labels and probs"),
        ('"{no}/seen/{_row}"', '"seen"', "must name a column in braces"),
        ('"{no}/seen/{_row}"', '"{no"', "is not a template"),
        ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00", "needs a time zone"),
        ("[[events]]", "[events]", "not valid TOML"),
    ],
)
def test_a_wrong_mapping_says_what_is_wrong(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(MAPPING.replace(before, after, 1))
    with pytest.raises(MappingError, match=message):
        load_mapping(path)


def test_a_missing_mapping_names_the_shipped_ones() -> None:
    assert "dogposts" in shipped()
    with pytest.raises(MappingError, match="dogposts"):
        load_mapping("catposts")


def test_a_table_without_the_columns_is_refused(
    store: Store, tmp_path: Path, mapping: TableMapping
) -> None:
    path = tmp_path / "short.csv"
    path.write_text("no,at\n1,2\n")
    with pytest.raises(MappingError, match="lacks the columns amount"):
        import_table(store, path, mapping)
    with pytest.raises(MappingError, match="unknown type"):
        import_table(store, tmp_path / "x.xlsx", mapping)
    with pytest.raises(FactsError, match="cannot be read"):
        import_table(store, tmp_path / "missing.csv", mapping)
