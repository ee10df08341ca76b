"""What ArviZ says of a sampled model, as the record that a fit carries and the gate reads."""

from typing import Any

import numpy as np

from worlds.core.distributions import Floats


def diagnose(trace: Any, names: list[str] | None = None) -> dict[str, Any]:
    """Return R-hat, effective draws and divergences; LOO and PIT where the trace allows it.

    Parameters
    ----------
    trace
        What `pymc.sample` or `nutpie.sample` returned. With the groups ``log_likelihood``
        (`pymc.compute_log_likelihood`) LOO is computed, with ``posterior_predictive`` and
        ``observed_data`` the PIT of the observations.
    names
        Parameters that are looked at; all where left out.

    Returns
    -------
    dict
        ``rhat``, ``ess``, ``divergences``: what the gate examines; ``loo``, ``loo_se`` and
        ``pareto_k`` (the largest); ``pit``: the shares of observations in ten equal parts of
        their predictive distributions, a tenth each where the model is right, and
        ``observations``, how many there were.
    """
    import arviz as az

    posterior = trace["posterior"].to_dataset()
    posterior = posterior if names is None else posterior[names]
    rhat, ess = az.rhat(posterior), az.ess(posterior)
    found: dict[str, Any] = {
        "rhat": float(max(float(rhat[name].max()) for name in rhat.data_vars)),
        "ess": float(min(float(ess[name].min()) for name in ess.data_vars)),
        "divergences": int(trace["sample_stats"]["diverging"].sum()),
    }
    groups = set(trace.children)
    if "log_likelihood" in groups:
        loo = az.loo(trace, pointwise=True)
        found |= {"loo": float(loo.elpd), "loo_se": float(loo.se)}
        found["pareto_k"] = float(np.max(loo.pareto_k))
    if {"posterior_predictive", "observed_data"} <= groups:
        found["pit"] = [round(float(x), 4) for x in _pit(trace)]
        found["observations"] = int(_observed(trace).size)
    return found


def _pit(trace: Any) -> Floats:
    """Return the shares of observations in ten parts, in expectation over randomisation."""
    name = next(iter(trace["observed_data"].data_vars))
    y = _observed(trace)
    draws = np.asarray(trace["posterior_predictive"][name], float).reshape(-1, len(y))
    below, upto = (draws < y).mean(0), (draws <= y).mean(0)
    edges = np.linspace(0.0, 1.0, 11)
    width = np.maximum(upto - below, 1e-9)
    reached = np.clip((edges[:, None] - below) / width, 0.0, 1.0)
    reached[0], reached[-1] = 0.0, 1.0
    return np.asarray(np.diff(reached.mean(1)))


def _observed(trace: Any) -> Floats:
    name = next(iter(trace["observed_data"].data_vars))
    return np.asarray(trace["observed_data"][name], float).ravel()
