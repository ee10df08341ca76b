"""What the extractor of the dog posts makes of ratings, stages and images."""

import csv
import math
from pathlib import Path

import pytest

import facts
from worlds.domains.dogposts import features


@pytest.mark.parametrize(
    ("rating", "label"),
    [(1.2, "1.2"), (1, "1.0"), ("0.8", "0.8"), (1.25, "1.2"), (42, "joke"), (177.6, "joke")],
)
def test_ratings_are_rounded_to_tenths_and_jokes_are_jokes(rating: object, label: str) -> None:
    assert features({"rating": rating}).categories["rating"] == ((label, 1.0),)


@pytest.mark.parametrize("rating", [math.inf, math.nan, "inf", "twelve", None, [], {"kind": "x"}])
def test_a_rating_that_is_no_number_is_unknown(rating: object) -> None:
    assert "rating" not in features({"rating": rating}).categories


def test_stages_are_one_category_whatever_their_order() -> None:
    one = features({"stages": "pupper doggo"}).categories["stage"]
    other = features({"stages": ["Doggo", "pupper"]}).categories["stage"]
    assert one == other == (("doggo_pupper", 1.0),)
    assert features({}).categories["stage"] == (("no_stage", 1.0),)


def test_a_post_says_nothing_about_images_when_it_has_none() -> None:
    assert features({}).categories["photo"] == (("no_photo", 1.0),)
    assert features({"images": 2.0}).categories["photo"] == (("photo", 1.0),)
    assert features({"breed": "pug"}).categories["photo"] == (("photo", 1.0),)


def test_every_real_post_has_features(dog_posts: Path) -> None:
    with dog_posts.open() as file:
        rows = list(csv.DictReader(file))
    found = [features(dict(row)) for row in rows]
    assert len(found) == 2175
    photos = sum(f.categories["photo"] == (("photo", 1.0),) for f in found)
    assert photos == sum(row["images"] != "" for row in rows)
    stages = sum(f.categories["stage"] != (("no_stage", 1.0),) for f in found)
    assert stages == sum(row["stages"] != "" for row in rows)
    replies = sum(f.categories["reply"] == (("reply", 1.0),) for f in found)
    assert replies == sum(row["is_reply"] == "True" for row in rows)


def draft_of(row: dict[str, str]) -> dict[str, object]:
    """Return what an app would send of a row of the table."""
    guesses: dict[str, float] = {}
    for k in "123":
        if row[f"breed{k}"]:
            name = row[f"breed{k}"] if row[f"breed{k}_is_dog"] == "True" else "other"
            guesses[name] = guesses.get(name, 0.0) + float(row[f"breed{k}_confidence"])
    draft: dict[str, object] = {
        "stages": row["stages"].split(),
        "hashtags": row["hashtags"].split(),
        "is_reply": row["is_reply"] == "True",
        "rating": float(row["rating"]),
    }
    if row["images"]:
        draft["images"] = int(float(row["images"]))
    return {**draft, "breed": guesses} if guesses else draft


@pytest.mark.slowish
def test_imported_posts_and_drafts_of_them_have_the_same_features(
    dog_posts: Path, tmp_path: Path
) -> None:
    with facts.Store.open(tmp_path / "facts.duckdb") as store:
        report = facts.import_table(store, dog_posts, facts.load_mapping("dogposts"))
        stored: dict[str, dict[str, object]] = {}
        for entity, attribute, value in store.reader().values():
            stored.setdefault(entity, {})[attribute] = value
    assert report.quarantined <= 5
    with dog_posts.open() as file:
        rows = {f"post:{row['post_id']}": row for row in csv.DictReader(file)}
    assert len(stored) >= len(rows) - 5
    for entity, known in stored.items():
        mine, theirs = features(known), features(draft_of(rows[entity]))
        assert mine.tags == theirs.tags
        assert mine.categories.keys() == theirs.categories.keys()
        for category, alternatives in mine.categories.items():
            assert dict(alternatives) == pytest.approx(dict(theirs.categories[category]), abs=1e-6)
