"""``worlds backtest``: how good the forecasts of every model would have been."""

import click

from api.cli import common, looking

EPILOG = """\b
Examples:
    worlds backtest
    worlds backtest --quantity pupdates --horizon 24 --origins 60 --by hour
    worlds backtest --quantity likes_per_pupdate --by breed --picture likes.svg
    worlds backtest --compare learned,historical --json
"""


@click.command(epilog=EPILOG)
@click.option("--quantity", multiple=True, metavar="NAME", help="Only this. [default: all]")
@click.option("--model", multiple=True, metavar="NAME", help="Only this. [default: all]")
@click.option("--by", metavar="GROUP", help="Also by hour, weekday or a category such as breed.")
@click.option("--horizon", type=int, help="Periods ahead. [default: a day or a week]")
@click.option("--compare", multiple=True, metavar="A,B", help="Two models; pool is one.")
@looking.options
@common.options
def command(
    quantity: tuple[str, ...],
    model: tuple[str, ...],
    by: str | None,
    horizon: int | None,
    compare: tuple[str, ...],
    origins: int | None,
    begin: str | None,
    end: str | None,
    as_of: str | None,
    picture: str | None,
    seed: int | None,
    facts: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Refit at rolling origins on what came before, and score what came after.

    CRPS, log score, pinball loss, coverage and PIT by model, horizon and group; two models are
    compared on the same outcomes, with the uncertainty of the difference (block bootstrap).
    """
    looking.run(
        "backtest",
        common.settings(var=var, domain=domain),
        {
            "quantity": quantity,
            "model": model,
            "by": by,
            "horizon": horizon,
            "compare": compare,
            "origins": origins,
            "from": begin,
            "to": end,
            "as_of": as_of,
            "picture": picture,
            "seed": seed,
            "facts": facts,
            "json": as_json,
        },
    )
