"""Totals of several things: calibrated by what the things share, without a map of single ones.

The recalibration of a pool is learned from single things and speaks of single things. A total is
made of the models' own severities: its width is that of the level, which all things share, much
more than of what one of them has of its own.
"""

import numpy as np
import pytest

from tests.worlds.learn import made
from worlds.core.compound import Severity, compound
from worlds.core.distributions import Point
from worlds.core.forms import SizeForm
from worlds.learn import registry
from worlds.learn.backtest import size_blocks, sizes
from worlds.learn.forecaster import MODELS
from worlds.learn.protocol import Fit, SizeModel
from worlds.learn.scoring import Scores
from worlds.learn.series import Items, aware
from worlds.learn.size_pool import SizeScores, pool_sizes

pytestmark = pytest.mark.slowish

SEEDS = (1, 2, 3)
EVERY = 2
"""Of so many days one is asked about."""


def model(name: str) -> SizeModel:
    found = registry.find("size", name)
    assert isinstance(found, SizeModel)
    return found


def scores(name: str, items: Items) -> SizeScores:
    found = sizes(model(name), items, made.SPEC, seed=0)
    assert isinstance(found, SizeScores)
    return found


def pool_of(forms: dict[str, SizeForm], weights: dict[str, float], days: float) -> Severity:
    """Return the severities of the models as one, with the weights of the pool."""
    found = {name: form.severity({}, days) for name, form in forms.items()}
    shares = np.concatenate([weights[name] * one.weights for name, one in found.items()])
    return Severity(shares, tuple(part for one in found.values() for part in one.parts))


def totals(items: Items) -> list[tuple[float, float, float]]:
    """Return total, P(T < total) and P(T <= total) of days of things, told how many they were."""
    weights = dict(pool_sizes({name: scores(name, items) for name in MODELS}).weights)
    day = (items.at - items.at[0]) // np.timedelta64(1, "D")
    rows = []
    for number, (train, block) in enumerate(size_blocks(items)):
        forms = {}
        for name in MODELS:
            at, rng = aware(items.at[block[0]]), np.random.default_rng(number)
            fitted = model(name).fit(items.take(train), made.SPEC, at=at, rng=rng)
            assert isinstance(fitted, Fit)
            assert isinstance(fitted.form, SizeForm)
            forms[name] = fitted.form
        for one in np.unique(day[block])[1:-1:EVERY]:
            things = np.flatnonzero(day == one)
            ahead = (items.at[things[0]] - items.at[train[-1]]) / np.timedelta64(1, "D") + 0.5
            law = compound(Point(float(len(things))), pool_of(forms, weights, float(ahead)))
            total = float(items.label[things].sum())
            below, upto = law.cdf(np.array([total - 1, total])).tolist()
            rows.append((total, below, upto))
    return rows


def test_totals_of_days_are_calibrated() -> None:
    rows = [
        row for seed in SEEDS for row in totals(made.items(np.random.default_rng(seed), 1500)[0])
    ]
    outcome, below, upto = np.array(rows).T
    n = len(rows)
    at = np.zeros(n, "datetime64[us]")
    found = Scores(at, outcome, np.zeros(n), np.zeros(n), below, upto)
    for level in (0.5, 0.9):
        share = found.coverage(level)
        print(f"{n} days, {level:.0%} intervals held {share:.1%}")
        # days of one fit share its error of the level: twice four binomial errors
        assert abs(share - level) < 8 * np.sqrt(level * (1 - level) / n)
