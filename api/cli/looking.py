"""Looking back in a process of its own: what `worlds backtest` and `worlds score` share."""

from collections.abc import Mapping

import click

from api.cli import jobs
from api.cli.common import Command
from api.errors import LearnError
from api.settings import Settings

MODULE = "worlds.learn.looking"


def options(command: Command) -> Command:
    """Add the options of every look back."""
    for option in (
        click.option("--facts", metavar="FILE", help="A Parquet export, not the store."),
        click.option("--seed", type=int, help="Of all draws. [default: 7]"),
        click.option("--picture", metavar="FILE.svg", help="Write a picture."),
        click.option("--as-of", metavar="TIME", help="Use what was known then. [default: now]"),
        click.option("--to", "end", metavar="TIME", help="Last origin."),
        click.option("--from", "begin", metavar="TIME", help="First origin."),
        click.option("--origins", type=int, help="Times that are looked back at. [default: 30]"),
    ):
        command = option(command)
    return command


def run(what: str, settings: Settings, wanted: Mapping[str, object]) -> None:
    """Look back and print what was found.

    Raises
    ------
    LearnError
        If it does not end well; the process has said why.
    """
    done = jobs.run_module(MODULE, settings, wanted, (what,))
    if done.returncode != 0:
        raise LearnError(f"looking back ended with code {done.returncode}")
    click.echo(done.stdout.decode("utf-8"), nl=False)
