"""``worlds models``: what is in force, what was before, and what a person does about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from api import registry
from api.cli import common, show_registry
from api.cli.overrides import lift, override, overrides
from api.cli.show import show_models
from api.describe import describe
from api.errors import CommandError
from worlds.publish import SnapshotStore, pins, switching
from worlds.publish import diff as comparing
from worlds.publish.snapshot import Release, Snapshot
from worlds.publish.switching import By

WHY = click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept.")
WHO = click.option("--by", metavar="NAME", help="Who. [default: the user of this process]")


@click.group(
    invoke_without_command=True,
    epilog="Example: worlds models list; worlds models rollback --reason 'counts twice too high'",
)
@click.pass_context
@common.options
def command(ctx: click.Context, as_json: bool, var: str | None, domain: str | None) -> None:
    """Show the models in force; list, compare, promote, roll back and pin releases."""
    if ctx.invoked_subcommand is not None:
        if as_json or var or domain:
            said = "--json, --var and --domain come after the subcommand"
            raise CommandError(f"{said}: worlds models {ctx.invoked_subcommand} --json")
        return
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    content = describe(common.answerer(chosen, known), common.snapshots(chosen, known))
    _print(content, as_json, show_models)


@command.command("list", epilog="Example: worlds models list --limit 5 --json")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@common.options
def listed(limit: int, as_json: bool, var: str | None, domain: str | None) -> None:
    """List releases, newest first: which is in force, who put it there, what was refused."""
    content = registry.releases(_store(var, domain), limit)
    _print(content, as_json, show_registry.show_releases)


@command.command("show", epilog="Example: worlds models show current --json")
@click.argument("name", metavar="ID", default="current")
@common.options
def show(name: str, as_json: bool, var: str | None, domain: str | None) -> None:
    """Show a release or a snapshot by ID (4 characters will do): provenance, checks, parent."""
    store = _store(var, domain)
    found = switching.find(store, name)
    if isinstance(found, Snapshot):
        _print(registry.snapshot(store, found), as_json, show_registry.show_snapshot)
    else:
        _print(registry.release(store, found), as_json, show_registry.show_release)


@command.command("diff", epilog="Example: worlds models diff 3f9d20f0 current")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW", default="current")
@common.options
def diff(old: str, new: str, as_json: bool, var: str | None, domain: str | None) -> None:
    """Say what changed between two releases, or two snapshots: weights, facts, parameters."""
    store = _store(var, domain)
    content = comparing.diff(store, switching.find(store, old), switching.find(store, new))
    _print(content, as_json, show_registry.show_diff)


@command.command("promote", epilog="Example: worlds models promote 3f9d20f0 --reason 'it is right'")
@click.argument("name", metavar="ID")
@WHY
@WHO
@common.options
def promote(
    name: str,
    reason: str,
    by: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Put a release, or one snapshot (a refused one too), into force at once."""
    with _writing():
        made = switching.promote(_store(var, domain), name, _by(by, reason))
    _switched(made, as_json)


@command.command("rollback", epilog="Example: worlds models rollback --reason 'counts too high'")
@click.argument("name", metavar="[ID]", required=False)
@WHY
@WHO
@common.options
def rollback(
    name: str | None,
    reason: str,
    by: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Put back the release that was in force before (or ID). The next learning replaces it."""
    with _writing():
        made = switching.rollback(_store(var, domain), _by(by, reason), name)
    _switched(made, as_json)


@command.command(
    "pin", epilog="Example: worlds models pin likes_per_pupdate/learned --reason 'audited'"
)
@click.argument("name", metavar="WHAT")
@WHY
@WHO
@common.options
def pin(
    name: str,
    reason: str,
    by: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Hold WHAT ('release', QUANTITY/MODEL or a snapshot in force) through later learning."""
    store = _store(var, domain)
    with _writing():
        key, target = switching.pin(store, name, _by(by, reason))
    _print(
        {"pinned": key, "id": target, "pins": pins.read(store)},
        as_json,
        lambda _: click.echo(f"{key} is pinned to {target} until: worlds models unpin {key}"),
    )


@command.command("unpin", epilog="Example: worlds models unpin likes_per_pupdate/learned")
@click.argument("name", metavar="WHAT")
@common.options
def unpin(name: str, as_json: bool, var: str | None, domain: str | None) -> None:
    """Let go of a pin (or of 'all'); the next learning replaces what it held."""
    store = _store(var, domain)
    with _writing():
        gone = switching.unpin(store, name)
    _print(
        {"unpinned": gone, "pins": pins.read(store)},
        as_json,
        lambda _: click.echo(f"No longer pinned: {', '.join(gone)}"),
    )


for one in (override, overrides, lift):
    command.add_command(one)


@contextmanager
def _writing() -> Iterator[None]:
    """Say in a line that the disk takes nothing: what is in force has not changed."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"nothing was changed, it cannot be written: {error}") from error


def _store(var: str | None, domain: str | None) -> SnapshotStore:
    chosen = common.settings(var=var, domain=domain)
    return common.snapshots(chosen, common.find_domain(chosen))


def _by(who: str | None, reason: str) -> By:
    if not reason.strip():
        raise CommandError("--reason is empty: say why, for those who come after you")
    return By(who or common.user(), reason, datetime.now(UTC))


def _switched(made: Release, as_json: bool) -> None:
    change = dict(made.change)
    content = {"release": made.id, "change": change, "models": made.models}
    what = change.get("release") or change.get("snapshot")

    def say(_: object) -> None:
        click.echo(
            f"Release {made.id} is in force: the models of {what}, instead of "
            f"{change['replaced']}. A running server takes it within a second."
        )

    _print(content, as_json, say)


def _print(content: dict[str, Any], as_json: bool, say: Any) -> None:
    if as_json:
        common.print_json(content)
    else:
        say(content)
