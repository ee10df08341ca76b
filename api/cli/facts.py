"""``worlds facts``: list, show, quarantine; keeping them is in `api.cli.keeping`."""

from datetime import UTC, datetime
from typing import Any, BinaryIO

import click
import msgspec
from rich.table import Table

from api.asking import known_time
from api.cli import common, keeping
from api.cli.show import out
from api.cli.store import opened
from api.errors import MissingError
from api.reading import FactsWanted, Page, facts, quarantine
from api.schemas import decode
from facts import Event, parse_event


@click.group(epilog="Example: worlds facts list --attribute likes --limit 5")
def command() -> None:
    """Look at facts, keep them safe, ask them in SQL (not while a server has them)."""


for _kept in keeping.COMMANDS:
    command.add_command(_kept)


def page_options(function: common.Command) -> common.Command:
    """Add the options of pages."""
    limit = click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True)
    cursor = click.option("--cursor", type=click.IntRange(0), default=0, help="Go on after it.")
    return limit(cursor(function))


@command.command("list", epilog="Example: worlds facts list --attribute likes --limit 5 --json")
@click.option("--entity", help="Only facts about it.")
@click.option("--attribute", multiple=True, help="Only these attributes.")
@click.option("--as-of", metavar="TIME", help="As known then. [default: now]")
@page_options
@common.options
def listed(
    entity: str | None,
    attribute: tuple[str, ...],
    as_of: str | None,
    limit: int,
    cursor: int,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """List facts in the order recorded, corrections and retractions applied."""
    moment = known_time(as_of, datetime.now(UTC))
    with opened(var, domain) as store:
        found = facts(store, FactsWanted(entity, attribute, moment, Page(cursor, limit)))
    show(found, as_json)


@command.command("show", epilog="Example: worlds facts show post:666020888022790149")
@click.argument("entity")
@click.option("--as-of", metavar="TIME", help="As known then. [default: now]")
@common.options
def shown(
    entity: str, as_of: str | None, as_json: bool, var: str | None, domain: str | None
) -> None:
    """Show everything known about ENTITY."""
    moment = known_time(as_of, datetime.now(UTC))
    with opened(var, domain) as store:
        found = facts(store, FactsWanted(entity, (), moment, Page(0, 100_000)))
    if not found["facts"]:
        raise MissingError(f"no fact is known about {entity!r}")
    show(found, as_json)


@command.group("quarantine", epilog="Example: worlds facts quarantine list")
def kept_aside() -> None:
    """Look at what could not be understood, and take it out again."""


@kept_aside.command("list", epilog="Example: worlds facts quarantine list --json")
@page_options
@common.options
def kept_aside_list(
    limit: int, cursor: int, as_json: bool, var: str | None, domain: str | None
) -> None:
    """List what could not be understood, as it came, with the reason."""
    with opened(var, domain) as store:
        found = quarantine(store, Page(cursor, limit))
    if as_json:
        common.print_json(found)
        return
    table = Table(box=None)
    for name in ("number", "recorded", "source", "reason", "raw"):
        table.add_column(name, overflow="fold")
    for row in found["quarantined"]:
        times, raw = str(row["recorded_at"])[:19], row["raw"][:80]
        table.add_row(str(row["seq"]), times, str(row["source"]), row["reason"], raw)
    out.print(table if found["quarantined"] else "Nothing is in quarantine.")


@kept_aside.command("release", epilog="Example: worlds facts quarantine release 17 --dismiss")
@click.argument("number", type=int)
@click.option("--event", type=click.File("rb"), help="A file with the CloudEvent it should be.")
@click.option("--dismiss", is_flag=True, help="Record nothing of it.")
@click.option("--note", help="Why, for whoever reads the log.")
@common.options
def release(
    number: int,
    event: BinaryIO | None,
    dismiss: bool,
    note: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Take row NUMBER out of quarantine and record it: as it came, or as --event says."""
    meant: list[Event] | None = [] if dismiss else None
    if event is not None:
        meant = [parse_event(decode(msgspec.json.Decoder(dict[str, Any]), event.read()))]
    with opened(var, domain) as store:
        receipts = store.release(number, meant, note=note)
    if as_json:
        common.print_json({"receipts": receipts})
    else:
        said = [f"{receipt.id}: {receipt.status}" for receipt in receipts]
        click.echo("\n".join(said) or f"Row {number} is dismissed.")


def show(found: dict[str, Any], as_json: bool) -> None:
    """Print a page of facts."""
    if as_json:
        common.print_json(found)
        return
    table = Table(box=None)
    for name in ("entity", "attribute", "value", "valid from", "recorded", "source"):
        table.add_column(name, overflow="fold")
    for row in found["facts"]:
        value = {k: v for k, v in row["value"].items() if k != "kind"}
        plain = value["value"] if list(value) == ["value"] else value
        times = (str(row["valid_from"])[:19], str(row["recorded_at"])[:19])
        table.add_row(row["entity"], row["attribute"], str(plain), *times, row["source"])
    out.print(table)
    if found["next_cursor"] is not None:
        out.print(f"More: --cursor {found['next_cursor']}")
