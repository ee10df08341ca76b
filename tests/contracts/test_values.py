"""Laws that every kind of uncertain value keeps, run over every kind found."""

import dataclasses
import json
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from facts import Event, Store, Value, ValueKindError, fact_value, kinds, parse_value
from facts.values import value_from_cells
from facts.values.base import Box, Disc, OneOf, Range, Region

EVERY = [value for kind in kinds().values() for value in kind.examples()]
NAMES = [f"{value.kind}-{i}" for i, value in enumerate(EVERY)]
DRAWS = 20_000
every_value = pytest.mark.parametrize("value", EVERY, ids=NAMES)


def regions(value: Value) -> list[Region]:
    """Some regions that have a meaning for a value, chosen off its centre."""
    drawn = value.sample(np.random.default_rng(5), 200)
    if value.kind == "point":
        lat, lon = (float(x) for x in drawn[0])
        size = max(getattr(value, "radius95_m", 0.0), 1.0)
        north = 2 * size / 111_195
        return [
            Disc(lat, lon, size),
            Disc(lat, lon, 3 * size),
            Box(lat - north / 3, lat + north, lon - north / 4, lon + north),
        ]
    if drawn.dtype.kind in "USO" and not isinstance(drawn[0], int):
        seen = sorted({str(x) for x in drawn})
        return [OneOf(seen[0]), OneOf(*seen[:2]), OneOf("nothing that occurs")]
    low, high = (float(np.quantile(drawn.astype(float), q)) for q in (0.2, 0.7))
    return [Range(low, high), Range(hi=high), Range(lo=low), Range(low, high, closed=True)]


def inside(region: Region, drawn: np.ndarray) -> np.ndarray:
    if isinstance(region, Range):
        held = (drawn >= region.lo) & (drawn < region.hi)
        return held | (region.closed & (drawn == region.hi))
    if isinstance(region, OneOf):
        return np.isin(drawn.astype(str), [str(m) for m in region.members])
    lat, lon = np.radians(drawn[:, 0]), np.radians(drawn[:, 1])
    if isinstance(region, Disc):
        h = np.sin((lat - math.radians(region.lat)) / 2) ** 2
        turn = np.sin((lon - math.radians(region.lon)) / 2) ** 2
        h += np.cos(lat) * math.cos(math.radians(region.lat)) * turn
        return 2 * 6_371_008.8 * np.arcsin(np.sqrt(h)) <= region.radius_m
    width = (region.lon_hi - region.lon_lo) % 360
    east = (drawn[:, 1] - region.lon_lo) % 360 <= width
    return (drawn[:, 0] >= region.lat_lo) & (drawn[:, 0] <= region.lat_hi) & east


def test_every_kind_says_what_it_is() -> None:
    for name, kind in kinds().items():
        assert kind.kind == name
        assert kind.__doc__
        assert kind.examples()
        assert dataclasses.is_dataclass(kind)


@every_value
def test_json_gives_the_value_back(value: Value) -> None:
    assert parse_value(json.loads(json.dumps(value.to_json()))) == value
    assert value.to_json()["kind"] == value.kind


@every_value
def test_columns_give_the_value_back(value: Value) -> None:
    assert value_from_cells(value.kind, value.cells()) == value


def test_the_store_gives_every_value_back(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    events = [
        Event("law", str(i), f"thing:{i}", {"v": value}, start) for i, value in enumerate(EVERY)
    ]
    with Store.open(tmp_path / "facts.duckdb") as store:
        store.record(events)
        rows = store.reader().facts().to_pylist()
    assert [fact_value(row) for row in rows] == EVERY


@every_value
def test_values_never_change_and_can_be_keys(value: Value) -> None:
    assert hash(value) == hash(parse_value(value.to_json()))
    field = dataclasses.fields(value)[0].name  # type: ignore[arg-type]  # every kind is one
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, 1)


@every_value
def test_an_unknown_key_is_refused_by_name(value: Value) -> None:
    with pytest.raises(ValueKindError, match="sparkle"):
        parse_value({**value.to_json(), "sparkle": 1})


@every_value
def test_a_missing_key_is_refused(value: Value) -> None:
    with pytest.raises(ValueKindError):
        parse_value({"kind": value.kind})


@every_value
def test_the_same_seed_draws_the_same(value: Value) -> None:
    first, again = (value.sample(np.random.default_rng(3), 50) for _ in range(2))
    assert len(first) == 50
    assert np.array_equal(first, again)


@every_value
def test_probabilities_agree_with_draws(value: Value) -> None:
    """Within 4.5 standard errors of 20,000 draws: a false alarm once in 1e5, seeded."""
    drawn = value.sample(np.random.default_rng(11), DRAWS)
    for region in regions(value):
        p = value.prob(region)
        assert 0 <= p <= 1
        share = float(np.mean(inside(region, drawn)))
        slack = 2e-4 if value.kind == "point" else 1e-9  # a sphere is not its tangent plane
        assert abs(share - p) <= 4.5 * math.sqrt(max(p * (1 - p), 1 / DRAWS) / DRAWS) + slack


@every_value
def test_moments_agree_with_draws(value: Value) -> None:
    """Within 5 standard errors of 20,000 seeded draws."""
    mean, variance = value.expectation(), value.variance()
    assert (mean is None) == (variance is None)
    if mean is None or variance is None:
        return
    drawn = value.sample(np.random.default_rng(12), DRAWS).astype(float)
    assert variance >= 0
    assert abs(drawn.mean() - mean) <= 5 * math.sqrt(variance / DRAWS) + 1e-12 * abs(mean)
    assert drawn.var() == pytest.approx(variance, rel=0.08, abs=1e-300 + 1e-20 * mean**2)


@every_value
def test_a_region_and_its_complement_make_one(value: Value) -> None:
    for region in regions(value):
        if isinstance(region, Range) and not region.closed:
            rest = value.prob(Range(hi=region.lo)) + value.prob(Range(lo=region.hi))
            assert value.prob(region) + rest == pytest.approx(1, abs=1e-12)
    if value.kind == "point":
        assert value.prob(Box(-90, 90, -180, 180)) == pytest.approx(1, abs=1e-12)


@every_value
def test_a_meaningless_region_is_refused(value: Value) -> None:
    wrong = Range(0, 1) if value.kind in ("point", "categorical") else Disc(0, 0, 1)
    with pytest.raises(ValueKindError, match=value.kind):
        value.prob(wrong)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, [1], True, "7"])
@every_value
def test_numbers_must_be_finite_numbers(value: Value, bad: object) -> None:
    numbers = {k: v for k, v in value.to_json().items() if isinstance(v, float)}
    if value.kind == "exact":
        numbers = {"value": 1.0}
        if bad is True or isinstance(bad, str):
            return
    for key in numbers:
        with pytest.raises(ValueKindError):
            parse_value({**value.to_json(), key: bad})
