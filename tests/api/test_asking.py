from datetime import UTC, datetime

import pytest

from api.asking import do_pairs, from_pairs, given_pairs, known_time, pair, parse_time
from api.errors import RequestError, TimeError
from api.schemas import Times

NOW = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pupdates=learned", {"pupdates": "model = learned"}),
        ("pupdates=model = learned", {"pupdates": "model = learned"}),
        ("pupdates>=3", {"pupdates": ">=3"}),
        ("pupdates=>= 3", {"pupdates": ">= 3"}),
        ("pupdates < 9", {"pupdates": "< 9"}),
    ],
)
def test_given_reads_models_and_ranges(text: str, found: dict[str, str]) -> None:
    assert given_pairs([text]) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("a=9000", 9000.0), ("a=x2", Times(2.0)), ("a=*1.5", Times(1.5)), ("a=2x", Times(2.0)),
     ("a*2", Times(2.0)), ("a=0", 0.0)],
)  # fmt: skip
def test_do_reads_values_and_factors(text: str, found: float | Times) -> None:
    assert do_pairs([text]) == {"a": found}


@pytest.mark.parametrize("text", ["a=many", "a=nan", "a=inf", "a=x", "a=xy", "a=1e999"])
def test_do_refuses_what_is_no_number(text: str) -> None:
    with pytest.raises(RequestError):
        do_pairs([text])


@pytest.mark.parametrize("text", ["", "a", "=3", "a=", "a = "])
def test_pairs_need_key_and_value(text: str) -> None:
    with pytest.raises(RequestError, match="KEY=VALUE"):
        pair(text, "where")


def test_times_need_a_zone() -> None:
    assert parse_time("2026-05-01T12:00:00Z", "at") == datetime(2026, 5, 1, 12, tzinfo=UTC)
    with pytest.raises(RequestError, match="zone"):
        parse_time("2026-05-01T12:00:00", "at")
    with pytest.raises(RequestError, match="not a time"):
        parse_time("yesterday", "at")


def test_nothing_is_known_of_the_future() -> None:
    assert known_time(None, NOW) is None
    assert known_time("2026-11-01T00:00:00Z", NOW) == datetime(2026, 11, 1, tzinfo=UTC)
    with pytest.raises(TimeError, match="lies in the future"):
        known_time("2026-11-03T00:00:00Z", NOW)


def test_levels_must_be_levels() -> None:
    assert from_pairs(levels=[0.5, 0.9]).levels == [0.5, 0.9]
    for level in ("0", "1", "2", "-1", "nan", "x"):
        with pytest.raises(RequestError):
            from_pairs(levels=[level])
