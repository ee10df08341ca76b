"""Sums over many counts at once: as one by one, and as an independent convolution says."""

import numpy as np
import pytest

from worlds.core.compound import Severity, compound
from worlds.core.distributions import Count, CountMixture, Floats, PmfTable, Point
from worlds.core.path_total import PathTotal
from worlds.core.together import Joined, compounds, powers
from worlds.errors import QuestionError

ITEMS = Severity(
    np.array([0.3, 0.7]),
    (
        CountMixture.of([3.0, 40.0], [0.4, 1.3], [0.6, 0.4]),
        CountMixture.of([5.0, 55.0, 300.0], [0.6, 2.0, np.inf], [0.5, 0.4, 0.1]),
    ),
)
COUNTS: list[Count] = [
    CountMixture.of(2.0, 3.0),
    CountMixture.of([4.0, 9.0], [2.0, np.inf], [0.5, 0.5]),
    PmfTable(3, np.array([0.2, 0.5, 0.3])),
    PathTotal(np.array([0.4, 0.6]), np.array([[2.0, 4.0], [1.0, 3.0]]), np.full((2, 2), 5.0)),
]


def convolved(count: Count, severity: Severity, most: int, top: int) -> Floats:
    """Return cumulative probabilities of 0..top by adding up items one after the other."""
    probs = count.pmf(np.arange(most + 1))
    total = np.zeros(top + 1)
    for weight, part in zip(severity.weights, severity.parts, strict=True):
        one = part.pmf(np.arange(top + 1))
        law = np.zeros(top + 1)
        law[0] = 1.0
        for prob in probs:
            total += weight * prob * law
            law = np.convolve(law, one)[: top + 1]
    return np.cumsum(total)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-4, 1e-5, 1e-7])
def test_sums_agree_with_convolution_within_their_error(tolerance: float) -> None:
    laws = compounds(COUNTS, ITEMS, tolerance)
    places = np.arange(1200)
    for count, law in zip(COUNTS, laws, strict=True):
        right = convolved(count, ITEMS, 60, 1200)[:1200]
        error = float(getattr(law, "error", 0.0))
        assert error <= tolerance
        assert float(np.abs(law.cdf(places) - right).max()) <= error + 1e-9
        mean, var = count.mean() * ITEMS.mean(), law.var()
        assert law.mean() == pytest.approx(mean, rel=1e-6)
        assert var > count.mean()


def test_one_count_or_many_give_the_same() -> None:
    laws = compounds(COUNTS, ITEMS)
    for count, law in zip(COUNTS, laws, strict=True):
        alone = compounds([count], ITEMS)[0]
        old = compound(count, ITEMS)
        x = np.arange(0, 4000, 7)
        error = sum(float(getattr(one, "error", 0.0)) for one in (law, old))
        assert np.abs(law.cdf(x) - old.cdf(x)).max() <= error + 1e-9
        assert np.abs(law.cdf(x) - alone.cdf(x)).max() <= error + 1e-9


def test_quantiles_invert_the_cumulative_probabilities() -> None:
    laws = compounds(COUNTS, ITEMS, 1e-4)
    assert any(isinstance(law, Joined) for law in laws)
    levels = np.array([1e-4, 0.05, 0.3, 0.5, 0.9, 0.99, 0.99999])
    for law in laws:
        found = law.quantile(levels)
        assert (found == np.floor(found)).all()
        assert (law.cdf(found) >= levels).all()
        assert (law.cdf(found - 1) < levels).all()
        assert float(law.cdf(-1.0)) == 0
        assert float(law.cdf(1e12)) == 1


def test_draws_have_the_mean(rng: np.random.Generator) -> None:
    for law in compounds(COUNTS[:2], ITEMS, 1e-4):
        draws = law.sample(rng, 20_000)
        assert abs(draws.mean() - law.mean()) < 4.5 * np.sqrt(law.var() / 20_000)


def test_counts_that_differ_much_or_hardly_fit_are_answered_too() -> None:
    counts: list[Count] = [CountMixture.of(0.001), CountMixture.of(40_000.0, 9.0), Point(3.0)]
    counts += [Point(0.0), CountMixture.of(0.0)]
    rare, many, three, none, never = compounds(counts, ITEMS)
    assert rare.mean() == pytest.approx(0.001 * ITEMS.mean())
    assert float(rare.cdf(0)) == pytest.approx(
        float(convolved(counts[0], ITEMS, 12, 2)[0]), abs=1e-9
    )
    assert many.mean() == pytest.approx(40_000 * ITEMS.mean())
    assert float(np.abs(three.cdf(np.arange(900)) - convolved(Point(3.0), ITEMS, 3, 899)).max()) < (
        1e-6
    )
    assert float(none.cdf(0)) == float(never.cdf(0)) == 1.0
    fixed = Severity(np.ones(1), (Point(2.0),))
    assert compounds([CountMixture.of(3.0)], fixed)[0].mean() == pytest.approx(6.0)
    with pytest.raises(QuestionError, match="must be whole"):
        compounds([Point(2.5)], ITEMS)


def test_powers_of_transforms() -> None:
    inner = np.array([[0.9 + 0.1j, 0.2j, 1e-9], [0.5, 0.1, -1e-3]])
    weights = np.array([0.25, 0.75])
    found = powers(inner, weights, 400)
    for n in (0, 1, 2, 7, 60, 399):
        assert np.allclose(found[n], weights @ inner**n, atol=1e-14)


def test_tails_that_reach_far_are_as_exact_as_one_by_one() -> None:
    means = np.exp(np.linspace(2.0, 15.5, 40))
    weights = np.exp(-0.5 * ((np.log(means) - 8.0) / 1.6) ** 2) + 2e-4
    items = Severity(np.ones(1), (CountMixture.of(means, 2.0, weights / weights.sum()),))
    counts: list[Count] = [CountMixture.of(mean, 2.0) for mean in (1.6, 1.9, 2.4)]
    x = np.geomspace(1, 1e8, 60).round()
    for count, law in zip(counts, compounds(counts, items), strict=True):
        alone = compound(count, items)
        assert float(getattr(law, "error", 0.0)) <= 3 * float(getattr(alone, "error", 0.0)) + 1e-4
        gap = float(getattr(law, "error", 0.0)) + float(getattr(alone, "error", 0.0))
        assert np.abs(law.cdf(x) - alone.cdf(x)).max() <= gap
