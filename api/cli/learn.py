"""``worlds learn``: in a process of its own."""

import click

from api.cli import common, jobs

EPILOG = """\b
Examples:
    worlds learn
    worlds learn --as-of 2026-11-20T00:00:00Z --seed 7
    worlds learn --segment breed=pug --segment breed=beagle
    worlds learn --by breed --workers 2
"""


@click.command(epilog=EPILOG)
@click.option("--as-of", metavar="TIME", help="Learn from what was known then. [default: now]")
@click.option("--until", metavar="TIME", help="Use what happened before; predict from here on.")
@click.option("--seed", type=int, help="Same facts, same seed: same models.")
@click.option("--segment", multiple=True, metavar="K=V", help="Also learn what carries it alone.")
@click.option("--by", multiple=True, metavar="CATEGORY", help="Also learn each of its labels.")
@click.option("--workers", type=int, help="Processes that learn segments. [default: 2]")
@click.option("--deadline", type=float, metavar="SECONDS", help="Of one fit. [default: 120]")
@click.option("--again", is_flag=True, help="Learn even if the same was learned before.")
@click.option("--facts", metavar="FILE", help="A Parquet export of the facts, not the store.")
@common.options
def command(
    as_of: str | None,
    until: str | None,
    seed: int | None,
    segment: tuple[str, ...],
    by: tuple[str, ...],
    workers: int | None,
    deadline: float | None,
    again: bool,
    facts: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Learn every model, examine it, weigh it, publish. A bad run replaces nothing.

    The same facts, code and seed give the same release: a second run has nothing to do. A run that
    was killed goes on where it stopped.
    """
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    report = jobs.run_learning(
        chosen,
        as_of=as_of,
        until=until,
        seed=seed,
        segment=segment,
        by=by,
        workers=workers,
        deadline=deadline,
        again=again,
        facts=facts,
    )
    if as_json:
        common.print_json(report)
        return
    if report.get("nothing_to_do"):
        click.echo("Nothing to do: the same facts, code and seed gave this release before.")
    if said := jobs.said_of_learning(report):
        click.echo(said)
    click.echo(f"Release {report.get('release')} of {known.name}. See: worlds models")
