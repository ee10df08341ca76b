"""Counts, learned by sampling: a level that walks and a calendar, in PyMC, drawn by NUTS (nutpie).

The reference route: minutes instead of a second, run only when asked for. The log of the mean is a
level that takes a step every few periods plus effects of the time of day, of the day of the week
and of both together, each shrunk by a sampled sd; counts around it are negative binomial. Effects
and steps are non-centred and sum to zero around one intercept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Literal

import numpy as np

from worlds.core.distributions import Floats
from worlds.core.forms import CountPath
from worlds.learn.diagnosis import diagnose
from worlds.learn.paths import recent_shares
from worlds.learn.protocol import Declined, Fit, Result
from worlds.learn.series import Counts
from worlds.learn.usual import Index, View

SAMPLING: Mapping[str, Any] = {
    "draws": 1000,
    "tune": 700,
    "chains": 4,
    "cores": 1,
    "nuts_sampler": "nutpie",
    "target_accept": 0.99,
    "progressbar": False,
}
"""What `pymc.sample` is told."""
LOOKED_AT = ["intercept", "step_sd", "calendar_sd", "noise", "steps", "effects"]
WEEKS, PERIODS = 6, 180
"""The latest history used: weeks for periods under a day, periods otherwise."""
LEAST, LEAST_WEEKS = 28, 2
"""Periods and weeks of periods that are needed at least."""
HELD = timedelta(hours=6)
"""The level takes a step that often, but not before the next period."""
STEP_SD, CALENDAR_SD, NOISE = 0.1, 0.5, 0.5
"""Scales of the half-normal priors; noise is the sd of the multiplier of the mean."""
LEAST_NOISE = 0.01
NODES = 32
"""Components of the mixture of a period that is served."""


@dataclass(frozen=True, slots=True)
class LearnedPymc:
    """A local level and a calendar with everything sampled, nothing plugged in."""

    name: ClassVar[str] = "learned_pymc"
    role: ClassVar[Literal["count"]] = "count"

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:
        """Sample the posterior; let the level walk on from its last place."""
        short = history.step < timedelta(days=1)
        most = round(timedelta(weeks=WEEKS) / history.step) if short else PERIODS
        recent = history.after(max(len(history) - most, 0))
        view = View.of(recent, horizon) if len(recent) else None
        needs = max(LEAST, LEAST_WEEKS * view.clock.per_week) if view else LEAST
        if view is None or len(view) < needs:
            return Declined(self.name, f"{len(recent)} complete periods; needs {needs}")
        if not view.y[view.known].any():
            return Declined(self.name, f"nothing was counted in {len(view)} periods; needs one")
        design = Design.of(view)
        trace = sample(design, seed=int(rng.integers(2**31)))
        means, sizes = ahead(design, drawn(trace), rng)
        parts = squeezed(means, sizes)
        shares = recent_shares(recent.shares, np.nan_to_num(recent.y))
        form = CountPath(history.end, history.step, *parts, shares)
        record = {"method": "NUTS (nutpie)", "periods": int(view.known.sum())}
        return Fit(form, {**record, **diagnose(trace, LOOKED_AT)})


@dataclass(frozen=True, slots=True)
class Design:
    """Which effects and which step of the level every period has, those to come included.

    Parameters
    ----------
    y, known
        Arrays (n,): counts, and which of them tell anything.
    effect
        Array (n + horizon, G): the number of the effect of every group of the calendar.
    groups
        Array (E,): the group of every effect.
    level
        Array (n + horizon,): the step of the level; the last known one is the last sampled.
    """

    y: Floats
    known: np.ndarray[tuple[int], np.dtype[np.bool_]]
    effect: Index
    groups: Index
    level: Index

    @classmethod
    def of(cls, view: View) -> "Design":
        """Return the design of a view."""
        clock = view.clock
        slots = [(clock.week // clock.per_day, 7)]
        if clock.per_day > 1:
            slots += [(clock.day, clock.per_day), (clock.coarse, 2 * clock.per_day)]
        sizes = [size for _, size in slots]
        before = np.cumsum([0, *sizes[:-1]])
        effect = np.column_stack([slot for slot, _ in slots]) + before
        every = max(round(HELD / view.history.step), 1)
        n = len(view)
        # counted from the end, so that the last step has all its periods
        level = (np.arange(len(clock.day)) - n) // every
        level -= level[0]
        groups = np.repeat(np.arange(len(sizes)), sizes)
        return cls(view.y, np.asarray(view.known), effect, groups, level)

    @property
    def steps(self) -> int:
        """Steps of the level that are sampled."""
        return int(self.level[len(self.y) - 1]) + 1


@dataclass(frozen=True, slots=True)
class Draws:
    """Posterior draws: effects (S, E), the last level, sd of its steps and NB size (S,)."""

    effects: Floats
    last: Floats
    step_sd: Floats
    size: Floats


def sample(design: Design, seed: int) -> Any:
    """Draw from the posterior, with what LOO and PIT need; imports what it needs only now."""
    import pymc as pm

    with _model(design):
        trace = pm.sample(**SAMPLING, random_seed=seed)
        pm.compute_log_likelihood(trace, progressbar=False)
        pm.sample_posterior_predictive(
            trace, extend_inferencedata=True, progressbar=False, random_seed=seed
        )
    return trace


def _model(design: Design) -> Any:
    """Return the PyMC model."""
    import pymc as pm
    import pytensor.tensor

    pt: Any = pytensor.tensor  # its functions carry no types
    used = np.flatnonzero(design.known)
    y = design.y[used].astype(int)
    groups = int(design.groups[-1]) + 1
    centre = np.zeros((len(design.groups),) * 2)
    for group in range(groups):
        mine = np.flatnonzero(design.groups == group)
        centre[np.ix_(mine, mine)] = np.eye(len(mine)) - 1 / len(mine)
    with pm.Model() as model:
        intercept = pm.Normal("intercept", float(np.log(y.mean() + 0.5)), 1.0)
        step_sd = pm.HalfNormal("step_sd", STEP_SD)
        sds = pm.HalfNormal("calendar_sd", CALENDAR_SD, shape=groups)
        noise = LEAST_NOISE + pm.HalfNormal("noise", NOISE)
        walk = pt.cumsum(pm.Normal("steps", shape=design.steps)) * step_sd
        level = pm.Deterministic("level", intercept + walk - walk.mean())
        raw = pm.Normal("effects", shape=len(design.groups))
        effect = pm.Deterministic("effect", pt.dot(centre, raw) * sds[design.groups])
        log_mean = level[design.level[used]] + effect[design.effect[used]].sum(1)
        size = pm.Deterministic("size", noise**-2)
        pm.NegativeBinomial("y", mu=pt.exp(log_mean), alpha=size, observed=y)
    return model


def drawn(trace: Any) -> Draws:
    """Return the draws that a forecast needs."""
    posterior = trace["posterior"]

    def flat(name: str) -> Floats:
        values = np.asarray(posterior[name], float)
        return values.reshape(-1, *values.shape[2:])

    return Draws(flat("effect"), flat("level")[:, -1], flat("step_sd"), flat("size"))


def ahead(design: Design, draws: Draws, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return mean (horizon, S) and size (S,) of the periods to come, one walk a draw."""
    n = len(design.y)
    later = design.level[n:] - (design.steps - 1)
    steps = rng.standard_normal((int(later[-1]) + 1, len(draws.last)))
    steps[0] = 0.0
    level = draws.last + np.cumsum(steps, 0) * draws.step_sd
    calendar = draws.effects[:, design.effect[n:]].sum(2).T
    return np.exp(level[later] + calendar), draws.size


def squeezed(means: Floats, sizes: Floats) -> tuple[Floats, Floats, Floats]:
    """Return weights, means and sizes (H, K) of few components in place of one a draw.

    Draws of like means are put together. The mean of a period is exact and so is what the
    negative binomials add to its variance; what is lost is the spread of the means put together.
    """
    order = np.argsort(means, 1)
    parts = np.array_split(order, min(NODES, means.shape[1]), axis=1)
    rows = np.arange(len(means))[:, None]
    weights = np.array([part.shape[1] for part in parts]) / means.shape[1]
    middle = np.column_stack([means[rows, part].mean(1) for part in parts])
    extra = np.column_stack([(means[rows, part] ** 2 / sizes[part]).mean(1) for part in parts])
    return np.broadcast_to(weights, middle.shape).copy(), middle, middle**2 / extra
