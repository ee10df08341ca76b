"""Formulas that were once answered wrongly: powers, least and greatest, what cannot be."""

import numpy as np
import pytest
from scipy.special import ndtr

from worlds.core.compound import Severity
from worlds.core.distributions import CountMixture, PmfTable
from worlds.core.evaluators.expect import integrate
from worlds.core.evaluators.push import Extreme, extreme
from worlds.core.formula.ranges import Range
from worlds.core.laws import Atoms, Lognormals, Normals
from worlds.core.model import Model, Unknown
from worlds.core.shapes import Uniform
from worlds.core.solve import solve
from worlds.errors import ImpossibleError

X = Atoms(np.array([-1.0, 2.0, 3.0]), np.array([0.2, 0.5, 0.3]))
Y = Atoms(np.array([1.0, 2.0]), np.array([0.5, 0.5]))
WHOLE = PmfTable(1, np.array([0.5, 0.3, 0.2]))
ITEMS = Severity(np.array([0.5, 0.5]), (PmfTable(0, np.array([0.5, 0.5])), PmfTable(1, np.ones(1))))


def discrete() -> Model:
    return Model.of(
        Unknown("x", X),
        Unknown("y", Y),
        Unknown("n", WHOLE, role="count"),
        Unknown("s", ITEMS, role="size"),
    )


@pytest.mark.parametrize(
    "formula",
    [
        "x * x + x",
        "x * x * y",
        "x * x * x - x",
        "x * x / (x + 4)",
        "x / (x + 4) / (x + 4) * y",
        "(x / (abs(x) + 1)) * (y / (abs(x) + 1))",
        "max(x * x, y) * x * x",
        "(x - 1) * (x - 1) * (x - 1) + y * y",
        "min(x, y) * min(x, y) + min(x, y)",
    ],
)
def test_powers_are_powers(formula: str) -> None:
    outcome = solve(discrete(), formula)
    right: dict[float, float] = {}
    for x, p in zip(X.values.tolist(), X.probs.tolist(), strict=True):
        for y, q in zip(Y.values.tolist(), Y.probs.tolist(), strict=True):
            known = {"x": x, "y": y, "max": max, "min": min, "abs": abs}
            value = round(float(eval(formula, {"__builtins__": {}}, known)), 9)  # noqa: S307
            right[value] = right.get(value, 0.0) + p * q
    mean = sum(value * p for value, p in right.items())
    assert float(outcome.mean()) == pytest.approx(mean, abs=outcome.mean().error + 1e-9)
    for at in right:
        exact = sum(p for value, p in right.items() if value <= at + 1e-7)
        assert float(outcome.cdf(at + 1e-6)) == pytest.approx(exact, abs=outcome.error + 1e-9)


def test_powers_of_what_has_a_density(rng: np.random.Generator) -> None:
    model = Model.of(Unknown("x", Normals.of(0.5, 1.5)), Unknown("y", Uniform(-1, 2)))
    n = 400_000
    x, y = 0.5 + 1.5 * rng.standard_normal(n), rng.uniform(-1, 2, n)
    for formula, values in (
        ("x * x", x**2),
        ("x * x + x", x**2 + x),
        ("x * x * x", x**3),
        ("y * y - 2 * y", y**2 - 2 * y),
        ("x * x + y * y", x**2 + y**2),
    ):
        outcome = solve(model, formula)
        spread = 5 * values.std() / np.sqrt(n)
        assert abs(float(outcome.mean()) - values.mean()) < spread + outcome.mean().error
        for at in np.quantile(values, [0.1, 0.5, 0.9]):
            found = float(outcome.cdf(at))
            assert abs(found - (values <= at).mean()) < 5 * np.sqrt(0.25 / n) + outcome.error


def test_least_and_greatest_of_few_values_are_enumerated() -> None:
    law = extreme((X, Y), True, Range(-1, 3))
    assert isinstance(law, Atoms)
    pairs = [(max(x, y), p * q) for x, p in zip(X.values, X.probs, strict=True)
             for y, q in zip(Y.values, Y.probs, strict=True)]  # fmt: skip
    assert law.mean() == pytest.approx(sum(v * p for v, p in pairs), rel=1e-13)
    assert solve(discrete(), "min(x, y)").mean() == pytest.approx(0.2 * -1 + 0.8 * 1.5, rel=1e-12)


@pytest.mark.slowish
def test_means_of_laws_with_jumps_are_as_exact_as_they_say() -> None:
    count = CountMixture.of([3.0, 20.0], [1.0, np.inf], [0.7, 0.3])
    for other in (Normals.of(1, 2), Lognormals.of(3, 0.5)):
        law = Extreme((count, other), True, Range(0, 99))
        k = np.arange(400)
        direct = float(count.pmf(k) @ np.array([_above(other, x) for x in k.tolist()]))
        assert law.mean() == pytest.approx(direct, abs=law.mean_error + 1e-8)


def _above(law: Normals | Lognormals, x: float) -> float:
    """Return E[max(x, law)] in closed form."""
    if isinstance(law, Normals):
        mean, sd = float(law.means[0]), float(law.sds[0])
        z = (x - mean) / sd
        density = float(np.exp(-z * z / 2) / np.sqrt(2 * np.pi))
        return float(mean + (x - mean) * ndtr(z) + sd * density)
    sigma = float(law.sigmas[0])
    d = (np.log(x) - float(law.mus[0])) / sigma if x > 0 else -np.inf
    return float(x * ndtr(d) + law.mean() * ndtr(sigma - d))


@pytest.mark.parametrize("jump", [0.013, 0.25, 0.4999, 0.5001, 0.987, 0.99999])
def test_a_jump_does_not_hide_from_quadrature(jump: float) -> None:
    value, error = integrate(lambda p: np.where(p > jump, 5.0, 1.0))
    assert abs(value - (jump + 5 * (1 - jump))) <= error + 1e-8


@pytest.mark.parametrize(
    "condition", ["sum(s, n) >= 10", "floor(0.5) > sum(s, n)", "x > 3", "x * x > 9", "y > x + 9"]
)
def test_what_cannot_be_is_said(condition: str) -> None:
    with pytest.raises(ImpossibleError):
        solve(discrete(), "n", conditions=[condition])


@pytest.mark.slowish
def test_constants_may_be_functions() -> None:
    model = Model.of(Unknown("n", CountMixture.of(3.0, 1.0)), Unknown("z", Normals.of(0, 1)))
    plain, written = solve(model, "max(n, z) - 2"), solve(model, "max(n, z) - abs(-2)")
    assert written.error == plain.error < 1e-6
    assert float(written.mean()) == pytest.approx(float(plain.mean()))


def test_a_law_with_jumps_and_a_few_values_add_up(rng: np.random.Generator) -> None:
    model = Model.of(
        Unknown("n", CountMixture.of(3.0, 1.0)), Unknown("z", Normals.of(0, 1)), Unknown("y", Y)
    )
    outcome = solve(model, "max(n, z) - y")
    assert outcome.error < 1e-4
    n = 300_000
    count = rng.poisson(3 * rng.exponential(size=n))
    draws = np.maximum(count, rng.standard_normal(n)) - rng.choice([1.0, 2.0], n)
    for at in (-1.0, -0.5, 0.0, 1.0, 4.0):
        assert abs(float(outcome.cdf(at)) - (draws <= at).mean()) < 5 * np.sqrt(0.25 / n)
