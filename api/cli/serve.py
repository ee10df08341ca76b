"""``worlds serve``: the server in the foreground."""

import click

from api.cli import common
from api.server import serve
from api.settings import MEANINGS, PREFIX, Settings

_DEFAULTS = Settings()
EPILOG = (
    "Example: worlds serve --port 8080 --workers 2 --learn-every 3600\n\n\b\n"
    "Settings, in worlds.toml "
    f"or as {PREFIX}NAME in the environment:\n"
    + "\n".join(
        f"  {name} = {getattr(_DEFAULTS, name)!r}\n      {text}" for name, text in MEANINGS.items()
    )
)


@click.command(epilog=EPILOG)
@click.option("--host", help="Loopback address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=int, help="0 takes a free one. [default: 8000]")
@click.option("--learn-every", type=float, metavar="SECONDS", help="Learn anew so often.")
@click.option(
    "--workers", type=int, metavar="N", help="API workers beside a recorder. [default: 0, alone]"
)
@click.option("--access-log", is_flag=True, default=None, help="Log every request.")
@common.options
def command(
    host: str | None,
    port: int | None,
    learn_every: float | None,
    workers: int | None,
    access_log: bool | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Serve over HTTP until Ctrl-C; requests under way are answered first."""
    chosen = common.settings(
        var=var,
        domain=domain,
        host=host,
        port=port,
        learn_every=learn_every,
        workers=workers,
        access_log=access_log,
    )
    common.find_domain(chosen)

    def ready(address: str) -> None:
        if as_json:
            common.print_json({"address": address, "docs": f"{address}/docs"})
        else:
            common.log.print(f"Serving on {address} (documentation: {address}/docs). Ctrl-C ends.")

    serve(chosen, ready)
