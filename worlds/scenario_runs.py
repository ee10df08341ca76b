"""Ask scenarios: over a range, and against one another on common worlds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import numpy as np

from worlds.answer import Answer
from worlds.core.compare import Compared, compare
from worlds.core.distributions import Mixture
from worlds.core.mixing import mix
from worlds.core.tables import amount, percent, table
from worlds.errors import QuestionError
from worlds.ranges import Range, corners, find_ranges, grid
from worlds.scenarios import Scenario

COUNTS = (3, 5, 9, 17, 33)
MOST_POINTS = 256
TOLERANCE = 1e-3
"""Difference of cumulative probabilities at which the grid over a range is fine enough."""
type Nodes = Sequence[tuple[tuple[float, ...], float]]
"""Points of the ranges, with their probabilities."""

BASELINE = Scenario("as it is")


class Asks(Protocol):
    """Whatever answers questions: an `Answerer`."""

    def ask(
        self,
        name: str,
        *,
        given: Mapping[str, object] | None = None,
        do: Mapping[str, object] | None = None,
        where: Mapping[str, str] | None = None,
        threshold: float | str | None = None,
        over: int = 1,
    ) -> Answer:
        """Answer a question."""
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """The least and the largest value of a number over the range, and where they are."""

    name: str
    low: float
    high: float
    low_at: Mapping[str, float]
    high_at: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The answer to a question under a scenario.

    `answer` mixes over the ranges by their priors: every node is an option of a choice such as
    ``"pupdates times"``, so that explanations show what the range contributes. `envelope` is
    over the nodes and the corners of the ranges, whatever the prior.
    """

    scenario: Scenario
    answer: Answer
    ranges: tuple[Range, ...] = ()
    envelope: tuple[Envelope, ...] = ()
    points: int = 1
    error: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "scenario": self.scenario.to_json(),
            "ranges": [each.to_dict() for each in self.ranges],
            "points": self.points,
            "range_error_bound": self.error,
            "envelope": [
                {
                    "name": row.name,
                    "low": row.low,
                    "high": row.high,
                    "low_at": dict(row.low_at),
                    "high_at": dict(row.high_at),
                }
                for row in self.envelope
            ],
            "answer": self.answer.to_dict(),
        }


def run(
    asks: Asks,
    question: str,
    scenario: Scenario,
    *,
    threshold: float | str | None = None,
    over: int = 1,
) -> Run:
    """Ask a question under a scenario.

    Parameters
    ----------
    asks
        What answers.
    question
        Name of the question.
    scenario
        What is assumed; ranges in `do` become a mixture over nodes of their priors. Nodes are
        doubled until cumulative probabilities change by less than 1e-3, at most 256 points; the
        last change is the stated error.
    threshold, over
        As a question takes them.
    """
    ranges = find_ranges(scenario.do)
    if not ranges:
        answer = asks.ask(
            question,
            given=scenario.given,
            do=scenario.do,
            where=scenario.where,
            threshold=threshold,
            over=over,
        )
        return Run(scenario, answer)

    @cache
    def at(point: tuple[float, ...]) -> Answer:
        fixed = {each.quantity: each.intervention(x) for each, x in zip(ranges, point, strict=True)}
        return asks.ask(
            question,
            given=scenario.given,
            do={**scenario.do, **fixed},
            where=scenario.where,
            threshold=threshold,
            over=over,
        )

    nodes, error = _refined(ranges, at)
    answers = [at(point) for point, _ in nodes]
    answer = _merged(scenario, ranges, nodes, answers, error)
    ends = [(point, at(point)) for point in corners(ranges)]
    every = [*zip([point for point, _ in nodes], answers, strict=True), *ends]
    return Run(scenario, answer, ranges, _envelopes(ranges, every), len(nodes), error)


def _refined(
    ranges: tuple[Range, ...], at: Callable[[tuple[float, ...]], Answer]
) -> tuple[Nodes, float]:
    """Return nodes that are close enough, and how far the last refinement moved the cdf."""
    mixed: Mixture | None = None
    nodes: Nodes = []
    error = 1.0
    for count in COUNTS:
        candidate = grid(ranges, count)
        if mixed is not None and len(candidate) > MOST_POINTS:
            break
        if [point for point, _ in candidate] == [point for point, _ in nodes]:
            return nodes, 0.0
        before, nodes = mixed, candidate
        mixed = _mixture(nodes, [at(point) for point, _ in nodes])
        error = 1.0 if before is None else _apart(before, mixed)
        if error <= TOLERANCE:
            break
    return nodes, error


def _mixture(nodes: Nodes, answers: Sequence[Answer]) -> Mixture:
    return Mixture(
        np.array([weight for _, weight in nodes]),
        tuple(answer.outcome.mixture for answer in answers),
    )


def _apart(coarse: Mixture, fine: Mixture) -> float:
    """Return how far two cdfs are apart at 39 quantiles of the finer."""
    points = fine.quantile(np.linspace(0.025, 0.975, 39))
    return float(np.abs(fine.cdf(points) - coarse.cdf(points)).max())


def _merged(
    scenario: Scenario,
    ranges: tuple[Range, ...],
    nodes: Nodes,
    answers: Sequence[Answer],
    error: float,
) -> Answer:
    """Return one answer whose worlds are those of all nodes."""
    parts = [
        (
            {each.label: f"{x:.6g}" for each, x in zip(ranges, point, strict=True)},
            weight,
            answer.outcome,
        )
        for (point, weight), answer in zip(nodes, answers, strict=True)
    ]
    first = answers[0]
    said = "; ".join(
        f"{each.label} between {each.low:g} and {each.high:g} ({each.prior})" for each in ranges
    )
    return replace(
        first,
        outcome=mix(parts, error),
        assumptions={**first.assumptions, "do": dict(scenario.do)},
        notes=(*first.notes, f"mixed over {said}: {len(nodes)} points"),
    )


def _envelopes(
    ranges: tuple[Range, ...], every: Sequence[tuple[tuple[float, ...], Answer]]
) -> tuple[Envelope, ...]:
    rows = [_numbers(answer) for _, answer in every]
    where = [dict(zip([e.label for e in ranges], point, strict=True)) for point, _ in every]
    found = []
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        low, high = int(values.argmin()), int(values.argmax())
        found.append(
            Envelope(name, float(values[low]), float(values[high]), where[low], where[high])
        )
    return tuple(found)


def _numbers(answer: Answer) -> dict[str, float]:
    low, median, high = answer.outcome.mixture.quantile([0.05, 0.5, 0.95]).tolist()
    numbers = {"mean": float(answer.outcome.mean()), "p05": low, "median": median, "p95": high}
    if answer.threshold is not None:
        numbers[f"P({answer.threshold})"] = float(answer.outcome.prob(answer.threshold))
    return numbers


@dataclass(frozen=True, slots=True, eq=False)
class ScenarioComparison:
    """Scenarios asked the same question; all are compared with the first."""

    question: str
    runs: tuple[Run, ...]
    compared: tuple[Compared, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "question": self.question,
            "unit": self.runs[0].answer.question.unit,
            "scenarios": [run.to_dict() for run in self.runs],
            "comparisons": [found.to_dict() for found in self.compared],
        }

    def text(self) -> str:
        """Return tables for a terminal."""
        first = self.runs[0].answer
        rows = []
        for each in self.runs:
            numbers = list(_numbers(each.answer).values())
            prob = percent(numbers[4]) if len(numbers) > 4 else ""
            rows.append((each.scenario.name, *map(amount, numbers[:4]), prob))
        said = f"P({first.threshold})" if first.threshold else "P"
        heads = (f"scenario ({first.question.unit})", "mean", "p05", "median", "p95", said)
        return "\n\n".join([table(heads, rows), *(found.text() for found in self.compared)])


def compare_scenarios(
    asks: Asks,
    question: str,
    scenarios: Sequence[Scenario],
    *,
    coupling: str = "same luck",
    threshold: float | str | None = None,
    over: int = 1,
) -> ScenarioComparison:
    """Compare scenarios with the first of them, on common worlds.

    Parameters
    ----------
    asks
        What answers.
    question
        Name of the question.
    scenarios
        At least one; a single one is compared with `BASELINE`.
    coupling
        What answers have in common inside a world (see `worlds.core.compare`).
    threshold, over
        As a question takes them.

    Raises
    ------
    QuestionError
        If there is no scenario, or there are more than 20.
    """
    if not 1 <= len(scenarios) <= 20:
        msg = f"compare takes 1 to 20 scenarios; got {len(scenarios)}"
        raise QuestionError(msg)
    chosen = [BASELINE, *scenarios] if len(scenarios) == 1 else list(scenarios)
    runs = tuple(run(asks, question, each, threshold=threshold, over=over) for each in chosen)
    first = runs[0]
    compared = tuple(
        compare(
            first.answer.outcome,
            other.answer.outcome,
            names=(first.scenario.name, other.scenario.name),
            coupling=coupling,
            threshold=other.answer.threshold,
        )
        for other in runs[1:]
    )
    return ScenarioComparison(question, runs, compared)
