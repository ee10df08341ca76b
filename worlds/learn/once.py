"""A learning run as a job: alone, once, resumed where it was killed, and never in the future."""

import argparse
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from facts import Store
from worlds.begins import begins
from worlds.domain import Domain
from worlds.errors import FitError, SnapshotError
from worlds.learn.before import standing
from worlds.learn.candidates import Settings
from worlds.learn.export import ExportedFacts
from worlds.learn.history import FactSource
from worlds.learn.job import Cut, Progress, learn
from worlds.learn.journal import Journal, run_key
from worlds.learn.provenance import code_version, source_hash
from worlds.learn.segments import known_category, parse
from worlds.publish import SnapshotStore, pins

type Display = Callable[[], AbstractContextManager[Progress]]
"""Shows the steps while it is entered."""


class BusyError(FitError):
    """Another learning run of the domain is under way."""


def learn_once(domain: Domain, options: argparse.Namespace, display: Display) -> dict[str, Any]:
    """Learn unless the same was learned before; return the report as JSON.

    Parameters
    ----------
    domain
        What is learned.
    options
        As the command line of `worlds.learn` gives them.
    display
        Yields what is told of every step.

    Raises
    ------
    BusyError
        If another run of the domain is under way.
    FitError
        If there are no facts, or a time lies in the future.
    """
    folder = options.var / domain.name
    now = datetime.now(UTC)
    for name in ("as_of", "until"):
        moment = getattr(options, name)
        if moment is not None and moment > now:
            option = f"--{name.replace('_', '-')}"
            msg = f"{option} {moment.isoformat()} lies in the future; it is {now.isoformat()} now"
            raise FitError(msg)
    cut = Cut(
        tuple(parse(text, domain) for text in options.segment),
        tuple(known_category(name, domain) for name in options.by),
        options.workers,
        options.domain,
    )
    with alone(folder), facts_of(domain, options.facts, folder) as source:
        as_of = options.as_of or source.last_recorded()
        if as_of is None:
            msg = f"there are no facts about {domain.name!r} yet: import or simulate some first"
            raise FitError(msg)
        store = SnapshotStore(folder / "snapshots")
        store.sweep()
        settings = _settings(options)
        decides = _decides(domain, store, source, as_of, options, settings)
        segments = [[one.name for one in cut.segments], list(cut.by)]
        key = run_key({**decides, "segments": segments})
        journal = Journal(store, key, run_key(decides))
        known = None if options.again else journal.report()
        if known is not None:
            _in_force(store, known)
            return {**known, "nothing_to_do": True}
        journal.forget(own=options.again)
        with display() as tell:
            report = learn(
                domain,
                source,
                store,
                as_of=as_of,
                until=options.until,
                now=now,
                settings=settings,
                progress=tell,
                cut=cut,
                journal=journal,
            ).to_dict()
        journal.finish(report)
        return report


def _decides(
    domain: Domain,
    store: SnapshotStore,
    source: FactSource,
    as_of: datetime,
    options: argparse.Namespace,
    settings: Settings,
) -> dict[str, Any]:
    """Return everything that decides what a run gives, but for its segments."""
    before = standing(store, domain.name, as_of)
    models = [
        source_hash(entry if isinstance(entry, type) else type(entry))
        for named in domain.models.values()
        for entry in named
        if not isinstance(entry, str)
    ]
    return {
        "domain": domain.name,
        "extractor": [domain.spec.version, source_hash(domain.features)],
        "models": {name: [_said(one) for one in named] for name, named in domain.models.items()},
        "own": models,
        "as_of": as_of.isoformat(),
        "until": options.until.isoformat() if options.until else None,
        "facts": list(source.version(as_of)),
        "code": code_version(),
        "settings": [settings.seed, settings.deadline, settings.route],
        "before": before.id if before is not None else None,
        "pins": {name: pin["id"] for name, pin in pins.read(store).items()},
    }


def _in_force(store: SnapshotStore, known: dict[str, Any]) -> None:
    """Let a release that was learned before answer, where the pointer to it is gone."""
    try:
        held = store.current()
    except SnapshotError:
        held = None
    if held is None and known["in_force"]:
        store.release(store.get_release(str(known["release"])))


def _settings(options: argparse.Namespace) -> Settings:
    settings = Settings(seed=options.seed, route=options.route)
    slow = 30.0 if options.route == "pymc" else 1.0
    deadline = options.deadline or settings.deadline * slow
    return Settings(options.seed, deadline, options.route)


def _said(entry: object) -> str:
    """Return a model as a domain names it; where an object lies in memory is nobody's concern."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(entry))


COPY = ".duckdb"
"""How the name of a copy of the fact file ends; it has roll-ups, unlike an export."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of the domain: two runs at a time would only do the same work twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "learning.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            said = lock.read().strip()
            who = f" ({said})" if said else ""
            msg = f"another learning run{who} holds {str(folder / 'learning.lock')!r}; wait for it"
            raise BusyError(msg) from error
        # the kernel lets go of the lock when its holder ends, killed or not: what a dead run wrote
        # into the file holds nobody up
        lock.truncate(0)
        lock.write(f"process {os.getpid()} since {datetime.now(UTC).isoformat(timespec='seconds')}")
        lock.flush()
        yield
        lock.truncate(0)


@contextmanager
def facts_of(domain: Domain, export: Path | None, folder: Path) -> Iterator[FactSource]:
    """Yield the facts: from an export, a copy of the fact file, or the store of the domain."""
    if export is not None and export.suffix != COPY:
        yield ExportedFacts(export)
        return
    with Store.open(export or folder / "facts.duckdb", create=False) as store:
        store.declare_rollup(begins(domain))
        yield store.reader()
