"""``worlds import``: a table of facts through a mapping."""

from pathlib import Path

import click

from api.cli import common, jobs
from api.errors import CommandError
from facts import Store, without_pandas


@click.command(
    "import", epilog="Example: worlds import dog_posts.csv --mapping dogposts --domain dogposts"
)
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--mapping", metavar="MAP", help="A .toml file or the name of a shipped mapping.")
@common.options
def command(
    table: Path, mapping: str | None, as_json: bool, var: str | None, domain: str | None
) -> None:
    """Import TABLE (.csv, .tsv, .parquet, .arrow). What was imported before adds nothing."""
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    wanted = mapping or known.mapping
    if wanted is None:
        raise CommandError(f"domain {known.name!r} ships no mapping: name one with --mapping")
    without_pandas()
    with Store.open(common.facts_path(chosen, known)) as store:
        report = jobs.run_import(store, table, wanted)
    if as_json:
        common.print_json({**common.fields(report), "domain": known.name})
    else:
        click.echo(jobs.said_of_import(table, report))
