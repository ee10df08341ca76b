"""Forecasts of sizes from a table: the models, weights and recalibration of a release, in one call.

>>> import numpy as np
>>> rng = np.random.default_rng(1)
>>> table = {"breed": ["pug", "boxer"] * 60, "length": rng.uniform(20, 140, 120)}
>>> likes = rng.negative_binomial(2, 0.05, 120)
>>> forecaster = Forecaster.fit(table, likes, models=("historical", "recent"))
>>> forecaster.quantiles({"breed": ["pug"], "length": [80]}, [0.05, 0.5, 0.95]).shape
(1, 3)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from worlds.core.distributions import Floats, check_levels
from worlds.core.ends import mid_quantiles
from worlds.core.features import Features
from worlds.core.forms import SizeForm
from worlds.core.lattice import GRID, CdfTable
from worlds.core.questions import Quantity
from worlds.core.recalibration import Recalibration
from worlds.learn import backtest, registry
from worlds.learn.columns import BEGIN, Columns, Layout, usual
from worlds.learn.protocol import Declined, SizeModel, as_fit
from worlds.learn.seeds import stream
from worlds.learn.series import Items, aware
from worlds.learn.size_pool import SizeScores, pool_sizes
from worlds.pool import Pool, Said

MODELS: tuple[str, ...] = ("historical", "recent", "local", "learned", "boosted")
"""The line-up: what a domain gets that names no models of its own."""


@dataclass(frozen=True)
class Forecaster:
    """Fitted models of the size of a thing, with their weights.

    Parameters
    ----------
    layout
        Which column is what.
    forms
        Model to what was fitted.
    weights
        Model to weight, from forecasts on trial inside the table.
    recalibration
        What the pool's cumulative probabilities become, from the same forecasts.
    declined
        Model to the reason why it takes no part.
    scores
        Model to the scores of its forecasts on trial.
    """

    layout: Layout
    forms: Mapping[str, SizeForm]
    weights: Mapping[str, float]
    recalibration: Recalibration
    declined: Mapping[str, str]
    scores: Mapping[str, SizeScores]

    @classmethod
    def fit(
        cls,
        columns: Columns,
        label: Sequence[float] | Floats,
        *,
        time: str | None = None,
        models: Sequence[str | SizeModel] = MODELS,
        seed: int = 0,
    ) -> "Forecaster":
        """Fit every model, try it on the later half of the table, and weigh them.

        Parameters
        ----------
        columns
            A data frame, or a mapping of names to columns.
        label
            What every row brought; not finite where it is not known.
        time
            Column with the begin of things, as times or in days. Left out: the order of the
            rows says nothing, and the rows that are predicted are like them. Rows that are in
            order need a column that says so; their number will do.
        models
            Names of built-in models, or models of your own.
        seed
            Same table and seed: same forecasts.
        """
        layout = Layout.of(columns, time=time)
        known = np.asarray(label, float)
        quantity = Quantity("label", "units", "size", "row", usual(known))
        items = layout.items(columns, known, quantity, stream(seed, "order"))
        forms: dict[str, SizeForm] = {}
        scores: dict[str, SizeScores] = {}
        declined: dict[str, str] = {}
        for entry in models:
            model = registry.find("size", entry)
            if not isinstance(model, SizeModel):
                continue
            made = fitted(model, items, layout, seed)
            if isinstance(made, Declined):
                declined[model.name] = made.reason
            else:
                forms[model.name], scores[model.name] = made
        if not forms:
            default = registry.find("size", registry.DEFAULT)
            assert isinstance(default, SizeModel)  # noqa: S101 - it is one of ours
            found = fitted(default, items, layout, seed)
            assert not isinstance(found, Declined)  # noqa: S101 - it never declines
            forms[default.name], scores[default.name] = found
        pool = pool_sizes(scores)
        return cls(layout, forms, pool.weights, pool.recalibration, declined, scores)

    @cached_property
    def _pool(self) -> Pool:
        return Pool("label", [(name, self.weights[name], one) for name, one in self.forms.items()])

    def _said(self, features: Features, at: np.datetime64 | None) -> tuple[Said, Floats]:
        """Return what the models say, and the recalibrated probabilities of them together."""
        said = self._pool.of(features, None if at is None else aware(at))
        values = said.mixture.cdf(GRID) if said.values is None else said.values
        return said, self.recalibration.apply(values)

    def table(self, features: Features, at: np.datetime64 | None = None) -> CdfTable:
        """Return the predictive distribution of one thing: the recalibrated pool."""
        said, values = self._said(features, at)
        return CdfTable(values, (said.mean, said.mixture.var()))

    def quantiles(self, columns: Columns, levels: ArrayLike) -> Floats:
        """Return an array (rows, levels) of mid-quantiles, not rounded.

        Intervals between them hold what they say, of small counts too (see `worlds.core.ends`).
        ``table(...).quantile`` gives the smallest whole number that is not exceeded with at
        least a probability.
        """
        wanted = check_levels(levels)
        at = self.layout.times(columns)
        return np.array(
            [
                mid_quantiles(self._said(one, None if at is None else at[row])[1], wanted)
                for row, one in enumerate(self.layout.features(columns))
            ]
        ).reshape(-1, len(wanted))


def fitted(
    model: SizeModel, items: Items, layout: Layout, seed: int
) -> tuple[SizeForm, SizeScores] | Declined:
    """Return the form of a model and the scores of its forecasts on trial."""
    rng = stream(seed, items.quantity.name, model.name)
    at = aware(items.at[-1]) if len(items) else BEGIN
    found = as_fit(model.fit(items, layout.spec, at=at, rng=rng))
    if isinstance(found, Declined):
        return found
    if not isinstance(found.form, SizeForm):
        return Declined(model.name, f"{type(found.form).__name__} is no form of a size")
    scores = backtest.sizes(model, items, layout.spec, seed=seed)
    return scores if isinstance(scores, Declined) else (found.form, scores)
