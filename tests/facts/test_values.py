"""Single kinds: rules, conversions at ingress, and numbers against independent references."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from facts import Categorical, Exact, Interval, Normal, Point, ValueKindError, parse_value
from facts.values.base import Disc, OneOf, Range
from facts.values.point import disc_prob
from facts.values.quantiles import Quantiles


def test_an_expanded_uncertainty_is_divided_by_its_coverage_factor_and_kept() -> None:
    value = parse_value({"kind": "normal", "mean": 20.1, "expanded": 0.5, "k": 2.5})
    assert value == Normal(20.1, 0.2)
    assert value.form == {"kind": "normal", "mean": 20.1, "expanded": 0.5, "k": 2.5}


def test_a_68_percent_radius_becomes_a_95_percent_radius() -> None:
    value = parse_value({"kind": "point", "lat": 52, "lon": 13, "radius68_m": 100})
    assert isinstance(value, Point)
    sigma = 100 / stats.rayleigh.ppf(0.68)
    assert value.radius95_m == pytest.approx(sigma * stats.rayleigh.ppf(0.95), rel=1e-12)
    assert value.form is not None
    assert value.form["radius68_m"] == 100


def test_the_95_percent_radius_holds_95_percent() -> None:
    assert Point(52, 13, 40).prob(Disc(52, 13, 40)) == pytest.approx(0.95, abs=1e-9)


@pytest.mark.parametrize(("offset", "radius"), [(0, 1), (1.3, 0.7), (3, 4), (6, 2), (0.2, 12)])
def test_a_disc_off_centre_agrees_with_the_noncentral_chi_square(
    offset: float, radius: float
) -> None:
    assert disc_prob(offset, radius) == pytest.approx(
        stats.ncx2.cdf(radius**2, 2, offset**2), abs=1e-9
    )


@pytest.mark.parametrize(("low", "high"), [(0.3, 1.7), (-40, -8), (9, 12), (-1, 50)])
def test_normal_ranges_are_accurate_in_the_tails(low: float, high: float) -> None:
    expected, _ = integrate.quad(stats.norm.pdf, low, min(high, 40), epsabs=0, epsrel=1e-10)
    assert Normal(0, 1).prob(Range(low, high)) == pytest.approx(expected, rel=1e-7)


def test_an_interval_is_rectangular() -> None:
    value = parse_value({"kind": "interval", "centre": 10, "half_width": 2})
    assert value == Interval(8, 12)
    assert value.prob(Range(9, 30)) == pytest.approx(0.75)
    assert value.variance() == pytest.approx(stats.uniform(8, 4).var())


def test_alternatives_must_sum_to_one_unless_a_rest_takes_what_is_missing() -> None:
    alternatives = {"pug": 0.6, "beagle": 0.3}
    with pytest.raises(ValueKindError, match=r"sum 0\.9 "):
        parse_value({"kind": "categorical", "alternatives": alternatives})
    value = parse_value({"kind": "categorical", "alternatives": alternatives, "rest": "other"})
    assert value.prob(OneOf("other")) == pytest.approx(0.1)
    assert value.form is not None


def test_the_order_of_alternatives_does_not_matter() -> None:
    assert Categorical(("a", "b"), (0.3, 0.7)) == Categorical(("b", "a"), (0.7, 0.3))


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "point", "lat": 91, "lon": 0, "radius95_m": 1},
        {"kind": "point", "lat": 0, "lon": 181, "radius95_m": 1},
        {"kind": "point", "lat": 0, "lon": 0, "radius95_m": -1},
        {"kind": "normal", "mean": 0, "sd": -1},
        {"kind": "normal", "mean": 0, "expanded": 1, "k": 0},
        {"kind": "interval", "lo": 2, "hi": 1},
        {"kind": "categorical", "alternatives": {}},
        {"kind": "categorical", "alternatives": {"a": 1.2, "b": -0.2}},
        {"kind": "categorical", "alternatives": [0.5, 0.5]},
        {"kind": "quantiles", "levels": [0.5, 0.5], "values": [1, 2]},
        {"kind": "quantiles", "levels": [0.1, 0.9], "values": [2, 1]},
        {"kind": "quantiles", "levels": [0.1, 0.9], "values": [-1e308, 1e308]},
        {"kind": "samples", "values": []},
        {"kind": "samples", "values": "123"},
        {"kind": "mystery"},
        {"kind": ["exact"]},
        {"value": 3},
        None,
        [1, 2],
        10**400,
        "lone \ud800 surrogate",
        "nul \x00",
    ],
)
def test_what_breaks_a_rule_is_refused(bad: object) -> None:
    with pytest.raises(ValueKindError):
        parse_value(bad)


def test_whole_numbers_of_any_size_stay_exact() -> None:
    for number in (2**53 - 1, 2**53 + 1, -(10**300) - 7):
        value = Exact(number)
        back = Exact.from_cells(value.cells())
        assert back.value == number
        assert isinstance(back.value, int)


def test_lists_are_exact_texts_of_their_sorted_members() -> None:
    assert Exact.listing(["b", "a", "b"]) == Exact.listing(["a", "b"])
    assert Exact.listing(["b", "a"]).as_list() == ["a", "b"]
    assert Exact.listing([]).as_list() == []
    with pytest.raises(ValueKindError, match="non-empty"):
        Exact.listing(["a", ""])


def test_quantiles_put_probability_on_repeated_values() -> None:
    value = Quantiles((0, 0.4, 0.6, 1), (0, 3, 3, 9))
    assert value.prob(Range(3, 3, closed=True)) == pytest.approx(0.2)
    assert value.prob(Range(0, 3)) == pytest.approx(0.4)
    assert value.prob(Range(3, 9)) == pytest.approx(0.6)


def test_quantiles_go_on_beyond_the_outermost_ones() -> None:
    value = Quantiles((0.1, 0.9), (10, 90))
    assert value.prob(Range(hi=5)) == pytest.approx(0.05)
    assert value.expectation() == pytest.approx(50)
    draws = value.sample(np.random.default_rng(1), 1000)
    assert draws.min() >= 0 or math.isclose(draws.min(), 0)
