"""Experiments: arms, who falls into which, and what the outcomes say, at any time."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Self

from worlds.errors import QuestionError
from worlds.watch.record import Forecast
from worlds.watch.sequential import Difference, Sequence
from worlds.watch.sketch import Sketch, crps, inside, mixed, pit, quantiles

type Mode = Literal["live", "shadow"]
METRICS = ("crps", "absolute_error", "missed", "outcome")
"""``missed``: share of outcomes outside the 90% interval. ``outcome``: the label itself."""
LEVEL = 0.9
GUARD_ALPHA = 0.01
MOST_PRESENTATION = 2_000


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant.

    Parameters
    ----------
    name
        Its name.
    share
        Share of the entities that fall into it.
    weights
        Weights of the models of the size quantity, by name; those left out have none. None: as
        published.
    presentation
        Anything the client is to show differently; handed on as it is.
    """

    name: str
    share: float
    weights: Mapping[str, float] | None = None
    presentation: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Guardrail:
    """Stops an arm that is shown to be worse than the first by more than `worse_by`."""

    metric: str
    worse_by: float
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as it was declared, and which of its arms were stopped since.

    Parameters
    ----------
    name
        Its name; also names its facts.
    arms
        At least two; the first is what the others are compared with.
    salt
        Makes its assignment independent of that of other experiments.
    mode
        ``live`` shows an entity the answer of its arm; ``shadow`` shows everybody the answer as
        it is, and evaluates all arms beside it.
    metric
        What is compared: see `METRICS`.
    bound
        Largest number of the metric; larger ones count as it.
    better
        Whether ``lower`` or ``higher`` is better.
    alpha
        Chance that it ever shows a difference where there is none.
    guardrails
        What stops an arm.
    by, reason
        Who, and why.
    started_at, until
        From when until when.
    stopped
        Arm to why it was stopped: its entities get what the first arm gets, and do not count.
    ended
        Why the whole experiment ended before its time, if it did.

    Raises
    ------
    QuestionError
        If it has no meaning.
    """

    name: str
    arms: tuple[Arm, ...]
    salt: str
    mode: Mode
    metric: str
    bound: float
    better: Literal["lower", "higher"]
    alpha: float
    by: str
    reason: str
    started_at: datetime
    until: datetime
    guardrails: tuple[Guardrail, ...] = ()
    stopped: Mapping[str, str] = field(default_factory=dict)
    ended: str | None = None

    def __post_init__(self) -> None:
        wrong = self._wrong()
        if wrong is not None:
            raise QuestionError(f"experiment {self.name!r}: {wrong}")

    def _wrong(self) -> str | None:
        names = [arm.name for arm in self.arms]
        total = sum(arm.share for arm in self.arms)
        metrics = [self.metric, *(rail.metric for rail in self.guardrails)]
        said = json.dumps([arm.presentation for arm in self.arms], default=str)
        odd = [
            (len(names) < 2, "it needs two arms or more; the first is the control"),
            (len(set(names)) < len(names) or not all(names), "arms need names of their own"),
            (any(not 0 < arm.share < 1 for arm in self.arms), "shares lie between 0 and 1"),
            (total > 1 + 1e-9, f"shares sum to 1 at most; they sum to {total:.4g}"),
            (any(metric not in METRICS for metric in metrics), f"metrics: {', '.join(METRICS)}"),
            (self.mode not in ("live", "shadow"), "mode is live or shadow"),
            (self.mode == "shadow" and "outcome" in metrics, "in the shadow nothing is shown, so "
             "the outcome is the same for all arms: compare crps, absolute_error or missed"),
            (not self.bound > 0, f"bound must be above 0; got {self.bound!r}"),
            (not 0 < self.alpha < 0.5, f"alpha must lie in (0, 0.5); got {self.alpha!r}"),
            (not (self.by.strip() and self.reason.strip()), "say who (by) and why (reason)"),
            (self.until <= self.started_at, "until must lie in the future"),
            (len(said) > MOST_PRESENTATION, f"presentations of {len(said)} characters; at most "
             f"{MOST_PRESENTATION}"),
            (any(not _weights(arm) for arm in self.arms), "weights are >= 0 and sum to 1"),
        ]  # fmt: skip
        return next((text for is_odd, text in odd if is_odd), None)

    def runs(self, now: datetime) -> bool:
        """Return whether it is under way."""
        return self.ended is None and now < self.until

    def arm_of(self, entity: str) -> Arm | None:
        """Return the arm an entity falls into: always the same one, None for no part in it."""
        place = lot(self.salt, entity)
        for arm in self.arms:
            if place < arm.share:
                return arm
            place -= arm.share
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        raw = asdict(self)
        times = {"started_at": self.started_at.isoformat(), "until": self.until.isoformat()}
        return raw | times | {"stopped": dict(self.stopped)}

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """Read the JSON form.

        Raises
        ------
        QuestionError
            If it is none.
        """
        try:
            times = {name: datetime.fromisoformat(raw[name]) for name in ("started_at", "until")}
            arms = tuple(Arm(**arm) for arm in raw["arms"])
            rails = tuple(Guardrail(**rail) for rail in raw.get("guardrails", ()))
            return cls(**{**raw, **times, "arms": arms, "guardrails": rails})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"not an experiment: {error!r}"
            raise QuestionError(msg) from error

    def without(self, arm: str, reason: str) -> "Experiment":
        """Return the experiment with an arm stopped."""
        return replace(self, stopped={**self.stopped, arm: reason})


def lot(salt: str, entity: str) -> float:
    """Return the place of an entity in [0, 1): uniform, and independent for every salt."""
    digest = hashlib.blake2b(f"{salt}\0{entity}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _weights(arm: Arm) -> bool:
    if arm.weights is None:
        return True
    given = arm.weights.values()
    return all(weight >= 0 for weight in given) and abs(sum(given) - 1) < 1e-6


def measure(metric: str, answer: Sketch, outcome: float) -> float:
    """Return what a metric says of an answer and its outcome."""
    if metric == "crps":
        return crps(answer, outcome)
    if metric == "absolute_error":
        return abs(float(quantiles(answer, _HALF)[0]) - outcome)
    if metric == "missed":
        return 1 - inside(pit(answer, outcome), (1 - LEVEL) / 2, (1 + LEVEL) / 2)
    return outcome


_HALF: Any = [0.5]


@dataclass(slots=True)
class Compared:
    """One arm beside the first: the main difference, and that of every guardrail."""

    main: Difference
    rails: list[Difference]


@dataclass(slots=True)
class Results:
    """What the outcomes of an experiment say so far.

    Parameters
    ----------
    of
        The experiment.
    """

    of: Experiment
    exposed: dict[str, int] = field(default_factory=dict)
    arms: dict[str, Sequence] = field(default_factory=dict)
    clipped: int = 0
    others: dict[str, Compared] = field(default_factory=dict)

    def __post_init__(self) -> None:
        experiment = self.of
        tests = len(experiment.arms) - 1
        for arm in experiment.arms:
            self.exposed[arm.name] = 0
            self.arms[arm.name] = Sequence(experiment.alpha)
        control = experiment.arms[0]
        for arm in experiment.arms[1:]:
            share = arm.share / (arm.share + control.share)
            lot_ = None if experiment.mode == "shadow" else share
            self.others[arm.name] = Compared(
                Difference(experiment.alpha / tests, experiment.bound, lot_),
                [
                    Difference(
                        GUARD_ALPHA, rail.bound or experiment.bound, lot_, margin=rail.worse_by
                    )
                    for rail in experiment.guardrails
                ],
            )

    def exposure(self, made: Forecast) -> None:
        """Count a forecast that was shown, or evaluated in the shadow."""
        arm = made.experiment
        if arm is not None and arm[0] == self.of.name and arm[1] in self.exposed:
            self.exposed[arm[1]] += 1

    def outcome(self, made: Forecast, outcome: float) -> None:
        """Take the outcome of an entity's first forecast."""
        if self.of.mode == "shadow":
            self._shadow(made, outcome)
        elif made.experiment is not None and made.experiment[0] == self.of.name:
            self._shown(made.experiment[1], made.pool, outcome)

    def _shown(self, arm: str, answer: Sketch, outcome: float) -> None:
        if arm not in self.arms:
            return
        value = measure(self.of.metric, answer, outcome)
        self._count(arm, value)
        first = self.of.arms[0].name
        for name, compared in self.others.items():
            if arm not in (first, name) or name in self.of.stopped:
                continue
            compared.main.unit(value, second=arm == name)
            for rail, difference in zip(self.of.guardrails, compared.rails, strict=True):
                seen = self._bad(rail.metric, measure(rail.metric, answer, outcome), difference)
                difference.unit(seen, second=arm == name)

    def _shadow(self, made: Forecast, outcome: float) -> None:
        answers = {arm.name: made.shadows.get(f"{self.of.name}/{arm.name}") for arm in self.of.arms}
        first = answers[self.of.arms[0].name]
        if first is None:
            return
        for name, answer in answers.items():
            if answer is None:
                continue
            self.exposed[name] += 1
            value = measure(self.of.metric, answer, outcome)
            self._count(name, value)
            if name not in self.others:
                continue
            compared = self.others[name]
            compared.main.pair(measure(self.of.metric, first, outcome), value)
            for rail, difference in zip(self.of.guardrails, compared.rails, strict=True):
                ends = (measure(rail.metric, one, outcome) for one in (first, answer))
                one, other = (self._bad(rail.metric, end, difference) for end in ends)
                difference.pair(one, other)

    def _bad(self, metric: str, value: float, difference: Difference) -> float:
        """Return a number of which more is worse."""
        higher = metric == "outcome" and self.of.better == "higher"
        return difference.bound - min(value, difference.bound) if higher else value

    def _count(self, arm: str, value: float) -> None:
        self.clipped += int(value > self.of.bound)
        self.arms[arm].see(min(max(value, 0.0), self.of.bound) / self.of.bound)

    def to_stop(self) -> dict[str, str]:
        """Return the arms that a guardrail stops, with the reason."""
        found = {}
        for name, compared in self.others.items():
            if name in self.of.stopped:
                continue
            for rail, difference in zip(self.of.guardrails, compared.rails, strict=True):
                if difference.worse.evidence >= 1 / GUARD_ALPHA:
                    found[name] = (
                        f"{rail.metric} is worse than that of {self.of.arms[0].name} by more than "
                        f"{rail.worse_by:g}: e-value {difference.worse.evidence:.3g} after "
                        f"{difference.n} outcomes"
                    )
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the results, for people."""
        bound = self.of.bound
        return {
            "outcomes": sum(one.n for one in self.arms.values()),
            "clipped": self.clipped,
            "arms": [
                {
                    "arm": name,
                    "exposures": self.exposed[name],
                    "outcomes": one.n,
                    "mean": None if one.mean is None else _number(one.mean * bound),
                    "interval": [_number(one.low * bound), _number(one.high * bound)],
                    "stopped": self.of.stopped.get(name),
                }
                for name, one in self.arms.items()
            ],
            "differences": [self._difference(name, one.main) for name, one in self.others.items()],
        }

    def _difference(self, name: str, found: Difference) -> dict[str, Any]:
        low, high = found.ends
        shown = found.evidence >= 1 / found.alpha
        mean = found.mean
        verdict = "no difference is shown yet"
        if shown and mean is not None:
            good = (mean < 0) == (self.of.better == "lower")
            verdict = f"{name} is {'better' if good else 'worse'} than {self.of.arms[0].name}"
        return {
            "arm": name,
            "than": self.of.arms[0].name,
            "difference": None if mean is None else _number(mean),
            "interval": [_number(low), _number(high)],
            "level": 1 - found.alpha,
            "e_value": _number(found.evidence),
            "p_value": _number(min(1.0, 1 / found.evidence)),
            "outcomes": found.n,
            "verdict": verdict,
        }


def _number(x: float) -> float:
    return float(f"{x:.5g}")


def shadows(
    experiments: tuple[Experiment, ...],
    entity: str | None,
    models: Mapping[str, Sketch],
    weights: Mapping[str, float],
) -> dict[str, Sketch]:
    """Return what the arms of experiments in the shadow would have answered.

    An arm that names a model which did not answer is left out.
    """
    found: dict[str, Sketch] = {}
    for experiment in experiments:
        if experiment.mode != "shadow" or entity is None or experiment.arm_of(entity) is None:
            continue
        for arm in experiment.arms:
            wanted = weights if arm.weights is None else arm.weights
            named = [(weight, name) for name, weight in wanted.items() if weight > 0]
            if arm.name in experiment.stopped or any(name not in models for _, name in named):
                continue
            found[f"{experiment.name}/{arm.name}"] = mixed([(w, models[n]) for w, n in named])
    return found
