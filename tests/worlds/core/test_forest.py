"""Forests: the walk, the law, what is unknown widens, sums of the next ones."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.worlds.core.test_forms import SEEN, log_linear
from worlds.core.distributions import CountMixture
from worlds.core.features import Features
from worlds.core.forms import Forest
from worlds.core.forms.forest import Encoder, Trees, input_names
from worlds.core.forms.population import binned
from worlds.core.lattice import GRID
from worlds.errors import SnapshotError

STEPS = np.linspace(-2.0, 2.0, 9)


def trees(rng: np.random.Generator, inputs: int, count: int = 20, depth: int = 3) -> Trees:
    inner = 2**depth - 1
    limits = rng.normal(0, 0.5, (count, inner))
    limits[rng.uniform(size=limits.shape) < 0.1] = np.inf
    leaves = rng.normal(0, 0.01, (count, inner + 1, len(STEPS)))
    start = np.linspace(0.02, 0.98, len(STEPS))
    return Trees(
        rng.integers(inputs, size=(count, inner)).astype(np.int16),
        limits.astype(np.float32),
        leaves.astype(np.float16),
        start.astype(np.float32),
    )


def forest() -> Forest:
    base = log_linear()
    made = trees(np.random.default_rng(3), len(input_names(base)))
    return Forest(base, made, STEPS, (0.3, 0.4))


def slow_sum(made: Trees, x: np.ndarray) -> np.ndarray:
    total = made.start.astype(float)
    for tree in range(len(made.inputs)):
        node = 0
        while node < made.inputs.shape[1]:
            right = x[made.inputs[tree, node]] > made.limits[tree, node]
            node = 2 * node + (2 if right else 1)
        total = total + made.leaves[tree, node - made.inputs.shape[1]].astype(float)
    return total


def test_the_walk_is_that_of_a_plain_program(rng: np.random.Generator) -> None:
    made = trees(rng, 5)
    for _ in range(20):
        x = rng.normal(0, 1, 5).astype(np.float32)
        assert np.allclose(made.sum(x), slow_sum(made, x), atol=1e-5)


def test_forecasts_are_distributions_and_the_law_rises() -> None:
    form = forest()
    for features in (SEEN, Features(), Features(numbers={"length": 1e9})):
        law = form.law(features)
        assert (np.diff(law) >= -1e-12).all()
        table = form.predict(features)
        assert (np.diff(table.values) >= -1e-12).all()
        assert 0 <= table.values[0] <= table.values[-1] <= 1 + 1e-12
        assert table.mean() > 0


def test_the_law_is_moved_by_the_base() -> None:
    form = forest()
    raised = replace(form.base, draws=form.base.draws + (np.arange(len(form.base.columns)) == 0)[
        :, None].astype(np.float32))  # fmt: skip
    low, high = (
        f.predict(SEEN).quantile([0.25, 0.5, 0.9]) for f in (form, replace(form, base=raised))
    )
    assert high == pytest.approx(low * np.e, rel=0.15)


def test_labels_never_seen_and_time_widen() -> None:
    form = forest()

    def width(features: Features, days: float = 0.0) -> float:
        at = form.reference + timedelta(days=days)
        low, high = np.log1p(form.predict(features, at).quantile([0.05, 0.95]))
        return float(high - low)

    unseen = replace(SEEN, categories={**SEEN.categories, "breed": (("borzoi", 1.0),)})
    assert width(unseen) > width(SEEN)
    assert width(SEEN, 60.0) > width(SEEN)


def test_it_is_stored_and_read_back() -> None:
    form = forest()
    back = Forest.from_parts(*form.to_parts())
    assert np.array_equal(form.predict(SEEN).values, back.predict(SEEN).values)
    meta, arrays = form.to_parts()
    for name, value in (("inputs", 99), ("leaves", np.nan)):
        broken = np.full_like(np.asarray(arrays[name]), value)
        with pytest.raises(SnapshotError, match="fit together"):
            Forest.from_parts(meta, {**arrays, name: broken})


def test_the_size_of_a_next_one_is_the_mean_over_the_population() -> None:
    form = forest()
    rows = form.base.population
    mixed = np.mean([form.predict(row).values for row in rows], 0)
    severity = form.severity()
    points = GRID[mixed < 0.999]
    assert np.abs(severity.cdf(points) - mixed[: len(points)]).max() < 0.06
    mean = np.mean([form.predict(row).mean() for row in rows])
    assert severity.mean() == pytest.approx(mean, rel=0.15)


def test_bins_keep_mean_and_variance() -> None:
    counts = CountMixture.of(np.array([3.0, 400.0]), 1.5, np.array([0.7, 0.3]))
    found = binned(GRID, counts.cdf(GRID))
    assert found.mean() == pytest.approx(counts.mean(), rel=0.01)
    assert found.var() == pytest.approx(counts.var(), rel=0.02)


def test_inputs_hold_numbers_inside_their_range() -> None:
    encoder = Encoder.of(log_linear())
    far, edge = (
        encoder.encode(Features(numbers=dict.fromkeys(log_linear().numbers, value)))
        for value in (1e12, max(e.high for e in log_linear().numbers.values()))
    )
    assert np.array_equal(far, edge)


@pytest.mark.parametrize(
    "features",
    [
        SEEN,
        Features(),
        Features({"breed": (("borzoi", 1.0),)}, {"hashtag": ("#never", "#seen")}),
        Features(numbers={"length": 1e9}),
    ],
)
def test_the_encoder_places_things_where_the_base_does(features: Features) -> None:
    form = forest()
    inputs, placed = Encoder.of(form.base).place(features)
    (expected,) = form.base.log_mean(features)
    assert placed is not None
    assert placed.mean == pytest.approx(expected.mean)
    assert placed.sd == pytest.approx(expected.sd)
    assert inputs[-1] == pytest.approx(placed.mean - form.base.moments[0][0], rel=1e-5)
    at = form.base.reference + timedelta(days=30)
    later = form.predict(features, at).quantile([0.05, 0.95])
    spread = np.ptp(form.predict(features).quantile([0.05, 0.95]))
    assert np.ptp(later) > spread


def test_what_is_not_certain_is_placed_by_the_base() -> None:
    unsure = Features({"breed": (("pug", 0.6), ("beagle", 0.4))})
    assert Encoder.of(forest().base).place(unsure)[1] is None
    assert forest().predict(unsure).mean() > 0


def test_trees_that_are_too_deep_are_refused(rng: np.random.Generator) -> None:
    made = trees(rng, 3, depth=5)
    with pytest.raises(SnapshotError, match="deeper than 4"):
        made.check(3, len(STEPS))
