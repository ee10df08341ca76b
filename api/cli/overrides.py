"""``worlds models override``, ``overrides``, ``lift``: what people decide about models.

The same requests as over HTTP, so that the same facts are kept. They go to the server that has the
fact file; without one they are answered here, by the same application on the same file.
"""

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from api.cli import common
from api.errors import CommandError
from api.processes import status
from api.settings import Settings
from facts import Store, StoreBusy
from worlds.domain import Domain

SECONDS = 30.0
SERVER = click.option(
    "--server", metavar="URL", help="Where it runs. [default: found by the data directory]"
)
KEY = click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds a key of the server.",
)
WHO = click.option("--who", "--by", metavar="NAME", help="Who. [default: the user of this process]")


@click.command(
    "override",
    epilog="Example: worlds models override likes_per_pupdate/learned --ban "
    "--why 'counts twice too high' --until 2027-01-01T00:00:00Z",
)
@click.argument("name", metavar="NAME")
@click.option("--pin", "action", flag_value="pin", help="Live, whatever the rules say.")
@click.option("--ban", "action", flag_value="ban", help="Its weight is zero.")
@click.option(
    "--reinstate", "action", flag_value="reinstate", help="Quarantined or retired: on probation."
)
@click.option("--range", "limits", nargs=2, type=float, metavar="LOW HIGH", help="Of its weight.")
@click.option("--why", "--reason", required=True, metavar="TEXT", help="Why; it is kept.")
@click.option("--until", required=True, metavar="TIME", help="When it ends by itself, with a zone.")
@WHO
@SERVER
@KEY
@common.options
def override(
    name: str,
    action: str | None,
    limits: tuple[float, float] | None,
    why: str,
    until: str,
    who: str | None,
    server: str | None,
    key_file: Path | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Decide about a model, NAME or QUANTITY/NAME, until a time; in force within a second."""
    if (action is None) == (limits is None):
        raise CommandError("say one of --pin, --ban, --reinstate and --range LOW HIGH")
    body: dict[str, Any] = {"by": who or common.user(), "reason": why, "until": until}
    if limits is not None:
        body |= {"action": "weight", "low": limits[0], "high": limits[1]}
    else:
        body["action"] = action
    path = f"/v1/models/{quote(name.replace('/', '.'), safe='')}/override"
    found = asked(common.settings(var=var, domain=domain), "POST", path, body, server, key_file)
    if as_json:
        common.print_json(found)
    else:
        click.echo(line(found))


@click.command("overrides", epilog="Example: worlds models overrides --json")
@SERVER
@KEY
@common.options
def overrides(
    server: str | None,
    key_file: Path | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """List what people decided about models, as far as it is in force."""
    chosen = common.settings(var=var, domain=domain)
    found = asked(chosen, "GET", "/v1/overrides", None, server, key_file)
    if as_json:
        common.print_json(found)
        return
    for made in found["overrides"]:
        click.echo(line(made))
    if not found["overrides"]:
        click.echo("Nothing is overridden.")


@click.command("lift", epilog="Example: worlds models lift 20261121T090000-1a2b3c4d --why 'mended'")
@click.argument("override_id", metavar="ID")
@click.option("--why", "--reason", required=True, metavar="TEXT", help="Why; it is kept.")
@WHO
@SERVER
@KEY
@common.options
def lift(
    override_id: str,
    why: str,
    who: str | None,
    server: str | None,
    key_file: Path | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """End an override (`worlds models overrides` lists their IDs) before its time."""
    said = f"by={quote(who or common.user())}&reason={quote(why)}"
    path = f"/v1/overrides/{quote(override_id, safe='')}?{said}"
    found = asked(common.settings(var=var, domain=domain), "DELETE", path, None, server, key_file)
    if as_json:
        common.print_json(found)
    else:
        click.echo(f"Ended: {line(found)}")


def line(made: dict[str, Any]) -> str:
    """Return an override in a line."""
    what = made["action"]
    if what == "weight":
        what = f"weight {made['low']:g} to {made['high']:g}"
    name = f"{made['quantity']}/{made['model']}"
    return f"{made['id']}  {name}: {what} until {made['until']}, by {made['by']}: {made['reason']}"


def asked(
    chosen: Settings,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    server: str | None,
    key_file: Path | None,
) -> dict[str, Any]:
    """Return the answer to a request, of the server if there is one, else of this process.

    Raises
    ------
    CommandError
        If it is refused; with what was wrong.
    """
    import httpx

    domain = common.find_domain(chosen)
    base = server or running(chosen, domain)
    headers = {"authorization": f"Bearer {key_file.read_text('utf-8').strip()}"} if key_file else {}
    try:
        if base is None:
            reply = asyncio.run(_here(chosen, method, path, body))
        else:
            reply = httpx.request(
                method, base + path, json=body, headers=headers, timeout=SECONDS, trust_env=False
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        where = base or "this process"
        msg = f"{where} has the fact file, or should have, and does not answer: {error}"
        raise CommandError(f"{msg}; name the server with --server URL") from error
    return _content(reply)


def running(chosen: Settings, domain: Domain) -> str | None:
    """Return the address of the server that has the fact file; None if nobody has it."""
    said = status.read(chosen.root(domain.name) / status.FILE)
    if said is not None and time.monotonic() - said.at <= status.SILENT:
        return said.address
    path = common.facts_path(chosen, domain)
    try:
        if path.exists():
            Store.open(path, create=False).close()
    except StoreBusy:
        host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
        return f"http://{host}:{chosen.port}"
    return None


async def _here(chosen: Settings, method: str, path: str, body: dict[str, Any] | None) -> Any:
    """Answer by the application itself, on the fact file: who may read it needs no key."""
    import httpx

    from api.app import create_app
    from api.service import Service

    alone = Settings(var=chosen.var, domain=chosen.domain, queue=chosen.queue)
    app: Any = create_app(alone)
    service: Service = app.state["service"]
    if service.watch is not None:
        service.watch.decides = False  # a command does what it was told, nothing by rule
    service.facts.open()
    try:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=f"http://{alone.host}"
        ) as client:
            return await client.request(method, path, json=body, timeout=SECONDS)
    finally:
        if service.watch is not None:
            service.watch.close()
        service.facts.close()
        service.patience.close()
        service.desk.close()


def _content(reply: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(reply.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        found = {"detail": reply.text[:300]}
    if reply.is_success:
        return found
    lines = [str(found.get("detail") or f"the server answers {reply.status_code}")]
    wrong = found.get("errors") or []
    lines += [f"  {one['field']}: {one['message']}" for one in wrong]
    raise CommandError("\n".join(lines))
