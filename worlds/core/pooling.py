"""All models of every quantity as one: the same mixture in fewer computations.

A sum is linear in the distribution of its count and in the nodes of its sizes, so that the mixture
over the worlds of independent choices is the sum over the pooled count of the pooled sizes. What
one world says by itself is lost: this is for the many small answers of which only the whole is
shown.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from worlds.core.compound import Severity
from worlds.core.distributions import Count, CountMixture, Floats, PmfTable
from worlds.core.engine import Belief, Beliefs
from worlds.core.path_total import PathTotal
from worlds.core.questions import Expression, Formula
from worlds.core.thinning import as_table

ALL = "all models"


def pooled(formula: Formula, beliefs: Beliefs) -> Beliefs:
    """Return the beliefs with one model a quantity; formulas keep their worlds."""
    if isinstance(formula, Expression):
        return beliefs
    return {name: {ALL: Belief(1.0, _pool(options))} for name, options in beliefs.items()}


def _pool(options: Mapping[str, Belief]) -> Count | Severity:
    weights = np.array([belief.weight for belief in options.values()])
    weights = weights / weights.sum()
    contents = [belief.content for belief in options.values()]
    if len(contents) == 1:
        return contents[0]
    sizes = [one for one in contents if isinstance(one, Severity)]
    if len(sizes) == len(contents):
        nodes = np.concatenate([w * one.weights for w, one in zip(weights, sizes, strict=True)])
        return Severity(nodes, tuple(part for one in sizes for part in one.parts))
    return _counts(weights, [one for one in contents if not isinstance(one, Severity)])


def _counts(weights: Floats, counts: Sequence[Count]) -> Count:
    mixtures = [one for one in counts if isinstance(one, CountMixture)]
    if len(mixtures) == len(counts):
        probs = [w * one.weights for w, one in zip(weights, mixtures, strict=True)]
        means, sizes = [one.means for one in mixtures], [one.sizes for one in mixtures]
        return CountMixture(*map(np.concatenate, (probs, means, sizes)))
    paths = [one for one in counts if isinstance(one, PathTotal)]
    if len(paths) == len(counts) and len({len(one.means) for one in paths}) == 1:
        probs = [w * one.weights for w, one in zip(weights, paths, strict=True)]
        return PathTotal(
            np.concatenate(probs),
            np.concatenate([one.means for one in paths], axis=1),
            np.concatenate([one.sizes for one in paths], axis=1),
        )
    tables = [as_table(one) for one in counts]
    total = np.zeros(max(one.start + len(one.probs) for one in tables))
    for weight, one in zip(weights, tables, strict=True):
        total[one.start : one.start + len(one.probs)] += weight * one.probs
    error = float(weights @ [one.error for one in tables])
    return PmfTable(0, total / total.sum(), error, "pooled table")
