"""What the sampled model of counts does before and after its sampler; nothing is sampled here."""

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.worlds.learn import made
from worlds.core.distributions import CountMixture
from worlds.domains import dogposts, sniffable
from worlds.learn import registry
from worlds.learn.candidates import Field, Settings
from worlds.learn.models.count_learned_pymc import (
    NODES,
    Design,
    Draws,
    LearnedPymc,
    ahead,
    squeezed,
)
from worlds.learn.protocol import Declined
from worlds.learn.series import Counts
from worlds.learn.usual import View


def design(history: Counts, horizon: int) -> Design:
    return Design.of(View.of(history, horizon))


def hours(n: int) -> Counts:
    return made.counts(np.random.default_rng(1).poisson(5.0, n).astype(float), made.HOUR)


def draws(found: Design, n: int, step_sd: float) -> Draws:
    rng = np.random.default_rng(2)
    return Draws(
        rng.normal(0, 0.1, (n, len(found.groups))),
        rng.normal(2, 0.1, n),
        np.full(n, step_sd),
        rng.uniform(5, 9, n),
    )


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (made.counts(np.ones(0)), "0 complete periods; needs 28"),
        (made.counts(np.ones(27)), "27 complete periods; needs 28"),
        (hours(335), "335 complete periods; needs 336"),
        (made.counts(np.zeros(60)), "nothing was counted in 60 periods; needs one"),
    ],
)
def test_it_declines_with_a_reason(history: Counts, reason: str) -> None:
    found = LearnedPymc().fit(history, horizon=7, rng=np.random.default_rng(0))
    assert found == Declined("learned_pymc", reason)


def test_every_period_has_the_effects_of_its_time() -> None:
    found = design(hours(400), 24)
    at = [made.START + i * made.HOUR for i in range(424)]
    assert found.effect[:, 0].tolist() == [moment.weekday() for moment in at]
    assert found.effect[:, 1].tolist() == [7 + moment.hour for moment in at]
    both = [31 + moment.hour + 24 * (moment.weekday() >= 5) for moment in at]
    assert found.effect[:, 2].tolist() == both
    assert np.bincount(found.groups).tolist() == [7, 24, 48]
    assert design(made.counts(np.ones(40)), 7).effect.shape == (47, 1)


@pytest.mark.parametrize("n", [400, 401, 405])
def test_levels_hold_for_six_hours_and_end_with_the_history(n: int) -> None:
    found = design(hours(n), 24)
    assert found.level[0] == 0
    assert found.steps == -(-n // 6)
    assert (found.level[n - 6 : n] == found.steps - 1).all()
    assert (found.level[n : n + 6] == found.steps).all()
    assert design(made.counts(np.ones(40)), 7).level.tolist() == list(range(47))


def test_a_level_that_stands_gives_level_times_calendar() -> None:
    found = design(made.weekly(np.random.default_rng(3), 40), 7)
    told = draws(found, 50, 0.0)
    means, sizes = ahead(found, told, np.random.default_rng(0))
    weekdays = [(made.START + (40 + i) * made.DAY).weekday() for i in range(7)]
    expected = np.exp(told.last + told.effects[:, weekdays].T)
    np.testing.assert_allclose(means, expected, rtol=1e-12)
    assert sizes is told.size


def test_a_level_that_walks_spreads_with_the_root_of_time() -> None:
    found = design(made.weekly(np.random.default_rng(3), 40), 7)
    n = 40_000
    told = replace(draws(found, n, 0.2), effects=np.zeros((n, 7)), last=np.zeros(n))
    means, _ = ahead(found, told, np.random.default_rng(0))
    spread = np.log(means).std(1) / (0.2 * np.sqrt(np.arange(1, 8)))
    # a sd from n draws has the relative standard error 1 / sqrt(2 n)
    assert np.abs(spread - 1).max() < 4 / np.sqrt(2 * n)


def test_hours_of_one_step_share_a_level() -> None:
    found = design(hours(400), 24)
    told = replace(draws(found, 9, 0.3), effects=np.zeros((9, 79)))
    means, _ = ahead(found, told, np.random.default_rng(0))
    for first in range(0, 24, 6):
        assert (means[first : first + 6] == means[first]).all()
    assert (means[0] != means[6]).all()


def test_few_components_say_what_all_draws_say() -> None:
    rng = np.random.default_rng(5)
    means, sizes = rng.lognormal(2.5, 0.3, (3, 2000)), rng.uniform(3, 12, 2000)
    weights, few, their_sizes = squeezed(means, sizes)
    assert weights.shape == few.shape == their_sizes.shape == (3, NODES)
    for step in range(3):
        whole = CountMixture.of(means[step], sizes, np.full(2000, 1 / 2000))
        short = CountMixture.of(few[step], their_sizes[step], weights[step])
        assert short.mean() == pytest.approx(whole.mean(), rel=1e-9)
        # what is lost: the spread of means within one of 32 groups
        assert 0.99 * whole.var() < short.var() <= whole.var() * (1 + 1e-9)
        points = np.arange(60)
        assert np.abs(whole.cdf(points) - short.cdf(points)).max() < 0.005


def test_the_route_replaces_the_learned_models_and_no_others() -> None:
    class Own:
        name, role = "learned", "count"

        def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Declined:
            raise AssertionError((history, horizon, rng))

    for role in ("count", "size"):
        quantity = next(one for one in dogposts.DOMAIN.quantities if one.role == role)
        for route, expected in (("fast", "learned"), ("pymc", "learned_pymc")):
            field = Field(dogposts.DOMAIN, quantity, None, Settings(route=route), {})  # type: ignore[arg-type]  # no fit
            routed = field._routed(registry.find(role, "learned"))
            assert (routed.name, routed.role) == (expected, role)
            assert field._routed(registry.find(role, "historical")).name == "historical"
            own = Own()
            assert field._routed(own) is own  # type: ignore[arg-type]


def test_no_domain_is_slow_by_default() -> None:
    for domain in (sniffable.DOMAIN, dogposts.DOMAIN):
        for named in domain.models.values():
            assert "learned_pymc" not in named


def test_finding_it_imports_no_sampler() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from worlds.learn import registry; registry.find('count', 'learned_pymc');"
            "print([m for m in ('pymc', 'nutpie', 'arviz') if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=timedelta(minutes=1).total_seconds(),
    )
    assert told.stdout.strip() == "[]"
