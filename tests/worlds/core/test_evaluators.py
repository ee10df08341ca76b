"""Every evaluator against an independent reference, and its stated error against the truth."""

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from worlds.core.distributions import CountMixture, Distribution, Point
from worlds.core.evaluators.effort import Effort
from worlds.core.evaluators.grid import chain, total
from worlds.core.evaluators.product import product
from worlds.core.evaluators.push import Extreme, pushed
from worlds.core.evaluators.replicates import replicated
from worlds.core.evaluators.sobol import Scrambled
from worlds.core.evaluators.worlds import count, listed, per_world
from worlds.core.formula.ranges import Range
from worlds.core.laws import Atoms, Lognormals, Normals
from worlds.core.shapes import Elicited, Triangular, Uniform

L = (Lognormals.of(10, 0.4), stats.lognorm(0.4, scale=10))
U = (Uniform(1, 5), stats.uniform(1, 4))
N = (Normals.of(3, 1), stats.norm(3, 1))
T = (Triangular(1, 2, 5), stats.triang(0.25, 1, 4))
G = (Lognormals.of(2, 0.9), stats.lognorm(0.9, scale=2))


# quadrature says when rounding is all that is left to gain; the comparisons below decide
pytestmark = pytest.mark.filterwarnings("ignore:The occurrence of roundoff error")


def error(law: Distribution) -> float:
    return float(getattr(law, "error", 0.0))


def by_quadrature(outer: stats.rv_continuous, inner: object) -> float:
    """Return E[inner(Y)] over the law of Y, by adaptive quadrature over its levels."""
    ends = [1e-14, 1e-6, 1e-3, 0.05, 0.25, 0.5, 0.75, 0.95, 1 - 1e-3, 1 - 1e-6, 1 - 1e-14]
    found = 0.0
    for a, b in itertools.pairwise(ends):
        found += integrate.quad(lambda p: inner(outer.ppf(p)), a, b, epsabs=1e-11, limit=400)[0]  # type: ignore[operator]
    return found


@pytest.mark.parametrize(("x", "y"), [(L, U), (U, T), (N, G), (T, L)])
@pytest.mark.parametrize("sign", [1, -1])
def test_sums_agree_with_adaptive_quadrature(
    x: tuple[Distribution, stats.rv_continuous],
    y: tuple[Distribution, stats.rv_continuous],
    sign: int,
) -> None:
    law = total([(2.0, x[0]), (float(sign), y[0])], 1.5)
    for p in (0.01, 0.4, 0.95, 0.9999):
        q = float(law.quantile(p))
        truth = by_quadrature(y[1], lambda v, q=q: x[1].cdf((q - 1.5 - sign * v) / 2))
        assert abs(float(law.cdf(q)) - truth) <= error(law) + 1e-10
        assert abs(truth - p) <= error(law) + 1e-9
    assert law.mean() == pytest.approx(2 * x[1].mean() + sign * y[1].mean() + 1.5)
    assert law.var() == pytest.approx(4 * x[1].var() + y[1].var())


@pytest.mark.parametrize(("x", "y"), [(L, U), (N, G), (T, L), (U, T), (G, L), (U, G)])
def test_products_agree_with_adaptive_quadrature(
    x: tuple[Distribution, stats.rv_continuous], y: tuple[Distribution, stats.rv_continuous]
) -> None:
    law = product(x[0], y[0])
    assert law is not None
    for p in (0.01, 0.4, 0.95, 0.9999):
        q = float(law.quantile(p))
        truth = by_quadrature(y[1], lambda v, q=q: x[1].cdf(q / v))
        assert abs(float(law.cdf(q)) - truth) <= error(law) + 1e-10
    assert law.mean() == pytest.approx(x[1].mean() * y[1].mean(), rel=1e-6)


@pytest.mark.slowish
def test_chains_agree_with_adaptive_quadrature() -> None:
    law = chain([(1, U[0]), (1, T[0]), (-1, L[0])])
    inner = product(U[0], T[0])
    assert inner is not None
    for p in (0.01, 0.4, 0.95):
        q = float(law.quantile(p))
        truth = by_quadrature(L[1], lambda v, q=q: float(inner.cdf(q * v)))
        assert abs(p - truth) <= error(law) + error(inner) + 1e-9
    assert law.mean() == pytest.approx(3 * T[1].mean() * np.exp(0.16 / 2) / 10, rel=1e-6)


def test_a_chain_of_lognormals_is_closed_form() -> None:
    law = chain([(1, L[0]), (1, G[0]), (-1, L[0])])
    assert isinstance(law, Lognormals)
    assert law.quantile(0.5) == pytest.approx(2)


def test_a_count_times_a_price_is_the_sum_over_its_values() -> None:
    law = product(CountMixture.of(6.0, 3.0), G[0])
    assert law is not None
    k = np.arange(200)
    pmf = CountMixture.of(6.0, 3.0).pmf(k)
    for x in (0.0, 1.0, 15.0, 80.0):
        above = G[1].cdf(x / np.maximum(k, 1e-300))
        truth = pmf @ np.where(k == 0, 1.0, above)
        assert float(law.cdf(x)) == pytest.approx(truth, abs=1e-11)


def test_a_large_count_times_a_price_is_compressed_within_its_error() -> None:
    posts = CountMixture.of(6500.0, 30.0)
    law = product(posts, G[0])
    assert law is not None
    k = np.arange(1, 20000)
    pmf = posts.pmf(k)
    for x in (3000.0, 13000.0, 60000.0):
        assert abs(float(law.cdf(x)) - pmf @ G[1].cdf(x / k)) <= error(law) + 1e-10


def test_discrete_sums_are_enumerated() -> None:
    a, b = CountMixture.of(6.0, 3.0), CountMixture.of(2.0)
    law = total([(3.0, a), (-2.0, b)])
    i, j = np.meshgrid(np.arange(150), np.arange(60), indexing="ij")
    pmf = np.outer(a.pmf(np.arange(150)), b.pmf(np.arange(60)))
    for x in (-5, 0, 1, 17, 50):
        assert float(law.cdf(x)) == pytest.approx(pmf[3 * i - 2 * j <= x].sum(), abs=1e-10)


def test_many_discrete_terms_are_convolved() -> None:
    law = total([(1.0, Atoms.of([0, 1], [1 - p, p])) for p in np.linspace(0.1, 0.9, 200)])
    p = np.linspace(0.1, 0.9, 200)
    pmf = np.ones(1)
    for one in p:
        pmf = np.convolve(pmf, [1 - one, one])
    np.testing.assert_allclose(law.cdf(np.arange(201)), np.cumsum(pmf), atol=1e-12)


@pytest.mark.slowish
def test_a_thousand_terms_are_added_within_the_stated_error() -> None:
    """Gamma terms of one scale add up to a gamma: a closed form to compare with."""
    shapes = 0.5 + np.arange(300) % 5

    class Gamma:
        def __init__(self, shape: float) -> None:
            self.law = stats.gamma(shape)

        def mean(self) -> float:
            return float(self.law.mean())

        def var(self) -> float:
            return float(self.law.var())

        def cdf(self, x: object) -> np.ndarray:
            return np.asarray(self.law.cdf(x))

        def quantile(self, p: object) -> np.ndarray:
            return np.asarray(self.law.ppf(p))

        def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
            return self.law.rvs(size, random_state=rng)

    law = total([(1.0, Gamma(shape)) for shape in shapes])
    reference = stats.gamma(shapes.sum())
    for p in (0.001, 0.3, 0.95, 0.9999):
        assert abs(float(law.cdf(reference.ppf(p))) - p) <= error(law)
    assert error(law) < 1e-4


def test_a_small_count_among_wide_terms_keeps_its_probabilities() -> None:
    law = total([(1.0, CountMixture.of(2.0, 3.0)), (0.02, L[0])])
    k = np.arange(100)
    pmf = CountMixture.of(2.0, 3.0).pmf(k)
    for x in (0.1, 0.3, 1.2, 5.5):
        truth = pmf @ L[1].cdf((x - k) / 0.02)
        assert abs(float(law.cdf(x)) - truth) <= error(law) + 1e-10


def test_extremes_multiply_probabilities() -> None:
    parts = (L[0], N[0], Point(4.0))
    for greatest in (True, False):
        law = Extreme(parts, greatest, Range(-99, 99))
        draws = np.array(
            [part.sample(np.random.default_rng(i), 400_000) for i, part in enumerate(parts)]
        )
        found = draws.max(0) if greatest else draws.min(0)
        assert law.mean() == pytest.approx(found.mean(), abs=5 * found.std() / 632)
        for p in (0.1, 0.5, 0.9):
            q = float(law.quantile(p))
            assert law.cdf(q) >= p - 1e-9
            at = (found <= q * (1 + 1e-12)).mean()
            assert abs(at - float(law.cdf(q))) < 4.5 * np.sqrt(0.25 / 400_000)


def test_functions_that_rise_are_exact() -> None:
    law = pushed(N[0], lambda x: np.maximum(x - 4, 0), 1, Range(0, np.inf))
    assert law.cdf(0) == pytest.approx(stats.norm.cdf(1))
    assert law.cdf(-1e-9) == 0
    assert law.cdf(1.5) == pytest.approx(stats.norm.cdf(2.5), rel=1e-9)
    assert law.mean() == pytest.approx(stats.norm.pdf(1) - stats.norm.sf(1), rel=1e-8)
    assert law.quantile(0.95) == pytest.approx(stats.norm.ppf(0.95) - 1)


def test_functions_that_fall_are_exact() -> None:
    law = pushed(U[0], lambda x: 1 / x, -1, Range(0.2, 1))
    for y in (0.21, 0.4, 0.9):
        assert law.cdf(y) == pytest.approx(1 - (1 / y - 1) / 4, abs=1e-9)
    assert law.mean() == pytest.approx(np.log(5) / 4, rel=1e-9)


def test_functions_that_turn_state_an_error_that_holds() -> None:
    law = pushed(N[0], lambda x: (x - 3) ** 2, None, Range(0, np.inf))
    x = np.linspace(0.01, 9, 50)
    assert np.abs(law.cdf(x) - stats.chi2(1).cdf(x)).max() <= error(law)
    assert error(law) < 1e-4


def test_scrambled_points_fill_every_elementary_interval() -> None:
    points = Scrambled(5, np.random.default_rng(3)).block(0, 1024)
    assert (np.sort((points * 1024).astype(int), 0) == np.arange(1024)[:, None]).all()
    cells = (points[:, :2] * 32).astype(int)
    assert (np.unique(cells, axis=0, return_counts=True)[1] == 1).all()


def test_points_continue_where_they_stopped() -> None:
    whole = Scrambled(7, np.random.default_rng(3)).block(0, 512)
    again = Scrambled(7, np.random.default_rng(3))
    np.testing.assert_array_equal(whole[256:], again.block(256, 256))


@pytest.mark.slowish
def test_the_error_of_replicates_covers_the_truth_at_its_rate() -> None:
    """120 random problems with known answers; the bound is stated at 99.9%, two may miss."""
    misses = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        weights = rng.uniform(0.2, 3, 3)
        law = replicated(
            lambda u, _, w=weights: (-np.log(u) @ w, None),
            3,
            Range(0, np.inf),
            Effort(1e-3, seed=seed),
        )
        assert law is not None
        x = float(rng.uniform(0.5, 2.5)) * weights.sum()
        products = [w * np.prod([w / (w - v) for v in weights if v != w]) / w for w in weights]
        truth = 1 - sum(c * np.exp(-x / w) for c, w in zip(products, weights, strict=True))
        misses += abs(float(law.cdf(x)) - truth) > law.error
        misses += abs(law.mean() - weights.sum()) > law.mean_error
    assert misses <= 2


def test_the_most_probable_worlds_come_first() -> None:
    rng = np.random.default_rng(1)
    choices = {
        f"c{i}": dict(zip("abc", rng.dirichlet([1, 1, 1]).tolist(), strict=True)) for i in range(7)
    }
    everything = listed(choices)
    assert len(everything.weights) == count(choices) == 3**7
    assert everything.weights.sum() == pytest.approx(1)
    few = listed(choices, 50)
    np.testing.assert_allclose(few.weights, everything.weights[:50])
    assert few.missing == pytest.approx(1 - everything.weights[:50].sum())
    for place in (0, 13, 49):
        chosen = few.chosen(place)
        assert np.prod([choices[c][o] for c, o in chosen.items()]) == pytest.approx(
            few.weights[place]
        )


def test_numbers_follow_the_choices_of_their_world() -> None:
    choices = {"a": {"x": 0.5, "y": 0.5}, "b": {"u": 0.2, "v": 0.8}}
    found = listed(choices)
    table = {
        (o, p): float(i)
        for i, (o, p) in enumerate([("x", "u"), ("x", "v"), ("y", "u"), ("y", "v")])
    }
    numbers = per_world(found, ("a", "b"), table)
    for place, number in enumerate(numbers):
        chosen = found.chosen(place)
        assert table[(chosen["a"], chosen["b"])] == number


def test_an_interval_that_was_stated_multiplies_within_the_error() -> None:
    growth = Elicited.of(1.2, 2.0, 1.5)
    law = product(L[0], growth)
    assert law is not None
    for q in (8.0, 15.0, 40.0):

        def below(p: float, q: float = q) -> float:
            return float(L[1].cdf(q / float(growth.quantile(p))))

        truth = integrate.quad(below, 1e-12, 0.5)[0] + integrate.quad(below, 0.5, 1 - 1e-12)[0]
        assert abs(float(law.cdf(q)) - truth) <= error(law) + 1e-9
