"""Learn from the command line: ``python -m worlds.learn --var var --domain sniffable``."""

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from facts import FactsError, Store, StoreBusy
from worlds.domain import Domain, load_domain
from worlds.errors import FitError, WorldsError
from worlds.learn.candidates import ROUTES, Settings
from worlds.learn.export import ExportedFacts
from worlds.learn.history import FactSource
from worlds.learn.job import learn
from worlds.learn.report import Report
from worlds.publish import SnapshotStore

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Sums in one order give the same bytes everywhere; threads on small matrices only spin."""
BUSY = 3
"""Exit code when somebody else has the facts or is learning already."""


class BusyError(FitError):
    """Another learning run of the domain is under way."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once; return the exit code: 0 done, 1 failed, 3 busy."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        domain = load_domain(options.domain)
        report = _run(domain, options, console)
    except StoreBusy as error:
        console.print(f"[bold]The facts are in use:[/] {error}", soft_wrap=True)
        console.print(
            "A running server owns the file: let it learn (it exports its facts), or stop it.",
            soft_wrap=True,
        )
        return BUSY
    except BusyError as error:
        console.print(str(error), soft_wrap=True, markup=False)
        return BUSY
    except (WorldsError, FactsError) as error:
        console.print(f"nothing was published: {error}", soft_wrap=True, markup=False)
        return 1
    if options.json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=1) + "\n")
    else:
        sys.stdout.write(report.to_text() + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worlds.learn", description="Fit, weigh and publish the models of a domain."
    )
    add = parser.add_argument
    add("--var", type=Path, default=Path("var"), help="where facts and snapshots are")
    add("--domain", required=True, help="name, file or module of the domain")
    add("--as-of", type=_moment, help="what was known then (default: the last fact recorded)")
    add("--until", type=_moment, help="end of the last period (default: from the facts)")
    add("--seed", type=int, default=7, help="seed of all draws")
    add("--facts", type=Path, help="an export of the facts to read instead of the store")
    add("--route", choices=sorted(ROUTES), default="fast", help="inference of the learned sizes")
    add("--deadline", type=float, help="seconds that one model may take")
    add("--json", action="store_true", help="report as JSON on standard output")
    return parser


def _moment(text: str) -> datetime:
    """Read a time; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _run(domain: Domain, options: argparse.Namespace, console: Console) -> Report:
    folder = options.var / domain.name
    with _alone(folder), _facts(options.facts, folder) as source:
        as_of = options.as_of or source.last_recorded()
        if as_of is None:
            msg = f"there are no facts about {domain.name!r} yet: import or simulate some first"
            raise FitError(msg)
        with _display(console) as tell:
            return learn(
                domain,
                source,
                SnapshotStore(folder / "snapshots"),
                as_of=as_of,
                until=options.until,
                now=datetime.now(UTC),
                settings=_settings(options),
                progress=tell,
            )


def _settings(options: argparse.Namespace) -> Settings:
    settings = Settings(seed=options.seed, route=options.route)
    slow = 30.0 if options.route == "pymc" else 1.0
    deadline = options.deadline or settings.deadline * slow
    return Settings(options.seed, deadline, options.route)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of the domain: two runs at a time would only do the same work twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "learning.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"another learning run holds {str(folder / 'learning.lock')!r}; wait for it"
            raise BusyError(msg) from error
        yield


@contextmanager
def _facts(export: Path | None, folder: Path) -> Iterator[FactSource]:
    """Yield the facts: from an export, or from the store of the domain."""
    if export is not None:
        yield ExportedFacts(export)
        return
    with Store.open(folder / "facts.duckdb", create=False) as store:
        yield store.reader()


@contextmanager
def _display(console: Console) -> Iterator["_Tell"]:
    columns = (
        TextColumn("{task.description:<36}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Tell(bar)


class _Tell:
    """Shows steps on a progress bar."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("reading the facts", total=None)

    def __call__(self, text: str, done: int, total: int) -> None:
        self._bar.update(self._task, description=text, completed=done, total=total)


def _start_over_with_one_thread() -> None:
    """Replace this process by one whose linear algebra was loaded with one thread."""
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        command = [sys.executable, "-m", "worlds.learn", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **ONE_THREAD})  # noqa: S606 - ourselves


if __name__ == "__main__":
    _start_over_with_one_thread()
    sys.exit(main())
