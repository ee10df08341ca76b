"""``worlds models``: what is in force."""

import click

from api.cli import common
from api.cli.show import show_models
from api.describe import describe


@click.command(epilog="Example: worlds models --json")
@common.options
def command(as_json: bool, var: str | None, domain: str | None) -> None:
    """Show the models in force: weights, versions, checks, and what declined."""
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    content = describe(common.answerer(chosen, known), common.snapshots(chosen, known))
    if as_json:
        common.print_json(content)
    else:
        show_models(content)
