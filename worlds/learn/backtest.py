"""What every model would have forecast: fitted on the past only, scored on what came after."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Distribution, Floats
from worlds.core.features import FeatureSpec
from worlds.core.forms import CountForm, SizeForm
from worlds.core.lattice import GRID, CdfTable
from worlds.learn import placing
from worlds.learn.clock import Clock
from worlds.learn.protocol import CountModel, Declined, SizeModel, as_fit
from worlds.learn.scoring import SMALLEST, Scores, collect, score
from worlds.learn.seeds import stream
from worlds.learn.series import Counts, Items, aware, utc64
from worlds.learn.size_map import BLOCKS
from worlds.learn.size_pool import SizeScores
from worlds.learn.trial_scores import trial_scores
from worlds.learn.usual import View

MOST_TRIED = 8_000
"""The latest labelled items that refits look at: weights are of now, and refits take time."""
MOST_SCORED = 1200
"""Most items that are scored, evenly over the blocks."""
LEAST_BEFORE = 10
NO_SCORE = (np.nan, np.nan, np.nan, np.nan)
"""A forecast that a model declined to make."""

type Tick = Callable[[], None]


def count_origins(history: Counts) -> NDArray[np.intp]:
    """Return the periods of a history that are forecast, the same for every model."""
    recent = placing.latest(history)
    plan = placing.schedule(len(recent), Clock.of(history.start, history.step, 1).per_week)
    begun = np.concatenate([np.zeros(0, int), *(np.full(len(o), begin) for begin, o in plan)])
    chosen = np.concatenate([np.zeros(0, np.intp), *(origins for _, origins in plan)])
    return chosen[placing.scored(begun)] + len(history) - len(recent)


def counts(
    model: CountModel,
    history: Counts,
    *,
    seed: int,
    horizon: int = 1,
    tick: Tick = lambda: None,
) -> Scores | Declined:
    """Return the scores of one-step forecasts, each fitted on what came before it.

    Models of places are trained a few times and keep the paths of `horizon` steps that they
    forecast; others are fitted anew for every period. Where a model declines its scores are nan;
    what is no form of counts is declined.
    """
    chosen = count_origins(history)
    rng = stream(seed, history.quantity.name, model.name, "backtest")
    if isinstance(model, placing.Placing):
        trial = placing.try_out(model, View.of(placing.latest(history), horizon))
        if isinstance(trial, Declined):
            return trial
        for _ in chosen:
            tick()
        return trial_scores(trial, rng)
    rows: list[tuple[float, float, float, float]] = []
    for origin in chosen:
        rng = stream(seed, history.quantity.name, model.name, "backtest", str(origin))
        result = as_fit(model.fit(history.before(int(origin)), horizon=1, rng=rng))
        tick()
        if isinstance(result, Declined) or not np.isfinite(history.y[origin]):
            rows.append(NO_SCORE)
            continue
        if not isinstance(result.form, CountForm):
            return Declined(model.name, f"{type(result.form).__name__} is no form of counts")
        rows.append(score(result.form.count(), float(history.y[origin]), rng))
    begin = utc64(history.start) + chosen * np.timedelta64(history.step)
    return collect(begin, history.y[chosen], rows)


def size_blocks(items: Items) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return training and forecast items of every block, over the later half of the labelled.

    A block is trained on the items whose label could have been ripe when the block began.
    """
    known = np.flatnonzero(np.isfinite(items.label))[-MOST_TRIED:]
    oldest = known[0] if len(known) else 0
    first = max(len(known) // 2, min(LEAST_BEFORE, len(known)))
    blocks = []
    for block in np.array_split(known[first:], min(BLOCKS, max(len(known) - first, 1))):
        if len(block) == 0:
            continue
        ripe = items.at + np.timedelta64(items.ripens) <= items.at[block[0]]
        place = np.arange(len(items))
        train = np.flatnonzero(ripe & (place < block[0]) & (place >= oldest))
        most = -(-MOST_SCORED // BLOCKS)
        step = max(len(block) // most, 1)
        blocks.append((train, block[::step][:most]))
    return blocks


def score_size(
    forecast: Distribution, outcome: float, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Return the scores of one forecast; of a table without draws (see `scoring.score`)."""
    if not isinstance(forecast, CdfTable):
        return score(forecast, outcome, rng)
    upto, below = (float(x) for x in forecast.cdf(np.array([outcome, outcome - 1])))
    return float(np.log(max(upto - below, SMALLEST))), table_crps(forecast, outcome), below, upto


def table_crps(forecast: CdfTable, outcome: float) -> float:
    """Return the integral of (F(x) - 1[x >= y])^2 by the trapezoidal rule between grid points."""
    grid = np.append(GRID, outcome)
    order = np.argsort(grid, kind="stable")
    values = np.append(forecast.values, forecast.cdf(outcome))[order]
    x = grid[order]
    gap = values[:-1] - (x[:-1] >= outcome)
    later = values[1:] - (x[:-1] >= outcome)
    whole = np.diff(x)
    # between neighbouring whole numbers F is a step
    area = np.where(whole <= 1, gap**2, (gap**2 + gap * later + later**2) / 3)
    return float(area @ whole)


def sizes(
    model: SizeModel, items: Items, spec: FeatureSpec, *, seed: int, tick: Tick = lambda: None
) -> SizeScores | Declined:
    """Return the scores of forecasts of single items, block by block, with what was forecast.

    Where the model declines its scores are nan; what is no form of sizes is declined.
    """
    rows: list[tuple[float, float, float, float]] = []
    tables: list[NDArray[np.float32]] = []
    forecast: list[NDArray[np.intp]] = []
    for number, (train, block) in enumerate(size_blocks(items)):
        rng = stream(seed, items.quantity.name, model.name, "backtest", str(number))
        at = aware(items.at[block[0]])
        result = as_fit(model.fit(items.take(train), spec, at=at, rng=rng))
        tick()
        forecast.append(block)
        if isinstance(result, Declined):
            rows += [NO_SCORE] * len(block)
            tables.append(np.full((len(block), len(GRID)), np.nan, np.float32))
            continue
        if not isinstance(result.form, SizeForm):
            return Declined(model.name, f"{type(result.form).__name__} is no form of sizes")
        made = [result.form.quick(items.features[i], aware(items.at[i])) for i in block]
        outcomes = items.label[block].tolist()
        rows += [score_size(one, y, rng) for one, y in zip(made, outcomes, strict=True)]
        tables.append(np.array([_on_grid(one) for one in made], np.float32))
    chosen = np.concatenate(forecast or [np.zeros(0, np.intp)])
    plain = collect(items.at[chosen], items.label[chosen], rows)
    held = np.concatenate([np.zeros((0, len(GRID)), np.float32), *tables])
    return SizeScores(
        plain.at, plain.outcome, plain.log_score, plain.crps, plain.below, plain.upto, held
    )


def _on_grid(forecast: Distribution) -> Floats:
    return np.asarray(forecast.values if isinstance(forecast, CdfTable) else forecast.cdf(GRID))
