"""``worlds ask``: from the published files, without a server and without the database."""

from datetime import UTC, datetime
from typing import Any

import click
import numpy as np

from api.answering import Reply, checked, respond, respond_from_facts
from api.asking import decide_pairs, from_pairs, known_time
from api.cli import common
from api.cli.keeping import show_rows
from api.cli.show import show_answer, show_part
from api.cli.show_parts import show_parts
from api.errors import MissingError, RequestError
from api.schemas import QuestionRequest
from api.settings import Settings
from facts import Store
from worlds.ask import Answerer
from worlds.domain import Domain
from worlds.tables import answer_tables
from worlds.view import View
from worlds.viewing import find_view

DRAWS = 10_000
"""Rows of the table of draws, where nobody says how many."""
EPILOG = """\b
Example: what if twice as much is posted?
    worlds ask likes_next_hour --threshold 1000 --do pupdates=x2 --where breed=pug
Example: a formula
    worlds ask --formula "sum(likes_per_pupdate, pupdates) * 0.02" --unit EUR
Example: where does the width come from, and what suffices in 99 of 100 cases?
    worlds ask likes_next_hour --explain --decide service_level=0.99
Example: the next six hours, hour by hour, and by breed
    worlds ask likes_next_hour --over 6 --by breed
Example: the worlds beside the facts, in SQL
    worlds ask likes_next_hour --sql "SELECT quantile_cont(value, 0.99) AS p99 FROM draws"
Example: ask the facts themselves, uncertain as they are
    worlds ask facts_count --where "breed=pug|beagle" --where "place=52.37,4.9,2000"
    worlds ask dirty_now --domain dookie --where place=52.365,4.895
Example: which of three capacities?
    worlds ask --decide capacities=500,800,1200 --decide unit_cost=1 --decide shortfall_cost=5
"""


@click.command(epilog=EPILOG)
@click.argument("question", required=False)
@click.option("--formula", metavar="TEXT", help="Ask this instead of a question.")
@click.option("--unit", metavar="TEXT", help="Unit of the formula. [default: found]")
@click.option("--threshold", metavar="NUMBER", help='1000 or "> 1000".')
@click.option("--level", "levels", multiple=True, type=float, help="Level of an interval.")
@click.option("--given", multiple=True, metavar="K=V", help="pupdates=learned, pupdates>=3.")
@click.option("--condition", "conditions", multiple=True, metavar="TEXT", help="a > b; formulas.")
@click.option("--do", multiple=True, metavar="K=V", help="pupdates=9000 or pupdates=x2.")
@click.option("--where", multiple=True, metavar="K=V", help="breed=pug.")
@click.option("--over", type=int, default=1, help="Periods: their total, each, the largest.")
@click.option("--by", metavar="CATEGORY", help="Each label by itself: breed, breed=pug,beagle.")
@click.option("--as-of", metavar="TIME", help="Answer with what was known then.")
@click.option("--error", type=float, help="Error of a probability that will do. [default: 1e-5]")
@click.option("--deadline", type=float, help="Seconds; then the best so far. [formula: 5]")
@click.option("--explain", is_flag=True, help="Say where the width comes from.")
@click.option("--acts-at", type=float, help="Probability of the threshold at which you act.")
@click.option("--decide", multiple=True, metavar="K=V", help="service_level=0.99, or JSON.")
@click.option("--hdi", is_flag=True, help="The shortest intervals too (highest density).")
@click.option("--above", "thresholds", multiple=True, type=float, help="Further thresholds.")
@click.option("--curve", type=int, help="Points of the cumulative distribution, with --json.")
@click.option("--sample", type=int, help="Number of draws, with --json.")
@click.option("--seed", type=int, help="Of the draws.")
@click.option("--sql", metavar="SELECT", help="Ask worlds, draws, periods, groups beside facts.")
@click.option("--since", metavar="TIME", help="Say why the answer changed since then.")
@common.options
def command(
    question: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
    explain: bool,
    acts_at: float | None,
    decide: tuple[str, ...],
    since: str | None,
    sql: str | None,
    **parts: Any,
) -> None:
    """Ask QUESTION (the domain's first where left out) or a formula across the worlds."""
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    more: dict[str, Any] = {"explain": explain, "acts_at": acts_at, "since": since}
    more["decide"] = decide_pairs(decide)
    shape = {name: parts.pop(name) for name in ("hdi", "thresholds", "curve", "sample", "seed")}
    more |= {name: value for name, value in shape.items() if value}
    wanted = from_pairs(**_split(question, parts, more))
    view = find_view(known, question) if question is not None else None
    if view is not None:
        if sql is not None:
            raise RequestError(f"{view.name} asks facts: ask them with worlds facts sql")
        show(*_from_facts(chosen, known, view, wanted), as_json)
        return
    models = answerer(chosen, known, wanted.as_of)
    then = answerer(chosen, known, since) if since is not None else None
    reply, content = checked(lambda: respond(models, question, wanted, then))
    if sql is not None:
        show_rows(_selected(chosen, known, reply, wanted, sql), as_json)
        return
    show(reply, content, as_json)


def _selected(
    chosen: Settings, known: Domain, reply: Reply, wanted: QuestionRequest, select: str
) -> dict[str, Any]:
    """Answer a SELECT over the answer beside the facts, which no server may hold meanwhile."""
    rng = np.random.default_rng(wanted.seed)
    tables = answer_tables(reply.answer, rng, wanted.sample or DRAWS)
    moment = known_time(wanted.as_of, datetime.now(UTC))
    path = common.facts_path(chosen, known)
    with Store.open(path, create=False) as store, store.reader() as reader:
        found = reader.sql(select, as_of=moment, tables=tables)
    return {"columns": found.schema.names, "rows": found.to_pylist()}


def show(reply: Reply, content: dict[str, Any], as_json: bool) -> None:
    """Print an answer with its parts."""
    if as_json:
        common.print_json(content)
        return
    show_answer(reply.answer, content)
    show_parts(content)
    show_part("Why", reply.explanation)
    show_part("Decision", reply.decision)
    show_part("What changed", reply.change)


def _from_facts(
    chosen: Settings, known: Domain, view: View, wanted: QuestionRequest
) -> tuple[Reply, dict[str, Any]]:
    """Answer from the fact file, which no server may hold meanwhile."""
    moment = known_time(wanted.as_of, datetime.now(UTC))
    with Store.open(common.facts_path(chosen, known), create=False) as store:
        reader = store.reader()
        return checked(lambda: respond_from_facts(view, reader, moment, wanted))


def _split(question: str | None, parts: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `from_pairs`; what belongs to formulas needs one.

    Raises
    ------
    RequestError
        If there is a question and a formula, or an option of formulas without one.
    """
    effort = {name: parts.pop(name) for name in ("error", "deadline")}
    more = more | {name: value for name, value in effort.items() if value is not None}
    unit, formula, conditions = (parts.pop(name) for name in ("unit", "formula", "conditions"))
    if formula is None:
        if stray := ["--unit"] * (unit is not None) + ["--condition"] * bool(conditions):
            raise RequestError(f"{', '.join(stray)} needs --formula")
        return {**parts, "more": more}
    if question is not None:
        raise RequestError(f"ask {question!r} or --formula, not both")
    fields = {"formula": formula, "conditions": list(conditions), "unit": unit}
    return {**parts, "more": {**more, **fields}}


def answerer(chosen: Settings, known: Domain, as_of: str | None) -> Answerer:
    """Return the models in force, or those of a time in the past.

    Raises
    ------
    MissingError
        If nothing had been learned by then.
    """
    moment = known_time(as_of, datetime.now(UTC))
    if moment is None:
        return common.answerer(chosen, known)
    store = common.snapshots(chosen, known)
    release = store.as_of(moment)
    if release is None:
        raise MissingError(f"nothing had been learned as of {moment.isoformat()}")
    return Answerer.load(known, store, release)
