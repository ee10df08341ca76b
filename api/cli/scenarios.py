"""``worlds scenarios``: what is assumed under a name, kept, shared and compared."""

from typing import Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from api.answering import checked, compare
from api.asking import given_pairs, scenario_do_pairs, where_pairs
from api.cli import common
from api.cli.ask import answerer
from api.cli.show import out
from api.errors import RequestError
from api.scenarios import remove, save, store_of
from api.schemas import CompareRequest, FormulaCompareRequest
from worlds.domain import Domain
from worlds.scenarios import Scenario, ScenarioStore

SAVE = "Example: worlds scenarios save growth --do pupdates=x1.2..2 --text 'Nobody knows how much.'"
COMPARE = "Example: worlds scenarios compare growth --question likes_next_hour --threshold 1000"


@click.group(epilog="Example: worlds scenarios save twice --do pupdates=x2")
def command() -> None:
    """Keep what is assumed under a name, and compare it."""


def _opened(var: str | None, domain: str | None) -> tuple[ScenarioStore, Domain]:
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    return store_of(chosen.root(known.name)), known


@command.command("save", epilog=SAVE)
@click.argument("name")
@click.option("--given", multiple=True, metavar="K=V", help="pupdates=learned, pupdates>=3.")
@click.option("--do", multiple=True, metavar="K=V", help="pupdates=9000, x2, x1.2..2, 500..800.")
@click.option("--where", multiple=True, metavar="K=V", help="breed=pug.")
@click.option("--text", default="", help="One sentence for people.")
@common.options
def save_command(
    name: str,
    given: tuple[str, ...],
    do: tuple[str, ...],
    where: tuple[str, ...],
    text: str,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Store a scenario under NAME, which then means this one."""
    store, known = _opened(var, domain)
    wanted = Scenario(name, given_pairs(given), scenario_do_pairs(do), where_pairs(where), text)
    _show([save(store, known, wanted)], as_json, single=True)


@command.command("list", epilog="Example: worlds scenarios list --json")
@common.options
def list_command(as_json: bool, var: str | None, domain: str | None) -> None:
    """List the scenarios."""
    store, _ = _opened(var, domain)
    _show(store.list(), as_json)


@command.command("show", epilog="Example: worlds scenarios show growth")
@click.argument("name")
@common.options
def show_command(name: str, as_json: bool, var: str | None, domain: str | None) -> None:
    """Show the scenario with this NAME or id."""
    store, _ = _opened(var, domain)
    _show([store.find(name)], as_json, single=True)


@command.command("remove", epilog="Example: worlds scenarios remove growth")
@click.argument("name")
@common.options
def remove_command(name: str, as_json: bool, var: str | None, domain: str | None) -> None:
    """Remove the scenario with this NAME or id."""
    store, _ = _opened(var, domain)
    found = remove(store, name)
    if as_json:
        common.print_json(found.to_json())
    else:
        out.print(Text(f"Removed {found.name} ({found.id})."))


@command.command("compare", epilog=COMPARE)
@click.argument("names", nargs=-1, required=True)
@click.option("--question", help="What to ask. [default: the first question of the domain]")
@click.option("--formula", metavar="TEXT", help="Ask this instead of a question.")
@click.option("--unit", metavar="TEXT", help="Unit of the formula. [default: found]")
@click.option("--over", type=int, default=1, help="Number of periods whose total is compared.")
@click.option("--threshold", metavar="NUMBER", help='1000 or "> 1000".')
@click.option("--coupling", type=click.Choice(["same luck", "independent"]), default="same luck")
@click.option("--as-of", metavar="TIME", help="Compare with what was known then.")
@common.options
def compare_command(
    names: tuple[str, ...],
    question: str | None,
    formula: str | None,
    unit: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
    **more: Any,
) -> None:
    """Compare NAMES with the first; a single one with things as they are."""
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    if question is not None and formula is not None:
        raise RequestError(f"ask {question!r} or --formula, not both")
    if unit is not None and formula is None:
        raise RequestError("--unit needs --formula")
    asked = None if formula else known.question(question or known.questions[0].name).name
    kind = FormulaCompareRequest if formula else CompareRequest
    own = {"formula": formula, "unit": unit} if formula else {}
    try:
        wanted = msgspec.convert({"scenarios": list(names), **own, **more}, kind)
    except msgspec.ValidationError as error:
        raise RequestError(f"the comparison cannot be read: {error}") from None
    models = answerer(chosen, known, wanted.as_of)
    store = store_of(chosen.root(known.name))
    found, content = checked(lambda: compare(models, asked, wanted, store))
    if as_json:
        common.print_json(content)
    else:
        out.print(Text(found.text()), soft_wrap=True)


def _show(found: list[Scenario], as_json: bool, *, single: bool = False) -> None:
    if as_json:
        listed = [each.to_json() for each in found]
        common.print_json(listed[0] if single else {"scenarios": listed})
        return
    if not found:
        out.print("No scenario is kept yet: worlds scenarios save NAME --do pupdates=x2")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("id", "name", "given", "do", "where", "text"):
        table.add_column(title, overflow="fold")
    for each in found:
        content = each.to_json()
        parts = [_said(content[part]) for part in ("given", "do", "where")]
        table.add_row(*map(Text, [each.id, each.name, *parts, each.text]))
    out.print(table)


def _said(part: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in part.items())
