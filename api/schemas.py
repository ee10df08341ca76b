"""What a client may send, as strict structs: unknown names and wrong types are refused."""

from typing import Annotated, Any

import msgspec

from api.errors import RequestError

Level = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Threshold = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Levels = Annotated[list[Level], msgspec.Meta(min_length=1, max_length=20)]
Thresholds = Annotated[list[Threshold], msgspec.Meta(max_length=50)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

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
    as_of
        Answer with what was known then; a time with a zone.
    """

    threshold: float | str | None = None
    levels: Levels = msgspec.field(default_factory=lambda: list(LEVELS))
    given: dict[str, Name] = msgspec.field(default_factory=dict)
    do: dict[str, float | Times] = msgspec.field(default_factory=dict)
    where: dict[str, Name] = msgspec.field(default_factory=dict)
    as_of: str | None = None


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
