"""``worlds facts``: seal, verify, back up, restore, export, replicate, erase, trace, ask in SQL."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from api import learning
from api.asking import known_time
from api.cli import common, lineage
from api.cli import overrides as asking
from api.cli.show import out
from api.cli.store import opened
from api.errors import CommandError, MissingError
from api.settings import Settings
from facts import Reader, Store, StoreError, archive


class Place(click.Path):
    """A path that is named: an empty one, as of an unset variable, is not the present folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("name a path; got an empty one", param, ctx)
        return super().convert(value, param, ctx)


class Seconds(click.FloatRange):
    """Seconds that end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"it must be a finite number; got {value}", param, ctx)
        return found


FOLDER = click.argument("folder", type=Place(path_type=Path, file_okay=False))
AS_OF = click.option("--as-of", metavar="TIME", help="As known then. [default: now]")


def said(content: object, text: str, as_json: bool) -> None:
    """Print a report as JSON or as a sentence."""
    if as_json:
        common.print_json(content)
    else:
        click.echo(text)


@click.command(epilog="Example: worlds facts seal var/archive")
@FOLDER
@common.options
def seal(folder: Path, as_json: bool, var: str | None, domain: str | None) -> None:
    """Add what is new to the archive in FOLDER: Parquet segments, each hashed onto the last."""
    with opened(var, domain) as store:
        report = archive.seal(store, folder)
    said(report, f"{report.rows:,} rows in {report.segments} new segments; {report.head}", as_json)


@click.command(epilog="Example: worlds facts backup /mnt/backup/sniffable")
@FOLDER
@common.options
def backup(folder: Path, as_json: bool, var: str | None, domain: str | None) -> None:
    """Make or refresh a complete copy in FOLDER."""
    with opened(var, domain) as store:
        report = archive.backup(store, folder)
    said(report, f"{report.rows:,} rows added; complete up to {report.head}", as_json)


@click.command(epilog="Example: worlds facts verify --archive var/archive")
@click.option("--archive", "folder", type=Place(path_type=Path), help="Check it as well.")
@click.option("--only-archive", is_flag=True, help="Leave the fact file alone.")
@common.options
def verify(
    folder: Path | None, only_archive: bool, as_json: bool, var: str | None, domain: str | None
) -> None:
    """Recompute every hash; name each changed, missing or reordered row, byte or segment."""
    if only_archive and folder is None:
        raise CommandError("--only-archive needs --archive FOLDER")
    if only_archive:
        report = archive.verify(None, folder)
    else:
        with opened(var, domain) as store:
            report = archive.verify(store, folder)
    problems = "".join(f"\n  {problem}" for problem in report.problems)
    text = f"{report.rows:,} rows, {report.segments} segments"
    verdict = "all holds" if report.ok else f"{len(report.problems)} problems:{problems}"
    said({**common.fields(report), "ok": report.ok}, f"{text}; {verdict}", as_json)
    if not report.ok:
        raise SystemExit(1)


@click.command(epilog="Example: worlds facts restore /mnt/backup/sniffable --into var2")
@FOLDER
@click.option("--into", required=True, type=Place(), metavar="DIR", help="A new data directory.")
@click.option("--as-of", metavar="TIME", help="Only what was recorded up to then.")
@common.options
def restore(
    folder: Path, into: str, as_of: str | None, as_json: bool, var: str | None, domain: str | None
) -> None:
    """Make a new fact file of the archive in FOLDER, after verifying it."""
    moment = known_time(as_of, datetime.now(UTC))
    chosen = common.settings(var=var, domain=domain)
    target = Path(into) / common.find_domain(chosen).name / "facts.duckdb"
    with present(chosen) as store:
        rows = archive.restore(folder, target, as_of=moment, present=store)
    with Store.open(target) as fresh, fresh.reader() as reader:
        last = reader.last_recorded()
    until = None if last is None else last.isoformat()
    text = (
        f"{rows:,} rows restored into {target}, the last recorded at {until}.\n"
        "What came or was erased later is not known to it. Seal, back up or replicate from it, and"
        " its own erasures reach that archive."
    )
    said({"rows": rows, "file": str(target), "last_recorded": until}, text, as_json)


@contextmanager
def present(chosen: Settings) -> Iterator[Store | None]:
    """Open the store there is now, if it can be: it knows what was erased since a copy was made."""
    path = common.facts_path(chosen, common.find_domain(chosen))
    try:
        store = Store.open(path, create=False) if path.exists() else None
    except StoreError as error:
        common.log.print(
            f"The present facts could not be asked what was erased since: {error}",
            markup=False,
            soft_wrap=True,
        )
        store = None
    try:
        yield store
    finally:
        if store is not None:
            store.close()


@click.command(epilog="Example: worlds facts export facts.parquet --attribute likes")
@click.argument("file", type=Place(path_type=Path, dir_okay=False))
@click.option("--attribute", multiple=True, help="Only these attributes.")
@AS_OF
@common.options
def export(
    file: Path,
    attribute: tuple[str, ...],
    as_of: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Write the visible facts to FILE (.parquet, .arrow, .feather or .csv)."""
    moment = known_time(as_of, datetime.now(UTC))
    wanted = {"attribute": list(attribute)} if attribute else {}
    with opened(var, domain) as store:
        rows = archive.export(store, file, as_of=moment, **wanted)
    said({"rows": rows, "file": str(file)}, f"{rows:,} facts in {file}", as_json)


@click.command(epilog="Example: worlds facts replicate /mnt/replica --every 10 --times 60")
@FOLDER
@click.option("--every", type=Seconds(0.1), help="Again every so many seconds.")
@click.option("--times", type=click.IntRange(1), help="End after so many rounds.")
@common.options
def replicate(
    folder: Path,
    every: float | None,
    times: int | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Bring the replica in FOLDER up to date, once or again and again until Ctrl-C."""
    with opened(var, domain) as store:
        done = 0
        while True:
            report = archive.replicate(store, folder)
            done += 1
            said(report, f"{report.rows:,} rows added; up to {report.head}", as_json)
            if every is None or done == times:
                return
            time.sleep(every)


@click.command(epilog='Example: worlds facts erase --entity post:17 --reason "request 2026-11"')
@click.option("--entity", required=True, help="The exact name.")
@click.option("--reason", required=True, help="Why; it stays, so it must not name the entity.")
@click.option("--yes", is_flag=True, help="Do not ask: it cannot be undone.")
@asking.SERVER
@asking.KEY
@common.options
def erase(
    entity: str,
    reason: str,
    yes: bool,
    server: str | None,
    key_file: Path | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Remove all content of an entity from the file and from every archive; a tombstone stays.

    The server that has the file does it, if there is one.
    """
    if not yes:
        click.confirm(f"Erase everything about {entity!r} for ever?", abort=True, err=True)
    chosen = common.settings(var=var, domain=domain)
    where = server or asking.running(chosen, common.find_domain(chosen))
    if where is None:
        with opened(var, domain) as store:
            report = common.fields(archive.erase(store, entity, reason))
        learning.sweep(chosen.root(common.find_domain(chosen).name) / "exports")
    else:
        report = erased_by(chosen, where, {"entity": entity, "reason": reason}, key_file)
    missed = "".join(f"\n  not reached: {place}: {why}" for place, why in report["missed"].items())
    count = len(report["archives"])
    text = f"{report['rows']} rows erased; {count} archives rewritten; {report['token']}"
    said(report, text + missed, as_json)
    if report["missed"]:
        raise SystemExit(1)


def erased_by(
    chosen: Settings, where: str, wanted: dict[str, Any], key_file: Path | None
) -> dict[str, Any]:
    """Have a server erase, and wait until it has; it may take as long as writing the file anew."""
    while True:
        report = asking.asked(chosen, "POST", "/v1/erasures", wanted, where, key_file)
        if report.pop("state", None) != "running":
            return report


@click.command(epilog="Example: worlds facts trace --id post:readme; worlds facts trace --release")
@click.option("--seq", type=int, help="One row of the log.")
@click.option("--tx", type=int, help="One transaction.")
@click.option("--source", help="Everything a source sent.")
@click.option("--id", "event", help="One event.")
@click.option("--release", is_flag=False, flag_value="current", help="What a release learned from.")
@common.options
def trace(
    seq: int | None,
    tx: int | None,
    source: str | None,
    event: str | None,
    release: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """From facts to the snapshots that learned from them, or from a release to its facts."""
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    snapshots = common.snapshots(chosen, known)
    with opened(var, domain) as store, store.reader() as reader:
        if release is not None:
            found = lineage.of_release(reader, known, snapshots, release)
        else:
            rows = reader.trace(seq=seq, tx=tx, source=source, id=event)
            if not rows:
                raise MissingError("no fact fits; worlds facts list shows what is there")
            found = {"facts": lineage.of_facts(rows, known, snapshots)}
    common.print_json(found) if as_json else show_trace(found)


def show_trace(found: dict[str, Any]) -> None:
    """Print a lineage for people: a block a row, since names are long."""
    for key, value in found.items():
        if not isinstance(value, list):
            click.echo(f"{key}: {value}")
            continue
        for row in value:
            click.echo(f"{key}:")
            for name, content in row.items():
                text = ", ".join(map(str, content)) if isinstance(content, list) else content
                click.echo(f"  {name}: {text}")


@click.command(
    epilog='Example: worlds facts sql "SELECT attribute, count(*) FROM facts GROUP BY 1"'
)
@click.argument("query")
@AS_OF
@common.options
def sql(query: str, as_of: str | None, as_json: bool, var: str | None, domain: str | None) -> None:
    """Answer one SELECT over `facts`, or over a wide table such as `posts`; nothing can change."""
    moment = known_time(as_of, datetime.now(UTC))
    with opened(var, domain) as store, store.reader() as reader:
        table = _ask(reader, query, moment)
    show_rows(table, as_json)


def show_rows(table: dict[str, Any], as_json: bool) -> None:
    """Print what a SELECT found: its columns and rows."""
    if as_json:
        common.print_json({"columns": table["columns"], "rows": table["rows"]})
        return
    shown = Table(box=None)
    for name in table["columns"]:
        shown.add_column(name, overflow="fold")
    for row in table["rows"]:
        shown.add_row(*(str(value) for value in row.values()))
    out.print(shown)


def _ask(reader: Reader, query: str, moment: datetime | None) -> dict[str, Any]:
    found = reader.sql(query, as_of=moment)
    return {"columns": found.schema.names, "rows": found.to_pylist()}


COMMANDS = (seal, verify, backup, restore, export, replicate, erase, trace, sql)
