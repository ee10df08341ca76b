"""Look back from the command line: ``python -m worlds.learn.looking backtest|score``."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from facts import FactsError, StoreBusy
from worlds.domain import Domain, load_domain
from worlds.errors import FitError, UnknownNameError, WorldsError
from worlds.learn import lookback, pictures, scored
from worlds.learn.candidates import HORIZON, Settings
from worlds.learn.history import History, read
from worlds.learn.lifeline import die_with
from worlds.learn.once import facts_of
from worlds.learn.rolling import Looked, Plan, Tick, look_back, origins
from worlds.publish import SnapshotStore

BUSY = 3
ORIGINS = 30
MONTH = timedelta(days=28)
MOST_ORIGINS, MOST_HORIZON = 1000, 400


def main(arguments: Sequence[str] | None = None) -> int:
    """Look back once; return the exit code: 0 done, 1 failed, 3 busy."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    if options.parent is not None:
        die_with(options.parent)
    try:
        found = _run(load_domain(options.domain), options, console)
    except StoreBusy as error:
        console.print(f"The facts are in use: {error}", soft_wrap=True, markup=False)
        console.print("Stop the server, or look at an export: --facts FILE", soft_wrap=True)
        return BUSY
    except (WorldsError, FactsError, OSError) as error:
        console.print(f"it cannot be looked back: {error}", soft_wrap=True, markup=False)
        return 1
    said = json.dumps(found, indent=1) if options.json else found["text"]
    sys.stdout.write(said + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worlds.learn.looking")
    add = parser.add_argument
    add("what", choices=("backtest", "score"))
    add("--var", type=Path, default=Path("var"))
    add("--domain", required=True)
    add("--facts", type=Path)
    add("--as-of", type=_moment)
    add("--from", dest="begin", type=_moment)
    add("--to", dest="end", type=_moment)
    add("--origins", type=_within("origins", MOST_ORIGINS), default=None)
    add("--horizon", type=_within("periods", MOST_HORIZON), default=None)
    add("--quantity", action="append", default=[])
    add("--model", action="append", default=[])
    add("--by")
    add("--compare", action="append", default=[], metavar="A,B")
    add("--refit", action="store_true")
    add("--picture", type=Path)
    add("--seed", type=int, default=7)
    add("--deadline", type=float, default=Settings().deadline)
    add("--parent", type=int)
    add("--json", action="store_true")
    return parser


def _within(what: str, most: int) -> Any:
    def whole(text: str) -> int:
        count = int(text)
        if not 1 <= count <= most:
            msg = f"{what} must lie in [1, {most}]; got {text}"
            raise argparse.ArgumentTypeError(msg)
        return count

    return whole


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"a time is written like 2026-11-20T18:00:00Z; got {text!r}"
        raise argparse.ArgumentTypeError(msg) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _run(domain: Domain, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    folder = options.var / domain.name
    now = datetime.now(UTC)
    if options.as_of is not None and options.as_of > now:
        msg = f"--as-of {options.as_of.isoformat()} lies in the future; it is {now.isoformat()}"
        raise FitError(msg)
    if options.picture is not None and options.picture.suffix.lower() != ".svg":
        msg = f"--picture writes SVG: name a file that ends in .svg, not {options.picture.name!r}"
        raise FitError(msg)
    with facts_of(domain, options.facts, folder) as source:
        as_of = options.as_of or source.last_recorded()
        if as_of is None:
            msg = f"there are no facts about {domain.name!r} yet: import or simulate some first"
            raise FitError(msg)
        history = read(domain, source, as_of=as_of)
    with _display(console) as tell:
        if options.what == "backtest":
            return backtest(domain, history, as_of, options, tell)
        store = SnapshotStore(folder / "snapshots")
        return score(domain, history, as_of, store, options, tell)


@contextmanager
def _display(console: Console) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading the facts", total=None)

        def start(text: str, total: int) -> Tick:
            bar.reset(task, description=text, total=total)
            return lambda: bar.advance(task)

        yield start


def backtest(
    domain: Domain, history: History, as_of: datetime, options: argparse.Namespace, tell: Any
) -> dict[str, Any]:
    """Return the report of a back-test with rolling origins."""
    names = [quantity.name for quantity in domain.quantities]
    for name in options.quantity:
        if name not in names:
            raise UnknownNameError("quantity", name, names)
    plan = _plan(domain, history, options, options.begin, options.end)
    reports = []
    for quantity in domain.quantities:
        if options.quantity and quantity.name not in options.quantity:
            continue
        if not options.quantity and options.model and not _has(domain, quantity.name, options):
            continue
        tick = tell(f"looking back at {quantity.name}", len(plan.origins))
        looked = look_back(domain, history, quantity, plan, tick)
        reports.append(lookback.report(looked, plan, domain.step, _pairs(options)))
    if not reports:
        named = ", ".join(options.model)
        known = {str(m) for models in domain.models.values() for m in models}
        raise UnknownNameError("model", named, known)
    if options.picture is not None:
        options.picture.write_text(pictures.svg(reports))
    return {
        "domain": domain.name,
        "as_of": as_of.isoformat(),
        "simulated": history.simulated,
        "method": "refits on what came before each origin; the pool is weighed on earlier origins",
        "reports": reports,
        "picture": str(options.picture) if options.picture else None,
        "text": "\n\n".join(lookback.text(one) for one in reports),
    }


def _has(domain: Domain, quantity: str, options: argparse.Namespace) -> bool:
    known = {getattr(model, "name", model) for model in domain.models.get(quantity, ())}
    return set(options.model) <= {*known, "default"}


def _pairs(options: argparse.Namespace) -> list[tuple[str, str]]:
    pairs = []
    for text in options.compare:
        one, comma, other = text.partition(",")
        if not comma or not one or not other:
            msg = f"--compare takes two models with a comma between, such as pool,learned: {text!r}"
            raise FitError(msg)
        pairs.append((one.strip(), other.strip()))
    return pairs


def _plan(
    domain: Domain,
    history: History,
    options: argparse.Namespace,
    begin: datetime | None,
    end: datetime | None,
) -> Plan:
    horizon = options.horizon or HORIZON[domain.grain]
    times = origins(history, horizon, options.origins or ORIGINS, begin, end)
    return Plan(times, horizon, tuple(options.model), options.by, options.seed, options.deadline)


def score(
    domain: Domain,
    history: History,
    as_of: datetime,
    store: SnapshotStore,
    options: argparse.Namespace,
    tell: Any,
) -> dict[str, Any]:
    """Return how the published releases did, or refits as of then where there are too few."""
    end = min(options.end or history.until, history.until)
    begin = options.begin or end - MONTH
    if begin >= end:
        msg = f"--from {begin.isoformat()} must lie before --to {end.isoformat()}"
        raise FitError(msg)
    terms = scored.published(store, domain, begin, end)
    rows, trouble = scored.score_published(domain, store, history, terms, options.seed)
    then = scored.published_answerers(domain, store, terms)
    asked = scored.ask_then(domain, history, then)
    found: dict[str, Any] = {
        "domain": domain.name,
        "as_of": as_of.isoformat(),
        "from": begin.isoformat(),
        "to": end.isoformat(),
        "simulated": history.simulated,
        "not_ripe_yet": scored.pending(history, begin, end),
        "trouble": trouble,
        "published": {
            "releases": [
                {
                    "release": term.release.id,
                    "from": term.begin.isoformat(),
                    "to": term.end.isoformat(),
                }
                for term in terms
            ],
            "quantities": {name: scored.rows_summary(one) for name, one in rows.items()},
            "questions": asked,
        },
        "refits": None,
    }
    answered = max((one["answers"] for one in asked), default=0)
    if options.refit or answered < LEAST_ANSWERS:
        found["refits"] = _refits(domain, history, options, begin, end, tell)
    found["source"] = "refits as of then" if found["refits"] else "published releases"
    part = found["refits"] or found["published"]
    plan = Plan((begin,), 1) if found["refits"] else None
    found["verdict"] = scored.verdict(part["questions"], plan, len(terms))
    found["text"] = _said(found, answered)
    return found


LEAST_ANSWERS = 10
"""Answers of published releases with a known outcome below which refits are added."""


def _refits(
    domain: Domain,
    history: History,
    options: argparse.Namespace,
    begin: datetime,
    end: datetime,
    tell: Any,
) -> dict[str, Any]:
    plan = _plan(domain, history, options, begin, end)
    looked: dict[str, Looked] = {}
    reports = []
    for quantity in domain.quantities:
        tick = tell(f"refitting {quantity.name} as of then", len(plan.origins))
        looked[quantity.name] = look_back(domain, history, quantity, plan, tick)
        reports.append(lookback.report(looked[quantity.name], plan, domain.step, _pairs(options)))
    then = scored.answerers(domain, looked)
    tick = tell("asking then", len(then) * len(domain.questions))
    questions = scored.ask_then(domain, history, then, tick)
    if options.picture is not None:
        options.picture.write_text(pictures.svg(reports))
    return {"origins": len(plan.origins), "quantities": reports, "questions": questions}


def _said(found: dict[str, Any], answered: int) -> str:
    rows = [
        f"Would we have been right from {found['from'][:16]} to {found['to'][:16]}?",
        found["verdict"],
    ]
    releases = found["published"]["releases"]
    rows.append(
        f"Published: {len(releases)} releases answered in that time; {answered} of their answers "
        "have met their outcome."
    )
    for name, models in found["published"]["quantities"].items():
        rows += [f"  {name}"] * bool(models)
        rows += [lookback.line(model, one) for model, one in models.items()]
    if found["refits"]:
        why = "there are too few published answers" if answered < LEAST_ANSWERS else "as asked"
        rows.append(f"Refits as of then, {found['refits']['origins']} of them ({why}):")
        rows += [lookback.text(one) for one in found["refits"]["quantities"]]
    if found["not_ripe_yet"]:
        rows.append(f"{found['not_ripe_yet']} things are not ripe yet; they join as they ripen.")
    rows += [f"Trouble: {one}" for one in found["trouble"]]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
