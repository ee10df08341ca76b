"""A hierarchical negative-binomial regression with a drifting level, by empirical Bayes.

log m_i = x_i . effects + level[step of i];  y_i ~ NB(m_i, r)
effects of one group ~ N(0, sd_group^2);  level[k + 1] - level[k] ~ N(0, sd_level^2)

Effects are found by penalised Newton steps on the expected information, the variances of the
groups and of the level by MacKay's fixed point (1992, doi:10.1162/neco.1992.4.3.415), the size r
by likelihood with the Cox-Reid correction; the posterior is normal at the mode (Laplace).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from worlds.core.distributions import Floats
from worlds.learn import negbin

WEAK_PRECISION = 0.01
"""Prior precision of the first level around the log of the mean count."""
HYPER_DF, HYPER_SD = 1.0, 0.3
"""Every variance is drawn a little towards 0.3^2, with the force of one observed effect."""
LOWEST_SD, HIGHEST_SD = 1e-3, 3.0
LEVEL_DF, LEVEL_SD = 1.0, 0.05
SIZE_HALF_LIFE = 300.0
"""Observations after which one counts half for the size: how noisy things are drifts too."""
WALK_HALF_LIFE = 30.0
"""Steps after which one counts half for the variance of the level."""
REACH = 1.5
CENTRE_HALF_LIFE = 400.0
"""Observations after which one counts half for the mean that bounded counts would miss."""
DENSE = 0.2
"""Share of entries set from which on a column is kept whole."""
ROUNDS = 60
TOLERANCE = 1e-4
"""Length of the gradient, in posterior standard deviations, at which the mode is reached."""
FIRST_STEPS, LAST_STEPS = 6, 20
LARGEST_STEP = 2.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Data of a fit.

    Parameters
    ----------
    y
        Array (n,): counts.
    matrix
        Sparse array (n, p + K): effects, then one indicator column a level step.
    groups
        Name to the columns whose effects share a variance.
    levels
        Number K of level steps.
    recency
        Array (n,): weight of every observation when the size r is found.
    walk_recency
        Array (K - 1,): weight of every step when the variance of the level is found.
    blocks
        The same columns as `matrix`, sorted for speed.
    reach
        Standard deviations beyond which a count pulls no harder at the effects; infinite for
        the plain likelihood. A thing that goes viral says little about breeds or the level.
    """

    y: Floats
    matrix: sparse.csr_array
    groups: Mapping[str, NDArray[np.intp]]
    levels: int
    recency: Floats
    walk_recency: Floats
    blocks: "Blocks"
    reach: float = REACH

    @classmethod
    def of(
        cls,
        y: Floats,
        matrix: sparse.csr_array,
        groups: Mapping[str, NDArray[np.intp]],
        step_of: NDArray[np.intp],
        levels: int,
    ) -> "Problem":
        """Append the level columns to a design."""
        ones = np.ones(len(y))
        level = sparse.csr_array((ones, (np.arange(len(y)), step_of)), shape=(len(y), levels))
        full = sparse.csr_array(sparse.hstack([matrix, level]))
        return cls(
            y,
            full,
            groups,
            levels,
            recency=fading(len(y), SIZE_HALF_LIFE),
            walk_recency=fading(levels - 1, WALK_HALF_LIFE),
            blocks=Blocks.of(full),
        )


def fading(count: int, half_life: float) -> Floats:
    """Return weights (count,), oldest first, that halve every `half_life` entries; newest 1."""
    return np.asarray(0.5 ** (np.arange(count)[::-1] / half_life), float)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The mode, the normal posterior around it, and how it was reached.

    Parameters
    ----------
    effects
        Array (p + K,): the mode.
    root
        Lower Cholesky factor of the posterior precision.
    sd
        Group name to the standard deviation of its effects; ``level`` to that of one step.
    size
        Size of the negative binomial.
    rounds, gradient
        Steps taken and largest entry of the gradient in posterior standard deviations.
    """

    effects: Floats
    root: Floats
    sd: Mapping[str, float]
    size: float
    rounds: int
    gradient: float

    def draws(self, rng: np.random.Generator, count: int) -> Floats:
        """Return an array (p + K, count) of posterior draws in antithetic pairs."""
        z = rng.standard_normal((len(self.effects), (count + 1) // 2))
        spread = linalg.solve_triangular(self.root, z, lower=True, trans="T")
        return self.effects[:, None] + np.hstack([spread, -spread])[:, :count]


def fit(problem: Problem) -> Fitted:
    """Return the empirical-Bayes fit of a problem."""
    state = _start(problem)
    centre = float(np.log(problem.y.mean() + 0.5))
    for turn in range(1, ROUNDS + 1):
        before = state
        precision = _prior(problem, state.sd)
        for _ in range(1 if turn > 1 else FIRST_STEPS):
            state = _newton(problem, state, precision, centre)
        covariance = linalg.cho_solve((state.root, True), np.eye(len(state.effects)))
        state = replace(state, sd=_variances(problem, state, covariance), rounds=turn)
        state = replace(state, size=_size(problem, state, covariance))
        if turn > 2 and _settled(before, state):
            break
    precision = _prior(problem, state.sd)
    for _ in range(LAST_STEPS):
        state = _newton(problem, state, precision, centre)
        if state.gradient < TOLERANCE:
            break
    return state if np.isinf(problem.reach) else _centred(problem, state)


def _centred(problem: Problem, state: Fitted) -> Fitted:
    shift, size = centring(problem, _means(problem, state))
    effects = state.effects.copy()
    effects[_level_slice(problem)] += shift
    return replace(state, effects=effects, size=size)


def centring(problem: Problem, mean: Floats) -> tuple[float, float]:
    """Return the shift of the level that bounded counts miss, and the size around it.

    With the shift the means add up to the counts, viral ones included: one number from many
    observations.
    """
    weight = fading(len(mean), CENTRE_HALF_LIFE)
    shift = float(np.log((weight @ problem.y + 0.5) / (weight @ mean + 0.5)))
    return shift, negbin.likely_size(problem.y, mean * np.exp(shift), problem.recency)


def tamed(problem: Problem, fitted: Fitted) -> Problem:
    """Return the problem with counts cut where they would pull no harder, and no reach."""
    mean = _means(problem, fitted)
    cut = np.ceil(mean + problem.reach * np.sqrt(mean + mean**2 / fitted.size))
    return replace(problem, y=np.minimum(problem.y, cut), reach=np.inf)


def _means(problem: Problem, state: Fitted) -> Floats:
    return np.asarray(np.exp(np.clip(problem.matrix @ state.effects, -30.0, 30.0)))


def _start(problem: Problem) -> Fitted:
    columns = problem.matrix.shape[1]
    effects = np.zeros(columns)
    effects[columns - problem.levels :] = np.log(problem.y.mean() + 0.5)
    sd = {**dict.fromkeys(problem.groups, 0.3), "level": 0.2}
    return Fitted(effects, np.eye(columns), sd, 1.0, 0, np.inf)


def _settled(before: Fitted, after: Fitted) -> bool:
    moved = max(abs(np.log(after.sd[name] / before.sd[name])) for name in after.sd)
    return bool(moved < 0.02 and abs(np.log(after.size / before.size)) < 0.002)


def _level_slice(problem: Problem) -> slice:
    return slice(problem.matrix.shape[1] - problem.levels, problem.matrix.shape[1])


def _prior(problem: Problem, sd: Mapping[str, float]) -> Floats:
    """Return the prior precision: diagonal for effects, a random walk for the level."""
    columns = problem.matrix.shape[1]
    precision = np.zeros((columns, columns))
    diagonal = np.full(columns, 1.0)
    for name, places in problem.groups.items():
        diagonal[places] = sd[name] ** -2
    precision[np.diag_indices(columns)] = diagonal
    level = _level_slice(problem)
    precision[level, level] = level_precision(problem.levels, sd["level"])
    return precision


def level_precision(levels: int, sd: float) -> Floats:
    """Return the prior precision (levels, levels) of a random walk from a vague start."""
    precision = _walk(levels) / sd**2
    precision[0, 0] += WEAK_PRECISION
    return precision


def _walk(levels: int) -> Floats:
    """Return the structure matrix of a first-order random walk, D'D of the differences."""
    if levels == 1:
        return np.zeros((1, 1))
    difference = np.diff(np.eye(levels), axis=0)
    return np.asarray(difference.T @ difference)


def _newton(problem: Problem, state: Fitted, precision: Floats, centre: float) -> Fitted:
    """Take one bounded Newton step on the expected information."""
    mean = _means(problem, state)
    weight = negbin.information(mean, state.size)
    hessian = problem.blocks.gram(weight) + precision
    pull = np.zeros_like(state.effects)
    pull[_level_slice(problem).start] = WEAK_PRECISION * centre
    gradient = (
        problem.matrix.T @ negbin.bounded_score(problem.y, mean, state.size, problem.reach)
        - precision @ state.effects
        + pull
    )
    root = linalg.cholesky(hessian, lower=True)
    step = linalg.cho_solve((root, True), gradient)
    scaled = float(np.sqrt(max(float(gradient @ step), 0.0)))
    step *= min(1.0, LARGEST_STEP / max(float(np.abs(step).max()), 1e-12))
    return replace(state, effects=state.effects + step, root=root, gradient=scaled)


def _variances(problem: Problem, state: Fitted, covariance: Floats) -> dict[str, float]:
    """Return MacKay's update: squared effects over the degrees of freedom they use."""
    found = {}
    variance = np.diag(covariance)
    for name, places in problem.groups.items():
        squared = float(state.effects[places] @ state.effects[places])
        free = len(places) - float(variance[places].sum()) / state.sd[name] ** 2
        found[name] = _root(squared, free, HYPER_DF, HYPER_SD)
    level = _level_slice(problem)
    steps = np.diff(state.effects[level])
    block = covariance[level, level]
    spread = np.diag(block)[1:] + np.diag(block)[:-1] - 2 * np.diag(block, 1)
    spent = problem.walk_recency @ (1 - spread / state.sd["level"] ** 2)
    squares = float(problem.walk_recency @ steps**2)
    found["level"] = _root(squares, float(spent), LEVEL_DF, LEVEL_SD)
    return found


def _root(squares: float, spent: float, df: float, sd: float) -> float:
    value = np.sqrt((squares + df * sd**2) / (max(spent, 0.0) + df))
    return float(np.clip(value, LOWEST_SD, HIGHEST_SD))


def _size(problem: Problem, state: Fitted, covariance: Floats) -> float:
    """Return the size by likelihood with the Cox-Reid correction.

    The information of an observation, w = m / (1 + m / r), has d w / d(log r) = w (1 - w / m);
    the correction is the derivative of log det(X' W X + P) / 2 with respect to log r
    (Cox & Reid 1987, doi:10.1111/j.2517-6161.1987.tb01422.x). Without it the size is too large,
    because the means have been fitted to the same counts.
    """
    mean = _means(problem, state)
    weight = negbin.information(mean, state.size)
    sensitive = problem.recency * weight * (1 - weight / np.maximum(mean, 1e-300))
    adjustment = 0.5 * float((covariance * problem.blocks.gram(sensitive)).sum())
    return negbin.likely_size(problem.y, mean, problem.recency, adjustment)


@dataclass(frozen=True, slots=True)
class Blocks:
    """The columns of a design in two kinds: numbers, nearly all set, and labels, nearly all zero.

    Parameters
    ----------
    full, thin
        Array (n, a) and sparse array (n, b) of the two kinds of columns.
    full_places, thin_places
        Where they stand in the design.
    """

    full: Floats
    thin: sparse.csr_array
    full_places: NDArray[np.intp]
    thin_places: NDArray[np.intp]

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> "Blocks":
        """Split a design by how many entries of a column are set."""
        filled = np.bincount(matrix.indices, minlength=matrix.shape[1])
        many = filled > DENSE * matrix.shape[0]
        full, thin = np.flatnonzero(many), np.flatnonzero(~many)
        return cls(matrix[:, full].toarray(), sparse.csr_array(matrix[:, thin]), full, thin)

    def gram(self, weight: Floats) -> Floats:
        """Return X' diag(weight) X."""
        count = len(self.full_places) + len(self.thin_places)
        found = np.empty((count, count))
        weighted = self.full * weight[:, None]
        found[np.ix_(self.full_places, self.full_places)] = self.full.T @ weighted
        if len(self.thin_places):
            across = self.thin.T @ weighted
            found[np.ix_(self.thin_places, self.full_places)] = across
            found[np.ix_(self.full_places, self.thin_places)] = across.T
            data = self.thin.data * np.repeat(weight, np.diff(self.thin.indptr))
            half = sparse.csr_array(
                (data, self.thin.indices, self.thin.indptr), shape=self.thin.shape
            )
            found[np.ix_(self.thin_places, self.thin_places)] = (self.thin.T @ half).toarray()
        return found
