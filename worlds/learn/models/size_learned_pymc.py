"""Sizes, learned by sampling: the model of `size_learned` in PyMC, drawn by NUTS (nutpie).

The reference route: minutes instead of a second, run only when asked for. What drifts (the size of
the negative binomial and the step of the level) is held at the values of the fast route, which
weighs the latest items most; effects, levels and the variances of the groups are sampled.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from worlds.core.features import FeatureSpec
from worlds.core.forms.log_linear import LogLinear
from worlds.learn import hierarchy
from worlds.learn.models.size_learned import DRAWS, LEAST, level_first, prepare
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Items

MOST = 10_000
"""The latest labelled items that are used: the design is dense here."""
GROUP_SD = 0.5
"""Scale of the half-normal prior of the sd of a group."""
CHAINS, TUNE, KEPT = 4, 600, 500
ACCEPT = 0.95


@dataclass(frozen=True, slots=True)
class LearnedPymc:
    """The hierarchical regression with its posterior sampled instead of approximated."""

    name: ClassVar[str] = "learned_pymc"
    role: ClassVar[Literal["size"]] = "size"

    def fit(
        self, items: Items, spec: FeatureSpec, *, at: datetime, rng: np.random.Generator
    ) -> Result:
        """Fit the fast route, then sample with what it holds fixed."""
        known = int(np.isfinite(items.label).sum())
        if known < LEAST:
            return Declined(self.name, f"{known} items with a known label; needs {LEAST}")
        made = prepare(items, spec, at, MOST)
        held = hierarchy.fit(made.problem)
        sampled = sample(made.problem, held, seed=int(rng.integers(2**31)))
        columns = len(made.design.columns)
        form = LogLinear(
            columns=("intercept", *made.design.columns),
            draws=level_first(sampled.effects, columns),
            size=held.size,
            group_sd={name: sampled.sd[name] for name in made.design.groups},
            tags=spec.tags,
            numbers=made.design.numbers,
            drift_sd=made.drift(held.sd["level"]),
            reference=made.reference,
            population=made.population,
        )
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
    """Draw from the posterior; imports what it needs only now (tens of seconds)."""
    import arviz as az
    import nutpie

    compiled = nutpie.compile_pymc_model(_model(problem, held), backend="numba")
    trace = nutpie.sample(
        compiled,
        draws=KEPT,
        tune=TUNE,
        chains=CHAINS,
        cores=2,
        seed=seed,
        target_accept=ACCEPT,
        progress_bar=False,
    )
    posterior = trace["posterior"]
    effects = np.concatenate(
        [np.atleast_3d(posterior[k].to_numpy()) for k in ("effect", "level")], 2
    )
    rhat, ess = az.rhat(posterior), az.ess(posterior)
    names = [name for name in posterior.data_vars if not str(name).endswith("__")]
    record = {
        "rhat": float(max(rhat[name].max() for name in names)),
        "ess": float(min(ess[name].min() for name in names)),
        "divergences": int(trace["sample_stats"]["diverging"].sum()),
    }
    flat = effects.reshape(-1, effects.shape[2])
    kept = np.linspace(0, len(flat) - 1, DRAWS).round().astype(int)
    sds = np.sqrt((posterior["sd"].to_numpy() ** 2).mean((0, 1)))
    return Sampled(flat[kept].T, dict(zip(problem.groups, map(float, sds), strict=True)), record)


def _model(problem: hierarchy.Problem, held: hierarchy.Fitted) -> Any:
    """Return the PyMC model: that of `hierarchy`, with the spread of the groups sampled."""
    import pymc as pm
    import pytensor.tensor

    pt: Any = pytensor.tensor  # its functions carry no types
    rows = problem.matrix.toarray()
    columns = rows.shape[1] - problem.levels
    group_of = np.zeros(columns, int)
    for number, places in enumerate(problem.groups.values()):
        group_of[places] = number
    step = np.argmax(rows[:, columns:], 1)
    start = float(np.log(problem.y.mean() + 0.5))
    with pm.Model() as model:
        sd = pm.HalfNormal("sd", GROUP_SD, shape=len(problem.groups))
        raw = pm.Normal("raw", 0, 1, shape=columns)
        effect = pm.Deterministic("effect", raw * sd[group_of])
        first = pm.Normal.dist(start, hierarchy.WEAK_PRECISION**-0.5)
        level = pm.GaussianRandomWalk(
            "level", 0, held.sd["level"], init_dist=first, steps=problem.levels - 1
        )
        log_mean = pt.dot(rows[:, :columns], effect) + level[step]
        pm.NegativeBinomial("y", mu=pt.exp(log_mean), alpha=held.size, observed=problem.y)
    return model
