from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, sparse, stats

from tests.worlds.learn.made import BREEDS, SPEC, TAGS, items
from worlds.learn import design as designs
from worlds.learn import hierarchy, negbin
from worlds.learn.models.size_learned import level_steps, variance_groups


def problem(n: int, rng: np.random.Generator, **options: float) -> hierarchy.Problem:
    made, _ = items(rng, n, **options)  # type: ignore[arg-type]
    design = designs.build(made.features, SPEC)
    steps = level_steps(np.arange(n) * 0.1)
    return hierarchy.Problem.of(
        made.label, design.matrix, variance_groups(design), steps.index, steps.count
    )


def penalised(task: hierarchy.Problem, found: hierarchy.Fitted, effects: np.ndarray) -> float:
    """The negative log posterior, written from the definition of the model."""
    mean = np.exp(task.matrix.toarray() @ effects)
    total = -stats.nbinom.logpmf(task.y, found.size, found.size / (found.size + mean)).sum()
    for name, places in task.groups.items():
        total -= stats.norm.logpdf(effects[places], 0, found.sd[name]).sum()
    level = effects[-task.levels :]
    total -= stats.norm.logpdf(np.diff(level), 0, found.sd["level"]).sum()
    first = stats.norm(np.log(task.y.mean() + 0.5), hierarchy.WEAK_PRECISION**-0.5)
    return float(total - first.logpdf(level[0]))


@pytest.mark.slowish
def test_mode_maximises_the_posterior_as_written_down(rng: np.random.Generator) -> None:
    task = replace(problem(120, rng), reach=np.inf)
    found = hierarchy.fit(task)
    best = optimize.minimize(
        lambda effects: penalised(task, found, effects), found.effects * 0.9, method="BFGS"
    )
    assert penalised(task, found, found.effects) <= best.fun + 1e-4
    sd = np.sqrt(np.diag(np.linalg.inv(found.root @ found.root.T)))
    assert np.abs((found.effects - best.x) / sd).max() < 0.02
    assert found.gradient < hierarchy.TOLERANCE


def test_draws_have_the_posterior_moments(rng: np.random.Generator) -> None:
    found = hierarchy.fit(problem(200, rng))
    draws = found.draws(rng, 4096)
    covariance = np.linalg.inv(found.root @ found.root.T)
    assert draws.mean(1) == pytest.approx(found.effects, abs=1e-9)  # antithetic pairs
    # the variance of n / 2 normal pairs has a relative error sqrt(2 / 2048) = 3.1 %
    assert draws.var(1) == pytest.approx(np.diag(covariance), rel=5 * 0.0313)


def test_effects_size_and_level_are_recovered(rng: np.random.Generator) -> None:
    made, truth = items(rng, 4000, sure=True)
    design = designs.build(made.features, SPEC)
    steps = level_steps(np.arange(4000) * 0.1)
    task = hierarchy.Problem.of(
        made.label, design.matrix, variance_groups(design), steps.index, steps.count
    )
    found = hierarchy.fit(task)
    place = {name: i for i, name in enumerate(design.columns)}
    sd = np.sqrt(np.diag(np.linalg.inv(found.root @ found.root.T)))
    pug, beagle = place["breed=pug"], place["breed=beagle"]
    error = np.hypot(sd[pug], sd[beagle])
    gap = found.effects[pug] - found.effects[beagle]
    assert abs(gap - (BREEDS["pug"] - BREEDS["beagle"])) < 4 * error
    for tag, effect in TAGS.items():
        column = place[f"hashtag={tag}"]
        assert abs(found.effects[column] - effect) < 4 * sd[column]
    assert 0.25 < found.sd["breed"] < 1.2
    # recency keeps about 300 / ln 2 observations for the size: relative error near 7 %
    assert found.size == pytest.approx(truth.size, rel=0.28)
    levels = found.effects[-steps.count :]
    true = np.array([truth.level[steps.index == k].mean() for k in range(steps.count)])
    offset = (levels - true).mean()
    assert np.sqrt(((levels - true - offset) ** 2).mean()) < 0.15


@pytest.mark.slowish
def test_cox_reid_corrects_the_size_for_the_effects_that_were_fitted() -> None:
    """Many effects on few items: without the correction the noise seems smaller than it is."""
    found, plain = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(40), 4)
        y = rng.poisson(np.exp(3 + rng.normal(0, 1, 40))[group] * rng.gamma(2, 0.5, 160))
        matrix = sparse.csr_array((np.ones(160), (np.arange(160), group)), shape=(160, 40))
        task = hierarchy.Problem.of(
            y.astype(float), matrix, {"group": np.arange(40)}, np.zeros(160, np.intp), 1
        )
        fitted = hierarchy.fit(task)
        found.append(np.log(fitted.size))
        mean = np.exp(task.matrix @ fitted.effects)
        plain.append(np.log(negbin.likely_size(task.y, mean)))
    error = np.std(found, ddof=1) / np.sqrt(12)
    assert abs(np.mean(found) - np.log(2)) < max(4 * error, 0.1)
    assert np.mean(plain) > np.log(2) + 0.15


def test_what_goes_viral_moves_the_mean_but_not_the_effects(rng: np.random.Generator) -> None:
    task = problem(800, rng)
    wild = task.y.copy()
    viral = np.flatnonzero(task.matrix.toarray()[:, 0] > 0.9)[::8]  # one label goes viral
    wild[viral] *= 30
    calm, robust, plain = (
        hierarchy.fit(changed)
        for changed in (task, replace(task, y=wild), replace(task, y=wild, reach=np.inf))
    )
    drift = [abs(found.effects[0] - calm.effects[0]) for found in (robust, plain)]
    assert drift[0] < 0.5 * drift[1]
    weight = hierarchy.fading(len(wild), hierarchy.CENTRE_HALF_LIFE)
    mean = np.exp(task.matrix @ robust.effects)
    assert weight @ mean == pytest.approx(weight @ wild, rel=1e-3)


@pytest.mark.parametrize(
    "y", [np.zeros(40), np.full(40, 3.0), np.r_[np.zeros(39), 1e6]], ids=["zeros", "same", "wild"]
)
def test_degenerate_counts_give_a_finite_posterior(y: np.ndarray) -> None:
    matrix = sparse.csr_array(np.eye(40)[:, :3])
    task = hierarchy.Problem.of(y, matrix, {"g": np.arange(3)}, np.arange(40) // 10, 4)
    found = hierarchy.fit(task)
    assert np.isfinite(found.effects).all()
    assert np.isfinite(found.root).all()
    assert np.isfinite(found.gradient)
