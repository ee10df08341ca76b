"""The gate: what a model must show before it is published. Its report is part of the snapshot."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from worlds.core.distributions import Floats
from worlds.core.forms import CountForm, SizeForm
from worlds.learn.protocol import Fit
from worlds.learn.scoring import Scores

type Check = Mapping[str, Any]

LEAST_SCORED = 20
"""Held-out forecasts below which nothing can be said of coverage and score."""
FALSE_ALARM = 1e-3
"""Probability with which a calibrated model fails the coverage check."""
SLACK = {0.5: 0.10, 0.9: 0.05}
"""Coverage that may be missing beyond sampling error: models are never exactly right."""
WORSE = 3.0
"""Standard errors of the mean difference by which a model may score worse."""
FAR = 4.0
"""Factor beyond the least and the most of four weeks at which a path is taken to be damaged."""
MOST_GRADIENT, MOST_RHAT, LEAST_ESS = 0.05, 1.02, 200.0
MOST_PARETO = 1.0
"""Shape beyond which leaving one observation out has no finite mean: the posterior hangs on it
(Vehtari, Simpson, Gelman, Yao & Gabry 2024, arXiv:1507.02646)."""
TENTH_SLACK = 0.05
"""What a tenth of the PIT may hold too much beyond four standard errors."""
EDGES = (0.001, 0.05, 0.5, 0.95, 0.999)


def examine(
    fit: Fit,
    scores: Scores,
    *,
    default: Scores | None = None,
    replaced: tuple[Scores, Scores] | None = None,
    final: tuple[Scores, Scores] | None = None,
    past: Floats | None = None,
) -> tuple[Check, ...]:
    """Return the report on one model.

    Parameters
    ----------
    fit
        The form to be published and the record of its inference.
    scores
        Its scores on held-out facts.
    default
        The scores of the default model on the same facts.
    replaced
        Scores of this model and of the snapshot it would replace on facts that are new to both.
    final
        Scores of the very fit that would be published, and those of the back-test, on the same
        facts: having seen them it must not be worse.
    past
        The counts so far, for a form of counts.
    """
    made = scores.made
    checks = [*support(fit.form), *convergence(fit.inference), *coverage(made)]
    if default is not None:
        checks.append(not_worse("score against the default", scores, default))
    if replaced is not None:
        checks.append(not_worse("score against the replaced snapshot", *replaced))
    if final is not None:
        checks.append(not_worse("score of the published fit against its back-test", *final))
    if past is not None and isinstance(fit.form, CountForm):
        checks += in_line(fit.form, past)
    return tuple(checks)


def verdict(checks: Sequence[Check]) -> str | None:
    """Return why a model must not be published, or None."""
    failed = [
        f"{check['name']}: {check['value']} (bound {check['bound']})"
        for check in checks
        if not check["passed"]
    ]
    return "; ".join(failed) or None


def check(name: str, passed: bool, value: object, bound: object) -> Check:
    """Return one line of the report, JSON all through."""
    return {"name": name, "passed": bool(passed), "value": value, "bound": bound}


def support(form: CountForm | SizeForm) -> list[Check]:
    """Check that the predictive distribution is finite, non-negative and ordered."""
    if isinstance(form, CountForm):
        forecast = form.count()
        quantiles = forecast.quantile(EDGES)
        mean = forecast.mean()
    else:
        severity = form.severity()
        quantiles = np.concatenate([part.quantile(EDGES) for part in severity.parts])
        quantiles = quantiles.reshape(len(severity.parts), -1).min(0)
        mean = severity.mean()
    sound = bool(np.isfinite(quantiles).all() and np.isfinite(mean) and mean >= 0)
    ordered = sound and bool((np.diff(quantiles) >= 0).all() and quantiles[0] >= 0)
    return [check("finite, non-negative, ordered", ordered, _rounded(mean), "finite, >= 0")]


def convergence(inference: Mapping[str, Any]) -> list[Check]:
    """Check what the record of an inference holds.

    Gradient; R-hat, effective sample size, divergences; the largest Pareto shape of leave-one-out
    cross-validation; and the PIT of the observations, of which no tenth may hold too many.
    """
    checks = []
    if "gradient" in inference:
        value = float(inference["gradient"])
        checks.append(check("gradient", value <= MOST_GRADIENT, _rounded(value), MOST_GRADIENT))
    if "rhat" in inference:
        value = float(inference["rhat"])
        checks.append(check("R-hat", value <= MOST_RHAT, _rounded(value), MOST_RHAT))
    if "ess" in inference:
        value = float(inference["ess"])
        checks.append(check("effective draws", value >= LEAST_ESS, _rounded(value), LEAST_ESS))
    if "divergences" in inference:
        value = int(inference["divergences"])
        checks.append(check("divergences", value == 0, value, 0))
    if "pareto_k" in inference:
        value = float(inference["pareto_k"])
        passed = value <= MOST_PARETO  # nan fails
        checks.append(check("Pareto shape (LOO)", passed, _rounded(value), MOST_PARETO))
    if "pit" in inference and inference.get("observations", 0) >= LEAST_SCORED:
        value = max(float(share) for share in inference["pit"])
        bound = 0.1 + TENTH_SLACK + 4 * float(np.sqrt(0.09 / inference["observations"]))
        checks.append(check("fullest tenth of the PIT", value <= bound, value, _rounded(bound)))
    return checks


def coverage(made: Scores) -> list[Check]:
    """Check that central intervals hold the outcome as often as they say, within bounds.

    Only too little coverage fails: where things are more regular than any count model can
    say (fewer ups and downs than Poisson) too much is honest.
    """
    checks = []
    for level, slack in SLACK.items():
        name = f"coverage of {level:.0%}"
        if len(made) < LEAST_SCORED:
            checks.append(check(name, True, None, f"{len(made)} forecasts: too few to judge"))
            continue
        bound = least_coverage(len(made), level - slack)
        value = made.coverage(level)
        checks.append(check(name, value >= bound, _rounded(value), _rounded(bound)))
    return checks


def least_coverage(n: int, level: float) -> float:
    """Return the share of n that a true probability `level` falls below with `FALSE_ALARM`."""
    k = np.arange(n + 1)
    below = special.bdtr(k, n, level)
    return float(np.searchsorted(below, FALSE_ALARM)) / n


def not_worse(name: str, mine: Scores, other: Scores) -> Check:
    """Check that the mean log score is not clearly lower than another's on the same facts."""
    both = np.isfinite(mine.log_score) & np.isfinite(other.log_score)
    if int(both.sum()) < LEAST_SCORED:
        return check(name, True, None, f"{int(both.sum())} common forecasts: too few to judge")
    value, error = mean_with_error(mine.log_score[both] - other.log_score[both])
    bound = -WORSE * error
    found = check(name, value >= bound, _rounded(value), _rounded(bound))
    return {**found, "error": _rounded(error), "forecasts": int(both.sum())}


def mean_with_error(gain: Floats) -> tuple[float, float]:
    """Return the mean of paired differences and its standard error.

    Neighbours are alike: blocks of ten count as one when the error is estimated.
    """
    blocks = np.array([block.mean() for block in np.array_split(gain, max(len(gain) // 10, 2))])
    error = float(blocks.std(ddof=1) / np.sqrt(len(blocks)))
    return float(gain.mean()), error


def in_line(form: CountForm, past: Floats) -> list[Check]:
    """Check that the mean of what is to be published lies near what was seen in four weeks.

    The back-test refits a model; this looks at the one fit that is published, so that one fit gone
    wrong is noticed too.
    """
    horizon = int(getattr(form, "horizon", 1))
    if len(past) < 2 * horizon:
        return []
    recent = past[-max(28 * horizon, 2 * horizon) :]
    totals = np.convolve(recent, np.ones(horizon), "valid")
    mean = sum(form.count(step=step).mean() for step in range(horizon))
    low, high = float(totals.min()) / FAR - horizon, float(totals.max()) * FAR + horizon
    bound = [_rounded(max(low, 0.0)), _rounded(high)]
    name = f"mean of {horizon} periods against the past"
    return [check(name, low <= mean <= high, _rounded(mean), bound)]


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
