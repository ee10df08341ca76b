"""Learn from the command line: ``python -m worlds.learn --var var --domain sniffable``."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from facts import FactsError, StoreBusy
from worlds.domain import load_domain
from worlds.errors import WorldsError
from worlds.learn.candidates import ROUTES
from worlds.learn.lifeline import die_with
from worlds.learn.once import BusyError, learn_once
from worlds.learn.report import to_text

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Sums in one order give the same bytes everywhere; threads on small matrices only spin."""
WORKERS = 2
MOST_WORKERS = 64
BUSY = 3
"""Exit code when somebody else has the facts or is learning already."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once; return the exit code: 0 done, 1 failed, 3 busy."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    if options.parent is not None:
        die_with(options.parent)
    try:
        domain = load_domain(options.domain)
        report = learn_once(domain, options, lambda: _display(console))
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
    except (WorldsError, FactsError, OSError, MemoryError) as error:
        console.print(
            f"nothing was published: {error or repr(error)}", soft_wrap=True, markup=False
        )
        return 1
    if options.json:
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    else:
        sys.stdout.write(to_text(report) + "\n")
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
    add("--route", choices=sorted(ROUTES), default="fast", help="inference of the learned models")
    add("--deadline", type=_positive, help="seconds that one model may take")
    add("--segment", action="append", default=[], metavar="CATEGORY=LABEL", help="learn it alone")
    add("--by", action="append", default=[], metavar="CATEGORY", help="learn each of its labels")
    add("--workers", type=_workers, default=WORKERS, help="processes that learn segments")
    add("--again", action="store_true", help="learn even if the same was learned before")
    add("--parent", type=int, help="end when this process ends")
    add("--json", action="store_true", help="report as JSON on standard output")
    return parser


def _moment(text: str) -> datetime:
    """Read a time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"a time is written like 2026-11-20T18:00:00Z; got {text!r}"
        raise argparse.ArgumentTypeError(msg) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _positive(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        msg = f"seconds must be above 0; got {text}"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def _workers(text: str) -> int:
    count = int(text)
    if not 0 <= count <= MOST_WORKERS:
        msg = f"workers must lie in [0, {MOST_WORKERS}]; got {text}"
        raise argparse.ArgumentTypeError(msg)
    return count


@contextmanager
def _display(console: Console) -> Iterator["_Tell"]:
    columns = (
        TextColumn("{task.description:<36}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
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
