import numpy as np
import pytest

from tests.worlds.watch.making import SIZE, draw, table
from worlds.core.distributions import CountMixture
from worlds.core.lattice import GRID, CdfTable
from worlds.errors import ModelFaultError
from worlds.learn.scoring import score
from worlds.watch.sketch import LEVELS, crps, inside, mixed, pit, sketch, unsound


@pytest.mark.parametrize("level", [-2.0, 0.0, 3.0, 6.0])
def test_the_pit_of_a_right_forecast_is_uniform(level: float) -> None:
    """Every tenth holds a tenth of 4,000 outcomes: 4 standard errors and .012 for the sketch."""
    rng = np.random.default_rng(4)
    places = sketch(table(level))
    outcomes = draw(rng, level, 4000)
    spans = [pit(places, y) for y in outcomes]
    tolerance = 4 * np.sqrt(0.1 * 0.9 / len(outcomes)) + 0.012
    for k in range(10):
        share = np.mean([inside(span, k / 10, (k + 1) / 10) for span in spans])
        assert abs(share - 0.1) < tolerance


@pytest.mark.parametrize(("level", "outcome"), [(0.0, 0.0), (0.0, 4.0), (2.0, 30.0), (3.0, 7.0)])
def test_scores_agree_with_those_of_the_whole_forecast(level: float, outcome: float) -> None:
    whole = table(level)
    places = sketch(whole)
    _, exact, below, upto = score(whole, outcome, np.random.default_rng(0))
    assert crps(places, outcome) == pytest.approx(exact, rel=0.04, abs=0.02)
    assert pit(places, outcome) == pytest.approx((below, upto), abs=0.012)


def test_a_mixture_of_sketches_is_the_sketch_of_the_mixture() -> None:
    parts = [(0.3, table(1.0)), (0.7, table(4.0))]
    values = sum(weight * part.values for weight, part in parts)
    exact = sketch(CdfTable(values, (1.0, 1.0)))
    found = mixed([(weight, sketch(part)) for weight, part in parts])
    for y in (0.0, 3.0, 20.0, 100.0):
        assert pit(found, y) == pytest.approx(pit(exact, y), abs=0.015)


def test_other_distributions_are_read_as_well() -> None:
    count = CountMixture.of(5.0, SIZE)
    assert pit(sketch(count), 3.0)[1] == pytest.approx(float(count.cdf([3.0])[0]), abs=0.012)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v * np.nan, "not finite"),
        (lambda v: -v, "outside"),
        (lambda v: v[::-1].copy(), "outside|fall|end at"),
        (lambda v: v * 0.5, "end at 0.5"),
        (lambda v: np.where(GRID == 5, 0.0, v), "fall"),
        (lambda v: v[:10], "are expected"),
    ],
)
def test_what_is_no_distribution_is_named(change: object, said: str) -> None:
    values = change(table(2.0).values.astype(float))  # type: ignore[operator]
    with pytest.raises(ModelFaultError, match=said):
        sketch(CdfTable(values, (1.0, 1.0)))
    assert unsound(values)


def test_levels_are_ordered() -> None:
    assert list(LEVELS) == sorted(set(LEVELS))
