"""Served models: exact routes and quick ones agree; what is unknown widens, never fails."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import integrate, special, stats

from worlds.core.features import Features, from_json, to_json
from worlds.core.forms import FORMS, CountPath, LogLinear
from worlds.core.forms.default import default_count, default_size
from worlds.core.forms.log_linear import NumberRange
from worlds.core.forms.population import shared_nodes
from worlds.core.lattice import ERROR, LogMean, NegBinLattice, mixture_over
from worlds.core.questions import Quantity
from worlds.errors import SnapshotError

T0 = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("intercept", "breed=pug", "breed=beagle", "hashtag=#a", "number:length")


def log_linear(size: float = 1.6, level: float = 3.2) -> LogLinear:
    rng = np.random.default_rng(5)
    centre, sd = [level, 0.3, -0.4, 0.5, 0.2], [0.1, 0.15, 0.1, 0.2, 0.05]
    draws = rng.normal(centre, sd, (256, 5)).T.astype(np.float32)
    items = tuple(
        Features(
            {"breed": (("pug", 0.7), ("beagle", 0.2), ("other", 0.1))},
            {"hashtag": ("#a",) if i % 3 else ()},
            {"length": 90.0 + i},
        )
        for i in range(30)
    )
    numbers = {"length": NumberRange(100.0, 20.0, 20.0, 140.0)}
    groups = {"breed": 0.6, "hashtag": 0.4}
    return LogLinear(COLUMNS, draws, size, groups, ("hashtag",), numbers, 0.05, T0, items)


SEEN = Features({"breed": (("pug", 1.0),)}, {"hashtag": ("#a",)}, {"length": 130.0})


def width(form: LogLinear, features: Features, at: datetime | None = None) -> float:
    low, high = form.predict(features, at).quantile([0.05, 0.95])
    return float(np.log1p(high) - np.log1p(low))


@pytest.mark.parametrize(
    ("mean", "sd", "size"),
    [
        (3.1, 0.3, 1.6),
        (8.9, 0.9, 0.4),
        (0.2, 0.06, 8.0),
        (4.04, 0.07, 8.0),
        (7.77, 0.09, 3.0),
        (0.2, 0.06, 9.0),
        (6.0, 0.01, 30.0),
        (7.3, 0.035, 30.0),
        (5.02, 0.0, 12.0),
    ],
)
def test_the_lattice_agrees_with_quadrature(mean: float, sd: float, size: float) -> None:
    table = NegBinLattice(size).mix([LogMean(1.0, mean, sd)])
    for k in np.unique(np.exp(mean + np.linspace(-3, 3, 7) * max(sd, 0.8)).astype(int)):

        def integrand(z: float, k: float = float(k)) -> float:
            m = np.exp(mean + sd * z)
            inner = (
                stats.poisson.cdf(k, m)
                if np.isinf(size)
                else stats.nbinom.cdf(k, size, size / (size + m))
            )
            return float(inner * stats.norm.pdf(z))

        exact, _ = integrate.quad(integrand, -9, 9, limit=400)
        assert abs(float(table.cdf(k)) - exact) < ERROR


def test_quick_predictions_stay_within_the_stated_error() -> None:
    form = log_linear()
    for features in (SEEN, Features({"breed": (("pug", 0.5), ("zebra", 0.5))}), Features()):
        exact, quick = form.predict(features), form.quick(features)
        k = np.unique(np.geomspace(1, 5000, 200).round()) - 1
        assert np.abs(exact.cdf(k) - quick.cdf(k)).max() < ERROR
        assert quick.mean() == pytest.approx(exact.mean(), rel=1e-6)
        assert quick.var() == pytest.approx(exact.var(), rel=1e-3)


def test_quick_quantiles_are_whole_and_invert_the_table() -> None:
    quick = log_linear().quick(SEEN)
    levels = np.array([0.005, 0.05, 0.5, 0.95, 0.995])
    q = quick.quantile(levels)
    np.testing.assert_array_equal(q, np.round(q))
    assert (quick.cdf(q) >= levels - 1e-9).all()
    assert ((quick.cdf(q - 1) < levels) | (q == 0)).all()


def test_unknown_things_widen_and_never_fail() -> None:
    form = log_linear()
    known = width(form, SEEN)
    unseen = Features({"breed": (("zebra", 1.0),)}, {"hashtag": ("#a", "#new")}, {})
    assert width(form, unseen) > known
    assert width(form, Features(SEEN.categories, {"hashtag": ("#a", "#new")}, SEEN.numbers)) > known
    assert width(form, Features(SEEN.categories, SEEN.tags, {})) > known
    assert form.surprises(unseen) == ["breed=zebra", "hashtag=#new"]


def test_an_old_snapshot_is_less_sure_the_further_ahead_it_looks() -> None:
    form = log_linear()
    widths = [width(form, SEEN, T0 + timedelta(days=d)) for d in (0, 30, 400)]
    assert widths[0] < widths[1] < widths[2]


def test_numbers_beyond_training_saturate_instead_of_extrapolating() -> None:
    form = log_linear()
    far = Features(SEEN.categories, SEEN.tags, {"length": 1e9})
    edge = Features(SEEN.categories, SEEN.tags, {"length": 140.0})
    assert form.predict(far).mean() == form.predict(edge).mean()
    assert form.surprises(far) == ["length=1e+09"]


def test_uncertain_labels_mix_the_certain_ones() -> None:
    form = log_linear()
    parts = {
        label: Features({"breed": ((label, 1.0),)}, {}, {"length": 95.0})
        for label in ("pug", "beagle")
    }
    both = Features({"breed": (("pug", 0.3), ("beagle", 0.7))}, {}, {"length": 95.0})
    for k in (3, 17, 60):
        direct = 0.3 * form.predict(parts["pug"]).cdf(k) + 0.7 * form.predict(parts["beagle"]).cdf(
            k
        )
        assert float(form.predict(both).cdf(k)) == pytest.approx(float(direct), abs=1e-6)


def test_population_severity_keeps_mean_and_spread_of_its_members() -> None:
    form = log_linear()
    severity = form.severity()
    marginal = [form.predict(item) for item in form.population]
    mean = np.mean([p.mean() for p in marginal])
    second = np.mean([p.var() + p.mean() ** 2 for p in marginal])
    assert severity.mean() == pytest.approx(mean, rel=0.01)
    mixed = sum(
        w * (p.var() + p.mean() ** 2) for w, p in zip(severity.weights, severity.parts, strict=True)
    )
    assert mixed == pytest.approx(second, rel=0.01)


def test_severity_of_an_unseen_label_shares_its_uncertainty() -> None:
    """All posts of an unknown breed share its unknown effect: it does not average out."""
    form = log_linear()

    def between(label: str) -> float:
        severity = form.severity({"breed": label})
        return float(np.std(np.log([part.mean() for part in severity.parts])))

    assert between("zebra") > 2 * between("pug")
    assert between("zebra") == pytest.approx(np.hypot(between("pug"), 0.6), rel=0.15)


def test_counts_of_a_label_are_thinned_by_its_uncertain_share() -> None:
    shares = {"breed": (("pug", "beagle", "other"), np.array([6.0, 20.0, 74.0]))}
    path = CountPath(
        T0, timedelta(days=1), np.ones((1, 1)), np.full((1, 1), 40.0), np.full((1, 1), 8.0), shares
    )
    count = path.count({"breed": "pug"})
    a, b = 6.25, 94.75
    assert count.mean() == pytest.approx(40 * a / (a + b), rel=1e-9)

    def integrand(p: float, k: int) -> float:
        return float(stats.nbinom.cdf(k, 8, 8 / (8 + 40 * p)) * stats.beta.pdf(p, a, b))

    for k in (0, 2, 6):
        exact, _ = integrate.quad(integrand, 0, 1, args=(k,))
        assert float(count.cdf(k)) == pytest.approx(exact, abs=2e-4)


def test_a_label_never_seen_has_a_small_wide_share() -> None:
    shares = {"breed": (("pug", "other"), np.array([50.0, 150.0]))}
    path = CountPath(
        T0, timedelta(hours=1), np.ones((1, 1)), np.full((1, 1), 40.0), np.full((1, 1), 8.0), shares
    )
    assert 0 < path.count({"breed": "zebra"}).mean() < 0.2


def test_a_category_nobody_counted_may_have_any_share() -> None:
    ones = np.ones((1, 1))
    path = CountPath(T0, timedelta(hours=1), ones, ones * 40, ones * 8)
    count = path.count({"colour": "red"})
    assert count.mean() == pytest.approx(20)
    assert count.var() > (40 / np.sqrt(12)) ** 2


@pytest.mark.parametrize(("low", "high"), [(2, 2000), (5, 40), (1000, 200_000)])
def test_the_default_belief_keeps_its_tails(low: float, high: float) -> None:
    quantity = Quantity("likes", "likes", "size", "post", (low, high))
    for predictive in (
        default_size(quantity, T0).predict(Features()),
        default_count(quantity, T0, timedelta(days=1)).count(),
    ):
        assert 0.03 < float(predictive.cdf(low)) < 0.08
        assert 0.03 < 1 - float(predictive.cdf(high)) < 0.07


@pytest.mark.parametrize("usual", [(0.0, 0.0), (0.0, 1.0), (0.0, 1e9), (100.0, 101.0)])
def test_the_default_belief_never_fails(usual: tuple[float, float]) -> None:
    form = default_size(Quantity("q", "u", "size", "post", usual), T0)
    assert np.isfinite(form.quick(Features()).quantile([0.01, 0.5, 0.99])).all()


def test_forms_survive_their_parts() -> None:
    shares = {"breed": (("pug", "other"), np.array([50.0, 150.0]))}
    path = CountPath(
        T0,
        timedelta(hours=1),
        np.ones((2, 1)),
        np.array([[40.0], [30.0]]),
        np.full((2, 1), np.inf),
        shares,
    )
    for form in (log_linear(), path):
        meta, arrays = form.to_parts()
        again = FORMS[form.form].from_parts(meta, arrays)
        assert again.to_parts()[0] == meta
        for name, array in again.to_parts()[1].items():
            np.testing.assert_array_equal(array, arrays[name])


def test_broken_arrays_are_refused() -> None:
    with pytest.raises(SnapshotError, match="share one shape"):
        CountPath(T0, timedelta(hours=1), np.ones((1, 2)), np.ones((1, 1)), np.ones((1, 1)))
    meta, arrays = log_linear().to_parts()
    with pytest.raises(SnapshotError, match="draws must"):
        LogLinear.from_parts(meta, {"draws": np.asarray(arrays["draws"])[:3]})
    with pytest.raises(SnapshotError, match="finite"):
        LogLinear.from_parts(meta, {"draws": np.full_like(np.asarray(arrays["draws"]), np.nan)})


def test_features_survive_json() -> None:
    assert from_json(to_json(SEEN)) == SEEN  # type: ignore[arg-type]


def test_gauss_hermite_agrees_with_quadrature_in_the_tail() -> None:
    part = log_linear().log_mean(SEEN)[0]
    predictive = log_linear().predict(SEEN)
    k = float(predictive.quantile(0.99))

    def integrand(z: float) -> float:
        p = 1.6 / (1.6 + np.exp(part.mean + part.sd * z))
        return float(special.betainc(1.6, k + 1, p) * stats.norm.pdf(z))

    exact, _ = integrate.quad(integrand, -9, 9)
    assert float(predictive.cdf(k)) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize(
    ("mean", "sd", "size"), [(6.0, 0.3, np.inf), (9.0, 0.02, 500.0), (-1.0, 1.2, np.inf)]
)
def test_quadrature_serves_counts_with_little_noise(mean: float, sd: float, size: float) -> None:
    mixture = mixture_over([LogMean(1.0, mean, sd)], size)
    for score in (-1.7, 0.2, 1.9):
        k = float(np.floor(np.exp(mean + score * sd)))

        def integrand(z: float, k: float = k) -> float:
            m = np.exp(mean + sd * z)
            inner = (
                special.pdtr(k, m)
                if np.isinf(size)
                else special.betainc(size, k + 1, size / (size + m))
            )
            return float(inner * stats.norm.pdf(z))

        exact, _ = integrate.quad(integrand, -9, 9, limit=1000, points=[score])
        assert float(mixture.cdf(k)) == pytest.approx(exact, abs=1e-5)


def test_the_lattice_refuses_counts_it_is_too_coarse_for() -> None:
    with pytest.raises(ValueError, match="serves sizes"):
        NegBinLattice(np.inf)
    form = log_linear(size=200.0)
    exact, quick = form.predict(SEEN), form.quick(SEEN)
    assert float(quick.cdf(40)) == float(exact.cdf(40))


def test_compressing_a_population_keeps_mean_and_variance(rng: np.random.Generator) -> None:
    means = np.exp(rng.normal(3.0, 0.8, (40, 256)) + rng.normal(0, 0.3, 256))
    weights = np.full(40, 1 / 40)
    found = shared_nodes(means, weights, 1.6)
    flat = means.ravel()
    second = np.mean(flat**2) * (1 + 1 / 1.6) + flat.mean()
    assert found.mean() == pytest.approx(flat.mean(), rel=1e-9)
    # the level of a draw inside its chunk counts for the item and for what is shared
    assert found.var() == pytest.approx(second - flat.mean() ** 2, rel=0.02)
    levels = np.array([part.mean() for part in found.parts])
    assert found.weights @ levels**2 - found.mean() ** 2 == pytest.approx(
        (weights @ means).var(), rel=1e-9
    )


def test_alternatives_are_mixed_not_folded_into_one_normal() -> None:
    rng = np.random.default_rng(11)
    draws = rng.normal([3.0, 0.10, -0.12], [0.1, 0.05, 0.06], (256, 3)).T.astype(np.float32)
    columns = ("intercept", "region=a", "region=b")
    form = LogLinear(columns, draws, 6.0, {"region": 0.9}, (), {}, 0.0, T0)
    labels = (("a", 0.5), ("b", 0.3), ("never seen", 0.2))  # one normal would be off by 0.02
    sides = [(p, form.predict(Features({"region": ((label, 1.0),)}))) for label, p in labels]
    mixed = form.predict(Features({"region": labels}))
    for k in (2, 12, 25, 60, 110):
        direct = sum(p * float(side.cdf(k)) for p, side in sides)
        assert float(mixed.cdf(k)) == pytest.approx(direct, abs=1e-9)
