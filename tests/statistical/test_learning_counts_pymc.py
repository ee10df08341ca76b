"""Audit of the fast routes of counts by a model of the same counts whose posterior is sampled."""

from functools import cache

import numpy as np
import pytest

from tests.statistical.test_learning_counts import drifting
from tests.worlds.learn import made
from worlds.core.forms import CountPath
from worlds.learn import gate, registry
from worlds.learn.protocol import CountModel, Fit
from worlds.learn.series import Counts

# what samplers and compilers warn of is not ours
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore"),
]
MOST_SHIFT = 0.25
"""Root mean square shift of the mean in predictive sds: a shift of d costs d^2 / 2 nats."""


def simulated(kind: str) -> tuple[Counts, np.ndarray]:
    """Counts before a day or a week, and the true means in it."""
    if kind == "hours":
        history, mean = drifting(1)
        return history.before(676), mean[676:]
    days = made.weekly(np.random.default_rng(3), 100)
    return days, 10 * np.where(np.arange(100, 107) % 7 >= 5, 1.6, 0.8)


@cache
def fitted(name: str, kind: str) -> Fit:
    history, mean = simulated(kind)
    model = registry.find("count", name)
    assert isinstance(model, CountModel)
    found = model.fit(history, horizon=len(mean), rng=np.random.default_rng(0))
    assert isinstance(found, Fit)
    return found


def path(name: str, kind: str) -> CountPath:
    form = fitted(name, kind).form
    assert isinstance(form, CountPath)
    return form


@pytest.mark.parametrize("kind", ["hours", "days"])
def test_the_sampled_model_converges_and_holds_the_truth(kind: str) -> None:
    record = fitted("learned_pymc", kind).inference
    print(kind, record)
    checks = gate.convergence(record)
    assert {"R-hat", "divergences", "Pareto shape (LOO)"} <= {check["name"] for check in checks}
    assert all(check["passed"] for check in checks)
    form, truth = path("learned_pymc", kind), np.log(simulated(kind)[1])
    means = np.log(form.means)
    middle = (form.weights * means).sum(1)
    spread = np.sqrt((form.weights * (means - middle[:, None]) ** 2).sum(1))
    print(kind, "truth in posterior sds", np.round((truth - middle) / spread, 2).tolist())
    assert np.abs((truth - middle) / spread).max() < 4


def missed(name: str, kind: str, shift: float) -> object:
    reason = f"the mean lies {shift} predictive sds from that of the sampled model"
    return pytest.param(name, kind, marks=pytest.mark.xfail(reason=reason, strict=True))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("seasonal", "hours"),
        missed("learned", "hours", 0.29),
        missed("seasonal", "days", 0.32),
        missed("learned", "days", 0.46),
    ],
)
def test_means_of_fast_routes_are_those_of_the_sampled_model(name: str, kind: str) -> None:
    fast, slow = path(name, kind), path("learned_pymc", kind)
    shifts = []
    for step in range(fast.horizon):
        mine, theirs = fast.count(step=step), slow.count(step=step)
        shifts.append((mine.mean() - theirs.mean()) / np.sqrt(theirs.var()))
    shift = float(np.sqrt(np.mean(np.square(shifts))))
    print(f"{kind} {name}: shift of the mean {shift:.3f} sds")
    assert shift < MOST_SHIFT


@pytest.mark.parametrize("kind", ["hours", "days"])
@pytest.mark.parametrize("name", ["learned", "seasonal"])
def test_intervals_of_fast_routes_hold_what_the_sampled_model_expects(name: str, kind: str) -> None:
    fast, slow = path(name, kind), path("learned_pymc", kind)
    held = np.empty((fast.horizon, 2))
    for step in range(fast.horizon):
        theirs = slow.count(step=step)
        for i, one in enumerate((fast.count(step=step), theirs)):
            lo, hi = one.quantile([0.05, 0.95])
            held[step, i] = float(theirs.cdf(hi)) - float(theirs.cdf(lo - 1))
    mine, own = held.mean(0)
    print(
        f"{kind} {name}: the 90% interval holds {mine:.3f} of the sampled model, its own {own:.3f}"
    )
    # as much as the gate lets any interval miss; intervals that are too wide are scored elsewhere
    assert mine - own > -gate.SLACK[0.9]
