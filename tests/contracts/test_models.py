"""Laws of every model of counts and of sizes, wherever it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.domains import DOMAINS
from tests.worlds.learn import made
from worlds.core.features import Features
from worlds.core.forms import CountForm, SizeForm
from worlds.learn import registry
from worlds.learn.protocol import CountModel, Declined, Fit, Model, SizeModel, as_fit
from worlds.learn.series import Counts, Items, aware

LEVELS = np.array([0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999])
PYMC = "learned_pymc"


def models(role: str) -> Iterator[Model]:
    for (kind, _), model in sorted(registry.built_in().items()):
        if kind == role:
            yield model
    for domain in DOMAINS:
        for entries in domain.models.values():
            yield from (
                entry for entry in entries if not isinstance(entry, str) and entry.role == role
            )


def params(role: str, *, sampled: bool = True) -> list[object]:
    """The models of a role; those that sample take minutes and use libraries that warn."""
    slow = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
    return [
        pytest.param(model, id=model.name, marks=slow if model.name == PYMC else [])
        for model in models(role)
        if sampled or model.name != PYMC
    ]


every_count = pytest.mark.parametrize("model", params("count"))
every_fast_count = pytest.mark.parametrize("model", params("count", sampled=False))
every_size = pytest.mark.parametrize("model", params("size"))
every_fast_size = pytest.mark.parametrize("model", params("size", sampled=False))
any_history = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def fit_count(model: CountModel, history: Counts, horizon: int = 1) -> Fit | Declined:
    return as_fit(model.fit(history, horizon=horizon, rng=np.random.default_rng(7)))


def fit_size(model: SizeModel, items: Items) -> Fit | Declined:
    at = aware(items.at[-1]) if len(items) else made.START
    return as_fit(model.fit(items, made.SPEC, at=at, rng=np.random.default_rng(7)))


@cache
def example() -> Items:
    return made.items(np.random.default_rng(11), 400)[0]


@dataclass(frozen=True)
class Told:
    """What a fitted form says of one thing."""

    quantiles: np.ndarray
    mean: float


def told(form: SizeForm, features: Features) -> Told:
    forecast = form.predict(features, aware(example().at[-1]))
    return Told(forecast.quantile(LEVELS), forecast.mean())


def check_quantiles(quantiles: np.ndarray) -> None:
    assert np.isfinite(quantiles).all()
    assert quantiles.min() >= 0
    assert (np.diff(quantiles) >= 0).all()


def test_every_model_has_a_name_of_its_own_in_its_role() -> None:
    for role in ("count", "size"):
        names = [model.name for model in models(role)]
        assert len(names) == len(set(names))
        assert "default" in names


@every_fast_count
@any_history
@given(
    y=st.one_of(
        st.lists(st.integers(0, 60), max_size=90),
        st.lists(st.sampled_from([0, 0, 0, 1, 10**6]), max_size=60),
        st.integers(0, 120).map(lambda n: [0] * n),
    ),
    hours=st.sampled_from([1, 24]),
    horizon=st.sampled_from([1, 5]),
)
def test_counts_are_finite_non_negative_and_ordered_or_declined(
    model: CountModel, y: list[int], hours: int, horizon: int
) -> None:
    history = made.counts(np.array(y, float), timedelta(hours=hours))
    found = fit_count(model, history, horizon)
    if isinstance(found, Declined):
        assert found.reason
        return
    assert isinstance(found.form, CountForm)
    for step in range(horizon):
        forecast = found.form.count(step=step)
        check_quantiles(forecast.quantile(LEVELS))
        assert 0 <= forecast.mean() < 1e9
        assert np.isfinite(forecast.var())


@every_count
def test_counts_with_the_same_seed_are_the_same(model: CountModel) -> None:
    history = made.weekly(np.random.default_rng(3), 120)
    first, second = fit_count(model, history, 3), fit_count(model, history, 3)
    assert isinstance(first, Fit)
    assert isinstance(second, Fit)
    for name, array in first.form.to_parts()[1].items():
        assert np.array_equal(array, second.form.to_parts()[1][name])
    assert first.form.to_parts()[0] == second.form.to_parts()[0]


@every_count
def test_counts_begin_where_the_history_ends(model: CountModel) -> None:
    history = made.weekly(np.random.default_rng(3), 60)
    found = fit_count(model, history, 4)
    assert isinstance(found, Fit)
    meta, arrays = found.form.to_parts()
    assert type(found.form).from_parts(meta, arrays).count().mean() == found.form.count().mean()
    assert meta["start"] == history.end.isoformat()


@every_count
def test_counts_do_not_look_at_what_they_are_not_shown(model: CountModel) -> None:
    history = made.weekly(np.random.default_rng(3), 100)
    part = history.before(70)
    changed = replace(history, y=np.r_[history.y[:70], history.y[70:] * 9 + 50]).before(70)
    first, second = fit_count(model, part), fit_count(model, changed)
    assert isinstance(first, Fit)
    assert isinstance(second, Fit)
    assert first.form.count().mean() == second.form.count().mean()


@every_count
def test_a_label_never_seen_is_rare_and_fails_nobody(model: CountModel) -> None:
    found = fit_count(model, made.weekly(np.random.default_rng(3), 60))
    assert isinstance(found, Fit)
    if not getattr(found.form, "shares", None):
        pytest.skip(f"{model.name} knows no shares: it cannot be asked by label")
    rare = found.form.count({"breed": "borzoi"})
    common = found.form.count({"breed": "pug"})
    check_quantiles(rare.quantile(LEVELS))
    assert rare.mean() < 0.2 * common.mean()
    assert common.mean() == pytest.approx(0.75 * found.form.count().mean(), rel=0.1)


@every_fast_size
@any_history
@given(
    label=st.one_of(
        st.lists(st.integers(0, 300), max_size=60),
        st.lists(st.sampled_from([0, 0, 1, 10**7]), max_size=40),
        st.integers(0, 50).map(lambda n: [0] * n),
    ),
    known=st.floats(0, 1),
)
def test_sizes_are_finite_non_negative_and_ordered_or_declined(
    model: SizeModel, label: list[int], known: float
) -> None:
    n = len(label)
    items = example().take(np.arange(n))
    mask = np.random.default_rng(n).uniform(size=n) < known
    items = replace(items, label=np.where(mask, np.array(label, float), np.nan))
    found = fit_size(model, items)
    if isinstance(found, Declined):
        assert found.reason
        return
    assert isinstance(found.form, SizeForm)
    for features in (*items.features[:2], Features()):
        forecast = found.form.predict(features)
        check_quantiles(forecast.quantile(LEVELS))
        assert forecast.mean() >= 0
        check_quantiles(found.form.quick(features).quantile(LEVELS))
    assert found.form.severity().mean() >= 0


@every_size
def test_sizes_with_the_same_seed_are_the_same(model: SizeModel) -> None:
    first, second = fit_size(model, example()), fit_size(model, example())
    assert isinstance(first, Fit)
    assert isinstance(second, Fit)
    for name, array in first.form.to_parts()[1].items():
        assert np.array_equal(array, second.form.to_parts()[1][name])


@every_size
def test_anything_may_be_said_of_a_thing(model: SizeModel) -> None:
    found = fit_size(model, example())
    assert isinstance(found, Fit)
    assert isinstance(found.form, SizeForm)
    strange = Features(
        {"breed": (("borzoi", 0.5), ("", 0.5)), "mood": (("sad", 1.0),)},
        {"hashtag": ("never", "heard", "of"), "song": ("la",)},
        {"length": 1e12, "weight": -5.0},
    )
    check_quantiles(told(found.form, strange).quantiles)
    if getattr(found.form, "group_sd", None):
        assert "breed=borzoi" in found.form.surprises(strange)


@every_size
def test_labels_never_seen_widen_where_labels_matter(model: SizeModel) -> None:
    found = fit_size(model, example())
    assert isinstance(found, Fit)
    assert isinstance(found.form, SizeForm)
    if not getattr(found.form, "group_sd", None):
        pytest.skip(f"{model.name} tells no labels apart")

    def width(label: str) -> float:
        base = example().features[0]
        assert isinstance(found, Fit)
        assert isinstance(found.form, SizeForm)
        quantiles = told(
            found.form, replace(base, categories={**base.categories, "breed": ((label, 1.0),)})
        ).quantiles
        return float(np.log(quantiles[6] + 1) - np.log(quantiles[2] + 1))

    seen = max(width(label) for label in made.BREEDS)
    assert width("borzoi") > seen
    assert found.form.surprises(example().features[0]) == []


@every_size
def test_sizes_are_not_sure_of_the_future(model: SizeModel) -> None:
    found = fit_size(model, example())
    assert isinstance(found, Fit)
    assert isinstance(found.form, SizeForm)
    last = aware(example().at[-1])
    near = found.form.predict(example().features[-1], last).var()
    far = found.form.predict(example().features[-1], last + timedelta(days=90)).var()
    assert far >= near


@every_size
def test_numbers_beyond_those_of_training_count_as_the_last_of_them(model: SizeModel) -> None:
    """A post from abroad, a million characters long: no likes below zero, none out of nowhere."""
    found = fit_size(model, example())
    assert isinstance(found, Fit)
    assert isinstance(found.form, SizeForm)
    lengths = [item.numbers["length"] for item in example().features]
    for edge, far in ((max(lengths), 1e15), (min(lengths), -1e15)):
        near, beyond = (
            told(found.form, replace(example().features[0], numbers={"length": value}))
            for value in (edge, far)
        )
        check_quantiles(beyond.quantiles)
        assert np.array_equal(near.quantiles, beyond.quantiles)
        assert beyond.mean == near.mean


@every_size
def test_quick_and_whole_forecasts_agree(model: SizeModel) -> None:
    found = fit_size(model, example())
    assert isinstance(found, Fit)
    assert isinstance(found.form, SizeForm)
    for item in example().features[:5]:
        whole, quick = found.form.predict(item), found.form.quick(item)
        points = whole.quantile(LEVELS)
        assert np.abs(whole.cdf(points) - quick.cdf(points)).max() < 0.01
        assert quick.mean() == pytest.approx(whole.mean(), rel=0.02)


@every_size
def test_a_next_thing_is_one_like_the_recent_ones(model: SizeModel) -> None:
    found = fit_size(model, example())
    assert isinstance(found, Fit)
    assert isinstance(found.form, SizeForm)
    severity = found.form.severity()
    mean = float(np.mean([found.form.quick(x).mean() for x in example().features[-200:]]))
    assert severity.mean() == pytest.approx(mean, rel=0.25)
    assert severity.var() > 0
    wide = found.form.severity({"breed": "borzoi"}, 30.0)
    assert wide.mean() > 0
