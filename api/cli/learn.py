"""``worlds learn``: in a process of its own."""

import click

from api.cli import common, jobs


@click.command(epilog="Example: worlds learn --as-of 2026-11-20T00:00:00Z --seed 7")
@click.option("--as-of", metavar="TIME", help="Learn from what was known then. [default: now]")
@click.option("--until", metavar="TIME", help="Use what happened before; predict from here on.")
@click.option("--seed", type=int, help="Same facts, same seed: same models.")
@common.options
def command(
    as_of: str | None,
    until: str | None,
    seed: int | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Learn every model, examine it, weigh it, publish. A bad run replaces nothing."""
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    report = jobs.run_learning(chosen, as_of=as_of, until=until, seed=seed)
    if as_json:
        common.print_json(report)
    else:
        if declined := jobs.said_of_learning(report):
            click.echo(declined)
        click.echo(f"Release {report.get('release')} of {known.name}. See: worlds models")
