from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.drafts import CHECKS, DraftChecker
from api.errors import RequestError
from worlds.domain import DraftField

FIELDS = tuple(DraftField(name, name, "", None) for name in CHECKS)  # type: ignore[arg-type]
CHECKER = DraftChecker(FIELDS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "x"),
        ("number", 3),
        ("number", -2.5),
        ("truth", False),
        ("texts", ["a", "b"]),
        ("texts", "a b"),
        ("texts", []),
        ("probabilities", "pug"),
        ("probabilities", {"pug": 0.7, "beagle": 0.3}),
        ("probabilities", {"pug": 1}),
        ("time", "2026-05-01T12:00:00Z"),
        ("time", "2026-05-01T12:00:00+02:00"),
        ("place", {"lat": 52.4, "lon": 4.9}),
        ("place", {"lat": -90, "lon": 180, "radius95_m": 0}),
        ("whatever", object()),
    ],
)
def test_values_with_a_meaning_pass(name: str, value: Any) -> None:
    assert CHECKER.check({name: value}) == {name: value}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("text", 3, "expected a text"),
        ("text", "x" * 10_001, "longer than"),
        ("number", "3", "expected a number"),
        ("number", True, "expected a number"),
        ("number", float("nan"), "finite"),
        ("number", float("inf"), "finite"),
        ("number", 10**400, "beyond"),
        ("number", [1], "expected a number"),
        ("truth", 1, "true or false"),
        ("texts", [1], "list of texts"),
        ("texts", {"a": 1}, "list of texts"),
        ("texts", ["a"] * 101, "more than 100"),
        ("probabilities", {"pug": 0.7}, "sum to 1, they sum to 0.7"),
        ("probabilities", {"pug": 0.7, "beagle": 0.4}, "they sum to 1.1"),
        ("probabilities", {"pug": -0.5, "beagle": 1.5}, r"'pug' must lie in \[0, 1\]"),
        ("probabilities", {"pug": float("nan")}, "must lie in"),
        ("probabilities", {"pug": "1"}, "must lie in"),
        ("probabilities", {}, "expected a label or probabilities"),
        ("probabilities", 3, "expected a label or probabilities"),
        ("probabilities", {str(i): 0.02 for i in range(50)}, "more than 32"),
        ("time", "2026-05-01T12:00:00", "no zone"),
        ("time", "soon", "not a time"),
        ("time", 3, "expected a time"),
        ("place", {"lat": 91, "lon": 0}, "lat must lie in"),
        ("place", {"lat": 0, "lon": 181}, "lon must lie in"),
        ("place", {"lat": 0, "lon": 0, "radius95_m": -1}, "radius95_m must lie in"),
        ("place", {"lon": 0}, "lat must lie in"),
        ("place", "Amsterdam", "expected"),
    ],
)
def test_values_without_meaning_are_named(name: str, value: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        CHECKER.check({name: value})
    ((field, wrong),) = caught.value.fields
    assert field == f"draft.{name}"
    import re

    assert re.search(message, wrong)


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        CHECKER.check({"number": "a", "truth": "b", "text": "fine"}, "drafts[3]")
    assert [field for field, _ in caught.value.fields] == ["drafts[3].number", "drafts[3].truth"]


def test_null_means_unknown() -> None:
    assert CHECKER.check({"number": None, "text": "x"}) == {"text": "x"}


def test_alternatives_may_not_multiply_without_bound() -> None:
    fields = [DraftField(name, "probabilities", "", None) for name in "abc"]
    many = {str(i): 0.1 for i in range(10)}
    with pytest.raises(RequestError) as caught:
        DraftChecker(fields).check(dict.fromkeys("abc", many))
    assert "combine to more than 256" in caught.value.fields[0][1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(CHECKS)), JSON)
def test_any_value_is_judged_without_raising(name: str, value: Any) -> None:
    assert all(isinstance(wrong, str) for _, wrong in CHECKER.problems({name: value}))
