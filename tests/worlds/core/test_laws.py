"""Laws agree with SciPy and with their own definitions."""

import numpy as np
import pytest
from scipy import integrate, stats

from worlds.core.conditioned import Truncated, condition
from worlds.core.distributions import CountMixture, Distribution
from worlds.core.laws import Affine, Atoms, Lognormals, Normals, mixed, moved
from worlds.core.shapes import Elicited, Triangular, Uniform
from worlds.errors import QuestionError

LAWS: list[tuple[Distribution, object]] = [
    (Normals.of(-3, 2), stats.norm(-3, 2)),
    (Lognormals.of(7, 0.6), stats.lognorm(0.6, scale=7)),
    (Uniform(-1, 4), stats.uniform(-1, 5)),
    (Triangular(1, 2, 5), stats.triang(0.25, 1, 4)),
    (Triangular(0, 0, 5), stats.triang(0, 0, 5)),
    (Triangular(0, 5, 5), stats.triang(1, 0, 5)),
    (moved(Normals.of(2, 1), -3, 1), stats.norm(-5, 3)),
    (Affine(Uniform(0, 1), -2, 3), stats.uniform(1, 2)),
]
P = np.array([1e-9, 0.02, 0.25, 0.31, 0.5, 0.9, 1 - 1e-6])


@pytest.mark.parametrize(("law", "reference"), LAWS)
def test_laws_agree_with_scipy(law: Distribution, reference: stats.rv_continuous) -> None:
    x = reference.ppf(P)
    np.testing.assert_allclose(law.quantile(P), x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(law.cdf(x), P, rtol=1e-7, atol=1e-12)
    assert law.mean() == pytest.approx(reference.mean())
    assert law.var() == pytest.approx(reference.var())


@pytest.mark.parametrize(("law", "reference"), LAWS)
def test_draws_follow_the_law(
    law: Distribution, reference: stats.rv_continuous, rng: np.random.Generator
) -> None:
    assert stats.kstest(law.sample(rng, 5000), reference.cdf).pvalue > 1e-4


@pytest.mark.parametrize(
    ("low", "median", "high", "prob"),
    [(6000, 6500, 7250, 0.9), (-5, 1, 20, 0.5), (1, None, 2, 0.8), (-2, None, 4, 0.95)],
)
def test_an_interval_keeps_its_tails(
    low: float, median: float | None, high: float, prob: float
) -> None:
    law = Elicited.of(low, high, median, prob=prob)
    assert law.cdf(low) == pytest.approx((1 - prob) / 2, abs=1e-12)
    assert 1 - law.cdf(high) == pytest.approx((1 - prob) / 2, abs=1e-12)
    if median is not None:
        assert law.cdf(median) == pytest.approx(0.5)
    np.testing.assert_allclose(law.cdf(law.quantile(P)), P, rtol=1e-7)
    mean = integrate.quad(lambda p: float(law.quantile(p)), 0, 0.5, limit=200)[0]
    mean += integrate.quad(lambda p: float(law.quantile(p)), 0.5, 1, limit=200)[0]
    assert law.mean() == pytest.approx(mean, rel=1e-6)
    second = integrate.quad(lambda p: float(law.quantile(p)) ** 2, 0, 0.5, limit=200)[0]
    second += integrate.quad(lambda p: float(law.quantile(p)) ** 2, 0.5, 1, limit=200)[0]
    assert law.var() == pytest.approx(second - mean**2, rel=1e-4)


def test_a_positive_interval_has_no_negative_values() -> None:
    assert Elicited.of(1, 100).quantile(1e-12) > 0
    assert Elicited.of(1, 100).cdf(0) == 0


def test_a_mixture_of_normals_inverts_its_cdf_in_the_gap() -> None:
    law = mixed([0.3, 0.7], [Normals.of(0, 0.1), Normals.of(100, 2)])
    assert isinstance(law, Normals)
    for p in (0.01, 0.2999, 0.3001, 0.5, 0.999):
        assert law.cdf(law.quantile(p)) == pytest.approx(p, rel=1e-9)


def test_truncation_agrees_with_scipy() -> None:
    law = Truncated.of(Normals.of(5, 2), 6, np.inf)
    assert law is not None
    reference = stats.truncnorm(0.5, np.inf, 5, 2)
    assert law.mean() == pytest.approx(reference.mean(), rel=1e-6)
    assert law.var() == pytest.approx(reference.var(), rel=1e-4)
    np.testing.assert_allclose(law.quantile(P), reference.ppf(P), rtol=1e-8)
    assert Truncated.of(Uniform(0, 1), 2, 3) is None


@pytest.mark.parametrize("sign", [">", ">=", "<", "<="])
def test_conditioning_a_discrete_law_is_exact_at_its_values(sign: str) -> None:
    atoms = Atoms.of([1, 2, 3, 3], [0.1, 0.2, 0.3, 0.4])
    law, prob = condition(atoms, sign, 2)
    expected = {">": 0.7, ">=": 0.9, "<": 0.1, "<=": 0.3}[sign]
    assert prob == pytest.approx(expected)
    assert law is not None
    assert law.cdf(10) == pytest.approx(1)


def test_moving_a_count_down_keeps_its_probabilities() -> None:
    count = CountMixture.of(4.0, 2.0)
    law = moved(count, -2.0, 10.0)
    for k in range(12):
        step = float(law.cdf(10 - 2 * k) - law.cdf(10 - 2 * k - 1))
        assert step == pytest.approx(float(count.pmf(k)), abs=1e-12)
    for p in (0.01, 0.3, 0.77):
        q = float(law.quantile(p))
        assert law.cdf(q) >= p > law.cdf(q - 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Normals.of(0, 0),
        lambda: Normals.of(float("nan"), 1),
        lambda: Lognormals.of(-1, 1),
        lambda: Lognormals.of(1, 100),
        lambda: Uniform(2, 2),
        lambda: Triangular(1, 0, 2),
        lambda: Elicited.of(5, 3),
        lambda: Elicited.of(1, 2, 3),
        lambda: Elicited.of(1, float("inf")),
        lambda: Elicited.of(1, 2, prob=1.0),
    ],
)
def test_parameters_without_meaning_are_refused(make: object) -> None:
    with pytest.raises(QuestionError):
        make()  # type: ignore[operator]
