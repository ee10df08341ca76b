from datetime import UTC, datetime

import pytest

from api.asking import (
    decide_pairs,
    do_pairs,
    from_pairs,
    given_pairs,
    known_time,
    pair,
    parse_time,
    scenario_do_pairs,
)
from api.errors import RequestError, TimeError
from api.schemas import FormulaRequest, QuestionRequest, Times

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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=x2", {"times": 2.0}),
        ("a=7", 7.0),
        ("a=x1.2..2", {"times": [1.2, 2.0]}),
        ("a=500..800", {"between": [500.0, 800.0]}),
        ("a=.5 .. 0.8", {"between": [0.5, 0.8]}),
        ("a=x1..2:log-uniform", {"times": [1.0, 2.0], "prior": "log-uniform"}),
    ],
)
def test_scenarios_take_ranges(text: str, found: object) -> None:
    assert scenario_do_pairs([text]) == {"a": found}


@pytest.mark.parametrize("text", ["a=1..x", "a=x..2", "a=1..2..3", "a=..", "a=1..nan"])
def test_ranges_have_two_ends(text: str) -> None:
    with pytest.raises(RequestError, match="number"):
        scenario_do_pairs([text])


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([], None),
        (["service_level=0.99"], {"service_level": 0.99}),
        (
            ["capacities=500,800", "shortfall_cost=5"],
            {"capacities": [500, 800], "shortfall_cost": 5},
        ),
        (['{"options": [{"capacity": 3}]}'], {"options": [{"capacity": 3}]}),
    ],
)
def test_decisions_are_read(texts: list[str], found: object) -> None:
    assert decide_pairs(texts) == found


@pytest.mark.parametrize("texts", [["a"], ["a=b"], ["unit_cost=1,2"], ["{"], ['{"a": NaN}']])
def test_decisions_that_cannot_be_read_are_refused(texts: list[str]) -> None:
    with pytest.raises(RequestError):
        decide_pairs(texts)


def test_a_formula_makes_another_request() -> None:
    assert type(from_pairs()) is QuestionRequest
    assert from_pairs(more={"formula": "a"}) == FormulaRequest(formula="a")
    with pytest.raises(RequestError) as caught:
        from_pairs(more={"formula": "a", "deadline": -1})
    assert caught.value.fields[0][0] == "deadline"
