"""``worlds score``: whether we would have been right."""

import click

from api.cli import common, looking

EPILOG = """\b
Examples:
    worlds score
    worlds score --from 2026-09-01 --to 2026-09-30 --refit --picture month.svg
"""


@click.command(epilog=EPILOG)
@click.option("--refit", is_flag=True, help="Refit as of then, even if enough was published.")
@looking.options
@common.options
def command(
    refit: bool,
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
    """Say how the published releases did in the last four weeks (or --from, --to).

    Where fewer than ten of their answers have met their outcome, the models are also refitted as of
    then. It says which; outcomes that are not ripe yet join later.
    """
    looking.run(
        "score",
        common.settings(var=var, domain=domain),
        {
            "refit": refit,
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
