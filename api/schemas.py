"""What a client may send, as strict structs: unknown names and wrong types are refused."""

from typing import Annotated, Any, Literal

import msgspec

from api.errors import RequestError

Level = Annotated[float, msgspec.Meta(ge=1e-6, le=0.999998)]
"""Finer ones cannot be told: cumulative probabilities are kept to 7 digits."""
Threshold = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Levels = Annotated[list[Level], msgspec.Meta(min_length=1, max_length=20)]
Thresholds = Annotated[list[Threshold], msgspec.Meta(max_length=50)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Formula = Annotated[str, msgspec.Meta(min_length=1, max_length=20_000)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Tolerance = Annotated[float, msgspec.Meta(ge=1e-9, le=0.5)]
Deadline = Annotated[float, msgspec.Meta(gt=0, le=10)]
Limit = float | str | None
Periods = Annotated[int, msgspec.Meta(ge=1, le=1000)]

LEVELS = (0.5, 0.8, 0.9, 0.95)


class PredictionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask what one thing (`draft`) or many (`drafts`) will bring.

    Parameters
    ----------
    draft, drafts
        What is known of the thing; exactly one of the two.
    levels
        Levels of the central intervals.
    thresholds
        Values whose chance of being exceeded is wanted.
    at
        When the thing begins, with a zone; beyond what the models know the level may drift.
    worlds
        Whether to say what every model believes by itself.
    """

    draft: dict[str, Any] | None = None
    drafts: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)] | None = None
    levels: Levels = msgspec.field(default_factory=lambda: list(LEVELS))
    thresholds: Thresholds = msgspec.field(default_factory=list)
    at: str | None = None
    worlds: bool = False


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Multiply the intensity of a quantity."""

    times: Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class QuestionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask a question.

    Parameters
    ----------
    threshold
        ``200000`` or ``"> 200000"``; the question's own where left out.
    levels
        Levels of the central intervals.
    given
        Conditions by quantity: ``{"pupdates": "model = learned"}`` or ``{"pupdates": ">= 3"}``.
    do
        Interventions by quantity: ``{"pupdates": 9000}`` or ``{"pupdates": {"times": 2}}``.
    where
        Category to label: only things that carry it.
    over
        Number of periods: the answer is their total, with every period and the largest of them.
    by
        A category, or some of its labels, each answered by itself as well: ``breed``,
        ``breed=pug,beagle``.
    as_of
        Answer with what was known then; a time with a zone.
    explain
        Whether to say where the width comes from and what would change the picture.
    acts_at
        The probability of the threshold at which somebody acts: the explanation then says which
        resolved uncertainty would change the decision.
    decide
        A decision to make on the answer: ``{"service_level": 0.99}``, ``{"shortfall_cost": 5,
        "over_cost": 2}`` or ``{"capacities": [500, 800], "unit_cost": 1, "shortfall_cost": 5}``.
    hdi
        Whether the shortest interval of every level is wanted too (highest density).
    thresholds
        Further values whose probability of being exceeded is wanted.
    curve
        Points of the cumulative distribution that are wanted.
    sample, seed
        Number of draws that are wanted, and the seed that makes them the same again.
    since
        A time in the past: the reply says why the answer changed since then (what the models
        learned, their weights); of the probability of `threshold` if there is one, else the mean.
    error
        The error of cumulative probabilities that is good enough; 1e-5 where left out.
    deadline
        Seconds after which the best answer so far is returned, with its error; for a formula 5
        where left out.
    """

    threshold: Limit = None
    levels: Levels = msgspec.field(default_factory=lambda: list(LEVELS))
    given: dict[str, Name] = msgspec.field(default_factory=dict)
    do: dict[str, float | Times] = msgspec.field(default_factory=dict)
    where: dict[str, Name] = msgspec.field(default_factory=dict)
    over: Periods = 1
    by: Name | None = None
    as_of: str | None = None
    explain: bool = False
    acts_at: Probability | None = None
    decide: dict[str, Any] | None = None
    hdi: bool = False
    thresholds: Thresholds = msgspec.field(default_factory=list)
    curve: Annotated[int, msgspec.Meta(ge=0, le=500)] = 0
    sample: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    since: str | None = None
    error: Tolerance | None = None
    deadline: Deadline | None = None


class FormulaRequest(QuestionRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ask a formula over the quantities; all else as in a question.

    Parameters
    ----------
    formula
        Such as ``sum(likes_per_pupdate, pupdates) * 0.02``.
    unit
        Unit of the answer; found from those of the quantities where left out.
    conditions
        Comparisons of formulas that hold, such as ``"pupdates > 3"``.
    """

    formula: Formula
    unit: Name | None = None
    conditions: Annotated[list[Formula], msgspec.Meta(max_length=20)] = msgspec.field(
        default_factory=list
    )


class ScenarioRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a scenario assumes.

    Parameters
    ----------
    given, where
        As in a question.
    do
        As in a question, or over a range: ``{"pupdates": {"times": [1.2, 2]}}``,
        ``{"pupdates": {"between": [500, 800], "prior": "log-uniform"}}``.
    text
        One sentence for people.
    """

    given: dict[str, Name] = msgspec.field(default_factory=dict)
    do: dict[str, Any] = msgspec.field(default_factory=dict)
    where: dict[str, Name] = msgspec.field(default_factory=dict)
    text: Annotated[str, msgspec.Meta(max_length=2_000)] = ""


class NamedScenario(ScenarioRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A scenario that is part of a request and not stored."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class CompareRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Compare scenarios with the first of them; a single one with things as they are.

    Parameters
    ----------
    scenarios
        Names or ids of stored ones, or whole ones.
    threshold
        As in a question.
    coupling
        What the answers have in common inside a world: ``same luck`` or ``independent``.
    over
        Number of periods whose total is compared.
    as_of
        Compare with what was known then.
    """

    scenarios: Annotated[list[Name | NamedScenario], msgspec.Meta(min_length=1, max_length=20)]
    threshold: Limit = None
    coupling: Literal["same luck", "independent"] = "same luck"
    over: Periods = 1
    as_of: str | None = None


class FormulaCompareRequest(CompareRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Compare what a formula brings under scenarios; all else as in a comparison.

    Parameters
    ----------
    formula, unit, conditions, error
        As in a query.
    deadline
        Seconds for the answer to each scenario.
    """

    formula: Formula
    unit: Name | None = None
    conditions: Annotated[list[Formula], msgspec.Meta(max_length=20)] = msgspec.field(
        default_factory=list
    )
    error: Tolerance = 1e-5
    deadline: Deadline = 2.0


def decode[T](decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode a JSON body.

    Raises
    ------
    RequestError
        Naming the field that is wrong, or saying why the body is no JSON.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".") or "body"
        raise RequestError("the body does not have the expected form", [(field, message)]) from None
    except msgspec.DecodeError as error:
        raise RequestError(f"the body is not JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8: {error.reason}") from None
    except RecursionError:
        raise RequestError("the body is nested too deep") from None
