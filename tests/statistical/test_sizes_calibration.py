"""Simulation-based calibration of every way in which sizes are inferred (Talts et al. 2018).

What is inferred is drawn from the prior, things are made from it, and it is fitted: the truth must
have any rank among the posterior draws with the same probability (arXiv:1804.06788). Every route is
given what it says of the world: a level that walks, or one that stays; effects, or none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import special, stats

from tests.worlds.learn import made
from worlds.core.features import Features
from worlds.core.forms import Forest
from worlds.core.forms.log_linear import LogLinear
from worlds.core.noise import SMOOTH_SIZE
from worlds.learn import registry
from worlds.learn.protocol import Fit, SizeModel
from worlds.learn.series import Items, aware, utc64

pytestmark = pytest.mark.slowish

BREEDS, SD, SIZE = 8, 0.4, 2.0
type Ranks = dict[str, list[float]]


@dataclass(frozen=True)
class Route:
    """A model, what it is given, and what its location is.

    Parameters
    ----------
    model
        Its name.
    items
        Number of things of a fit: few, where a model that forgets is told of a world that stays.
    walk
        Sd by which the log level moves from thing to thing.
    effects
        Whether breeds and tags differ.
    location
        What the effects of a model shift, as a function of the log mean.
    """

    model: str
    items: int
    walk: float = 0.0
    effects: bool = True
    location: Callable[[float], float] = float


def mean_of_logs(log_mean: float) -> float:
    """Return the mean of log(y + 1/2): what a regression of logs regresses."""
    k = np.arange(4000)
    pmf = stats.nbinom.pmf(k, SIZE, SIZE / (SIZE + np.exp(log_mean)))
    return float(pmf @ np.log(k + 0.5))


def mean_log_factor(size: float) -> float:
    """Return the mean log of the gamma factor in a negative binomial."""
    return float(special.digamma(size) - np.log(size))


ROUTES = [
    Route("learned", 300, walk=0.02),
    Route("boosted", 300, walk=0.02),
    Route("historical", 300),
    Route("local", 100, location=mean_of_logs),
    Route("recent", 100, effects=False),
]
EMPIRICAL = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.model)


@dataclass(frozen=True)
class World:
    """What things are made from."""

    breeds: np.ndarray
    tag: float
    now: float


def world(rng: np.random.Generator, route: Route) -> tuple[Items, World]:
    """Draw a world from the prior, and things from the world."""
    n = route.items
    effects = rng.normal(0, SD, BREEDS) * route.effects
    tag = float(rng.normal(0, SD)) * route.effects
    breed, tagged = rng.integers(BREEDS, size=n), rng.uniform(size=n) < 0.4
    level = 4 + np.cumsum(rng.normal(0, route.walk, n))
    features = [
        Features({"breed": ((f"b{k}", 1.0),)}, {"hashtag": ("t",) if on else ()})
        for k, on in zip(breed, tagged, strict=True)
    ]
    at = utc64(made.START) + (np.arange(n) * 3600).astype("timedelta64[s]")
    label = made.negbin(rng, np.exp(level + effects[breed] + tag * tagged), SIZE)
    items = Items(made.SIZE, features, at.astype("datetime64[us]"), label, at)
    # the last level is that of the last step, five items long
    return items, World(effects, tag, float(level[-5:].mean()))


def form_of(route: Route, items: Items, seed: int) -> LogLinear:
    model = registry.find("size", route.model)
    assert isinstance(model, SizeModel)
    rng = np.random.default_rng(seed)
    found = model.fit(items, made.SPEC, at=aware(items.at[-1]), rng=rng)
    assert isinstance(found, Fit)
    form = found.form.base if isinstance(found.form, Forest) else found.form
    assert isinstance(form, LogLinear)
    return form


def rank(route: Route, truth: World, form: LogLinear) -> dict[str, float]:
    """Return where the truth lies among the draws, 0 to 1: a gap, a tag, the level now."""
    draws = form.draws.astype(float)
    if not route.effects:
        assert form.noise is not None
        # the mean log of what things get, less the level and what smooths the noise, is known
        own = mean_log_factor(SIZE) - mean_log_factor(SMOOTH_SIZE)
        middle = draws[0] + float(form.noise.weights @ form.noise.log_factors)
        return {"level": float((middle < truth.now + own).mean())}
    columns = {name: i for i, name in enumerate(form.columns)}
    breeds = draws[[columns[f"breed=b{k}"] for k in range(BREEDS)]]
    plain = np.array([route.location(truth.now + effect) for effect in truth.breeds])
    tagged = np.array([route.location(truth.now + effect + truth.tag) for effect in truth.breeds])
    return {
        "gap": float((breeds[0] - breeds[1] < plain[0] - plain[1]).mean()),
        "tag": float((draws[columns["hashtag=t"]] < (tagged - plain).mean()).mean()),
        "level": float((draws[0] + breeds.mean(0) < plain.mean()).mean()),
    }


def ranks(route: Route, replications: int) -> dict[str, np.ndarray]:
    found: Ranks = {}
    for seed in range(replications):
        items, truth = world(np.random.default_rng(1000 + seed), route)
        for name, value in rank(route, truth, form_of(route, items, seed)).items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def check(found: dict[str, np.ndarray], alarm: float) -> None:
    """Too few or too many truths in tails and middle show in the Kolmogorov distance."""
    for name, values in found.items():
        n, p = len(values), stats.kstest(values, "uniform").pvalue
        print(f"{name:6} n {n} p {p:.4f} mean {values.mean():.3f} sd {values.std():.3f}")
    for name, values in found.items():
        assert stats.kstest(values, "uniform").pvalue > alarm, name


@EMPIRICAL
def test_ranks_are_uniform_in_short(route: Route) -> None:
    check(ranks(route, 40), 1e-3)


@pytest.mark.slow
@EMPIRICAL
def test_ranks_are_uniform_in_full(route: Route) -> None:
    found = ranks(route, 400)
    check(found, 1e-4)
    for name, values in found.items():
        # the sd of uniform ranks is 0.2887, its error over 400 of them 0.0065
        assert abs(values.std() - 12**-0.5) < 5 * 0.0065, name


@pytest.mark.slow
@pytest.mark.timeout(3600)  # every fit compiles for half a minute
@pytest.mark.filterwarnings("ignore")  # what samplers and compilers warn of is not ours
def test_ranks_of_sampled_posteriors_are_uniform() -> None:
    check(ranks(Route("learned_pymc", 150, walk=0.02), 12), 1e-3)
