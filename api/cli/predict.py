"""``worlds predict``: what one thing will bring, from the published files."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from api.asking import pair
from api.cli import common
from api.cli.show import show_prediction
from api.drafts import DraftChecker
from api.errors import RequestError
from api.serving import serve
from worlds.domain import DraftField


def parse_draft(texts: Sequence[str], fields: Sequence[DraftField]) -> dict[str, Any]:
    """Read a draft: a JSON object, or KEY=VALUE pairs typed as the domain declares.

    Raises
    ------
    RequestError
        If it cannot be read.
    """
    if len(texts) == 1 and texts[0].lstrip().startswith("{"):
        try:
            return dict(json.loads(texts[0], parse_constant=_refuse))
        except (ValueError, RecursionError) as error:
            raise RequestError(f"not a JSON object: {error}") from error
    types = {field.name: field.type for field in fields}
    draft: dict[str, Any] = {}
    for text in texts:
        name, value = pair(text, "draft")
        draft[name] = READ.get(types.get(name, "text"), str)(value)
    return draft


def _refuse(constant: str) -> float:
    msg = f"{constant} is not a number"
    raise ValueError(msg)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _truth(text: str) -> bool | str:
    return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)


def _probabilities(text: str) -> Mapping[str, float | str] | str:
    if ":" not in text:
        return text
    parts = (part.rpartition(":") for part in text.split(","))
    return {label.strip(): _number(prob) for label, _, prob in parts}


def _place(text: str) -> Mapping[str, float | str]:
    return dict(zip(("lat", "lon", "radius95_m"), map(_number, text.split(",")), strict=False))


READ: Mapping[str, Any] = {
    "number": _number,
    "truth": _truth,
    "texts": lambda text: [word.strip() for word in text.split(",") if word.strip()],
    "probabilities": _probabilities,
    "place": _place,
}


@click.command(
    epilog="Example: worlds predict breed=pug:0.7,beagle:0.3 hashtags=zoomies,walkies "
    "text_length=80 --threshold 100"
)
@click.argument("draft", nargs=-1)
@click.option("--threshold", "thresholds", multiple=True, type=float, help="P(more than this).")
@click.option("--level", "levels", multiple=True, type=float, help="Level of an interval.")
@click.option("--worlds", is_flag=True, help="Also show what every model says by itself.")
@common.options
def command(
    draft: tuple[str, ...],
    thresholds: tuple[float, ...],
    levels: tuple[float, ...],
    worlds: bool,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Predict what a thing described by DRAFT will bring.

    DRAFT is KEY=VALUE ..., one JSON object, or - for JSON on standard input. What is left out is
    unknown, what the models have not met makes the intervals wider.
    """
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    texts = [sys.stdin.read()] if draft == ("-",) else draft
    checker = DraftChecker(known.draft)
    wanted = checker.check(parse_draft(texts, known.draft))
    models = common.answerer(chosen, known)
    options: dict[str, Any] = {"levels": levels} if levels else {}
    prediction = models.predict(
        wanted, at=checker.moment(wanted), thresholds=thresholds, worlds=worlds, **options
    )
    tail = msgspec.json.decode(b"{" + serve(models, 0).tail)
    content = {**msgspec.to_builtins(prediction), **tail}
    if as_json:
        common.print_json(content)
    else:
        show_prediction(content, known.label)
