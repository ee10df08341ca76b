"""From stored facts to members: every kind of value against its own word, choices, joins."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import facts
from facts.values import Box, Disc, OneOf, Range
from worlds.membership import (
    GeoMissingError,
    MapCells,
    MembershipError,
    Tagged,
    both,
    count,
    matching,
    members,
    probabilities,
    regions,
    together,
    total,
)

BEGIN = datetime(2026, 11, 20, 12, tzinfo=UTC)
REGIONS = (
    Range(0, 5),
    Range(-1e9, 0),
    Range(3, 3, closed=True),
    Range(23.5, 80, closed=True),
    Range(-math.inf, 3),
    Range(),
    OneOf("pug", "a"),
    OneOf(True, "pug", 12),
    OneOf(5, 3.0),
    Disc(52.5, 13.4, 20),
    Box(52, 53, 13, 13.4),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[facts.Store]:
    with facts.Store.open(tmp_path / "facts.duckdb") as opened:
        yield opened


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_columns_agree_with_every_value_asked_by_itself(
    region: Range | OneOf | Disc | Box, store: facts.Store
) -> None:
    store.record(
        [
            facts.Event("s", f"{kind}{i}", f"e:{kind}{i}", {kind: value}, BEGIN)
            for kind, cls in facts.kinds().items()
            for i, value in enumerate(cls.examples())
        ]
    )
    for kind in facts.kinds():
        table = store.reader().facts(attribute=kind)
        try:
            expected = [facts.fact_value(row).prob(region) for row in table.to_pylist()]
        except facts.ValueKindError:
            with pytest.raises(MembershipError, match="cannot lie in"):
                probabilities(table, region)
            continue
        assert probabilities(table, region) == pytest.approx(expected, abs=1e-9), kind


def posts(store: facts.Store) -> facts.Reader:
    breed = facts.Categorical(("pug", "beagle", "other"), (0.7, 0.2, 0.1))
    meaning = facts.Categorical(("adorable", "adorabull"), (0.65, 0.35))
    events = []
    for i in range(20):
        here = facts.Point(52.37 if i % 2 else 52.5, 4.9, 100)
        tags = facts.Exact.listing(["adorabull" if i < 8 else "adorable", "walk"])
        attributes = {"place": here, "breed": breed, "likes": facts.Exact(10 + i), "hashtags": tags}
        events.append(facts.Event("app", f"{i}", f"post:{i}", attributes, BEGIN))
        if i < 8:
            shared = {"hashtag_meaning": meaning}
            events.append(
                facts.Event("app", f"{i}/m", f"post:{i}", shared, BEGIN, choice="hashtag:adorabull")
            )
    store.record(events)
    return store.reader()


def test_conditions_on_several_attributes_of_one_thing(store: facts.Store) -> None:
    reader = posts(store)
    near = Disc(52.37, 4.9, 1000)
    found = matching(reader, {"place": near, "breed": OneOf("pug")}, value="likes")
    assert len(found) == 20
    answer = count(found, unit="posts")
    assert answer.mean() == pytest.approx(10 * 0.7)
    assert answer.sd() == pytest.approx(np.sqrt(10 * 0.7 * 0.3))
    likes = sum(10 + i for i in range(1, 20, 2))
    assert total(found).mean() == pytest.approx(0.7 * likes)


def test_an_ambiguous_hashtag_ties_its_posts_together(store: facts.Store) -> None:
    reader = posts(store)
    unclear = matching(reader, {"hashtag_meaning": OneOf("adorable")})
    plain = matching(reader, {"hashtags": Tagged("adorable")})
    answer = count(together(plain, unclear))
    assert answer.chance("hashtag:adorabull") == pytest.approx(
        {"adorable": 0.65, "adorabull": 0.35}
    )
    assert answer.prob(">= 20") == pytest.approx(0.65)
    assert answer.prob("<= 12") == pytest.approx(0.35)
    pugs = both(unclear, matching(reader, {"breed": OneOf("pug")}))
    assert count(pugs).prob("> 0") == pytest.approx(0.65 * (1 - 0.3**8))


def test_what_was_known_then(store: facts.Store) -> None:
    reader = posts(store)
    before = reader.last_recorded()
    assert before is not None
    store.record([facts.Event("app", "late", "post:late", {"breed": facts.Exact("pug")}, BEGIN)])
    assert len(matching(reader, {"breed": OneOf("pug")})) == 21
    assert len(matching(reader, {"breed": OneOf("pug")}, as_of=before)) == 20
    later = BEGIN + timedelta(days=1)
    assert len(matching(reader, {"breed": OneOf("pug")}, valid_to=BEGIN)) == 0
    assert len(matching(reader, {"breed": OneOf("pug")}, valid_from=later)) == 21


def test_the_last_word_on_a_thing_counts(store: facts.Store) -> None:
    for i, label in enumerate(["pug", "beagle"]):
        event = facts.Event("app", str(i), "post:1", {"breed": facts.Exact(label)}, BEGIN)
        store.record([event])
    found = matching(store.reader(), {"breed": OneOf("pug")})
    assert found.probs.tolist() == [0.0]


def test_statements_of_one_choice_that_differ_are_averaged(store: facts.Store) -> None:
    for i, p in enumerate([0.6, 0.9]):
        value = facts.Categorical(("pug", "beagle"), (p, 1 - p))
        store.record([facts.Event("app", str(i), f"e:{i}", {"breed": value}, BEGIN, choice="dog")])
    found = members(store.reader().facts(), OneOf("pug"))
    assert found.choices["dog"].probs == pytest.approx({"pug": 0.75, "beagle": 0.25})
    assert count(found).prob(">= 2") == pytest.approx(0.75)


def test_what_cannot_be_asked(store: facts.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = posts(store)
    with pytest.raises(MembershipError, match="at least one attribute"):
        matching(reader, {})
    with pytest.raises(MembershipError, match="kind 'point'"):
        matching(reader, {"place": Range(0, 1)})
    with pytest.raises(MembershipError, match="cannot lie in"):
        probabilities(reader.facts(attribute="breed"), Disc(0, 0, 1))
    with pytest.raises(MembershipError, match="only numbers"):
        matching(reader, {"breed": OneOf("pug")}, value="place")
    monkeypatch.setattr(regions.importlib, "import_module", _missing)
    with pytest.raises(GeoMissingError, match=r"possible-worlds\[geo\]"):
        MapCells(("8b1969c9b274fff",))


def _missing(name: str) -> None:
    raise ModuleNotFoundError(name)
