"""What a client may send to supervision: overrides and experiments, as strict structs."""

from typing import Annotated, Any, Literal

import msgspec

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[\w.\-]+$")]
Person = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Why = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
Part = Annotated[float, msgspec.Meta(ge=0, le=1)]
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
Metric = Literal["crps", "absolute_error", "missed", "outcome"]


class OverrideRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Decide about a model, whatever the rules say, until a time.

    Parameters
    ----------
    action
        ``pin`` holds it live, ``ban`` holds its weight at zero, ``weight`` holds it in
        [low, high], ``reinstate`` (once) puts a quarantined or retired model on probation.
    by, reason
        Who, and why.
    until
        When it ends by itself (with a zone).
    low, high
        The range of a ``weight``.
    """

    action: Literal["pin", "ban", "weight", "reinstate"]
    by: Person
    reason: Why
    until: str
    low: Part = 0.0
    high: Part = 1.0


class ArmRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One variant of an experiment.

    Parameters
    ----------
    name
        Its name.
    share
        Share of the entities that fall into it.
    weights
        Weights of the models, by name; as published where left out.
    presentation
        Anything the client is to show differently; handed back with each prediction.
    """

    name: Word
    share: Share
    weights: dict[str, Part] | None = None
    presentation: dict[str, Any] | None = None


class GuardrailRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stop an arm that is shown to be worse than the first by more than this."""

    metric: Metric
    worse_by: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0
    bound: Positive | None = None


class ExperimentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Declare an experiment.

    Parameters
    ----------
    name
        Its name.
    arms
        The variants; the first is what the others are compared with.
    by, reason
        Who, and why.
    until
        When it ends (with a zone).
    mode
        ``live`` shows an entity the answer of its arm, ``shadow`` evaluates all arms unseen.
    metric
        What is compared: ``crps``, ``absolute_error``, ``missed`` (outcomes outside the 90%
        interval) or ``outcome`` (the label itself).
    bound
        Largest number of the metric, larger ones count as it; twice the usual range of the
        quantity where left out.
    better
        Which is better; for an outcome ``higher``, else ``lower``, where left out.
    alpha
        Chance that it ever shows a difference where there is none.
    guardrails
        What stops an arm.
    salt
        Makes its assignment its own; its name and start where left out.
    """

    name: Word
    arms: Annotated[list[ArmRequest], msgspec.Meta(min_length=2, max_length=10)]
    by: Person
    reason: Why
    until: str
    mode: Literal["live", "shadow"] = "live"
    metric: Metric = "crps"
    bound: Positive | None = None
    better: Literal["lower", "higher"] | None = None
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.05
    guardrails: Annotated[list[GuardrailRequest], msgspec.Meta(max_length=5)] = msgspec.field(
        default_factory=list
    )
    salt: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
