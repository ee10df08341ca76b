"""What all commands share: options, settings, errors as one line, JSON."""

import errno
import functools
import getpass
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from api.errors import ApiError, RequestError
from api.settings import Settings, load_settings
from facts import FactsError, StoreBusy
from worlds.ask import Answerer
from worlds.domain import Domain, load_domain, shipped
from worlds.errors import UnknownNameError, WorldsError
from worlds.publish import SnapshotStore

type Command = Callable[..., None]

log = Console(stderr=True)


def options(command: Command) -> Command:
    """Add the options that every command has, and report errors in one line."""
    wrapped = _reported(command)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--var", metavar="DIR", help="Directory of all data. [default: var]"),
        click.option(
            "--domain",
            metavar="DOMAIN",
            help="A shipped domain, a .py file, or package.module:ATTRIBUTE. [default: sniffable]",
        ),
    ):
        wrapped = option(wrapped)
    return wrapped


def _reported(command: Command) -> Command:
    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ApiError, FactsError, WorldsError) as error:
            raise click.ClickException(message(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE or error.filename is None:
                raise
            said = f"{str(error.filename)!r} cannot be used: {error.strerror or error}"
            raise click.ClickException(said) from error

    return run


def message(error: Exception) -> str:
    """Return what went wrong and what to do."""
    lines = [str(error)]
    if isinstance(error, RequestError):
        lines += [f"  {field}: {wrong}" for field, wrong in error.fields]
    if isinstance(error, UnknownNameError) and error.kind == "domain":
        lines.append("Name one of these with --domain, or give the path of a .py file.")
    if isinstance(error, UnknownNameError) and error.kind == "question":
        owners = [d.name for d in shipped() if error.name in {q.name for q in d.questions}]
        lines += [f"It is a question of the domain {name}: add --domain {name}." for name in owners]
    if isinstance(error, StoreBusy):
        lines.append(
            "While `worlds serve` or `worlds run` has it, use the server instead: "
            "curl http://127.0.0.1:8000/v1/facts reads, POST /v1/facts records and "
            "POST /v1/learn learns; `worlds ask`, `predict` and `models` work meanwhile."
        )
    return "\n".join(lines)


def settings(**overrides: object) -> Settings:
    """Return the settings with what the command line says on top."""
    return load_settings(os.environ, Path.cwd(), **overrides)


def find_domain(chosen: Settings) -> Domain:
    """Return the domain of the settings."""
    return load_domain(chosen.domain)


def facts_path(chosen: Settings, domain: Domain) -> Path:
    """Return where the facts of a domain are."""
    return chosen.root(domain.name) / "facts.duckdb"


def snapshots(chosen: Settings, domain: Domain) -> SnapshotStore:
    """Return where the models of a domain are."""
    return SnapshotStore(chosen.root(domain.name) / "snapshots")


def answerer(chosen: Settings, domain: Domain) -> Answerer:
    """Return the models in force; the default belief where there are none."""
    store = snapshots(chosen, domain)
    return Answerer.load(domain, store, store.current())


def user() -> str:
    """Return who gives the command."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"


def fields(report: object) -> dict[str, Any]:
    """Return the fields of a dataclass as JSON types."""
    return dict(msgspec.to_builtins(report))


def print_json(content: object) -> None:
    """Print JSON for people and programs."""
    plain = msgspec.to_builtins(content)
    click.echo(json.dumps(plain, indent=1, ensure_ascii=False))
