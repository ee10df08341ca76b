"""The state machine: by table, by hypothesis, and the false-alarm rate it states by simulation."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worlds.watch.making import draw, table
from worlds.errors import WeightError
from worlds.watch.detector import Detector
from worlds.watch.evidence import Evidence
from worlds.watch.rules import TRUST, Rules, Seen, Standing, decide, dwell
from worlds.watch.sketch import sketch

RULES = Rules()
LONG = timedelta(days=1)
GOOD = Seen(evidence=1.0, scored=60, snapshot="new", elapsed=LONG)


@pytest.mark.parametrize(
    ("state", "seen", "to", "why"),
    [
        ("live", GOOD, None, ""),
        ("live", replace(GOOD, evidence=2e4, against="PIT"), "probation", "PIT"),
        ("live", replace(GOOD, evidence=2e4, elapsed=timedelta(0)), None, ""),
        ("live", replace(GOOD, evidence=2e6), "quarantined", "evidence"),
        ("live", replace(GOOD, evidence=2e6, elapsed=timedelta(0)), "quarantined", "evidence"),
        ("live", replace(GOOD, faults=1, fault="raised: x"), "probation", "raised: x"),
        ("live", replace(GOOD, faults=3, fault="slow: y"), "quarantined", "slow: y"),
        ("probation", GOOD, "live", "went well"),
        ("probation", replace(GOOD, elapsed=timedelta(minutes=1)), None, ""),
        ("probation", replace(GOOD, scored=3), None, ""),
        ("probation", replace(GOOD, evidence=500.0), None, ""),
        ("probation", replace(GOOD, faults=1), None, ""),
        ("probation", replace(GOOD, evidence=2e6), "quarantined", "evidence"),
        ("quarantined", replace(GOOD, snapshot="old"), None, ""),
        ("quarantined", GOOD, "probation", "passed the gate"),
        ("quarantined", replace(GOOD, elapsed=timedelta(seconds=9)), None, ""),
        ("quarantined", replace(GOOD, snapshot=None), None, ""),
        ("quarantined", replace(GOOD, snapshot="old", elapsed=31 * LONG), "retired", "30 days"),
        ("retired", GOOD, None, ""),
        ("retired", replace(GOOD, snapshot="other", elapsed=99 * LONG), None, ""),
    ],
)
def test_moves(state: str, seen: Seen, to: str | None, why: str) -> None:
    now = Standing(state, "before", "old")  # type: ignore[arg-type]
    found = decide(now, seen, RULES)
    assert (found.state if found else None) == to
    assert found is None or why in found.reason


def test_the_third_quarantine_in_a_row_retires() -> None:
    stands = Standing("probation", "", "s2", relapses=2)
    found = decide(stands, replace(GOOD, faults=3), RULES)
    assert found is not None
    assert found.state == "retired"


def test_trust_regained_forgets_relapses_and_relapses_double_the_wait() -> None:
    stands = Standing("probation", "", "s2", relapses=2)
    assert dwell(stands, RULES) == 4 * RULES.dwell
    found = decide(stands, GOOD, RULES)
    assert found is not None
    assert (found.state, found.relapses) == ("live", 0)


STEPS = st.lists(
    st.tuples(
        st.floats(0, 2000),  # seconds that pass
        st.sampled_from([0.0, 50.0, 5e3, 2e4, 5e6]),  # evidence
        st.integers(0, 200),  # scored
        st.sampled_from([0, 0, 0, 1, 2, 5]),  # faults
        st.sampled_from(["s1", "s2", "s3", "s4"]),
    ),
    max_size=60,
)


@given(STEPS)
@settings(deadline=None, max_examples=300)
def test_it_never_flaps_within_its_dwell(steps: list[tuple[float, float, int, int, str]]) -> None:
    """Whatever is seen: only quarantine comes before the dwell is over, and trust never does."""
    stands, elapsed = Standing(), timedelta.max
    for seconds, evidence, scored, faults, snapshot in steps:
        if elapsed < timedelta.max:
            elapsed += timedelta(seconds=seconds)
        seen = Seen(evidence, "x", scored, faults, "f", snapshot, elapsed)
        moved = decide(stands, seen, RULES)
        if moved is None:
            continue
        assert moved.state != stands.state
        assert moved.reason
        if moved.state not in ("quarantined", "retired"):
            assert elapsed >= dwell(stands, RULES)
        if TRUST[moved.state] > TRUST[stands.state] and stands.state == "quarantined":
            assert snapshot != stands.snapshot
        assert stands.state != "retired"
        stands, elapsed = moved, timedelta(0)


@pytest.mark.slowish
def test_a_calibrated_model_stays_live_at_the_stated_rate() -> None:
    """400 runs of 300 forecasts: the chance of an alarm at A = 300 is 1 at most, at 3,000 0.1.

    At A = 3,000 the bound is 300 / 3,000 = 10% of runs: 40, and 4 standard errors are 24 more. At
    the threshold in use, 10,000, it is 3%: 12 runs, and 4 standard errors are 14 more.
    """
    rng = np.random.default_rng(11)
    places = sketch(table(3.0))
    alarms = {3e3: 0, RULES.suspect: 0}
    for _ in range(400):
        evidence, highest = Evidence(), 0.0
        for outcome in draw(rng, 3.0, 300):
            highest = max(highest, evidence.see(places, places, outcome))
        for bound in alarms:
            alarms[bound] += highest >= bound
    assert alarms[3e3] <= 64
    assert alarms[RULES.suspect] <= 26


@pytest.mark.parametrize(("truth", "within"), [(5.0, 60), (1.0, 60), (4.2, 250)])
def test_a_wrong_model_is_found_soon(truth: float, within: int) -> None:
    rng = np.random.default_rng(5)
    mine, better = sketch(table(3.0)), sketch(table(truth))
    evidence = Evidence()
    reached = {}
    for n, outcome in enumerate(draw(rng, truth, 2 * within), 1):
        found = evidence.see(mine, better, outcome)
        for bound in (RULES.suspect, RULES.guilty):
            if found >= bound:
                reached.setdefault(bound, n)
    assert reached[RULES.suspect] <= within
    assert reached[RULES.guilty] <= 2 * within
    assert evidence.to_json()["against"]


def test_a_model_that_was_good_for_long_is_found_as_soon() -> None:
    rng = np.random.default_rng(6)
    places = sketch(table(3.0))
    evidence = Evidence()
    for outcome in draw(rng, 3.0, 3000):
        evidence.see(places, places, outcome)
    assert evidence.evidence < RULES.guilty
    after = draw(rng, 5.5, 100)
    assert any(evidence.see(places, sketch(table(5.5)), y) >= RULES.guilty for y in after)


@given(st.floats(0.05, 0.9))
@settings(deadline=None, max_examples=20)
def test_the_mean_of_the_evidence_grows_by_one_a_step_at_most(bound: float) -> None:
    """E[R_n] <= n, exactly n at the bound: enumerated over all outcomes of 8 coin flips."""
    expected = 0.0
    for flips in range(2**8):
        detector, chance = Detector("x", bound), 1.0
        for k in range(8):
            hit = flips >> k & 1
            chance *= bound if hit else 1 - bound
            detector.see(float(hit))
        expected += chance * detector.evidence
    assert expected == pytest.approx(8.0, rel=1e-9)


def test_a_bound_that_allows_everything_is_refused() -> None:
    with pytest.raises(WeightError):
        Detector("x", 1.0)
