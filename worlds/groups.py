"""One question, one distribution for every group: likes of the next hour by breed.

Every group is answered exactly, as `where` would. What the groups share stays shared: which models
are right, how many things come in all, how the posterior of the sizes lies; a group that has more
of all things leaves less to the others. Conditions and interventions speak of all groups together.
How probable it is that a group is the largest, and how groups move together, is read from joint
draws, with their error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from worlds.core.compound import Severity
from worlds.core.distributions import Count, Floats
from worlds.core.engine import Belief, assumed, evaluate
from worlds.core.evaluators.effort import Effort
from worlds.core.forms import CountForm
from worlds.core.joint import Brings, Drawn, Joint, error_of_draws, of_groups
from worlds.core.outcome import Outcome
from worlds.core.pooling import pooled
from worlds.core.questions import Comparison, Expression
from worlds.core.thinning import thin
from worlds.errors import QuestionError, UnknownNameError
from worlds.splitting import Options, Splitting, drawn_together
from worlds.summary import summary

if TYPE_CHECKING:
    from worlds.ask import Answerer

USUAL = 8
"""Groups listed when none are named: those that are expected most."""
MOST = 50

type Shares = tuple[Floats, Floats]
"""Values of a share and their probabilities."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one group brings over all models, and its expected share of all things."""

    label: str
    share: float
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class Groups:
    """The answer to a question by group.

    Parameters
    ----------
    by
        The category that makes the groups.
    rows
        One for every group that was asked for.
    joint
        How all of them are drawn together; None where that is not known.
    left_out
        Labels for which there was no time.
    """

    by: str
    rows: tuple[Group, ...]
    levels: tuple[float, ...]
    threshold: Comparison | None
    joint: Joint | None = field(repr=False, default=None)
    effort: Effort = field(repr=False, default_factory=Effort)
    left_out: tuple[str, ...] = ()

    def draws(self, rng: np.random.Generator, size: int) -> Floats:
        """Return joint draws, array (groups, size).

        Raises
        ------
        QuestionError
            If only the distribution of every single group is known.
        """
        if self.joint is None:
            msg = "these groups cannot be drawn together: not every model says how it is shared"
            raise QuestionError(msg)
        return self.joint.draws(rng, size)

    @cached_property
    def together(self) -> tuple[list[float], list[list[float]]] | None:
        """How probably each group is the largest (ties shared), and the correlations."""
        if self.joint is None:
            return None
        found = self._drawn
        top = found == found.max(0)
        spread = found.std(1)
        scaled = (found - found.mean(1, keepdims=True)) / np.where(spread > 0, spread, 1)[:, None]
        return (top / top.sum(0)).mean(1).tolist(), (scaled @ scaled.T / found.shape[1]).tolist()

    @cached_property
    def _drawn(self) -> Floats:
        return np.zeros((0, 0)) if self.joint is None else self.joint.in_time(self.effort)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        largest: Sequence[float | None] = [None] * len(self.rows)
        correlation = None
        if self.together is not None:
            largest, correlation = self.together
        return {
            "by": self.by,
            "covered": sum(row.share for row in self.rows),
            "rows": [
                {
                    "label": row.label,
                    "share": row.share,
                    **summary(row.outcome, self.levels, self.threshold),
                    "method": row.outcome.method,
                    "error_bound": row.outcome.error,
                    "prob_largest": chance,
                }
                for row, chance in zip(self.rows, largest, strict=True)
            ],
            "correlation": correlation,
            "joint_error_bound": None
            if self.joint is None
            else error_of_draws(self._drawn.shape[1]),
            **({"left_out": list(self.left_out)} if self.left_out else {}),
        }


def split(answerer: "Answerer", wanted: Splitting, by: str) -> Groups:
    """Answer a question by group.

    Parameters
    ----------
    answerer
        The models.
    wanted
        The question and its assumptions, which hold for all groups together.
    by
        A category, or some of its labels: ``breed``, ``breed=pug,beagle``.

    Raises
    ------
    QuestionError
        If groups cannot be made, or conditions are formulas.
    """
    formula = wanted.question.formula
    if isinstance(formula, Expression) and formula.conditions:
        msg = "by cannot be combined with conditions that are formulas: use given, or where"
        raise QuestionError(msg)
    category, labels = _read(answerer, by, wanted.assume.where)
    count = answerer.domain.quantity("count").name
    where = wanted.assume.where
    beliefs = answerer.beliefs(wanted.question, where, wanted.over)
    whole = assumed(formula.names(), beliefs, wanted.assume)
    effort = wanted.effort() or Effort()
    rows: list[Group] = []
    tables: list[Mapping[str, Options]] = []
    for label in labels:
        if rows and effort.over:
            break
        mine = {**where, category: label}
        beliefs = answerer.beliefs(wanted.question, mine, wanted.over)
        table: dict[str, Options] = {
            name: _thinned(answerer, whole[name], category, label)
            if name == count
            else assumed([name], beliefs, wanted.assume)[name]
            for name in formula.names()
        }
        share = effort.share(len(labels) - len(rows) + 1)
        outcome = evaluate(wanted.question, pooled(formula, table), effort=share)
        rows.append(Group(label, _expected_share(answerer, category, label), outcome))
        tables.append(table)
    done, rest = labels[: len(rows)], labels[len(rows) :]
    joint = _joint(answerer, wanted, whole.get(count), tables, (category, done))
    return Groups(category, tuple(rows), wanted.levels, wanted.threshold, joint, effort, rest)


def _read(answerer: "Answerer", by: str, where: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the category and the labels of the groups."""
    category, equals, listed = by.partition("=")
    category = category.strip()
    if category not in answerer.domain.shares:
        raise UnknownNameError("category", category, answerer.domain.shares)
    if category in where:
        msg = f"by {category} and where {category}={where[category]} leave a single group"
        raise QuestionError(msg)
    if equals:
        raw = [part.strip() for part in listed.split(",") if part.strip()]
        named = [answerer.normalised({category: part})[category] for part in raw]
    else:
        named = _usual(answerer, category)
    labels = tuple(dict.fromkeys(named))
    if not 1 <= len(labels) <= MOST:
        msg = (
            f"by takes 1 to {MOST} groups; there are {len(labels)}: name some, such as"
            f" {category}=LABEL,LABEL"
        )
        raise QuestionError(msg)
    return category, labels


def _counts(answerer: "Answerer") -> list[tuple[str, float, CountForm]]:
    loaded = answerer.models[answerer.domain.quantity("count").name]
    return [
        (m, one.weight, one.form) for m, one in loaded.items() if isinstance(one.form, CountForm)
    ]


def _usual(answerer: "Answerer", category: str) -> list[str]:
    """Return the labels that are expected most, from what the models have counted."""
    seen: dict[str, float] = {}
    for _, weight, form in _counts(answerer):
        labels, counts = getattr(form, "shares", {}).get(category, ((), np.zeros(0)))
        total = max(float(np.sum(counts)), 1e-300)
        for label, found in zip(labels, counts, strict=True):
            seen[label] = seen.get(label, 0.0) + weight * float(found) / total
    ranked = sorted(seen.items(), key=lambda pair: (-pair[1], pair[0]))
    return [label for label, share in ranked[:USUAL] if share > 0]


def _shares(form: CountForm, category: str, label: str) -> Shares:
    known = getattr(form, "share", None)
    if known is None:
        msg = f"a model of form {form.form!r} does not say how things are shared by {category}"
        raise QuestionError(msg)
    values, weights = known(category, label)
    return np.asarray(values, float), np.asarray(weights, float)


def _pooled(answerer: "Answerer", category: str, label: str) -> Shares:
    """Return the share over all models: what holds where the number of things was fixed."""
    parts = [(w, *_shares(form, category, label)) for _, w, form in _counts(answerer)]
    weights = np.concatenate([w * probs for w, _, probs in parts])
    return np.concatenate([values for _, values, _ in parts]), weights / weights.sum()


def _expected_share(answerer: "Answerer", category: str, label: str) -> float:
    values, weights = _pooled(answerer, category, label)
    return float(weights @ values)


def _thinned(
    answerer: "Answerer", options: Options, category: str, label: str
) -> dict[str, Belief]:
    """Return how many things of one group come, by model."""
    forms = {model: form for model, _, form in _counts(answerer)}
    found = {}
    for model, belief in options.items():
        content = belief.content
        assert not isinstance(content, Severity)  # noqa: S101 - the quantity is a count
        shares = (
            _shares(forms[model], category, label)
            if model in forms
            else _pooled(answerer, category, label)
        )
        found[model] = Belief(belief.weight, thin(content, *shares))
    return found


def _joint(
    answerer: "Answerer",
    wanted: Splitting,
    whole: Options | None,
    tables: Sequence[Mapping[str, Options]],
    groups: tuple[str, tuple[str, ...]],
) -> Joint | None:
    """Return how the groups are drawn together.

    Parameters
    ----------
    whole
        What is believed of the number of things in all; None where it is not asked for.
    """
    count = answerer.domain.quantity("count").name

    def draw(model: str, brings: Brings) -> Drawn | None:
        if whole is None:
            return lambda rng, size: brings(rng, np.zeros((len(tables), size)))
        alphas, content = _alphas(answerer, model, *groups), whole[model].content
        if alphas is None or not isinstance(content, Count):
            return None
        return of_groups(content, alphas, brings)

    counts = {"": 1.0} if whole is None else {model: one.weight for model, one in whole.items()}
    return drawn_together(wanted.question, count, counts, tables, draw)


def _alphas(
    answerer: "Answerer", model: str, category: str, labels: Sequence[str]
) -> Floats | None:
    """Return the Dirichlet law of the shares of some labels and of all others.

    The same prior as that of a single share: 1 over all labels and one unseen. Where the number
    of things was fixed, that of the most probable model.
    """
    found = _counts(answerer)
    form = next((f for m, _, f in found if m == model), max(found, key=lambda one: one[1])[2])
    known = getattr(form, "shares", {}).get(category)
    if known is None:
        return None
    names, counts = known
    prior = 1 / (len(names) + 1)
    mine = [prior + (float(counts[names.index(one)]) if one in names else 0.0) for one in labels]
    rest = max(float(np.sum(counts)) + 1 - sum(mine), 1e-9)
    return np.array([*mine, rest])
