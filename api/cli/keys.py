"""``worlds keys``: who may use the service over HTTP."""

import getpass
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from api.cli import common
from api.errors import CommandError
from api.security import keys
from api.security.keys import By, Key, Limits
from api.security.needs import MEANINGS, SCOPES

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
FILE = click.option(
    "--keys", "path", metavar="FILE", help="The file of keys. [default: the setting `keys`]"
)
WHO = click.option("--by", metavar="NAME", help="Who. [default: the user of this process]")
WHY = click.option("--reason", default="", metavar="TEXT", help="Why; it is kept.")
EPILOG = (
    "Example: worlds keys create planner --scope query --rate 20 --cost 50\n\n\b\nScopes:\n"
    + "\n".join(f"  {name}: {MEANINGS[name]}" for name in SCOPES)
)


class Duration(click.ParamType[timedelta]):
    """A time span such as 30s, 15m, 24h or 90d."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read one."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,6})([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is no time span; write 30s, 15m, 24h or 90d", param, ctx)
        return timedelta(**{UNITS[found[2]]: int(found[1])})


@click.group(epilog=EPILOG)
def command() -> None:
    """Create, list, revoke and rotate keys. Running servers follow within a second."""


@command.command("create", epilog=EPILOG)
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, help="May be given repeatedly.")
@click.option("--expires-in", type=Duration(), help="Such as 90d. [default: never]")
@click.option("--rate", type=float, help="Requests a second in the long run.")
@click.option("--burst", type=float, help="Requests at once. [default: those of a second]")
@click.option("--cost", type=float, help="Cost units a second in the long run.")
@click.option("--cost-burst", type=float, help="Cost units at once. [default: those of a second]")
@WHY
@WHO
@FILE
@common.options
def create(
    name: str,
    scopes: tuple[str, ...],
    expires_in: timedelta | None,
    rate: float | None,
    burst: float | None,
    cost: float | None,
    cost_burst: float | None,
    reason: str,
    by: str | None,
    path: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Make a key for NAME and print its token, once: nothing keeps it."""
    given = [amount for amount in (rate, burst, cost, cost_burst) if amount is not None]
    if any(not 0 < amount <= 1e9 for amount in given):
        raise CommandError("a limit lies above 0 and is at most 1e9")
    who = _by(by, reason)
    key, token = keys.create(
        _path(path, var, domain),
        name,
        tuple(dict.fromkeys(scopes)),
        who,
        limits=Limits(rate, burst, cost, cost_burst),
        expires_at=who.now + expires_in if expires_in is not None else None,
    )
    _print_new(key, token, as_json)


@command.command("list", epilog="Example: worlds keys list --json")
@FILE
@common.options
def listed(path: str | None, as_json: bool, var: str | None, domain: str | None) -> None:
    """List keys: whose, what for, until when. Tokens are not known to anybody but their holders."""
    now = datetime.now(UTC)
    found = keys.read(_path(path, var, domain))
    if as_json:
        common.print_json({"keys": [_shown(key, now) for key in found.keys]})
        return
    for key in found.keys:
        line = _shown(key, now)
        limits = ", ".join(f"{k} {v:g}" for k, v in line["limits"].items())
        ends = f", until {key.expires_at:%Y-%m-%d %H:%M %Z}" if key.expires_at else ""
        click.echo(
            f"{key.id}  {line['state']:8} {key.name}: {', '.join(key.scopes)}"
            f"{f' ({limits})' if limits else ''}{ends}"
        )


@command.command("revoke", epilog="Example: worlds keys revoke 1f0c22ab --reason 'seen in a log'")
@click.argument("name", metavar="ID")
@WHY
@WHO
@FILE
@common.options
def revoke(
    name: str,
    reason: str,
    by: str | None,
    path: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """End a key at once, by its ID or its name."""
    who = _by(by, reason)
    key = keys.revoke(_path(path, var, domain), name, who)
    if as_json:
        common.print_json(_shown(key, who.now))
    else:
        click.echo(f"Key {key.id} ({key.name}) is revoked.")


@command.command("rotate", epilog="Example: worlds keys rotate planner --overlap 24h")
@click.argument("name", metavar="ID")
@click.option("--overlap", type=Duration(), default="24h", show_default=True, help="Both work.")
@WHY
@WHO
@FILE
@common.options
def rotate(
    name: str,
    overlap: timedelta,
    reason: str,
    by: str | None,
    path: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Make a new key in place of another, which works on for a while. Prints the new token."""
    old, new, token = keys.rotate(_path(path, var, domain), name, overlap, _by(by, reason))
    if not as_json and old.expires_at is not None:
        common.log.print(f"Key {old.id} works until {old.expires_at:%Y-%m-%d %H:%M:%S %Z}.")
    _print_new(new, token, as_json, old)


def _path(path: str | None, var: str | None, domain: str | None) -> Path:
    chosen = path or common.settings(var=var, domain=domain).keys
    if not chosen:
        msg = (
            "which file? Give --keys FILE, or the setting keys "
            '(WORLDS_KEYS=keys.json, or keys = "keys.json" in worlds.toml)'
        )
        raise CommandError(msg)
    return Path(chosen)


def _by(who: str | None, why: str) -> By:
    return By((who or getpass.getuser())[:200], why[:500], datetime.now(UTC))


def _shown(key: Key, now: datetime) -> dict[str, Any]:
    state = "live" if key.usable(now) else "revoked" if key.revoked_at else "expired"
    limits = {
        name: amount
        for name in Limits.__struct_fields__
        if (amount := getattr(key.limits, name)) is not None
    }
    return {
        "id": key.id,
        "name": key.name,
        "state": state,
        "scopes": list(key.scopes),
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        "limits": limits,
    }


def _print_new(key: Key, token: str, as_json: bool, old: Key | None = None) -> None:
    if as_json:
        shown = {**_shown(key, key.created_at), "token": token}
        common.print_json(shown if old is None else {**shown, "instead_of": old.id})
        return
    common.log.print(f"Key {key.id} ({key.name}): {', '.join(key.scopes)}. Its token, shown once:")
    click.echo(token)
