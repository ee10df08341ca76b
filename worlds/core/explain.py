"""Why an answer is as wide as it is: shares of the variance, of a probability, sensitivity."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import fsum
from typing import Any

import numpy as np

from worlds.core.distributions import Floats
from worlds.core.outcome import Outcome, world_prob
from worlds.core.questions import Comparison
from worlds.core.resolved import Resolution, missing, note
from worlds.core.shapley import shapley
from worlds.core.tables import amount, named, percent, percentages, signed, table

INSIDE = "inside the worlds"
LISTED = 1000
"""Most worlds that are listed one by one in JSON."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one choice, or the inside of the worlds, has of a variance."""

    name: str
    variance: float
    share: float
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class VarianceShares:
    """A variance split over the choices and the inside of the worlds.

    The shares sum to 1 unless the variance is 0: then there is nothing to split and all are 0.
    `error` of a share is a standard error, 0 for an exact split.
    """

    variance: float
    parts: tuple[Share, ...]
    method: str

    def share(self, name: str) -> float:
        """Return the share of a choice, or of `INSIDE`."""
        return {part.name: part.share for part in self.parts}[name]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one world adds to a probability: its weight times the probability inside it."""

    choices: Mapping[str, str]
    weight: float
    mean: float
    prob: float
    contribution: float
    share: float


@dataclass(frozen=True, slots=True)
class OptionEffect:
    """The answer if a choice were resolved to one option."""

    option: str
    weight: float
    mean: float
    mean_change: float
    prob: float | None = None
    prob_change: float | None = None
    flips: bool | None = None


@dataclass(frozen=True, slots=True)
class ChoiceEffect:
    """How much resolving a choice would move the answer.

    `mean_moves` and `prob_moves` are the standard deviations of the mean and of the probability
    over its options: how far the answer is expected to move. `flips` is how probable it is that
    the probability crosses the bar at which somebody acts.
    """

    choice: str
    options: tuple[OptionEffect, ...]
    mean_moves: float
    prob_moves: float | None = None
    flips: float | None = None


def variance_shares(outcome: Outcome, *, seed: int = 0) -> VarianceShares:
    """Split the variance of the answer (law of total variance, Shapley over the choices).

    What the worlds leave open is the weighted mean of their variances. The variance of their
    means is split over the choices by Shapley values of ``Var(E[answer | choices])``: the split
    depends on no order, and a choice that is independent of the others and changes no mean has
    no share.

    Parameters
    ----------
    outcome
        The answer.
    seed
        Seed of the orders that are sampled beyond ten open choices.

    Raises
    ------
    QuestionError
        If more than 64 choices are open.
    """
    found = Resolution.of(outcome)
    means = np.array([world.outcome.mean() for world in found.worlds])
    variances = np.array([world.outcome.var() for world in found.worlds])
    return _split(found, means, variances, seed)


def prob_shares(
    outcome: Outcome, threshold: str | float | Comparison, *, seed: int = 0
) -> VarianceShares:
    """Split the variance p (1 - p) of whether the comparison holds, as `variance_shares` does."""
    found = Resolution.of(outcome)
    probs = _probs(found, comparison(threshold))
    return _split(found, probs, probs * (1 - probs), seed)


def _split(found: Resolution, centres: Floats, insides: Floats, seed: int) -> VarianceShares:
    split = shapley(
        len(found.open),
        lambda members: found.between(centres, [found.open[i] for i in sorted(members)]),
        seed=seed,
    )
    by_choice = dict(zip(found.open, zip(split.values, split.errors, strict=True), strict=True))
    parts = [Share(name, *_part(by_choice.get(name, (0.0, 0.0)))) for name in found.choices]
    parts.append(Share(INSIDE, float(found.weights @ insides), 0.0))
    total = fsum(part.variance for part in parts)
    if total <= 0:
        return VarianceShares(0.0, tuple(parts), split.method)
    shares = _whole([part.variance / total for part in parts])
    return VarianceShares(
        total,
        tuple(
            replace(part, share=share, error=part.error / total)
            for part, share in zip(parts, shares, strict=True)
        ),
        split.method,
    )


def _part(found: tuple[float, float]) -> tuple[float, float, float]:
    """Return variance (never below 0), a share to be filled in, and the standard error."""
    return max(found[0], 0.0), 0.0, found[1]


def _whole(shares: Sequence[float]) -> list[float]:
    """Return shares that sum to 1 to the last digit; the largest takes the rounding."""
    result = list(shares)
    largest = max(range(len(result)), key=result.__getitem__)
    result[largest] += 1 - fsum(result)
    return result


def contributions(
    outcome: Outcome, threshold: str | float | Comparison
) -> tuple[Contribution, ...]:
    """Return what every world adds to the probability, most first; they sum to it."""
    wanted = comparison(threshold)
    found = Resolution.of(outcome)
    rows = []
    for world, weight in zip(found.worlds, found.weights.tolist(), strict=True):
        prob = world_prob(world, wanted)
        rows.append(
            Contribution(world.choices, weight, world.outcome.mean(), prob, weight * prob, 0.0)
        )
    total = fsum(row.contribution for row in rows)
    shared = [replace(row, share=row.contribution / total if total > 0 else 0.0) for row in rows]
    return tuple(sorted(shared, key=lambda row: (-row.contribution, -row.weight)))


def sensitivity(
    outcome: Outcome,
    threshold: str | float | Comparison | None = None,
    *,
    acts_at: float | None = None,
    choices: Sequence[str] | None = None,
) -> tuple[ChoiceEffect, ...]:
    """Return how the answer changes when a single choice is resolved, most moving first.

    Parameters
    ----------
    outcome
        The answer.
    threshold
        A comparison whose probability is followed too.
    acts_at
        The probability above which somebody acts; which options would change that.
    choices
        Names of choices; all where left out.

    Raises
    ------
    UnknownNameError
        If a choice is not there.
    """
    found = Resolution.of(outcome)
    means = np.array([world.outcome.mean() for world in found.worlds])
    wanted = None if threshold is None else comparison(threshold)
    probs = None if wanted is None else _probs(found, wanted)
    effects = [
        _effect(found, name, means, probs, acts_at)
        for name in (found.choices if choices is None else choices)
    ]
    return tuple(sorted(effects, key=lambda effect: -effect.mean_moves))


def _effect(
    found: Resolution, name: str, means: Floats, probs: Floats | None, acts_at: float | None
) -> ChoiceEffect:
    options = tuple(
        _option(found, name, option, means, probs, acts_at) for option in found.options(name)
    )
    prob_moves = None if probs is None else float(np.sqrt(found.between(probs, [name])))
    flips = None
    if probs is not None and acts_at is not None:
        flips = fsum(option.weight for option in options if option.flips)
    return ChoiceEffect(
        name, options, float(np.sqrt(found.between(means, [name]))), prob_moves, flips
    )


def _option(
    found: Resolution,
    name: str,
    option: str,
    means: Floats,
    probs: Floats | None,
    acts_at: float | None,
) -> OptionEffect:
    here = found.mask(name, option)
    weight = min(float(found.weights[here].sum()), 1.0)
    inside = found.weights[here] / found.weights[here].sum()
    mean = float(inside @ means[here])
    effect = OptionEffect(option, weight, mean, mean - float(found.weights @ means))
    if probs is None:
        return effect
    overall, prob = float(found.weights @ probs), float(inside @ probs[here])
    flips = None if acts_at is None else (prob > acts_at) != (overall > acts_at)
    return replace(effect, prob=prob, prob_change=prob - overall, flips=flips)


def comparison(threshold: str | float | Comparison) -> Comparison:
    """Return a comparison; a bare number means above it."""
    if isinstance(threshold, Comparison):
        return threshold
    return Comparison.parse(threshold, ">")


def _probs(found: Resolution, threshold: Comparison) -> Floats:
    return np.array([world_prob(world, threshold) for world in found.worlds])


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where the width of an answer and the probability of crossing a threshold come from."""

    unit: str
    mean: float
    sd: float
    variance: VarianceShares
    effects: tuple[ChoiceEffect, ...]
    threshold: str | None = None
    prob: float | None = None
    prob_variance: VarianceShares | None = None
    worlds: tuple[Contribution, ...] = ()
    error: float = 0.0
    missing: float = 0.0
    note: str = ""

    @property
    def moves_most(self) -> str | None:
        """The choice whose resolution is expected to move the mean most, if any would."""
        if not self.effects or self.effects[0].mean_moves == 0:
            return None
        return self.effects[0].choice

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; of very many worlds the first are listed, the rest summed."""
        listed, rest = self.worlds[:LISTED], self.worlds[LISTED:]
        return {
            "unit": self.unit,
            "mean": self.mean,
            "sd": self.sd,
            "variance": asdict(self.variance),
            "threshold": self.threshold,
            "prob": self.prob,
            "prob_variance": asdict(self.prob_variance) if self.prob_variance else None,
            "worlds": [{**asdict(row), "choices": dict(row.choices)} for row in listed],
            "other_worlds": {
                "count": len(rest),
                "contribution": fsum(row.contribution for row in rest),
            },
            "sensitivity": [asdict(effect) for effect in self.effects],
            "moves_most": self.moves_most,
            "error_bound": self.error,
            "missing_probability": self.missing,
            "note": self.note,
        }

    def text(self) -> str:
        """Return tables for a terminal."""
        shares = percentages([part.share for part in self.variance.parts])
        rows = [
            (part.name, share, amount(part.variance**0.5))
            for part, share in zip(self.variance.parts, shares, strict=True)
        ]
        width = table(("uncertainty", "share", f"sd ({self.unit})"), rows)
        blocks = [f"mean {amount(self.mean)} {self.unit}, sd {amount(self.sd)}", width]
        if self.threshold is not None:
            blocks.append(_worlds_text(self.worlds, self.threshold, self.prob or 0.0))
        if self.effects:
            blocks.append(effects_text(self.effects, self.unit))
            blocks += _flips_text(self.effects)
        blocks += [self.note] if self.note else []
        return "\n\n".join(blocks)


def _flips_text(effects: Sequence[ChoiceEffect]) -> list[str]:
    """Say which choice, once known, would change what is done; nothing if nobody said when."""
    asked = [effect for effect in effects if effect.flips is not None]
    if not asked:
        return []
    lines = [
        f"To know {effect.choice} would change what is done with probability {effect.flips:.0%}."
        for effect in asked
        if effect.flips
    ]
    return ["\n".join(lines or ["To know any one of these would not change what is done."])]


def explain(
    outcome: Outcome,
    threshold: str | float | Comparison | None = None,
    *,
    acts_at: float | None = None,
    seed: int = 0,
) -> Explanation:
    """Explain an answer: variance, the probability of a comparison, and every single choice.

    Parameters
    ----------
    outcome
        The answer.
    threshold
        ``"> 200000"``; a bare number means above it.
    acts_at
        The probability of it at which somebody acts.
    seed
        Seed of sampled orders beyond ten open choices.
    """
    wanted = None if threshold is None else comparison(threshold)
    return Explanation(
        unit=outcome.unit,
        mean=float(outcome.mean()),
        sd=float(outcome.sd()),
        variance=variance_shares(outcome, seed=seed),
        effects=sensitivity(outcome, wanted, acts_at=acts_at),
        threshold=None if wanted is None else str(wanted),
        prob=None if wanted is None else float(outcome.prob(wanted)),
        prob_variance=None if wanted is None else prob_shares(outcome, wanted, seed=seed),
        worlds=() if wanted is None else contributions(outcome, wanted),
        error=outcome.error,
        missing=missing(outcome),
        note=note(outcome),
    )


def _worlds_text(worlds: Sequence[Contribution], threshold: str, prob: float) -> str:
    rows = [
        (named(row.choices), percent(row.weight), percent(row.prob), percent(row.contribution))
        for row in worlds[:20]
    ]
    rest = worlds[20:]
    if rest:
        added = fsum(row.contribution for row in rest)
        weight = fsum(row.weight for row in rest)
        rows.append((f"{len(rest)} other worlds", percent(weight), "", percent(added)))
    rows.append(("all", percent(fsum(row.weight for row in worlds)), "", percent(prob)))
    return table(("world", "weight", f"P({threshold}) inside", "adds"), rows)


def effects_text(effects: Sequence[ChoiceEffect], unit: str) -> str:
    """Return the table of what resolving every choice would change."""
    rows = [
        (
            f"{effect.choice} = {option.option}",
            percent(option.weight),
            signed(option.mean_change),
            "" if option.prob is None else percent(option.prob),
        )
        for effect in effects
        for option in effect.options
    ]
    return table(("if resolved", "probability", f"mean ({unit})", "P"), rows)
