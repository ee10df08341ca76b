"""Long work with its progress shown: importing, simulating, learning."""

import csv
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.cli.common import log
from api.errors import CommandError, LearnError
from api.settings import Settings
from facts import ImportReport, Store, import_table, load_mapping
from worlds.domain import Domain
from worlds.simulators import Written, write

SIMULATED_DAYS = 21

type Advance = Callable[[int, int], None]


@contextmanager
def progress(text: str, unit: str) -> Iterator[Advance]:
    """Show a bar on standard error; yield a function of (done, in all or 0)."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        console=log,
        transient=True,
    ) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def table_columns(table: Path) -> list[str]:
    """Return the names of the columns of a table.

    Raises
    ------
    CommandError
        If it cannot be read as a table.
    """
    try:
        if table.suffix.lower() in {".parquet", ".pq"}:
            return list(pq.read_schema(table).names)
        if table.suffix.lower() in {".arrow", ".feather", ".ipc"}:
            with pa.memory_map(str(table)) as file:
                return list(pa.ipc.open_file(file).schema.names)
        with table.open(encoding="utf-8-sig", newline="") as text:
            delimiter = "\t" if table.suffix.lower() == ".tsv" else ","
            return next(csv.reader(text, delimiter=delimiter), [])
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        msg = f"{table.name} cannot be read as a table: {error}"
        raise CommandError(msg) from error


def run_import(store: Store, table: Path, mapping: str) -> ImportReport:
    """Import a table."""
    if not table.is_file():
        raise CommandError(f"there is no table at {str(table)!r}")
    with progress(f"Importing {table.name}", "rows") as advance:
        return import_table(store, table, load_mapping(mapping), progress=advance)


def said_of_import(table: Path, report: ImportReport) -> str:
    """Return what an import did, in a sentence or two."""
    text = (
        f"{table.name}: {report.rows:,} rows, {report.events:,} events; "
        f"{report.accepted:,} new, {report.duplicate:,} known already, "
        f"{report.quarantined:,} in quarantine."
    )
    worst = [f"  {count:,} x {reason}" for reason, count in report.reasons.most_common(3)]
    return "\n".join([text, *worst])


def run_simulation(store: Store, domain: Domain, seed: int, end: datetime) -> Written:
    """Record what the domain's simulator yields.

    Raises
    ------
    CommandError
        If the domain has none.
    """
    if domain.simulate is None:
        msg = (
            f"domain {domain.name!r} has no facts yet and no simulator: import some first, "
            f"worlds import TABLE --domain {domain.name}"
        )
        raise CommandError(msg)
    module, _, name = domain.simulate.partition(":")
    events = list(getattr(importlib.import_module(module), name)(seed, SIMULATED_DAYS, end))
    with progress("Recording simulated facts", "events") as advance:
        return write(store, events, progress=lambda done: advance(done, len(events)))


def run_learning(settings: Settings, **options: object) -> dict[str, Any]:
    """Learn in a process of its own; its progress goes to standard error.

    Parameters
    ----------
    settings
        Where the facts are and how long it may take.
    options
        Options of ``python -m worlds.learn``: None and False are left out, tuples are repeated.

    Raises
    ------
    LearnError
        If it does not end well; the process has said why.
    """
    done = run_module("worlds.learn", settings, {"json": True, **options})
    if done.returncode != 0:
        msg = f"learning ended with code {done.returncode}; the models before it stay in force"
        raise LearnError(msg)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        msg = f"learning reported no JSON: {done.stdout[:200]!r}"
        raise LearnError(msg) from error
    return report


def run_module(
    module: str, settings: Settings, options: Mapping[str, object], words: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[bytes]":
    """Run a module of the learning room as a process that ends with this one.

    Raises
    ------
    LearnError
        If it takes longer than learning may.
    """
    command = [
        *(sys.executable, "-m", module, *words, "--parent", str(os.getpid())),
        *("--var", settings.var, "--domain", settings.domain),
        *arguments(options),
    ]
    try:
        return subprocess.run(  # noqa: S603 - our own module, arguments checked there
            command, stdout=subprocess.PIPE, check=False, timeout=settings.learn_deadline
        )
    except subprocess.TimeoutExpired as error:
        msg = (
            f"it passed its deadline of {settings.learn_deadline:g} s and was stopped; what is "
            "finished is kept: the same command goes on there (WORLDS_LEARN_DEADLINE=SECONDS)"
        )
        raise LearnError(msg) from error


def arguments(options: Mapping[str, object]) -> list[str]:
    """Return options of a command line: None and False are left out, tuples are repeated."""
    found: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            found.append(flag)
        elif isinstance(value, tuple):
            found += [f"{flag}={one}" for one in value]
        elif value is not None and value is not False:
            found.append(f"{flag}={value}")
    return found


def said_of_learning(report: dict[str, Any]) -> str:
    """Return one line for every model that was declined, with the reason."""
    lines = [
        f"  {line['quantity']}/{line['model']} takes no part: {line['declined']}"
        for line in report.get("models", [])
        if line.get("declined")
    ]
    alone = [
        f"  {line['quantity']}: nothing was learned, the default belief answers (very wide)"
        for line in report.get("models", [])
        if line.get("model") == "default" and line.get("weight")
    ]
    return "\n".join([*lines, *alone, *_said_of_segments(report)])


def _said_of_segments(report: dict[str, Any]) -> list[str]:
    lines = report.get("segments", [])
    used = [line for line in lines if line["in_use"]]
    failed = [line for line in lines if line["failed"]]
    said = [f"  segment {line['segment']} failed: {line['failed']}" for line in failed]
    if lines:
        said.append(
            f"  {len(lines)} segments learned: {len(used)} answer by models of their own, the "
            f"whole answers the others better, {len(failed)} failed"
        )
    if why := report.get("not_in_force_because"):
        said.append(f"  The release is kept but not in force: {why}")
    return said


def say(text: str) -> None:
    """Say what was done, on standard error: standard output carries results only."""
    if text:
        click.echo(text, err=True)
