import numpy as np
import pytest
from scipy import stats

from tests.worlds.example import count_form, size_form
from worlds.core.forms import CountPath
from worlds.learn import gate
from worlds.learn.protocol import Fit
from worlds.learn.scoring import Scores


def scores(n: int, pit: np.ndarray | None = None, log_score: np.ndarray | float = -2.0) -> Scores:
    middle = (np.arange(n) + 0.5) / max(n, 1) if pit is None else pit
    at = np.arange(n).astype("datetime64[h]").astype("datetime64[us]")
    logs = np.broadcast_to(np.asarray(log_score, float), (n,)).copy()
    return Scores(at, np.zeros(n), logs, np.ones(n), middle - 1e-9, middle + 1e-9)


def failed(checks: tuple[gate.Check, ...]) -> list[str]:
    return [str(check["name"]) for check in checks if not check["passed"]]


def test_a_sound_calibrated_model_passes() -> None:
    for form in (count_form(3.0, 6.0), size_form(9.0, 1.5)):
        checks = gate.examine(Fit(form, {"gradient": 1e-6}), scores(200), default=scores(200))
        assert failed(checks) == []
        assert gate.verdict(checks) is None


def test_too_narrow_intervals_are_declined_with_value_and_bound() -> None:
    narrow = np.where(np.arange(100) % 2, 0.001, 0.999)
    reason = gate.verdict(gate.examine(Fit(count_form(3.0, 6.0)), scores(100, narrow)))
    assert reason is not None
    assert "coverage of 90%: 0.0 (bound " in reason


def test_too_wide_is_honest() -> None:
    wide = np.full(200, 0.5)
    assert failed(gate.examine(Fit(count_form(3.0, 6.0)), scores(200, wide))) == []


def test_infinite_forecasts_are_declined() -> None:
    form = count_form(3.0, 6.0)
    broken = CountPath(form.start, form.step, form.weights, form.means * np.nan, form.sizes)
    with pytest.raises(ValueError, match="means must lie"):  # the distribution refuses by itself
        gate.examine(Fit(broken), scores(50))


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"gradient": 1.0}, "gradient"),
        ({"gradient": float("nan")}, "gradient"),
        ({"rhat": 1.3}, "R-hat"),
        ({"ess": 12}, "effective draws"),
        ({"divergences": 3}, "divergences"),
    ],
)
def test_inference_that_did_not_converge_is_declined(record: dict[str, float], name: str) -> None:
    assert failed(gate.examine(Fit(count_form(3.0, 6.0), record), scores(50))) == [name]


def test_clearly_worse_than_the_default_is_declined(rng: np.random.Generator) -> None:
    noise = rng.normal(0, 0.5, 200)
    mine, other = scores(200, log_score=-3 + noise), scores(200, log_score=-2.5 + noise)
    fit = Fit(count_form(3.0, 6.0))
    assert failed(gate.examine(fit, mine, default=other)) == ["score against the default"]
    assert failed(gate.examine(fit, mine, replaced=(mine, other))) == [
        "score against the replaced snapshot"
    ]
    assert failed(gate.examine(fit, other, default=mine)) == []


def test_few_forecasts_decide_nothing_and_the_report_says_so() -> None:
    checks = gate.examine(Fit(count_form(3.0, 6.0)), scores(5), default=scores(5))
    assert failed(checks) == []
    assert any("too few to judge" in str(check["bound"]) for check in checks)


@pytest.mark.parametrize(("n", "level"), [(20, 0.85), (200, 0.85), (60, 0.4)])
def test_the_bound_is_the_binomial_quantile(n: int, level: float) -> None:
    assert gate.least_coverage(n, level) * n == stats.binom.ppf(gate.FALSE_ALARM, n, level)


def test_a_calibrated_model_fails_seldom() -> None:
    rng = np.random.default_rng(1)
    alarms = sum(
        gate.verdict(gate.coverage(scores(60, rng.uniform(size=60)))) is not None
        for _ in range(1000)
    )
    assert alarms <= 3  # two checks with slack beyond 1e-3 each: fewer than 2 expected


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"pareto_k": 1.3}, "Pareto shape (LOO)"),
        ({"pareto_k": float("nan")}, "Pareto shape (LOO)"),
        ({"pit": [0.4, *[0.6 / 9] * 9], "observations": 400}, "fullest tenth of the PIT"),
    ],
)
def test_a_sampled_posterior_that_cannot_be_trusted_is_declined(
    record: dict[str, object], name: str
) -> None:
    checks = gate.examine(Fit(count_form(3.0, 6.0), record), scores(200), default=scores(200))
    assert failed(checks) == [name]
    assert gate.verdict(checks) is not None


def test_a_sampled_posterior_with_flat_pit_passes() -> None:
    # 30 observations: a tenth may hold .1 + .05 + 4 standard errors of .055
    for shares, n in (([0.1] * 10, 400), ([0.3, *[0.7 / 9] * 9], 30), ([1.0, *[0.0] * 9], 5)):
        record = {"pareto_k": 0.6, "pit": shares, "observations": n}
        assert failed(tuple(gate.convergence(record))) == []
