"""The real posts, through the shipped mapping."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facts import Categorical, Reader, Store, fact_value, import_table, load_mapping


@pytest.fixture(scope="module")
def posts(dog_posts: Path) -> list[dict[str, str]]:
    with dog_posts.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, dog_posts: Path):  # noqa: ANN201 yields
    with Store.open(tmp_path_factory.mktemp("dogs") / "facts.duckdb") as store:
        report = import_table(store, dog_posts, load_mapping("dogposts"))
        assert (report.rows, report.events, report.accepted) == (2175, 4350, 4350)
        again = import_table(store, dog_posts, load_mapping("dogposts"))
        assert (again.accepted, again.duplicate, again.quarantined) == (0, 4350, 0)
        reader = store.reader()
        yield reader
        reader.close()


def test_every_post_arrives_at_its_own_time(reader: Reader, posts: list[dict[str, str]]) -> None:
    rows = reader.facts(attribute="text_length").to_pylist()
    found = {row["entity"]: (row["valid_from"], row["num"]) for row in rows}
    expected = {
        f"post:{post['post_id']}": (
            datetime.fromisoformat(post["posted_at"]),
            float(post["text_length"]),
        )
        for post in posts
    }
    assert found == expected


def test_likes_are_counted_once_long_after(reader: Reader, posts: list[dict[str, str]]) -> None:
    rows = reader.facts(attribute=["likes"]).to_pylist()
    assert {r["valid_from"] for r in rows} == {datetime(2017, 8, 2, tzinfo=UTC)}
    assert sum(r["num"] for r in rows) == sum(int(p["likes"]) for p in posts)


def test_breeds_keep_the_guesses_that_are_dogs(reader: Reader, posts: list[dict[str, str]]) -> None:
    found = {row["entity"]: fact_value(row) for row in reader.facts(attribute="breed").to_pylist()}
    assert len(found) == sum(bool(post["breed1"]) for post in posts)
    for post in posts:
        if not post["breed1"]:
            continue
        value = found[f"post:{post['post_id']}"]
        assert isinstance(value, Categorical)
        dogs: dict[str, float] = {}
        for k in "123":
            if post[f"breed{k}_is_dog"] == "True":
                label = post[f"breed{k}"]
                dogs[label] = dogs.get(label, 0) + float(post[f"breed{k}_confidence"])
        kept = {label: p for label, p in value.alternatives.items() if label != "other"}
        assert kept == pytest.approx(dogs, abs=1e-6)
        assert sum(value.probs) == pytest.approx(1, abs=1e-12)


def test_lists_come_back_as_lists(reader: Reader, posts: list[dict[str, str]]) -> None:
    rows = reader.facts(attribute="stages").to_pylist()
    found = {row["entity"]: fact_value(row).as_list() for row in rows}
    assert found == {f"post:{p['post_id']}": sorted(set(p["stages"].split())) for p in posts}
