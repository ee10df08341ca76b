"""Models evaluated together say what each of them says by itself."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from worlds.core.distributions import CountMixture, Mixture
from worlds.core.features import Features
from worlds.core.forms import Forest, LogLinear, SizeForm
from worlds.core.forms.forest import Trees, input_names
from worlds.core.forms.log_linear import NumberRange
from worlds.core.forms.stack import Stack, together
from worlds.core.lattice import ERROR, GRID
from worlds.core.noise import Noise
from worlds.errors import ModelFaultError
from worlds.pool import Pool

T0 = datetime(2026, 1, 1, tzinfo=UTC)
BREEDS = ("pug", "beagle", "boxer", "other")
REGIONS = ("home", "abroad")
SAME = 5e-5
"""A quarter of the stated error: nodes further apart, and normals cut off in other places."""


def noise(rng: np.random.Generator) -> Noise:
    weights = rng.uniform(0.2, 1.0, 9)
    return Noise(-4, weights / weights.sum())


def random_form(rng: np.random.Generator, size: float, effect: float) -> LogLinear:
    """Return a model with some of the labels, groups and numbers, and its own ranges."""
    breeds = [b for b in BREEDS if rng.random() < 0.8]
    groups = {"breed": 0.5, **({"region": 0.3} if rng.random() < 0.7 else {}), "hashtag": 0.4}
    columns = ["intercept", *(f"breed={b}" for b in breeds)]
    if "region" in groups:
        columns += [f"region={r}" for r in REGIONS]
    columns += ["hashtag=a", "hashtag=b"]
    numbers = {}
    if rng.random() < 0.8:
        columns.append("number:length")
        low = rng.uniform(0, 40)
        numbers["length"] = NumberRange(rng.uniform(60, 90), rng.uniform(10, 30), low, 140.0)
    centre = np.concatenate([[rng.uniform(2, 5)], rng.normal(0, effect, len(columns) - 1)])
    draws = centre[:, None] + rng.normal(0, 0.12, (len(columns), 64))
    law = noise(rng) if rng.random() < 0.5 else None
    return LogLinear(
        tuple(columns),
        draws.astype(np.float32),
        size,
        groups,
        ("hashtag",),
        numbers,
        rng.uniform(0, 0.1),
        T0 + timedelta(days=float(rng.uniform(-3, 3))),
        (),
        law,
    )


def random_features(rng: np.random.Generator) -> Features:
    categories, numbers = {}, {}
    for name, labels in (("breed", (*BREEDS, "borzoi")), ("region", (*REGIONS, "moon"))):
        kept = [label for label in labels if rng.random() < 0.6]
        if kept:
            probs = rng.dirichlet(np.ones(len(kept)))
            categories[name] = tuple(zip(kept, probs.tolist(), strict=True))
    tags = tuple(tag for tag in ("a", "b", "new") if rng.random() < 0.4)
    if rng.random() < 0.7:
        numbers["length"] = float(rng.uniform(-50, 250))
    return Features(categories, {"hashtag": tags}, numbers)


@pytest.mark.parametrize("effect", [0.05, 0.8])
@pytest.mark.parametrize("seed", range(8))
def test_a_stack_says_what_its_models_say(seed: int, effect: float) -> None:
    rng = np.random.default_rng([23, seed])
    forms = [random_form(rng, size, effect) for size in (1.3, 2.5, 6.0)]
    for places in together(forms):
        group = [forms[k] for k in places]
        stack = Stack(group)
        for _ in range(12):
            features = random_features(rng)
            at = T0 + timedelta(days=30) if rng.random() < 0.5 else None
            unseen: set[str] = set()
            said = stack.of(features, at, unseen)
            assert unseen == {name for form in group for name in form.surprises(features)}
            for form, table in zip(group, said.tables(), strict=True):
                alone = form.quick(features, at)
                assert np.abs(table.values - alone.cdf(GRID)).max() < SAME
                assert table.mean() == pytest.approx(alone.mean(), rel=1e-6)
                assert table.var() == pytest.approx(alone.var(), rel=1e-5)


def test_spread_out_labels_are_exact() -> None:
    rng = np.random.default_rng(11)
    form = random_form(rng, 2.0, 0.9)
    features = Features({"breed": (("pug", 0.5), ("beagle", 0.3), ("borzoi", 0.2))})
    table = Stack([form]).of(features, None, set()).tables()[0]
    exact = form.predict(features)
    assert np.abs(table.values - exact.cdf(GRID)).max() < ERROR
    assert table.mean() == pytest.approx(exact.mean(), rel=1e-6)
    assert table.var() == pytest.approx(exact.var(), rel=1e-3)


def test_a_model_without_uncertainty_is_read_between_the_nodes() -> None:
    draws = np.full((1, 4), 2.345, np.float32)
    form = LogLinear(("intercept",), draws, 3.0, {}, (), {}, 0.0, T0)
    table = Stack([form]).of(Features(), None, set()).tables()[0]
    assert np.abs(table.values - form.predict(Features()).cdf(GRID)).max() < ERROR


@pytest.mark.parametrize("size", [0.4, 1.6, 7.9, 8.1, 30.0])
@pytest.mark.parametrize("spread", [None, 0.3, 0.9])
def test_nodes_further_apart_do_where_normals_are_wide(size: float, spread: float | None) -> None:
    law = None
    if spread is not None:
        steps = np.arange(-20, 21)
        weights = np.exp(-0.5 * (0.15 * steps / spread) ** 2)
        law = Noise(-20, weights / weights.sum())
    rng = np.random.default_rng(41)
    strides = set()
    for sd in (0.05, 0.1, 0.2, 0.45, 1.1):
        for level in (-3.03, 0.22, 3.21, 6.07, 10.03):
            draws = level + sd * rng.standard_normal((1, 400))
            draws = level + (draws - draws.mean()) * sd / draws.std()
            form = LogLinear(
                ("intercept",), draws.astype(np.float32), size, {}, (), {}, 0.0, T0, (), law
            )
            said = Stack([form]).of(Features(), None, set())
            exact = form.predict(Features()).cdf(GRID)
            assert np.abs(said.tables()[0].values - exact).max() < 1.5 * ERROR / 2
            assert np.abs(said.mixed(np.ones((1, 1), np.float32)) - exact).max() < 1.5 * ERROR / 2
            strides.add(said.nodes.stride)
    assert {1} < strides


def test_models_with_little_noise_stay_out_and_their_number_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    forms = [random_form(rng, size, 0.3) for size in (500.0, 1.5, 20.0, 2.0)]
    assert 0 not in {k for places in together(forms) for k in places}
    assert list(together([])) == []


def pool(*forms: SizeForm) -> Pool:
    weights = np.random.default_rng(2).dirichlet(np.ones(len(forms))).tolist()
    named = zip([f"m{k}" for k in range(len(forms))], weights, forms, strict=True)
    return Pool("likes", list(named))


def test_a_pool_is_the_mixture_of_what_its_models_say() -> None:
    rng = np.random.default_rng(17)
    together_and_alone = pool(*(random_form(rng, size, 0.6) for size in (1.2, 20.0, 500.0, 2.2)))
    for _ in range(10):
        said = together_and_alone.of(random_features(rng))
        assert said.values is None  # one of them is no table
        assert isinstance(said.mixture, Mixture)
        assert {type(part) for _, _, part in said.parts} > {CountMixture}
        wanted = sum(weight * part.cdf(GRID) for _, weight, part in said.parts)
        assert np.abs(said.mixture.cdf(GRID) - wanted).max() < 1e-6
        assert said.mean == pytest.approx(said.mixture.mean(), rel=1e-6)
    tables = pool(*(random_form(rng, size, 0.6) for size in (1.2, 20.0, 2.2)))
    for _ in range(10):
        said = tables.of(random_features(rng))
        assert said.values is not None
        wanted = sum(weight * part.cdf(GRID) for _, weight, part in said.parts)
        assert np.abs(said.values - wanted).max() < 1e-6
        assert said.error == ERROR
        assert sum(weight for _, weight, _ in said.parts) == pytest.approx(1)


def test_a_pool_without_a_lattice() -> None:
    rng = np.random.default_rng(5)
    alone = random_form(rng, 500.0, 0.3)
    said = pool(alone).of(Features())
    assert said.values is None
    assert said.mean == pytest.approx(alone.predict(Features()).mean())


def grown(rng: np.random.Generator) -> Forest:
    """Return a forest whose trees look at a base of its own."""
    base = random_form(rng, 3.0, 0.4)
    inputs, steps = len(input_names(base)), np.linspace(-2.0, 2.0, 9)
    trees = Trees(
        rng.integers(inputs, size=(20, 7)).astype(np.int16),
        rng.normal(0, 0.5, (20, 7)).astype(np.float32),
        rng.normal(0, 0.01, (20, 8, 9)).astype(np.float16),
        np.linspace(0.02, 0.98, 9).astype(np.float32),
    )
    return Forest(base, trees, steps, (0.3, 0.4))


@pytest.mark.parametrize("seed", range(4))
def test_forests_stand_on_log_means_that_are_found_with_the_others(seed: int) -> None:
    rng = np.random.default_rng([31, seed])
    forests = grown(rng), grown(rng)
    for others in ((random_form(rng, 1.2, 0.6), random_form(rng, 20.0, 0.6)), ()):
        forms: tuple[SizeForm, ...] = (forests[0], *others, forests[1])
        found = pool(*forms)
        for _ in range(8):
            features = random_features(rng)
            at = T0 + timedelta(days=20) if rng.random() < 0.5 else None
            said = found.of(features, at)
            told = {name: part for name, _, part in said.parts}
            assert len(told) == len(forms)
            for k, form in enumerate(forms):
                alone = form.quick(features, at).cdf(GRID)
                assert np.abs(told[f"m{k}"].cdf(GRID) - alone).max() < 1e-4
                assert set(form.surprises(features)) <= set(said.unseen)
            assert said.values is not None
            assert not said.sure
            wanted = sum(weight * part.cdf(GRID) for _, weight, part in said.parts)
            assert np.abs(said.values - wanted).max() < 1e-6
            assert said.mean == pytest.approx(said.mixture.mean(), rel=1e-6)


def test_a_fault_is_that_of_the_model_which_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(29)
    good, bad = random_form(rng, 1.5, 0.3), random_form(rng, 1.5, 0.3)
    found = pool(good, bad)

    def broken(*_: object) -> None:
        msg = "not today"
        raise RuntimeError(msg)

    monkeypatch.setattr(Stack, "of", broken)
    quick = LogLinear.quick

    def choosy(self: LogLinear, features: Features, at: datetime | None = None) -> object:
        return broken() if self is bad else quick(self, features, at)

    monkeypatch.setattr(LogLinear, "quick", choosy)
    with pytest.raises(ModelFaultError, match="not today") as caught:
        found.of(Features())
    assert caught.value.model == "m1"
