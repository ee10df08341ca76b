"""Sizes, learned by sampling: the model of `size_learned` in PyMC, drawn by NUTS (nutpie).

The reference route: minutes instead of a second, run only when asked for. What drifts (the size of
the negative binomial and the step of the level) is held at the values of the fast route, which
weighs the latest items most, and so is the sd of the shocks that pass with a step; effects, levels
and the sds of groups of labels are sampled. NUTS knows no bounded score: counts are cut where that
would bound them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from worlds.core.features import FeatureSpec
from worlds.learn import hierarchy
from worlds.learn.models.size_learned import DRAWS, LEAST, SHOCK, prepare, spent
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Items
from worlds.learn.sizes import latest

MOST = 10_000
"""The latest labelled items that are used: the design is dense here."""
GROUP_SD = 0.5
"""Scale of the half-normal prior of the sd of a group."""
CHAINS, TUNE, KEPT = 4, 500, 500
LEAST_SD = 0.05
"""Least sd of a group: without it the posterior has a funnel that nobody can sample."""
LEAST_LABELS = 3
"""Labels from which on the sd of a group is sampled; fewer tell nothing, it is held too."""


@dataclass(frozen=True, slots=True)
class LearnedPymc:
    """The hierarchical regression with its posterior sampled instead of approximated."""

    name: ClassVar[str] = "learned_pymc"
    role: ClassVar[Literal["size"]] = "size"

    def fit(
        self, items: Items, spec: FeatureSpec, *, at: datetime, rng: np.random.Generator
    ) -> Result:
        """Fit the fast route, then sample with what it holds fixed."""
        known = latest(items, self.name, LEAST, MOST)
        if isinstance(known, Declined):
            return known
        made = prepare(items, spec, at, known)
        tame = hierarchy.tamed(made.problem, hierarchy.fit(made.problem))
        held = hierarchy.fit(tame)
        sampled = sample(tame, held, seed=int(rng.integers(2**31)))
        middle = sampled.effects.mean(1)
        noise = made.noise(middle, spent(made.problem, held))
        form = made.form(sampled.effects, middle, sampled.sd, noise)
        return Fit(
            form, {"method": "NUTS (nutpie)", "items": len(made.problem.y), **sampled.record}
        )


@dataclass(frozen=True, slots=True)
class Sampled:
    """Posterior draws (p + K, S) of effects and levels, sds of groups, and convergence."""

    effects: NDArray[np.float64]
    sd: dict[str, float]
    record: dict[str, Any]


def sample(problem: hierarchy.Problem, held: hierarchy.Fitted, seed: int) -> Sampled:
    """Draw from the posterior; imports what it needs only now (tens of seconds).

    NUTS moves in coordinates in which the Laplace posterior is a standard normal.
    """
    import arviz as az
    import nutpie

    spread = linalg.solve_triangular(held.root, np.eye(len(held.effects)), lower=True, trans="T")
    compiled = nutpie.compile_pymc_model(_model(problem, held, spread), backend="numba")
    trace = nutpie.sample(
        compiled, draws=KEPT, tune=TUNE, chains=CHAINS, cores=2, seed=seed, progress_bar=False
    )
    posterior = trace["posterior"].to_dataset()[["z", "sd"]]
    rhat, ess = az.rhat(posterior), az.ess(posterior)
    record = {
        "rhat": float(max(rhat[name].max() for name in ("z", "sd"))),
        "ess": float(min(ess[name].min() for name in ("z", "sd"))),
        "divergences": int(trace["sample_stats"]["diverging"].sum()),
    }
    z = posterior["z"].to_numpy().reshape(-1, len(held.effects))
    kept = np.linspace(0, len(z) - 1, DRAWS).round().astype(int)
    effects = held.effects[:, None] + spread @ z[kept].T
    sds = np.sqrt((posterior["sd"].to_numpy() ** 2).mean((0, 1)))
    found = {name: float(sd) for name, sd in zip(_many(problem), sds, strict=True)}
    return Sampled(effects, {**held.sd, **found}, record)


def _many(problem: hierarchy.Problem) -> list[str]:
    """Return the groups with labels enough to tell how much they differ; shocks are the level's."""
    return [
        name
        for name, places in problem.groups.items()
        if len(places) >= LEAST_LABELS and name != SHOCK
    ]


def _model(problem: hierarchy.Problem, held: hierarchy.Fitted, spread: NDArray[np.float64]) -> Any:
    """Return the PyMC model: that of `hierarchy`, with the spread of the groups sampled."""
    import pymc as pm
    import pytensor.tensor

    pt: Any = pytensor.tensor  # its functions carry no types
    many = _many(problem)
    columns = len(held.effects) - problem.levels
    group_of = np.zeros(columns, int)
    fixed = np.zeros(columns)
    for name, places in problem.groups.items():
        group_of[places] = many.index(name) if name in many else len(many)
        fixed[places] = 0.0 if name in many else held.sd[name]
    walk = hierarchy.level_precision(problem.levels, held.sd["level"])
    centre = np.full(problem.levels, np.log(problem.y.mean() + 0.5))
    rows, shift = problem.matrix @ spread, problem.matrix @ held.effects
    with pm.Model() as model:
        sd = LEAST_SD + pm.HalfNormal("above", GROUP_SD, shape=len(many))
        pm.Deterministic("sd", sd)
        z = pm.Flat("z", shape=len(held.effects))
        effect = held.effects[:columns] + pt.dot(spread[:columns], z)
        level = held.effects[columns:] + pt.dot(spread[columns:], z) - centre
        own = pt.concatenate([sd, [0.0]])[group_of] + fixed
        pm.Potential("effects", -pt.sum(0.5 * (effect / own) ** 2 + pt.log(own)))
        pm.Potential("levels", -0.5 * pt.dot(level, pt.dot(walk, level)))
        log_mean = pt.dot(rows, z) + shift
        pm.NegativeBinomial("y", mu=pt.exp(log_mean), alpha=held.size, observed=problem.y)
    return model
