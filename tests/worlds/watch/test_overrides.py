from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worlds.watch.making import NOW
from worlds.errors import QuestionError, UnknownNameError
from worlds.watch.overrides import Override, within
from worlds.watch.rules import Standing
from worlds.watch.standing import HELD, Board, check_names, verdict

HOUR = timedelta(hours=1)
WEIGHTS = {"a": 0.6, "b": 0.3, "c": 0.1}


def override(model: str, action: str, **more: object) -> Override:
    said = {
        "id": f"{model}-{action}",
        "quantity": "q",
        "model": model,
        "action": action,
        "by": "mae",
        "reason": "because",
        "made_at": NOW,
        "until": NOW + HOUR,
    }
    return Override(**{**said, **more})  # type: ignore[arg-type]


def weights(
    *overrides: Override, after: timedelta = timedelta(0), **states: str
) -> dict[str, float]:
    models = {("q", name): Standing(state, "why") for name, state in states.items()}  # type: ignore[arg-type]
    found = verdict(Board(models, overrides), "q", WEIGHTS, {}, NOW + after)
    return {name: round(weight, 6) for name, weight in found.weights}


def test_nothing_decided_changes_nothing() -> None:
    assert weights() == WEIGHTS


def test_a_quarantined_model_has_no_weight_and_the_others_keep_their_proportions() -> None:
    assert weights(a="quarantined") == {"a": 0, "b": 0.75, "c": 0.25}
    assert weights(a="retired", b="quarantined") == {"a": 0, "b": 0, "c": 1}
    assert set(weights(a="quarantined", b="quarantined", c="retired").values()) == {0}


def test_probation_holds_the_weight_down_while_others_can_take_it() -> None:
    found = weights(a="probation")
    assert found["a"] == HELD
    assert found["b"] / found["c"] == pytest.approx(3)
    everywhere = weights(a="probation", b="probation", c="probation")
    assert everywhere == WEIGHTS


def test_people_decide_over_rules_until_they_said() -> None:
    ban = override("a", "ban")
    assert weights(ban)["a"] == 0
    assert weights(ban, after=HOUR) == WEIGHTS
    assert weights(override("a", "pin"), a="quarantined") == WEIGHTS
    assert weights(override("c", "weight", low=0.5, high=0.7))["c"] == pytest.approx(0.5)
    assert weights(override("a", "weight", low=0.0, high=0.2))["a"] == pytest.approx(0.2)
    assert weights(override("a", "weight", low=1.0, high=1.0)) == {"a": 1, "b": 0, "c": 0}


def test_the_last_decision_counts() -> None:
    later = override("a", "pin", made_at=NOW + timedelta(minutes=1))
    assert weights(override("a", "ban"), later, after=timedelta(minutes=2)) == WEIGHTS


def test_a_tripped_model_is_left_out_whoever_wants_it() -> None:
    board = Board({}, (override("a", "pin"),))
    found = verdict(board, "q", WEIGHTS, {"a": "raised: x"}, NOW)
    assert dict(found.weights)["a"] == 0
    assert "q/a is left out: raised: x" in found.trouble


@given(
    st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), min_size=1).filter(
        lambda w: sum(w.values()) > 0
    ),
    st.dictionaries(
        st.sampled_from("abcd"), st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
    ),
)
def test_ranges_are_kept_wherever_they_can_be(
    base: dict[str, float], raw: dict[str, list[float]]
) -> None:
    total = sum(base.values())
    base = {name: weight / total for name, weight in base.items()}
    limits = {name: (low, high) for name, (low, high) in raw.items() if name in base}
    found = within(base, limits)
    low = {name: limits.get(name, (0, 1))[0] for name in base}
    high = {name: limits.get(name, (0, 1))[1] for name in base}
    if sum(high.values()) <= 0:
        assert set(found.values()) == {0.0}
        return
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= 0
    if sum(low.values()) <= 1 <= sum(high.values()):
        for name in base:
            assert low[name] - 1e-6 <= found[name] <= high[name] + 1e-6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"action": "kill"}, "must be one of"),
        ({"by": " "}, "who"),
        ({"reason": ""}, "why"),
        ({"until": NOW}, "future"),
        ({"low": 0.5, "high": 0.2}, "range"),
    ],
)
def test_an_override_without_meaning_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(QuestionError, match=said):
        override("a", str(change.pop("action", "weight")), **change)


def test_json_and_back() -> None:
    one = override("a", "weight", low=0.1, high=0.4)
    assert Override.read(one.to_json()) == one
    board = Board({("q", "a"): Standing("probation", "why", "s", 1)}, (one,))
    assert Board.read(board.to_json()) == board


def test_names() -> None:
    known = [("q", "a"), ("q", "b"), ("r", "a")]
    assert check_names(known, "b") == ("q", "b")
    assert check_names(known, "r.a") == ("r", "a")
    with pytest.raises(QuestionError, match=r"q\.a, r\.a"):
        check_names(known, "a")
    with pytest.raises(UnknownNameError, match=r"r\.a"):
        check_names(known, "z")
